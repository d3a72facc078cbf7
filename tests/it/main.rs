//! Whole-system tests: the real programs, spoken to as strangers do.

mod api;
mod arrivals;
mod asg;
mod asg_moto;
mod auth;
mod bad_data;
mod bad_input;
mod bad_plugins;
mod commands;
mod compile;
mod denied;
mod disk_full;
mod deploy;
mod first_day;
mod hot;
mod kills;
mod moto;
mod notify;
mod payloads;
mod receiver;
mod sandbox;
mod scene;
mod signature;
mod shutdown;
mod sim;
mod stage;
