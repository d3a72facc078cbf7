//! Replay: a recorded evaluation, ready to be made again, and whether it comes out the same.
//!
//! It owns how an input is put together from a capsule and the records that it names, and what "the same" means: the bytes
//! of the conclusion, and the fuel where the engine is the same. It refuses to know where records come from and how a
//! plugin is run.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    alert::Alert,
    configuration::Policy,
    digest::Digest,
    evaluation::{Capsule, Conclusion, FailureKind, Input},
    json::Json,
    name::{PluginName, PolicyName, Seq},
    record::{Configured, Fact, Record},
    rounds::Step,
};

/// How often each alert is still needed.
pub type Uses = BTreeMap<Seq, u32>;

/// The records that capsules name, read in order.
#[derive(Debug, Default)]
pub struct Past {
    /// Alerts are forgotten after their last use; all are kept where it is not known which are needed.
    uses: Option<Uses>,
    alerts: BTreeMap<Seq, Arc<Alert>>,
    works: BTreeMap<Seq, BTreeMap<PolicyName, Work>>,
    names: BTreeMap<Digest, PluginName>,
    engine: String,
    /// The first record that is there.
    first: Option<Seq>,
}

/// What a configuration says of a policy.
#[derive(Debug)]
struct Work {
    plugin: PluginName,
    settings: Json,
}

/// A capsule names a record that is not there, or is another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The alert.
    #[error("it names record {0} as its alert, which is not there")]
    Alert(Seq),
    /// The configuration, or its policy in it.
    #[error("it names record {0} as the configuration of its policy, which is not there")]
    Configuration(Seq),
    /// Either of them, from before the first record that is kept.
    #[error("it names record {0}, which is no longer kept")]
    Dropped(Seq),
}

impl Past {
    /// One that keeps an alert only for as often as it is needed, so that a history of any length fits into memory.
    #[must_use]
    pub fn keeping(uses: Uses) -> Self {
        Self { uses: Some(uses), ..Self::default() }
    }

    /// Keep what a later capsule may need of a record.
    pub fn remember(&mut self, record: &Record) {
        self.first.get_or_insert(record.seq);
        match &record.fact {
            Fact::HostStarted(started) => self.engine.clone_from(&started.engine),
            fact if let Some((name, digest)) = fact.version() => drop(self.names.insert(digest, name.clone())),
            Fact::Configured(configured) => drop(self.works.insert(record.seq, works(configured))),
            Fact::AlertReceived(received) if self.needs(record.seq) => {
                self.alerts.insert(record.seq, Arc::new(received.alert.clone()));
            }
            _ => {}
        }
    }

    /// What a capsule's last round was called with. Its alert counts as used once.
    pub fn input(&mut self, capsule: &Capsule) -> Result<Input, Missing> {
        Ok(Input {
            settings: self.settings(capsule.configured, &capsule.policy)?.clone(),
            alert: self.alert(capsule.alert)?,
            policy: capsule.policy.clone(),
            targets: capsule.targets.clone(),
            answers: capsule.answers.clone(),
            trigger: capsule.trigger,
            history: capsule.history.clone(),
            now: capsule.now,
            seed: capsule.seed,
        })
    }

    /// The settings of a policy in a configuration.
    pub fn settings(&self, configured: Seq, policy: &PolicyName) -> Result<&Json, Missing> {
        let work = self.work(configured, policy).ok_or_else(|| self.missing(configured, Missing::Configuration))?;
        Ok(&work.settings)
    }

    /// The name under which the version of a capsule was in force: as it was activated, or as its policy names it where that
    /// is no longer kept.
    #[must_use]
    pub fn name(&self, capsule: &Capsule) -> Option<&PluginName> {
        let of_policy = || self.work(capsule.configured, &capsule.policy).map(|work| &work.plugin);
        self.names.get(&capsule.plugin).or_else(of_policy)
    }

    fn work(&self, configured: Seq, policy: &PolicyName) -> Option<&Work> {
        self.works.get(&configured)?.get(policy)
    }

    fn missing(&self, seq: Seq, why: fn(Seq) -> Missing) -> Missing {
        if self.first.is_some_and(|first| seq < first) { Missing::Dropped(seq) } else { why(seq) }
    }

    /// The engine of the host whose records were read last: fuel is comparable within one.
    #[must_use]
    pub fn engine(&self) -> &str {
        &self.engine
    }

    fn needs(&self, alert: Seq) -> bool {
        self.uses.as_ref().is_none_or(|uses| uses.contains_key(&alert))
    }

    fn alert(&mut self, seq: Seq) -> Result<Arc<Alert>, Missing> {
        let Some(left) = self.uses.as_mut().map(|uses| uses.entry(seq).or_default()) else {
            return self.alerts.get(&seq).cloned().ok_or_else(|| self.missing(seq, Missing::Alert));
        };
        *left = left.saturating_sub(1);
        let alert = if *left == 0 { self.alerts.remove(&seq) } else { self.alerts.get(&seq).cloned() };
        alert.ok_or_else(|| self.missing(seq, Missing::Alert))
    }
}

fn works(configured: &Configured) -> BTreeMap<PolicyName, Work> {
    let policies = configured.configuration.policies.iter();
    let work = |policy: &Policy| Work { plugin: policy.plugin.clone(), settings: policy.settings.clone() };
    policies.map(|(name, policy)| (name.clone(), work(policy))).collect()
}

/// Whether the same input must come to the same conclusion. What ended by the clock, or never began, need not.
#[must_use]
pub const fn is_repeatable(conclusion: &Conclusion) -> bool {
    match conclusion {
        Conclusion::Decided(_) => true,
        Conclusion::Failed(failure) => !matches!(failure.kind, FailureKind::OutOfTime | FailureKind::NotLoaded),
    }
}

/// How an evaluation came out otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What was recorded and what came out, as JSON, if they are not the same bytes.
    pub conclusion: Option<(String, String)>,
    /// The fuel that was recorded and that was used, if they are not the same.
    pub fuel: Option<(u64, u64)>,
}

/// Compare what a capsule recorded with what came out now; `fuel` is given where the engine is the same.
#[must_use]
pub fn difference(capsule: &Capsule, now: &Step, fuel: Option<u64>) -> Option<Difference> {
    const NEVER: &str = "our types serialise";
    let then = serde_json::to_string(&capsule.conclusion).expect(NEVER);
    let now = match now {
        Step::Concluded(conclusion) => serde_json::to_string(conclusion).expect(NEVER),
        Step::Asks(queries) => format!("{{\"needs\":{}}}", serde_json::to_string(queries).expect(NEVER)),
    };
    let conclusion = (then != now).then_some((then, now));
    let fuel = fuel.filter(|fuel| *fuel != capsule.fuel).map(|fuel| (capsule.fuel, fuel));
    (conclusion.is_some() || fuel.is_some()).then_some(Difference { conclusion, fuel })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evaluation::{Decision, Failure, Trigger},
        name::EpisodeId,
        record::{AlertReceived, Reception},
        time::Timestamp,
    };

    fn decided(explanation: &str) -> Conclusion {
        let extra = Json::empty_object();
        Conclusion::Decided(Decision {
            intents: vec![],
            explanation: explanation.into(),
            look_again_after: None,
            extra,
        })
    }

    fn capsule(alert: u64) -> Capsule {
        Capsule {
            episode: EpisodeId(Seq(alert)),
            policy: "web".parse().expect("a name"),
            generation: 1,
            plugin: Digest::ZERO,
            alert: Seq(alert),
            configured: Seq(1),
            trigger: Trigger::Fired,
            targets: vec![],
            answers: vec![],
            history: vec![],
            now: Timestamp::from_millis(5),
            seed: 7,
            rounds: 1,
            fuel: 100,
            took_us: 3,
            conclusion: decided("enough"),
            superseded: false,
        }
    }

    fn past(uses: Option<Uses>) -> Past {
        let mut past = Past { uses, ..Past::default() };
        let work = Work { plugin: "scale".parse().expect("a name"), settings: Json::empty_object() };
        past.works.insert(Seq(1), [("web".parse().expect("a name"), work)].into());
        for seq in [2, 3] {
            let reception = Reception::Ignored { episode: None, why: String::new() };
            let alert = Alert { fingerprint: seq.to_string(), ..crate::alert::tests::firing() };
            let fact = Fact::AlertReceived(Box::new(AlertReceived { reception, alert }));
            past.remember(&Record { seq: Seq(seq), at: Timestamp::EPOCH, more: false, fact });
        }
        past
    }

    #[test]
    fn an_input_is_put_together_from_the_records_that_the_capsule_names() {
        let input = past(None).input(&capsule(3)).expect("an input");
        assert_eq!((input.alert.fingerprint.as_str(), input.seed, input.now.as_millis()), ("3", 7, 5));
        assert_eq!(past(None).input(&capsule(4)), Err(Missing::Alert(Seq(4))));
        let elsewhere = Capsule { configured: Seq(9), ..capsule(3) };
        assert_eq!(past(None).input(&elsewhere), Err(Missing::Configuration(Seq(9))));
        assert_eq!(past(None).name(&capsule(3)).map(PluginName::as_str), Some("scale"), "as its policy says");
    }

    #[test]
    fn what_is_no_longer_kept_is_told_from_what_is_missing() {
        assert_eq!(past(None).input(&capsule(1)), Err(Missing::Dropped(Seq(1))));
        let older = Capsule { configured: Seq(0), ..capsule(3) };
        assert_eq!(past(None).input(&older), Err(Missing::Dropped(Seq(0))));
    }

    #[test]
    fn an_alert_is_kept_for_as_often_as_it_is_needed() {
        let mut past = past(Some([(Seq(3), 2)].into()));
        assert_eq!(past.alerts.len(), 1, "record 2 is not needed");
        assert!(past.input(&capsule(3)).is_ok() && past.alerts.len() == 1);
        assert!(past.input(&capsule(3)).is_ok() && past.alerts.is_empty());
        assert_eq!(past.input(&capsule(3)), Err(Missing::Alert(Seq(3))));
    }

    #[test]
    fn one_byte_or_one_unit_of_fuel_is_a_difference_and_another_engines_fuel_is_none() {
        let step = |explanation| Step::Concluded(decided(explanation));
        assert_eq!(difference(&capsule(2), &step("enough"), Some(100)), None);
        assert_eq!(difference(&capsule(2), &step("enough"), None), None);
        let fuel = difference(&capsule(2), &step("enough"), Some(101)).expect("a difference");
        assert_eq!((fuel.conclusion, fuel.fuel), (None, Some((100, 101))));
        let words = difference(&capsule(2), &step("enougH"), Some(100)).expect("a difference");
        assert!(words.fuel.is_none() && words.conclusion.is_some_and(|(then, now)| then.len() == now.len()));
        assert!(difference(&capsule(2), &Step::Asks(vec![]), Some(100)).is_some());
    }

    #[test]
    fn what_the_clock_ended_need_not_come_out_the_same() {
        let failed = |kind| Conclusion::Failed(Failure { kind, message: String::new() });
        for (kind, repeats) in [
            (FailureKind::Returned, true),
            (FailureKind::Trapped, true),
            (FailureKind::OutOfFuel, true),
            (FailureKind::OutOfSpace, true),
            (FailureKind::Malformed, true),
            (FailureKind::Queries, true),
            (FailureKind::OutOfTime, false),
            (FailureKind::NotLoaded, false),
        ] {
            assert_eq!(is_repeatable(&failed(kind)), repeats, "{kind}");
        }
        assert!(is_repeatable(&decided("")));
    }
}
