//! Whole-system tests: the real programs, spoken to as strangers do.

mod kills;
mod sandbox;
mod sim;
