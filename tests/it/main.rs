//! Whole-system tests: the real programs, spoken to as strangers do.

mod arrivals;
mod auth;
mod compile;
mod denied;
mod kills;
mod payloads;
mod receiver;
mod sandbox;
mod scene;
mod signature;
mod sim;
mod stage;
