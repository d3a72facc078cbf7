//! A promise: what it says, the key and the figure that show it, and whether it holds.

use std::collections::BTreeMap;

/// One promise.
pub(crate) struct Promise {
    says: &'static str,
    key: &'static str,
    figure: f64,
    holds: bool,
}

impl Promise {
    /// A figure that holds or not for a reason of its own.
    pub(crate) const fn of(says: &'static str, key: &'static str, figure: f64, holds: bool) -> Self {
        Self { says, key, figure, holds }
    }

    /// That something does not happen.
    pub(crate) fn none(says: &'static str, key: &'static str, figure: u64) -> Self {
        Self::exactly(says, key, figure, 0)
    }

    /// That something happened so often: what is never tried proves nothing.
    pub(crate) fn at_least(says: &'static str, key: &'static str, figure: u64, least: u64) -> Self {
        Self::of(says, key, figure as f64, figure >= least)
    }

    /// That something happened exactly so often.
    pub(crate) fn exactly(says: &'static str, key: &'static str, figure: u64, wanted: u64) -> Self {
        Self::of(says, key, figure as f64, figure == wanted)
    }

    /// That something takes no longer; what could not be measured does not hold.
    pub(crate) fn at_most(says: &'static str, key: &'static str, figure: f64, most: f64) -> Self {
        Self::of(says, key, figure, figure <= most)
    }

    pub(crate) const fn holds(&self) -> bool {
        self.holds
    }
}

/// Print them: a line each, or one JSON object of flat numbers.
pub(crate) fn print(promises: &[Promise], json: bool) {
    if json {
        let figures: BTreeMap<&str, serde_json::Number> =
            promises.iter().map(|promise| (promise.key, number(promise.figure))).collect();
        println!("{}", serde_json::to_string(&figures).expect("numbers are JSON"));
        return;
    }
    for Promise { says, key, figure, holds } in promises {
        let (figure, mark) = (number(*figure).to_string(), if *holds { "" } else { "   BROKEN" });
        println!("{figure:>8}  {key:<24} {says}{mark}");
    }
}

/// A whole number as such, any other with two digits behind the point.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "figures are small and not negative")]
fn number(figure: f64) -> serde_json::Number {
    if figure.fract() == 0.0 {
        return (figure as u64).into();
    }
    serde_json::Number::from_f64((figure * 100.0).round() / 100.0).unwrap_or_else(|| 0.into())
}
