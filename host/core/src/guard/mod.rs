//! The guard: the only way from a proposed intent to an approved one.
//!
//! `ProposedIntent::judge` runs every check, records what each found, and lets the first that fails name the verdict.
//! An [`ApprovedIntent`] can be made nowhere else: its fields are private, it can be neither cloned nor read from text,
//! and whoever acts on it uses it up. So what was not judged on a fresh look cannot reach AWS, and what was judged once
//! cannot be done twice. The guard refuses to know how to look and how to act.

mod authorization;
mod bounds;
mod busy;
mod catalogue;
mod expectation;
mod limits;
mod look;
mod manifest;
mod memory;
mod mode;
mod named;
mod opposes;
mod oscillation;
mod reach;
mod recurrence;
mod rules;
mod slices;
mod stale;
mod stop;
mod storm;
mod target;

pub use rules::{Mistake, Naming, Rules, SCHEMA};

use std::time::Duration;

use crate::{
    action::Change,
    configuration::{Guardrails, Mode, Policy},
    digest::Digest,
    episode::Concern,
    intent::Intent,
    look::Reading,
    name::{EpisodeId, IntentId},
    record::{AttemptStarted, CheckName, Checked, Fact, IntentJudged, PluginActivated, Verdict},
    state::State,
    target::Target,
    time::{Moment, Timestamp},
};

/// An intent, with the host's own reading of its target, before the guard.
pub struct ProposedIntent<'a> {
    state: &'a State,
    rules: &'a Rules,
    intent: &'a Intent,
    concern: Option<&'a Concern>,
    policy: Option<&'a Policy>,
    plugin: Option<&'a PluginActivated>,
    change: Result<Change, String>,
    target: Result<Target, String>,
    reading: Result<&'a Reading, &'a str>,
    now: Timestamp,
    approvals: u32,
}

/// An intent that the guard admitted: the right to make one call.
///
/// ```compile_fail
/// fn twice(intent: balm_core::guard::ApprovedIntent) {
///     let copy = intent.clone();
/// }
/// ```
///
/// ```compile_fail
/// let intent: balm_core::guard::ApprovedIntent = serde_json::from_str("{}").unwrap();
/// ```
///
/// ```compile_fail
/// fn forged(target: balm_core::target::Target, change: balm_core::action::Change) {
///     balm_core::guard::ApprovedIntent { id: "1.0".parse().unwrap(), episode: todo!(), attempt: 1, token: String::new(), target, change };
/// }
/// ```
#[derive(Debug)]
#[must_use = "an admitted intent has spent its limit and must be acted on"]
pub struct ApprovedIntent {
    id: IntentId,
    episode: EpisodeId,
    attempt: u32,
    token: String,
    target: Target,
    change: Change,
}

impl ApprovedIntent {
    /// Which intent.
    #[must_use]
    pub const fn id(&self) -> IntentId {
        self.id
    }

    /// Which attempt of it, from 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// What the call carries, so that it can be found in AWS's own records.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Where to act.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Use it up: what to do.
    #[must_use]
    pub fn into_change(self) -> Change {
        self.change
    }
}

/// What one check found.
pub(crate) enum Finding {
    /// Nothing against it.
    Passes(String),
    /// It may not be done.
    Fails(String),
    /// It may not be done, only recorded.
    Watches(String),
    /// It may be done after so many people have approved it.
    Asks(u32, String),
}

/// The guard's answer, and what follows from it.
pub(crate) struct Judgement {
    /// To be recorded: the judgement, and the attempt if it was admitted.
    pub(crate) facts: Vec<Fact>,
    /// To be acted on, once the facts are durable.
    pub(crate) approved: Option<ApprovedIntent>,
}

type Check = fn(&ProposedIntent<'_>) -> Finding;

/// Every check, in the order in which they name the verdict.
const CHECKS: [(CheckName, Check); 16] = [
    (CheckName::Stop, stop::check),
    (CheckName::Stale, stale::check),
    (CheckName::Mode, mode::check),
    (CheckName::Manifest, manifest::check),
    (CheckName::Catalogue, catalogue::check),
    (CheckName::Target, target::check),
    (CheckName::Look, look::check),
    (CheckName::Expectation, expectation::check),
    (CheckName::Busy, busy::check),
    (CheckName::Opposes, opposes::check),
    (CheckName::Oscillation, oscillation::check),
    (CheckName::Recurrence, recurrence::check),
    (CheckName::Storm, storm::check),
    (CheckName::Limits, limits::check),
    (CheckName::Bounds, bounds::check),
    (CheckName::Authorization, authorization::check),
];

impl<'a> ProposedIntent<'a> {
    /// Put an intent before the guard. `reading` is what the host just read of its target, or why it could not.
    #[must_use]
    pub fn new(
        state: &'a State,
        rules: &'a Rules,
        intent: &'a Intent,
        reading: Result<&'a Reading, &'a str>,
        now: Timestamp,
    ) -> Self {
        let policy = state.configuration.policies.get(&intent.policy);
        Self {
            state,
            rules,
            intent,
            concern: state.concern(intent.episode, &intent.policy),
            policy,
            plugin: policy.and_then(|policy| state.plugins.get(&policy.plugin)),
            change: Change::read(&intent.proposal.action, &intent.proposal.parameters),
            target: intent.proposal.target.parse().map_err(|error: crate::target::InvalidTarget| error.to_string()),
            reading,
            now,
            approvals: 0,
        }
    }

    /// So many different people have approved its plan as it is now.
    #[must_use]
    pub(crate) fn approved_by(self, approvals: u32) -> Self {
        Self { approvals, ..self }
    }

    /// Whether the host may read the intent's target at all: it is the operator's, and in an account of ours. If not,
    /// there is nothing to look at and the intent can be judged at once.
    #[must_use]
    pub fn may_look(&self) -> bool {
        self.change.is_ok() && matches!(target::check(self), Finding::Passes(_))
    }

    /// Run every check. Admission, and the attempt that it allows, are facts of one batch: that spends the limit.
    pub(crate) fn judge(self) -> Judgement {
        let findings = CHECKS.map(|(name, check)| (name, check(&self)));
        let mut verdict = self.verdict(&findings);
        if self.admissible().is_none() && verdict == Verdict::Admitted {
            // Cannot happen while the checks `catalogue` and `target` stand; without them nothing is admitted.
            verdict = Verdict::Refused(CheckName::Catalogue);
        }
        let judged = Fact::IntentJudged(Box::new(IntentJudged {
            intent: self.intent.id,
            episode: self.intent.episode,
            policy: self.intent.policy.clone(),
            mode: self.policy.map_or(Mode::Off, |policy| policy.mode),
            verdict: verdict.clone(),
            checks: findings.into_iter().map(|(name, finding)| finding.recorded(name)).collect(),
            guardrails: self.state.guardrails.unwrap_or(Digest::ZERO),
            approvals: self.approvals,
        }));
        let approved = if verdict == Verdict::Admitted { self.approve() } else { None };
        let attempt = approved.as_ref().map(ApprovedIntent::attempt_started);
        Judgement { facts: [judged].into_iter().chain(attempt).collect(), approved }
    }

    fn verdict(&self, findings: &[(CheckName, Finding)]) -> Verdict {
        let failed = findings.iter().find(|(_, finding)| matches!(finding, Finding::Fails(_)));
        if let Some((name, _)) = failed {
            return Verdict::Refused(*name);
        }
        if findings.iter().any(|(_, finding)| matches!(finding, Finding::Watches(_))) {
            return Verdict::Observed;
        }
        let asked =
            findings.iter().map(|(_, finding)| if let Finding::Asks(people, _) = finding { *people } else { 0 });
        match asked.max() {
            Some(people) if people > self.approvals => Verdict::NeedsApproval(people),
            Some(_) | None => Verdict::Admitted,
        }
    }

    /// How long ago something was done.
    fn age(&self, moment: Moment) -> Duration {
        self.state.age(moment, self.now)
    }

    fn guardrails(&self) -> &'a Guardrails {
        &self.state.configuration.guardrails
    }

    fn admissible(&self) -> Option<(&Change, &Target)> {
        self.change.as_ref().ok().zip(self.target.as_ref().ok())
    }

    fn approve(self) -> Option<ApprovedIntent> {
        let (id, attempt) = (self.intent.id, self.intent.attempts + 1);
        let token = token(&self.state.host, id);
        let episode = self.intent.episode;
        Some(ApprovedIntent { id, episode, attempt, token, target: self.target.ok()?, change: self.change.ok()? })
    }
}

/// The same for every attempt of an intent, different for every intent of every host; 24 characters that every field
/// of AWS takes.
fn token(host: &str, id: IntentId) -> String {
    let digest = Digest::of_fields(&[host.as_bytes(), id.to_string().as_bytes()]);
    format!("balm-{}", &digest.to_string()[..19])
}

impl ApprovedIntent {
    fn attempt_started(&self) -> Fact {
        Fact::AttemptStarted(Box::new(AttemptStarted {
            intent: self.id,
            episode: self.episode,
            attempt: self.attempt,
            token: self.token.clone(),
            action: self.change.action().into(),
            target: self.target.clone(),
            parameters: self.change.parameters(),
        }))
    }
}

impl Finding {
    fn recorded(self, check: CheckName) -> Checked {
        let (passed, found) = match self {
            Self::Passes(found) | Self::Watches(found) | Self::Asks(_, found) => (true, found),
            Self::Fails(found) => (false, found),
        };
        Checked { check, passed, found }
    }

    fn passes() -> Self {
        Self::Passes(String::new())
    }
}
