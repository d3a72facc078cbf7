//! Whole-system tests: the real programs, spoken to as strangers do.

mod auth;
mod denied;
mod kills;
mod sandbox;
mod payloads;
mod receiver;
mod scene;
mod signature;
mod sim;
mod stage;
