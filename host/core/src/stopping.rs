//! How stops begin and end: by people, by their own time, and by breakers and the storm brake.
//!
//! Engaging one takes one person and no condition. Releasing takes as many people as the operator says, never less than
//! their words about the backlog where Balm engaged it itself, and is never done by the breaker or the brake.

use std::time::Duration;

use crate::{
    breaker::Breaker,
    caps,
    decide::Batch,
    input::{Reply, Resume},
    intent::Intent,
    name::{IntentId, Seq},
    record::{Backlog, Fact, Person, ReleaseAsked, StopCause, StopEngaged, StopReleased, StopScope, StormBrake},
    storm::{Storm, Width},
};

impl Batch<'_> {
    /// A person halts something.
    pub(crate) fn stop(&mut self, stop: StopEngaged) -> Result<(), Reply> {
        let widest = stop.is_the_kill_switch() && !self.state.stops.values().any(StopEngaged::is_the_kill_switch);
        if self.state.stops.len() >= caps::STOPS && !widest {
            return Err(Reply::Refused(format!("{} stops are in force already; stop everything instead", caps::STOPS)));
        }
        if stop.until.is_some_and(|until| until <= self.state.steady(self.at)) {
            return Err(Reply::Refused("the stop would be over before it begins: its end is in the past".into()));
        }
        self.add(Fact::StopEngaged(stop));
        Ok(())
    }

    /// A person ends stops, or says that they may be ended.
    pub(crate) fn resume(&mut self, resume: &Resume, backlog: Option<Backlog>, by: &Person) -> Result<(), Reply> {
        let named = |(seq, stop): &(&Seq, &StopEngaged)| match resume {
            Resume::Stop(number) => *seq == number,
            Resume::Scope(scope) => stop.scope == *scope,
        };
        let stops: Vec<(Seq, StopCause)> =
            self.state.stops.iter().filter(named).map(|(seq, stop)| (*seq, stop.cause)).collect();
        if stops.is_empty() {
            return Err(Reply::Refused("no such stop is in force; `balm status` lists them".into()));
        }
        if backlog.is_none() && stops.iter().any(|(_, cause)| *cause != StopCause::Person) {
            return Err(Reply::Refused(
                "Balm engaged it itself: say what becomes of the alerts whose intents were refused meanwhile, with \
                 --backlog drop (they wait until they fire again) or --backlog evaluate (they are evaluated again now)"
                    .into(),
            ));
        }
        let (mut told, mut waits) = (Vec::new(), false);
        for (stop, _) in stops {
            match self.missing(stop, by) {
                0 => {
                    self.release(stop, by.clone(), backlog.unwrap_or_default());
                    told.push(format!("stop {stop} is released"));
                }
                missing => {
                    self.add(Fact::ReleaseAsked(ReleaseAsked { stop, by: by.clone(), missing }));
                    let people = if missing == 1 { "person" } else { "people" };
                    told.push(format!("stop {stop} is not released yet: it takes {missing} more {people}"));
                    waits = true;
                }
            }
        }
        if waits { Err(Reply::Waits(self.state.seq, told.join("; "))) } else { Ok(()) }
    }

    /// How many further people it takes to release a stop, if this one says so too.
    fn missing(&self, stop: Seq, by: &Person) -> u32 {
        let needed = self.state.configuration.guardrails.release.people;
        let waits = Duration::from_secs(caps::RELEASE_WAITS_S);
        let asked = self.state.releases.get(&stop).into_iter().flatten();
        let others = asked.filter(|(who, at)| **who != by.who && self.at.since(**at) < waits).count();
        needed.saturating_sub(1).saturating_sub(u32::try_from(others).unwrap_or(u32::MAX))
    }

    fn release(&mut self, stop: Seq, by: Person, backlog: Backlog) {
        self.add(Fact::StopReleased(StopReleased { stop, by, backlog }));
    }

    /// A stop's own time has come, unless only by a clock that was set ahead.
    pub(crate) fn end_stop(&mut self, seq: Seq) {
        let until = self.state.stops.get(&seq).and_then(|stop| stop.until);
        if until.is_some_and(|until| until <= self.state.steady(self.at)) {
            let by = Person { who: "the schedule".into(), why: "it was to end now".into() };
            self.release(seq, by, Backlog::Drop);
        }
    }

    /// What halts once an intent has ended badly, and after how many.
    pub(crate) fn breakers_of(&self, intent: &Intent) -> Vec<(StopScope, u32)> {
        let breakers = &self.state.configuration.guardrails.breakers;
        breakers.iter().filter_map(|Breaker { scope, after }| Some((scope.of(intent)?, *after))).collect()
    }

    /// An admitted intent has ended badly: where that was too often in a row, what shares the row is halted.
    pub(crate) fn trip(&mut self, id: IntentId, breakers: Vec<(StopScope, u32)>) {
        for (halted, after) in breakers {
            let count = self.state.streaks.count(&halted);
            if count < after || self.is_halted_by(&halted, StopCause::Breaker) {
                continue;
            }
            let why = format!("{count} intents in a row ended badly, the last one {id}");
            self.halt(halted, "the breaker", why, StopCause::Breaker);
        }
    }

    /// Alerts came in: when many targets or accounts alert at once, less is done, and then nothing.
    pub(crate) fn brake(&mut self) {
        let Some(storm) = self.state.configuration.guardrails.storm.clone() else { return };
        let Storm { window_ms, slow, stop } = storm;
        let width = self.state.alerting.width(window_ms, |at| self.state.age(at, self.at));
        let Width { targets, accounts } = width;
        let on = slow.is_some_and(|slow| slow.from.is_reached(width));
        if on != self.state.alerting.told {
            self.add(Fact::StormBrake(StormBrake { on, targets, accounts }));
        }
        if stop.is_reached(width) && !self.is_halted_by(&StopScope::Everything, StopCause::Storm) {
            let within = window_ms / 1000;
            let why = format!("{targets} targets of {accounts} accounts alert within {within} s");
            self.halt(StopScope::Everything, "the storm brake", why, StopCause::Storm);
        }
    }

    fn is_halted_by(&self, scope: &StopScope, cause: StopCause) -> bool {
        self.state.stops.values().any(|stop| stop.scope == *scope && stop.cause == cause)
    }

    /// Where there is no room for a narrow stop, the widest one is engaged: there is always room for that.
    fn halt(&mut self, scope: StopScope, who: &str, why: String, cause: StopCause) {
        let scope = if self.state.stops.len() < caps::STOPS { scope } else { StopScope::Everything };
        if !self.is_halted_by(&scope, cause) {
            let by = Person { who: who.into(), why };
            self.add(Fact::StopEngaged(StopEngaged { scope, by, cause, until: None }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alert::{Alert, tests::firing},
        breaker::BreakerScope,
        configuration::{Matcher, Mode, Targets},
        fixture::{self, Bench},
        input::Input,
        record::{CallResult, CheckName, Record, Verdict},
        storm::{Slow, Threshold},
    };

    const STOPPED: Verdict = Verdict::Refused(CheckName::Stop);

    fn with(breakers: &[(BreakerScope, u32)]) -> Bench {
        let mut bench = Bench::new();
        let breakers = breakers.iter().map(|(scope, after)| Breaker { scope: *scope, after: *after }).collect();
        bench.configure(|configuration, _| configuration.guardrails.breakers = breakers);
        bench
    }

    /// An intent that AWS refuses, or one that is verified.
    fn ends(bench: &mut Bench, badly: bool) {
        bench.propose(|_| {});
        bench.look(fixture::reading(4));
        assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted);
        if badly {
            bench.call_ended(CallResult::Refused { why: "AccessDenied".into() });
        } else {
            bench.done_and_verified();
        }
        bench.propose(|_| {});
    }

    fn stops(bench: &Bench) -> Vec<(Seq, StopEngaged)> {
        bench.engine.state().stops.iter().map(|(seq, stop)| (*seq, stop.clone())).collect()
    }

    fn kinds(records: &[Record]) -> Vec<&'static str> {
        records.iter().map(|record| record.fact.kind()).collect()
    }

    #[test]
    fn a_breaker_halts_after_so_many_bad_ends_in_a_row_and_not_before() {
        for scope in [BreakerScope::Everything, BreakerScope::Policy, BreakerScope::Target] {
            let mut bench = with(&[(scope, 2)]);
            ends(&mut bench, true);
            assert_eq!(bench.judge().verdict, Verdict::Admitted, "{scope}: one");
            ends(&mut bench, false);
            ends(&mut bench, true);
            assert_eq!(bench.judge().verdict, Verdict::Admitted, "{scope}: one since a good one");
            ends(&mut bench, true);
            assert_eq!(bench.judge().verdict, STOPPED, "{scope}: two");
            let stops = stops(&bench);
            assert_eq!((stops.len(), stops[0].1.cause), (1, StopCause::Breaker), "{scope}");
        }
    }

    #[test]
    fn a_breaker_is_never_reset_by_time_and_its_release_begins_the_row_anew() {
        let mut bench = with(&[(BreakerScope::Policy, 1)]);
        bench.configure(|configuration, _| configuration.timing.max_alert_age_ms = 864_000_000);
        ends(&mut bench, true);
        bench.wait(Duration::from_secs(7 * 24 * 3600));
        bench.take(Input::Tick);
        assert_eq!(bench.judge().verdict, STOPPED);
        let stop = stops(&bench)[0].0;
        let refused = bench.engine.take(Input::Resume(Resume::Stop(stop), None, fixture::person()), bench.now);
        assert!(matches!(refused.reply, Reply::Refused(_)) && refused.records.is_empty(), "{refused:?}");
        bench.take(Input::Resume(Resume::Stop(stop), Some(Backlog::Drop), fixture::person()));
        assert_eq!(bench.engine.state().streaks.count(&StopScope::Policy(fixture::policy_name())), 0);
    }

    #[test]
    fn a_backlog_is_dropped_or_evaluated_again_as_the_person_says() {
        for (backlog, due) in [(Backlog::Drop, 0), (Backlog::Evaluate, 1)] {
            let mut bench = Bench::new();
            let stop = bench.stop(StopScope::Everything);
            assert_eq!(bench.judge_and_admit().verdict, STOPPED);
            bench.take(Input::Resume(Resume::Stop(stop), Some(backlog), fixture::person()));
            assert_eq!(bench.engine.state().evaluations.len(), due, "{backlog:?}");
        }
    }

    #[test]
    fn a_release_takes_as_many_different_people_as_configured() {
        let mut bench = Bench::new();
        bench.configure(|configuration, _| configuration.guardrails.release.people = 2);
        let stop = bench.stop(StopScope::Everything);
        let mut ask = |who: &str, wait: u64| {
            bench.wait(Duration::from_millis(wait));
            let by = Person { who: who.into(), why: "mended".into() };
            let taken = bench.engine.take(Input::Resume(Resume::Stop(stop), None, by), bench.now);
            (kinds(&taken.records), taken.reply)
        };
        assert!(matches!(ask("ada", 0), (kinds, Reply::Waits(..)) if kinds == ["release-asked"]));
        assert!(matches!(ask("ada", 0), (kinds, Reply::Waits(..)) if kinds == ["release-asked"]), "the same person");
        assert!(matches!(ask("bob", 3_600_000), (kinds, Reply::Waits(..)) if kinds == ["release-asked"]), "too late");
        assert!(matches!(ask("ada", 3_599_999), (kinds, Reply::Recorded(_)) if kinds == ["stop-released"]));
    }

    #[test]
    fn a_release_that_waits_tells_of_every_stop_that_was_named() {
        let mut bench = Bench::new();
        bench.configure(|configuration, _| configuration.guardrails.release.people = 2);
        let scope = || StopScope::Policy(fixture::policy_name());
        let (first, second) = (bench.stop(scope()), bench.stop(scope()));
        let mut ask = |resume: Resume, who: &str| {
            let by = Person { who: who.into(), why: "mended".into() };
            bench.engine.take(Input::Resume(resume, None, by), bench.now).reply
        };
        let Reply::Waits(_, told) = ask(Resume::Scope(scope()), "ada") else { panic!("it takes two") };
        let waits = |stop: Seq| format!("stop {stop} is not released yet: it takes 1 more person");
        assert_eq!(told, format!("{}; {}", waits(first), waits(second)));
        let third = bench.stop(scope());
        let mut ask = |resume: Resume, who: &str| {
            let by = Person { who: who.into(), why: "mended".into() };
            bench.engine.take(Input::Resume(resume, None, by), bench.now).reply
        };
        let Reply::Waits(_, told) = ask(Resume::Scope(scope()), "bob") else { panic!("the third takes two as well") };
        let released = |stop: Seq| format!("stop {stop} is released");
        assert_eq!(told, format!("{}; {}; {}", released(first), released(second), waits(third)));
    }

    fn storm() -> Storm {
        let at = |targets| Threshold { targets: Some(targets), accounts: None };
        Storm { window_ms: 60_000, slow: Some(Slow { from: at(2), count: 1 }), stop: at(3) }
    }

    #[test]
    fn a_storm_is_slowed_down_and_then_stopped_once() {
        let mut bench = Bench::new();
        bench.configure(|configuration, _| configuration.guardrails.storm = Some(storm()));
        assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted);
        bench.done_and_verified();
        let second = bench.fires_for("api");
        assert_eq!(kinds(&second), ["alert-received", "storm-brake"]);
        bench.look(fixture::reading(6));
        bench.propose(|proposal| fixture::scale(proposal, 6, 8));
        assert_eq!(bench.judge().verdict, Verdict::Refused(CheckName::Storm));
        let third = bench.fires_for("web-2");
        assert_eq!(kinds(&third), ["alert-received", "stop-engaged"]);
        assert_eq!(kinds(&bench.fires_for("web-3")), ["alert-received"]);
        assert_eq!(bench.judge().verdict, STOPPED);
    }

    #[test]
    fn one_alert_of_a_policy_with_many_targets_is_no_storm_and_one_of_a_policy_in_shadow_is_none_at_all() {
        let fires = |mode, alerts: u32| {
            let mut bench = Bench::new();
            let targets = ["a", "b", "c", "d", "e"].map(|name| {
                fixture::target().to_string().replace("/web", &format!("/{name}")).parse().expect("a target")
            });
            bench.configure(|configuration, policy| {
                configuration.guardrails.storm = Some(storm());
                let policy = configuration.policies.get_mut(policy).expect("it is there");
                (policy.mode, policy.targets) = (mode, Targets::Fixed(targets.into()));
                policy.matches =
                    Matcher { labels: [("of".to_owned(), vec!["all".to_owned()])].into(), ..Matcher::default() };
            });
            for alert in 0..alerts {
                let labels = [("of".to_owned(), "all".to_owned())].into();
                bench.take(Input::Alerts(vec![Alert { fingerprint: format!("all-{alert}"), labels, ..firing() }]));
            }
            stops(&bench).len()
        };
        // Another alert has fired before.
        assert_eq!([fires(Mode::Enforce, 1), fires(Mode::Enforce, 2)], [0, 1], "two alerts may be about two targets");
        assert_eq!(fires(Mode::Suggest, 2), 1);
        assert_eq!(fires(Mode::Shadow, 9), 0);
    }

    #[test]
    fn a_storm_that_a_person_released_is_not_stopped_again_by_the_alerts_before() {
        let mut bench = Bench::new();
        bench.configure(|configuration, _| configuration.guardrails.storm = Some(storm()));
        bench.fires_for("api");
        assert!(kinds(&bench.fires_for("web-2")).contains(&"stop-engaged"));
        let stop = stops(&bench)[0].0;
        bench.take(Input::Resume(Resume::Stop(stop), Some(Backlog::Drop), fixture::person()));
        assert_eq!(
            kinds(&bench.fires_for("web-3")),
            ["alert-received", "storm-brake"],
            "it is off, and nothing is stopped"
        );
        assert!(stops(&bench).is_empty());
    }

    #[test]
    fn there_is_room_for_the_kill_switch_beside_as_many_stops_as_there_may_be() {
        let mut bench = Bench::new();
        for nth in 0..caps::STOPS {
            bench.stop(StopScope::Policy(format!("policy-{nth}").parse().expect("a name")));
        }
        let stop =
            |scope| Input::Stop(StopEngaged { scope, by: fixture::person(), cause: StopCause::Person, until: None });
        let narrow = bench.engine.take(stop(StopScope::Policy("one-more".parse().expect("a name"))), bench.now);
        assert!(matches!(narrow.reply, Reply::Refused(_)), "{narrow:?}");
        for recorded in [1, 0] {
            let taken = bench.engine.take(stop(StopScope::Everything), bench.now);
            assert_eq!(taken.records.len(), recorded, "once");
        }
    }

    #[test]
    fn a_breaker_counts_nothing_that_ended_otherwise_than_badly() {
        let mut bench = with(&[(BreakerScope::Policy, 2)]);
        ends(&mut bench, true);
        // From now on one bad end is too many, and the next end is a good one.
        bench.configure(|configuration, _| configuration.guardrails.breakers[0].after = 1);
        ends(&mut bench, false);
        assert!(stops(&bench).is_empty());
    }

    #[test]
    fn what_alerted_before_the_window_does_not_alert_at_once() {
        let mut bench = Bench::new();
        bench.configure(|configuration, _| configuration.guardrails.storm = Some(storm()));
        bench.wait(Duration::from_millis(59_999));
        assert_eq!(kinds(&bench.fires_for("api")), ["alert-received", "storm-brake"]);
        bench.wait(Duration::from_millis(60_000));
        assert_eq!(
            kinds(&bench.fires_for("web-2")),
            ["alert-received", "storm-brake"],
            "both are over: it is off again"
        );
    }
}
