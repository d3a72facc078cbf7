//! Scaling by steps: what policies have in common that scale something out while an alert says that it is saturated, and
//! slowly back in afterwards.
//!
//! Out, when a saturation alert fires, and again for as long as it keeps firing. In, step by step, after it has resolved, by
//! what this episode added and down to what was there before it; or while an alert fires that says that there is too little
//! load, down to the minimum. Never below the operator's minimum, never further above the maximum, never while something is
//! still on its way, and never as a correction of what somebody set by hand.
//!
//! It knows counts and times; what is counted, and by which action it changes, the policy says.

use crate::{Decision, Input, Intent, PastIntent, Target, Trigger};

/// How soon a target is looked at again that something is still under way on, in seconds.
pub const SOON: u32 = 15;

/// How far and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps<'a> {
    /// Never gone below.
    pub minimum: u32,
    /// Never gone above.
    pub maximum: u32,
    /// Added at once.
    pub out_step: u32,
    /// Taken away at once.
    pub in_step: u32,
    /// Seconds between two steps out, while the alert keeps firing.
    pub out_pause: u32,
    /// Seconds before the first step in, and between two.
    pub in_pause: u32,
    /// Names of alerts whose firing means too little load. Every other alert means too much.
    pub low_alerts: &'a [String],
}

/// What a target has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// There shall be so many.
    pub desired: u32,
    /// What is still on its way, in words, if something is.
    pub on_its_way: Option<String>,
}

/// What is to be done about one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The change, if one is to be made.
    pub intent: Option<Intent>,
    /// Why, also where nothing is to be done.
    pub why: String,
    /// Look again after so many seconds.
    pub look_again_after: Option<u32>,
}

/// A policy's words and action: what it counts, and how it has so many of it.
#[derive(Clone, Copy)]
pub struct Counted {
    /// In the plural: `tasks`.
    pub what: &'static str,
    /// The intent that has so many, without expectation and reason: `Intent::scale_service`.
    pub set: fn(&Target, u32) -> Intent,
}

impl Plan {
    /// Nothing is to be done, for this reason.
    #[must_use]
    pub const fn nothing(why: String) -> Self {
        Self { intent: None, why, look_again_after: None }
    }

    /// Nothing is to be done yet.
    #[must_use]
    pub const fn wait(why: String, seconds: u32) -> Self {
        Self { intent: None, why, look_again_after: Some(seconds) }
    }

    /// The decision with this plan in it.
    #[must_use]
    pub fn add_to(self, mut decision: Decision) -> Decision {
        if !decision.explanation.is_empty() {
            decision.explanation.push_str("; ");
        }
        decision.explanation.push_str(&self.why);
        if let Some(intent) = self.intent {
            decision = decision.propose(intent);
        }
        match self.look_again_after {
            Some(seconds) => decision.look_again_after(seconds),
            None => decision,
        }
    }
}

impl Steps<'_> {
    /// What is wrong with them, and what to do about it.
    pub fn validate(&self, whose: &str, what: &str) -> Result<(), String> {
        let Self { minimum, maximum, out_step, in_step, out_pause, in_pause, .. } = self;
        if *minimum == 0 {
            return Err(format!("minimum is 0: set it to 1 at least, since {whose} without {what} serves nobody"));
        }
        if minimum > maximum {
            return Err(format!("minimum {minimum} is above maximum {maximum}: raise maximum or lower minimum"));
        }
        let positive = [("out-step", out_step), ("in-step", in_step), ("out-pause", out_pause), ("in-pause", in_pause)];
        match positive.iter().find(|(_, value)| **value == 0) {
            Some((name, _)) => Err(format!("{name} is 0: set it to 1 at least")),
            None => Ok(()),
        }
    }

    /// What is to be done about a target that has so many.
    #[must_use]
    pub fn plan<S>(&self, input: &Input<S>, target: &Target, count: &Count, counted: Counted) -> Plan {
        let step = Step { steps: self, input, target, count, counted };
        // Before anything is concluded from what is there: it is about to become something else.
        if input.is_in_progress(target) {
            let pause = self.out_pause.min(self.in_pause);
            return Plan::wait(format!("a change of {} is still under way", target.name()), SOON.min(pause));
        }
        match (self.low_alerts.contains(&input.alert.name), input.alert.is_firing()) {
            (false, true) => step.saturated(),
            (false, false) => step.relieved(),
            (true, true) => step.idle(),
            (true, false) => {
                Plan::nothing(format!("{} is no longer short of load: nothing is to be done", target.name()))
            }
        }
    }
}

/// One target in one evaluation.
struct Step<'a, S> {
    steps: &'a Steps<'a>,
    input: &'a Input<S>,
    target: &'a Target,
    count: &'a Count,
    counted: Counted,
}

impl<S> Step<'_, S> {
    /// The alert fires: one step out, again and again.
    fn saturated(&self) -> Plan {
        let Steps { minimum, maximum, out_step, out_pause, .. } = *self.steps;
        let (name, from, what) = (self.target.name(), self.count.desired, self.counted.what);
        if let Some(wait) = self.not_yet(out_pause) {
            return wait;
        }
        let to = from.saturating_add(out_step).clamp(minimum, maximum);
        if to <= from {
            let why = format!("{name} is saturated and runs {from} {what}, which is its maximum of {maximum}");
            return Plan::wait(why, out_pause);
        }
        self.to(to, format!("{name} is saturated: from {from} to {to} {what}"), out_pause)
    }

    /// The alert has resolved: give back, slowly, what this episode added.
    fn relieved(&self) -> Plan {
        let Steps { minimum, in_step, in_pause, .. } = *self.steps;
        let (name, from, what) = (self.target.name(), self.count.desired, self.counted.what);
        let Some(before) = self.before_this_episode() else {
            return Plan::nothing(format!("{name} is well again, and nothing was added to it"));
        };
        let floor = before.max(minimum);
        // What runs above the floor may be another episode's by now: each gives back its own.
        let left = self.still_added();
        if from <= floor || left == 0 {
            return Plan::nothing(format!("{name} is well again with {from} {what}, and nothing is left to give back"));
        }
        // An end in the future is a sender's clock that is ahead: it tells as little as none.
        let rested = match (self.input.alert.ends_at.filter(|ended| *ended <= self.input.now), &self.input.trigger) {
            (Some(ended), _) => self.input.seconds_since(ended),
            (None, Trigger::Resolved) => 0,
            (None, _) => u64::from(in_pause),
        };
        if let Some(left) = remaining(rested, in_pause) {
            return Plan::wait(format!("{name} is well again: it keeps its {from} {what} for {left} s more"), left);
        }
        if let Some(wait) = self.not_yet(in_pause) {
            return wait;
        }
        let to = from.saturating_sub(in_step.min(left)).max(floor);
        self.to(to, format!("{name} is well again: from {from} to {to} {what}, on the way to {floor}"), in_pause)
    }

    /// An alert fires that says that there is too little load: one step in, again and again.
    fn idle(&self) -> Plan {
        let Steps { minimum, in_step, in_pause, .. } = *self.steps;
        let (name, from, what) = (self.target.name(), self.count.desired, self.counted.what);
        if let Some(wait) = self.not_yet(in_pause) {
            return wait;
        }
        let to = from.saturating_sub(in_step).max(minimum);
        if to >= from {
            let why = format!("{name} is short of load and runs {from} {what}, its minimum is {minimum}");
            return Plan::wait(why, in_pause);
        }
        self.to(to, format!("{name} is short of load: from {from} to {to} {what}"), in_pause)
    }

    fn to(&self, to: u32, why: String, pause: u32) -> Plan {
        let intent = (self.counted.set)(self.target, to).expecting("desired", self.count.desired).because(why.clone());
        Plan { intent: Some(intent), why, look_again_after: Some(pause) }
    }

    /// Something is still on its way, or it is too soon after the last step.
    fn not_yet(&self, pause: u32) -> Option<Plan> {
        let name = self.target.name();
        if let Some(on_its_way) = &self.count.on_its_way {
            return Some(Plan::wait(format!("{name} is still on its way: {on_its_way}"), SOON.min(pause)));
        }
        let counts = |past: &&PastIntent| past.target == *self.target && !past.changed_nothing();
        let newest = self.input.history.iter().rev().find(counts)?;
        let left = remaining(self.input.seconds_since(newest.at), pause)?;
        Some(Plan::wait(format!("the last step of {name} is too recent: the next is due in {left} s"), left))
    }

    /// What the target had before this episode added any; nothing if it added none.
    fn before_this_episode(&self) -> Option<u32> {
        let added = |past: &&PastIntent| {
            past.target == *self.target && !past.changed_nothing() && past.before("desired") < past.after("desired")
        };
        let before = self.input.history.iter().filter(added).filter_map(|past| past.before("desired")).min()?;
        u32::try_from(before).ok()
    }

    /// What this episode added and has not given back.
    fn still_added(&self) -> u32 {
        let ours = |past: &&PastIntent| past.target == *self.target && !past.changed_nothing();
        let desired = |past: &PastIntent| Some((past.before("desired")?, past.after("desired")?));
        let changes = self.input.history.iter().filter(ours).filter_map(desired);
        let (added, given_back) = changes.fold((0_u64, 0_u64), |(added, given_back), (from, to)| {
            (added.saturating_add(to.saturating_sub(from)), given_back.saturating_add(from.saturating_sub(to)))
        });
        u32::try_from(added.saturating_sub(given_back)).unwrap_or(u32::MAX)
    }
}

/// What is left of a pause, if anything is.
#[must_use]
pub fn remaining(passed: u64, pause: u32) -> Option<u32> {
    u32::try_from(u64::from(pause).saturating_sub(passed)).ok().filter(|left| *left > 0)
}
