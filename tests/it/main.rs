//! Whole-system tests: the real programs, spoken to as strangers do.

mod kills;
mod sandbox;
mod receiver;
mod scene;
mod signature;
mod sim;
mod stage;
