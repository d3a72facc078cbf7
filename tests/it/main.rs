//! Whole-system tests: the real programs, spoken to as strangers do.

mod arrivals;
mod auth;
mod compile;
mod denied;
mod bad_data;
mod bad_input;
mod bad_plugins;
mod commands;
mod disk_full;
mod kills;
mod payloads;
mod receiver;
mod sandbox;
mod scene;
mod signature;
mod moto;
mod sim;
mod stage;
