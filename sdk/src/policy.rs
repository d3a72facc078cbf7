//! The trait that a policy implements.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Decision, Input, Stop};

/// A remediation policy: a pure function from what is known to what should be done.
///
/// It is evaluated in a fresh instance each time, so nothing that it stores survives; what it proposed before is in
/// [`Input::history`]. A panic is a failure of this evaluation, which Balm records and tries again later.
pub trait Policy {
    /// What the operator can set, as it stands in the configuration. Keys that it does not have are refused when the
    /// policy is loaded.
    type Settings: DeserializeOwned + JsonSchema;

    /// What the policy does, in one sentence.
    const SUMMARY: &'static str;

    /// The actions that it may propose. Balm refuses an intent with any other.
    const ACTIONS: &'static [&'static str];

    /// The kinds of queries that it may ask. Balm refuses any other.
    const QUERIES: &'static [&'static str];

    /// The file name that the plugin insists on, if it should run under no other.
    const NAME: Option<&'static str> = None;

    /// Whether settings that could be read make sense together; otherwise what to change. By default they do.
    fn validate(settings: &Self::Settings) -> Result<(), String> {
        let _ = settings;
        Ok(())
    }

    /// Decide, or stop because something is needed first.
    fn evaluate(input: &Input<Self::Settings>) -> Result<Decision, Stop>;
}
