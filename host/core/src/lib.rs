//! The rules of Balm, without any I/O.
//!
//! An alert comes in ([`alert`]) and opens an episode or belongs to one ([`episode`]). The policies that it concerns are
//! found ([`configuration`]) and evaluated ([`evaluation`], [`rounds`]); each evaluation is kept as a capsule, and can be made
//! again ([`replay`]). What a policy proposes is an intent ([`intent`]); the host looks at the target for itself ([`look`]),
//! and the guard ([`guard`]) judges, which a team can try out beforehand ([`trial`]). Only the guard makes an approved intent,
//! and only an approved intent can be acted on ([`action`]). What it does not admit alone waits for people ([`approval`]). How
//! often is counted by limits ([`limit`]); what halts is a stop, by a person, by schedule ([`freeze`]), by a breaker
//! ([`breaker`]) or by the storm brake ([`storm`]), on targets by pattern too ([`pattern`]); what two policies do to each
//! other is a conflict ([`swings`]). All of it is records ([`record`]), which become lines of a journal ([`mod@line`]) and are
//! believed again after a crash ([`recovery`]), also where old ones are no longer kept ([`beginning`]). What all records say
//! together is the state ([`state`]), which is saved from time to time ([`snapshot`]); what is due is a function of it
//! ([`engine`]). People are told by notices ([`notice`], [`notices`]). A version of a plugin that fails again and again is
//! stopped, and the last good one is in force again ([`versions`]). How far the journal has come is signed from time to time,
//! and found out about by whoever checks it ([`checkpoint`]). Every bound stands in [`caps`].
//!
//! Nothing here reads a clock, a file or a socket: time comes in with each input, so the same inputs give the same
//! records, in production and in the simulator.

pub mod action;
pub mod alert;
pub mod approval;
pub mod beginning;
pub mod breaker;
pub mod caps;
pub mod checkpoint;
pub mod configuration;
mod decide;
pub mod digest;
pub mod engine;
mod envelope;
pub mod episode;
mod escalate;
pub mod evaluation;
pub mod freeze;
mod glance;
pub mod guard;
pub mod input;
pub mod intent;
pub mod json;
mod ledger;
pub mod limit;
pub mod line;
pub mod look;
mod matching;
pub mod name;
pub mod notice;
pub mod notices;
mod pairs;
pub mod pattern;
pub mod record;
pub mod recovery;
pub mod replay;
pub mod rounds;
mod serde_result;
pub mod snapshot;
pub mod state;
mod stopping;
pub mod storm;
pub mod swings;
pub mod target;
pub mod time;
pub mod trial;
pub mod versions;

#[cfg(test)]
mod arrival_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod life_tests;
