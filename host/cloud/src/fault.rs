//! Lies: what goes wrong with a call, scripted or by chance.
//!
//! A plan chooses; what a fault does to the world and the answer is carried out by the cloud.

use serde::{Deserialize, Serialize};

use crate::{
    limits,
    random::{Random, Span},
    request::{OperationName, Request},
    world::Subject,
};

/// What goes wrong. In JSON it is told apart by `kind`: `{"kind":"server-error","when":"after"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// 400 `ThrottlingException`; nothing is done.
    Throttled,
    /// 400 `AccessDeniedException`; nothing is done.
    AccessDenied,
    /// 500 `ServerException`.
    ServerError {
        /// Before or after the call is applied.
        when: When,
    },
    /// The connection is closed without a byte of an answer.
    Closed {
        /// Before or after the call is applied. After: the lost answer.
        when: When,
    },
    /// An HTML page instead of AWS's answer, as a proxy between writes it.
    HtmlPage {
        /// 502 or 503.
        status: u16,
        /// Before or after the call is applied.
        when: When,
    },
    /// Applied at once and answered truly, but later.
    Slow {
        /// For how long the answer is held back, in milliseconds.
        ms: Span,
    },
    /// Silence, then a closed connection; the call is applied meanwhile, or only after the caller gave up. If it cannot
    /// be applied any more by then, nothing happens.
    Late {
        /// When it is applied, in milliseconds from its arrival.
        after_ms: Span,
        /// For how long the connection stays open, in milliseconds; until the call is applied when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held_ms: Option<Span>,
    },
}

/// On which side of applying the call a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Nothing is done.
    Before,
    /// It is done, whatever the answer says.
    After,
}

/// Which calls a fault may strike; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Matching {
    /// The operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationName>,
    /// The name of the one service that the call is about. A task's call is about its service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The name of the one group that the call is about. An instance's call is about its group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The caller's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
}

/// A fault that strikes the `nth` matching call from now, and the following ones, `times` in all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scripted {
    /// Which calls count.
    #[serde(default)]
    pub matching: Matching,
    /// The first call that it strikes; 1 is the next one.
    #[serde(default = "one")]
    pub nth: u64,
    /// How many it strikes.
    #[serde(default = "one")]
    pub times: u64,
    /// What goes wrong.
    pub fault: Fault,
}

/// A fault that strikes any matching call with some probability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Chance {
    /// Which calls it may strike.
    #[serde(default)]
    pub matching: Matching,
    /// How often, in a million calls.
    pub per_million: u32,
    /// What goes wrong.
    pub fault: Fault,
}

/// A fault that cannot be added: there are too many, or it never strikes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPlanned {
    /// A bound would be passed.
    #[error("no more than {0} faults of this kind at once; clear the plan first")]
    TooMany(usize),
    /// It would never strike, or more often than always.
    #[error("a fault strikes from the first call on, at least once, and at most a million times in a million calls")]
    Never,
}

fn one() -> u64 {
    1
}

/// What will go wrong. A script is asked before chance, in the order of their adding; the first that strikes decides.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Plan {
    scripted: Vec<Scripted>,
    chances: Vec<Chance>,
}

impl Plan {
    /// Adds a scripted fault.
    pub fn script(&mut self, scripted: Scripted) -> Result<(), NotPlanned> {
        if scripted.nth == 0 || scripted.times == 0 {
            return Err(NotPlanned::Never);
        }
        if self.scripted.len() >= limits::SCRIPTED_FAULTS {
            return Err(NotPlanned::TooMany(limits::SCRIPTED_FAULTS));
        }
        self.scripted.push(scripted);
        Ok(())
    }

    /// Adds a fault that happens by chance.
    pub fn chance(&mut self, chance: Chance) -> Result<(), NotPlanned> {
        if !(1..=1_000_000).contains(&chance.per_million) {
            return Err(NotPlanned::Never);
        }
        if self.chances.len() >= limits::CHANCE_FAULTS {
            return Err(NotPlanned::TooMany(limits::CHANCE_FAULTS));
        }
        self.chances.push(chance);
        Ok(())
    }

    /// Nothing goes wrong any more. Calls that are to land late still do.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// What goes wrong with this call. Every script that it matches counts it, whichever strikes.
    pub(crate) fn choose(&mut self, request: &Request, subject: &Subject, random: &mut Random) -> Option<Fault> {
        let mut chosen = None;
        for scripted in self.scripted.iter_mut().filter(|scripted| scripted.matching.matches(request, subject)) {
            if scripted.nth > 1 {
                scripted.nth -= 1;
            } else {
                scripted.times -= 1;
                chosen = chosen.or(Some(scripted.fault));
            }
        }
        self.scripted.retain(|scripted| scripted.times > 0);
        for chance in &self.chances {
            // Always drawn, so that what a script does moves no later draw.
            let struck = random.below(1_000_000) < u64::from(chance.per_million);
            if struck && chosen.is_none() && chance.matching.matches(request, subject) {
                chosen = Some(chance.fault);
            }
        }
        chosen
    }
}

impl Matching {
    fn matches(&self, request: &Request, subject: &Subject) -> bool {
        let same = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        self.operation.is_none_or(|wanted| wanted == request.operation.name())
            && same(&self.service, &subject.service)
            && same(&self.group, &subject.group)
            && same(&self.account, &request.account)
            && same(&self.region, &request.region)
            && same(&self.caller, &request.caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{GetCallerIdentity, Operation, UpdateService};

    fn identity() -> Request {
        let operation = Operation::GetCallerIdentity(GetCallerIdentity {});
        Request { account: "1".into(), region: "r".into(), caller: "c".into(), operation }
    }

    fn update() -> Request {
        Request { operation: Operation::UpdateService(UpdateService::default()), ..identity() }
    }

    fn struck(plan: &mut Plan, requests: &[Request]) -> Vec<bool> {
        let mut random = Random::stream(1, 1);
        let subject = Subject { service: "web".into(), ..Subject::default() };
        requests.iter().map(|request| plan.choose(request, &subject, &mut random).is_some()).collect()
    }

    fn scripted(matching: Matching, nth: u64, times: u64) -> Scripted {
        Scripted { matching, nth, times, fault: Fault::Throttled }
    }

    #[test]
    fn a_scripted_fault_strikes_the_nth_matching_call_and_as_many_as_it_says() {
        let updates = Matching { operation: Some(OperationName::UpdateService), ..Matching::default() };
        let mut plan = Plan::default();
        plan.script(scripted(updates, 2, 2)).expect("planned");
        let calls = [update(), identity(), update(), identity(), update(), update()];
        assert_eq!(struck(&mut plan, &calls), [false, false, true, false, true, false]);
        assert!(plan.scripted.is_empty());
    }

    #[test]
    fn a_fault_strikes_only_what_matches_in_every_respect() {
        let strikes = |matching: Matching| {
            let mut plan = Plan::default();
            plan.script(scripted(matching, 1, 1)).expect("planned");
            struck(&mut plan, &[update()]) == [true]
        };
        let some = |text: &str| Some(text.to_owned());
        assert!(strikes(Matching { service: some("web"), caller: some("c"), ..Matching::default() }));
        assert!(!strikes(Matching { service: some("api"), ..Matching::default() }));
        assert!(!strikes(Matching { account: some("2"), ..Matching::default() }));
        assert!(!strikes(Matching { region: some("q"), ..Matching::default() }));
        assert!(!strikes(Matching { caller: some(""), ..Matching::default() }));
    }

    #[test]
    fn chance_strikes_about_as_often_as_it_says_and_the_same_calls_under_the_same_seed() {
        let mut plan = Plan::default();
        let chance = Chance { matching: Matching::default(), per_million: 100_000, fault: Fault::AccessDenied };
        plan.chance(chance).expect("planned");
        let calls = vec![update(); 10_000];
        let first = struck(&mut plan, &calls);
        assert_eq!(first, struck(&mut plan, &calls));
        assert!((900..1_100).contains(&first.iter().filter(|struck| **struck).count()));
    }

    #[test]
    fn a_plan_is_bounded_and_refuses_what_never_strikes() {
        let mut plan = Plan::default();
        for (nth, times) in [(0, 1), (1, 0)] {
            assert_eq!(plan.script(scripted(Matching::default(), nth, times)), Err(NotPlanned::Never));
        }
        for per_million in [0, 1_000_001] {
            let chance = Chance { matching: Matching::default(), per_million, fault: Fault::Throttled };
            assert_eq!(plan.chance(chance), Err(NotPlanned::Never));
        }
        for _ in 0..limits::SCRIPTED_FAULTS {
            plan.script(scripted(Matching::default(), 1, 1)).expect("planned");
        }
        let over = plan.script(scripted(Matching::default(), 1, 1));
        assert_eq!(over, Err(NotPlanned::TooMany(limits::SCRIPTED_FAULTS)));
    }

    #[test]
    fn faults_are_written_in_json_by_kind() {
        let read = |text: &str| serde_json::from_str::<Scripted>(text).map(|scripted| scripted.fault);
        let late = read(r#"{"fault":{"kind":"late","after-ms":"100..200"}}"#).expect("a fault");
        assert_eq!(late, Fault::Late { after_ms: Span::between(100, 200).expect("a span"), held_ms: None });
        let page = read(r#"{"nth":2,"fault":{"kind":"html-page","status":502,"when":"after"}}"#).expect("a fault");
        assert_eq!(page, Fault::HtmlPage { status: 502, when: When::After });
        assert!(read(r#"{"fault":{"kind":"html-page","status":502,"when":"during"}}"#).is_err());
    }
}
