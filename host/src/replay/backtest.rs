//! Backtesting: a candidate in the place of the versions that decided, over the inputs of the past.
//!
//! Each evaluation sees what the old version saw, the history of its episode among it: what would have become of the
//! candidate's own intents nobody knows. It owns what counts as which change; how it is shown is the command's business.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use balm_core::{
    evaluation::{Conclusion, Decision, Proposal},
    json::Json,
    name::{PolicyName, Seq},
    rounds::Step,
};
use balm_sandbox::Plugin;
use serde::Serialize;
use serde_json::{Map, Number};

use super::{Case, ReplayError, Shelf, Survey, again, on_all_cores};
use crate::history::History;

/// Examples of each change that are kept: the oldest.
const EXAMPLES: usize = 5;

/// How what the candidate does differs from what was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Change {
    /// Not in one byte.
    Same,
    /// In what it says of them only: explanation or reasons.
    Words,
    /// It wants to be asked again at another time.
    LookAgain,
    /// In what it proposes.
    Intents,
    /// It decides where the old version failed.
    Decides,
    /// It fails where the old version decided.
    Fails,
    /// It fails in another way than the old version.
    FailsOtherwise,
    /// It asks for what nobody asked then, so what it would decide is not known.
    Asks,
}

/// One evaluation that changes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Example {
    /// The capsule's record.
    pub(crate) seq: Seq,
    /// Its policy.
    pub(crate) policy: PolicyName,
    /// What was concluded.
    pub(crate) then: Conclusion,
    /// What the candidate concludes; null where it asks.
    pub(crate) now: Option<Conclusion>,
    /// What the candidate asks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) asks: Vec<String>,
}

/// The largest change of a number that one intent proposes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Effect {
    /// The capsule's record.
    pub(crate) seq: Seq,
    /// What is done.
    pub(crate) action: String,
    /// To what.
    pub(crate) target: String,
    /// Which number.
    pub(crate) attribute: String,
    /// From where.
    pub(crate) from: Number,
    /// To where.
    pub(crate) to: Number,
}

/// What one side proposes and costs.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Side {
    /// Intents by action.
    pub(crate) intents: BTreeMap<String, u64>,
    /// The largest change of a number.
    pub(crate) largest: Option<Effect>,
    /// Fuel of all last rounds together.
    pub(crate) fuel: u64,
    /// The most that one took.
    pub(crate) fuel_most: u64,
}

/// What a backtest found.
#[derive(Debug, Default)]
pub(crate) struct Backtest {
    /// Evaluations, by how they change.
    pub(crate) changes: BTreeMap<Change, u64>,
    /// The oldest of each change.
    pub(crate) examples: BTreeMap<Change, Vec<Example>>,
    /// As it was.
    pub(crate) then: Side,
    /// With the candidate.
    pub(crate) now: Side,
    /// Whether all fuel was counted by engines alike.
    pub(crate) fuel_is_comparable: bool,
    /// Policies whose settings of the past the candidate refuses, and why.
    pub(crate) refused: BTreeMap<PolicyName, String>,
    /// Evaluations whose input could not be put together, by why.
    pub(crate) left_out: BTreeMap<String, u64>,
    /// How long the candidate took over each, in microseconds, in order.
    pub(crate) took_us: Vec<u32>,
    /// How long the whole took, with reading the history.
    pub(crate) took: Duration,
}

impl Backtest {
    /// Evaluations that were made.
    pub(crate) fn evaluations(&self) -> u64 {
        self.changes.values().sum()
    }

    /// Whether the candidate does what was done: only words may differ.
    pub(crate) fn does_the_same(&self) -> bool {
        let other = self.changes.keys().any(|change| !matches!(change, Change::Same | Change::Words));
        !other && self.refused.is_empty() && self.left_out.is_empty()
    }

    /// The time within which this share of the evaluations was made, in microseconds.
    pub(crate) fn quantile_us(&self, per_cent: usize) -> u32 {
        let last = self.took_us.len().saturating_sub(1);
        self.took_us.get(last * per_cent / 100).copied().unwrap_or_default()
    }
}

/// Have a candidate make all evaluations of a survey.
pub(crate) fn backtest(
    history: &History,
    survey: &Survey,
    shelf: &Shelf,
    candidate: &Arc<Plugin>,
) -> Result<Backtest, ReplayError> {
    let since = Instant::now();
    let mut whole = Backtest { fuel_is_comparable: true, ..Backtest::default() };
    let mut settings: BTreeSet<(PolicyName, String)> = BTreeSet::new();
    let parts = on_all_cores(
        |hand_out: &mut dyn FnMut(Case)| {
            survey.cases(history, |_, case| match case {
                Ok(case) => {
                    let key = (case.input.policy.clone(), case.input.settings.to_string());
                    if settings.insert(key)
                        && let Err(why) = shelf.wait(candidate.validate_settings(&case.input.settings))
                    {
                        whole.refused.entry(case.input.policy.clone()).or_insert(why);
                    }
                    whole.fuel_is_comparable &= case.same_engine;
                    hand_out(case);
                }
                Err(missing) => *whole.left_out.entry(missing.to_string()).or_default() += 1,
            })
        },
        async |part: &mut Backtest, case: Case| {
            let since = Instant::now();
            let (now, fuel) = again(candidate, &case).await;
            part.took_us.push(u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX));
            part.compare(&case, now, fuel);
        },
    )?;
    parts.into_iter().for_each(|part| whole.add(part));
    whole.took_us.sort_unstable();
    whole.took = since.elapsed();
    Ok(whole)
}

impl Backtest {
    fn compare(&mut self, case: &Case, now: Step, fuel: u64) {
        self.then.see(case.seq, &case.capsule.conclusion, case.capsule.fuel);
        if let Step::Concluded(conclusion) = &now {
            self.now.see(case.seq, conclusion, fuel);
        }
        let change = change(&case.capsule.conclusion, &now);
        *self.changes.entry(change).or_default() += 1;
        let examples = self.examples.entry(change).or_default();
        if change != Change::Same && examples.len() < EXAMPLES {
            let (now, asks) = match now {
                Step::Concluded(conclusion) => (Some(conclusion), Vec::new()),
                Step::Asks(queries) => {
                    let ask = |query: balm_core::evaluation::Query| format!("{} of {}", query.kind, query.target);
                    (None, queries.into_iter().map(ask).collect())
                }
            };
            let (seq, policy) = (case.seq, case.capsule.policy.clone());
            examples.push(Example { seq, policy, then: case.capsule.conclusion.clone(), now, asks });
        }
    }

    fn add(&mut self, other: Self) {
        for (change, count) in other.changes {
            *self.changes.entry(change).or_default() += count;
        }
        for (change, examples) in other.examples {
            let all = self.examples.entry(change).or_default();
            all.extend(examples);
            all.sort_by_key(|example| example.seq);
            all.truncate(EXAMPLES);
        }
        self.then.add(other.then);
        self.now.add(other.now);
        self.took_us.extend(other.took_us);
    }
}

fn change(then: &Conclusion, now: &Step) -> Change {
    let Step::Concluded(now) = now else { return Change::Asks };
    match (then, now) {
        (then, now) if then == now => Change::Same,
        (Conclusion::Decided(then), Conclusion::Decided(now)) => change_of_decision(then, now),
        (Conclusion::Failed(_), Conclusion::Decided(_)) => Change::Decides,
        (Conclusion::Decided(_), Conclusion::Failed(_)) => Change::Fails,
        (Conclusion::Failed(_), Conclusion::Failed(_)) => Change::FailsOtherwise,
    }
}

fn change_of_decision(then: &Decision, now: &Decision) -> Change {
    let silent = |decision: &Decision| -> Vec<Proposal> {
        let mut intents = decision.intents.clone();
        intents.iter_mut().for_each(|intent| intent.reason.clear());
        intents
    };
    if silent(then) != silent(now) || then.extra != now.extra {
        Change::Intents
    } else if then.look_again_after != now.look_again_after {
        Change::LookAgain
    } else {
        Change::Words
    }
}

impl Side {
    fn see(&mut self, seq: Seq, conclusion: &Conclusion, fuel: u64) {
        self.fuel += fuel;
        self.fuel_most = self.fuel_most.max(fuel);
        let Conclusion::Decided(decision) = conclusion else { return };
        for intent in &decision.intents {
            *self.intents.entry(intent.action.clone()).or_default() += 1;
            self.weigh(effect(seq, intent));
        }
    }

    fn weigh(&mut self, effect: Option<Effect>) {
        let Some(effect) = effect else { return };
        let is_larger = |largest: &Effect| match effect.size().total_cmp(&largest.size()) {
            std::cmp::Ordering::Equal => effect.seq < largest.seq,
            ordering => ordering.is_gt(),
        };
        if self.largest.as_ref().is_none_or(is_larger) {
            self.largest = Some(effect);
        }
    }

    fn add(&mut self, other: Self) {
        for (action, count) in other.intents {
            *self.intents.entry(action).or_default() += count;
        }
        self.fuel += other.fuel;
        self.fuel_most = self.fuel_most.max(other.fuel_most);
        self.weigh(other.largest);
    }
}

impl Effect {
    fn size(&self) -> f64 {
        let number = |number: &Number| number.as_f64().unwrap_or_default();
        (number(&self.to) - number(&self.from)).abs()
    }
}

/// The number of an intent that changes most, among those of which it says what it expects.
fn effect(seq: Seq, intent: &Proposal) -> Option<Effect> {
    let numbers = |json: &Json| -> BTreeMap<String, Number> {
        let object: Map<String, serde_json::Value> = json.read().unwrap_or_default();
        let number = |(name, value)| match value {
            serde_json::Value::Number(number) => Some((name, number)),
            _ => None,
        };
        object.into_iter().filter_map(number).collect()
    };
    let before = numbers(&intent.expects);
    let effect = |(attribute, to): (String, Number)| {
        let from = before.get(&attribute)?.clone();
        let (action, target) = (intent.action.clone(), intent.target.clone());
        Some(Effect { seq, action, target, attribute, from, to })
    };
    numbers(&intent.parameters).into_iter().filter_map(effect).max_by(|a, b| a.size().total_cmp(&b.size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(from: u32, to: u32, reason: &str) -> Proposal {
        Proposal {
            action: "ecs:scale-service".into(),
            target: "web".into(),
            parameters: Json::parse(&format!(r#"{{"desired":{to}}}"#)).unwrap(),
            expects: Json::parse(&format!(r#"{{"desired":{from}}}"#)).unwrap(),
            verify_within: None,
            undo: false,
            reason: reason.into(),
        }
    }

    fn decided(intents: Vec<Proposal>, explanation: &str, look_again_after: Option<u32>) -> Conclusion {
        let explanation = explanation.into();
        Conclusion::Decided(Decision { intents, explanation, look_again_after, extra: Json::empty_object() })
    }

    fn failed() -> Conclusion {
        use balm_core::evaluation::{Failure, FailureKind};
        Conclusion::Failed(Failure { kind: FailureKind::Returned, message: "no".into() })
    }

    #[test]
    fn a_change_is_named_by_the_weightiest_part_that_differs() {
        let then = decided(vec![scale(4, 6, "busy")], "busy", Some(60));
        let changed = |now: Conclusion| change(&then, &Step::Concluded(now));
        assert_eq!(changed(then.clone()), Change::Same);
        assert_eq!(changed(decided(vec![scale(4, 6, "very busy")], "busy", Some(60))), Change::Words);
        assert_eq!(changed(decided(vec![scale(4, 6, "busy")], "very busy", Some(60))), Change::Words);
        assert_eq!(changed(decided(vec![scale(4, 6, "busy")], "other", Some(61))), Change::LookAgain);
        assert_eq!(changed(decided(vec![scale(4, 7, "busy")], "busy", Some(60))), Change::Intents);
        assert_eq!(changed(decided(vec![scale(3, 6, "busy")], "busy", Some(60))), Change::Intents);
        assert_eq!(changed(decided(vec![], "busy", Some(60))), Change::Intents);
        assert_eq!(changed(failed()), Change::Fails);
        assert_eq!(change(&failed(), &Step::Concluded(then.clone())), Change::Decides);
        assert_eq!(change(&failed(), &Step::Concluded(failed())), Change::Same);
        assert_eq!(change(&then, &Step::Asks(vec![])), Change::Asks);
    }

    #[test]
    fn only_words_may_differ_for_it_to_do_the_same() {
        for (change, same) in
            [(Change::Same, true), (Change::Words, true), (Change::LookAgain, false), (Change::Asks, false)]
        {
            let backtest = Backtest { changes: [(change, 1)].into(), ..Backtest::default() };
            assert_eq!(backtest.does_the_same(), same, "{change:?}");
        }
        let refused = [("web".parse().unwrap(), "no such setting".to_owned())].into();
        assert!(!Backtest { refused, ..Backtest::default() }.does_the_same());
    }

    #[test]
    fn the_largest_effect_is_the_largest_step_of_a_number_either_way() {
        let mut side = Side::default();
        side.see(Seq(5), &decided(vec![scale(4, 6, "")], "", None), 10);
        side.see(Seq(6), &decided(vec![scale(9, 2, ""), scale(1, 8, "")], "", None), 30);
        side.see(Seq(7), &decided(vec![scale(2, 9, "")], "", None), 20);
        let largest = side.largest.expect("there is one");
        assert_eq!((largest.seq, largest.from.as_u64(), largest.to.as_u64()), (Seq(6), Some(9), Some(2)));
        assert_eq!((side.intents["ecs:scale-service"], side.fuel, side.fuel_most), (4, 60, 30));
    }
}
