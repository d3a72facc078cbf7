//! Benchmarks: how fast the real programs are, each figure beside what could at best be had on this machine in this run.
//!
//! Figures are counted from what is durable (the journal, the cloud's call log), never from what a client believes.

pub mod acknowledge;
pub mod act;
pub mod backtest;
pub mod decide;
pub mod guard;
pub mod history;
pub mod journal;
pub mod languages;
pub mod load;
pub mod raw;

use std::collections::BTreeMap;

/// Figures by key, units in the key.
pub type Figures = BTreeMap<&'static str, f64>;

/// The value below which a share of the samples is. Sorts them.
#[must_use]
pub fn quantile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = ((samples.len().saturating_sub(1)) as f64 * share).round() as usize;
    samples.get(index).copied().unwrap_or(f64::NAN)
}
