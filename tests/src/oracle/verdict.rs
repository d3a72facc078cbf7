//! The oracle: what the guard should say, worked out from a plan's plain values and a list of what was done.
//!
//! It is deliberately simple and slow, keeps everything that ever happened, and shares no code with the core: not its
//! windows, its ledger, its clock, its rules or its arithmetic.

use super::plan::{
    ACTIONS, Condition, During, Frozen, GIVEN, ModeOf, Of, On, Only, Plan, Reach, Rule, Shares, TARGETS, ZONE_AHEAD_MS,
};

/// Something that was admitted.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) policy: usize,
    pub(super) target: usize,
    pub(super) action: usize,
    pub(super) episode: usize,
    pub(super) from: u64,
    pub(super) to: Option<u64>,
    /// 1 for out, -1 for in, 0 for neither.
    pub(super) way: i8,
    pub(super) taken: u32,
}

/// Something that is proposed, with what a look finds.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) policy: usize,
    pub(super) target: usize,
    pub(super) action: usize,
    pub(super) episode: usize,
    pub(super) triggered: u64,
    pub(super) critical: bool,
    /// The count to be set, or the share that a refresh keeps.
    pub(super) number: u32,
    /// Whether what is to be stopped or terminated is there and healthy.
    pub(super) healthy_one: bool,
    pub(super) expects: u32,
    pub(super) seen: Seen,
}

/// What a look finds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) desired: u32,
    pub(super) running: u32,
    pub(super) pending: u32,
    /// The share of the desired ones that a rollout keeps, if that can be seen.
    pub(super) keeps: Option<u32>,
    /// Of the running ones, as far as the look can tell.
    pub(super) healthy: u32,
}

/// A clock that was set ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jump {
    pub(super) at: u64,
    pub(super) by: u64,
    pub(super) accepted: bool,
}

/// What is halted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Halted {
    Everything,
    Policy(usize),
    Target(usize),
    /// By the pattern `arn:aws:ecs:*`.
    Services,
}

/// Everything that ever happened.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) done: Vec<Done>,
    pub(super) jumps: Vec<Jump>,
    pub(super) halted: Vec<Halted>,
    /// When an alert stood for which target.
    pub(super) alerted: Vec<(u64, usize)>,
}

/// The verdict in words, as the core says it; and whether something stood on the very edge.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) verdict: String,
    pub(super) edge: bool,
}

impl World {
    /// How long ago something was, without what the clock leapt over since and nobody accepted.
    fn age(&self, then: u64, now: u64) -> u64 {
        let leapt = self.jumps.iter().filter(|jump| !jump.accepted && jump.at > then).map(|jump| jump.by).sum::<u64>();
        (now - then).saturating_sub(leapt)
    }

    /// A new alert fires that concerns one policy. It stands for one of the policy's targets in each account: for the first
    /// that no other alert stands for, or for the first. One of a policy that only watches stands for none.
    pub(super) fn alert(&mut self, plan: &Plan, policy: usize, now: u64) {
        if plan.modes[policy] == ModeOf::Shadow {
            return;
        }
        let window = plan.brake.map_or(0, |brake| brake.window_ms);
        let mut accounts: Vec<&str> = GIVEN[policy].iter().map(|target| TARGETS[*target].account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        for account in accounts {
            let given: Vec<usize> =
                GIVEN[policy].iter().copied().filter(|target| TARGETS[*target].account == account).collect();
            let is_taken =
                |target: usize| self.alerted.iter().any(|(at, other)| *other == target && self.age(*at, now) < window);
            let free = given.iter().copied().find(|target| !is_taken(*target));
            self.alerted.push((now, free.unwrap_or(given[0])));
        }
    }

    fn leapt(&self) -> u64 {
        self.jumps.iter().filter(|jump| !jump.accepted).map(|jump| jump.by).sum()
    }
}

/// What the guard should say.
pub(super) fn judge(plan: &Plan, world: &World, asked: &Asked, now: u64) -> Answer {
    let mut edge = false;
    let refused = refusal(plan, world, asked, now, &mut edge);
    let verdict = match (refused, plan.modes[asked.policy]) {
        (Some(check), _) => format!("refused: {check}"),
        (None, ModeOf::Shadow) => "observed only".into(),
        (None, mode) => {
            let people = people(plan, world, asked, now).expect("it is permitted with some approvals");
            match people.max(u32::from(mode == ModeOf::Suggest)) {
                0 => "admitted".into(),
                people => format!("needs approval of {people}"),
            }
        }
    };
    Answer { verdict, edge }
}

fn refusal(plan: &Plan, world: &World, asked: &Asked, now: u64, edge: &mut bool) -> Option<&'static str> {
    let place = &TARGETS[asked.target];
    let is_service = place.cluster.is_some();
    let halted = world.halted.iter().any(|halted| match halted {
        Halted::Everything => true,
        Halted::Policy(policy) => *policy == asked.policy,
        Halted::Target(target) => *target == asked.target,
        Halted::Services => is_service,
    });
    if halted || frozen(plan, world, asked, now, edge) {
        return Some("stop");
    }
    note(edge, now - asked.triggered, plan.alert_age_ms);
    if now - asked.triggered > plan.alert_age_ms {
        return Some("stale");
    }
    if ACTIONS[asked.action].starts_with("ecs:") != is_service || !GIVEN[asked.policy].contains(&asked.target) {
        return Some("target");
    }
    if sets_count(asked.action) && asked.expects != asked.seen.desired {
        return Some("expectation");
    }
    if world.done.iter().any(|done| done.target == asked.target && done.to.is_none()) {
        return Some("busy");
    }
    if let Some(check) = turned(plan, world, asked, now, edge) {
        return Some(check);
    }
    if storm(plan, world, now, edge) {
        return Some("storm");
    }
    if !limits_hold(plan, world, asked, now, edge) {
        return Some("limits");
    }
    if !bounds_hold(plan, world, asked, edge) {
        return Some("bounds");
    }
    if people(plan, world, asked, now).is_none() {
        return Some("authorization");
    }
    None
}

/// Whether a number is within one of another: the edge of a comparison.
fn note(edge: &mut bool, value: u64, against: u64) {
    *edge |= value.abs_diff(against) <= 1;
}

const fn sets_count(action: usize) -> bool {
    action == 0 || action == 3
}

fn speaks(only: Only, policy: usize, target: usize, action: usize) -> bool {
    only.action.is_none_or(|one| one == action)
        && only.policy.is_none_or(|one| one == policy)
        && only.target.is_none_or(|one| one == target)
}

fn frozen(plan: &Plan, world: &World, asked: &Asked, now: u64, edge: &mut bool) -> bool {
    let mut on = false;
    for (only, when) in &plan.freezes {
        if !speaks(*only, asked.policy, asked.target, asked.action) {
            continue;
        }
        for time in [now, now - world.leapt()] {
            on |= match when {
                Frozen::Once(from, until) => {
                    note(edge, time, *from);
                    note(edge, time, *until);
                    (*from..*until).contains(&time)
                }
                Frozen::Weekly(from, until) => {
                    let minute = minute_of_week(time);
                    // Walk from its beginning to its end, and see whether we come by.
                    let mut walk = u64::from(*from);
                    let mut passed = false;
                    loop {
                        passed |= walk == minute;
                        walk = (walk + 1) % 10_080;
                        if walk == u64::from(*until) {
                            break passed;
                        }
                    }
                }
            };
        }
    }
    on
}

/// 1970 began on a Thursday.
const fn minute_of_week(time: u64) -> u64 {
    ((time + ZONE_AHEAD_MS) / 60_000 + 3 * 1_440) % 10_080
}

/// The way that something changes a target's capacity.
pub(super) fn way(asked: &Asked) -> i8 {
    match (sets_count(asked.action), asked.number.cmp(&asked.seen.desired)) {
        (true, std::cmp::Ordering::Greater) => 1,
        (true, std::cmp::Ordering::Less) => -1,
        _ => 0,
    }
}

fn turned(plan: &Plan, world: &World, asked: &Asked, now: u64, edge: &mut bool) -> Option<&'static str> {
    let swings: Vec<&Done> = world.done.iter().filter(|done| done.target == asked.target && done.way != 0).collect();
    let last = *swings.last()?;
    if way(asked) * last.way != -1 {
        return None;
    }
    let age = world.age(last.from, now);
    note(edge, age, plan.opposes_ms);
    if age < plan.opposes_ms {
        return Some("opposes");
    }
    let turns = swings.windows(2).filter(|pair| {
        let age = world.age(pair[1].from, now);
        pair[0].way != pair[1].way && age < plan.reversals_ms
    });
    let turns = turns.count();
    note(edge, turns as u64 + 1, plan.reversals as u64);
    (turns >= plan.reversals).then_some("oscillation")
}

fn storm(plan: &Plan, world: &World, now: u64, edge: &mut bool) -> bool {
    let Some(brake) = plan.brake else { return false };
    let mut targets: Vec<usize> = Vec::new();
    for (at, target) in &world.alerted {
        if world.age(*at, now) < brake.window_ms && !targets.contains(target) {
            targets.push(*target);
        }
    }
    let mut accounts: Vec<&str> = targets.iter().map(|target| TARGETS[*target].account).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let many = brake.targets.is_some_and(|least| targets.len() >= least as usize)
        || brake.accounts.is_some_and(|least| accounts.len() >= least as usize);
    let spent = world.done.iter().filter(|done| world.age(done.from, now) < brake.window_ms).count();
    if many {
        note(edge, spent as u64 + 1, brake.count as u64);
    }
    many && spent >= brake.count
}

fn limits_hold(plan: &Plan, world: &World, asked: &Asked, now: u64, edge: &mut bool) -> bool {
    let mut counted = false;
    let mut holds = true;
    for cap in &plan.caps {
        if !speaks(cap.only, asked.policy, asked.target, asked.action) {
            continue;
        }
        counted = true;
        let mut spent = 0;
        for done in &world.done {
            let shared = shares(cap.shares, done, asked.policy, asked.target);
            if !shared || !speaks(cap.only, done.policy, done.target, done.action) {
                continue;
            }
            spent += usize::from(match cap.during {
                During::SinceStart(ms) => within(world, done.from, ms, now, edge),
                During::SinceEnd(ms) => done.to.is_none_or(|to| within(world, to, ms, now, edge)),
                During::Episode => done.episode == asked.episode,
                During::AtOnce => done.to.is_none(),
            });
        }
        note(edge, spent as u64 + 1, cap.count as u64);
        holds &= spent < cap.count;
    }
    counted && holds
}

fn within(world: &World, then: u64, window: u64, now: u64, edge: &mut bool) -> bool {
    note(edge, world.age(then, now), window);
    world.age(then, now) < window
}

fn shares(shares: Shares, done: &Done, policy: usize, target: usize) -> bool {
    let (theirs, ours) = (&TARGETS[done.target], &TARGETS[target]);
    match shares {
        Shares::Everything => true,
        Shares::Account => theirs.account == ours.account,
        Shares::Service => theirs.name == ours.name && theirs.cluster.is_some() == ours.cluster.is_some(),
        Shares::Policy => done.policy == policy,
        Shares::Target => done.target == target,
    }
}

/// How many live ones are taken away or replaced.
pub(super) fn taken(asked: &Asked) -> u32 {
    match asked.action {
        0 | 3 => {
            let Seen { desired, running, .. } = asked.seen;
            if asked.number >= desired {
                return 0;
            }
            // At worst those are kept that do not run.
            let idle = everything(asked.seen) - running;
            running - asked.number.saturating_sub(idle)
        }
        1 => asked.seen.running,
        5 => refreshed(asked),
        _ => 1,
    }
}

/// All that is there, on its way, or yet to be started.
fn everything(seen: Seen) -> u32 {
    let there = seen.running + seen.pending;
    if there > seen.desired { there } else { seen.desired }
}

fn refreshed(asked: &Asked) -> u32 {
    let share = asked.seen.desired * (100 - asked.number) / 100;
    if share == 0 { 1 } else { share }
}

fn bounds_hold(plan: &Plan, world: &World, asked: &Asked, edge: &mut bool) -> bool {
    // A group has bounds of its own, from 1 to 12 in every plan.
    if asked.action == 3 && !(1..=12).contains(&asked.number) {
        return false;
    }
    let mut covered = false;
    let mut holds = true;
    for reach in plan.reaches.iter().filter(|reach| speaks(reach.only, asked.policy, asked.target, asked.action)) {
        covered = true;
        holds &= count_holds(reach, asked, edge) && health_holds(reach, asked, edge);
        holds &= taking_holds(reach, world, asked, edge);
    }
    covered && holds
}

fn count_holds(reach: &Reach, asked: &Asked, edge: &mut bool) -> bool {
    if !sets_count(asked.action) {
        return true;
    }
    let (from, to) = (i64::from(asked.seen.desired), i64::from(asked.number));
    let change = if to > from { to - from } else { from - to };
    let minimum = reach.minimum.map_or(1, i64::from);
    let mut edge_of = |value: i64, bound: i64| *edge |= (value - bound).abs() <= 1;
    edge_of(to, minimum);
    let mut holds = to >= minimum;
    if let Some(maximum) = reach.maximum {
        edge_of(to, i64::from(maximum));
        holds &= to <= i64::from(maximum);
    }
    if let Some(step) = reach.step {
        edge_of(change, i64::from(step));
        holds &= change <= i64::from(step);
    }
    if let Some(percent) = reach.step_percent {
        // Not more than the share, rounded down to whole ones.
        let most = from * i64::from(percent) / 100;
        edge_of(change, most);
        holds &= change <= most;
    }
    holds
}

fn health_holds(reach: &Reach, asked: &Asked, edge: &mut bool) -> bool {
    let (mut left, mut desired) = (i64::from(asked.seen.healthy), i64::from(asked.seen.desired));
    // Those that are more than shall be go anyway, and at worst the healthy ones among them.
    let beyond = i64::from(asked.seen.running) - desired;
    if beyond > 0 && !sets_count(asked.action) {
        left -= beyond;
    }
    match asked.action {
        0 | 3 if asked.number >= asked.seen.desired => return true,
        0 | 3 => {
            // At worst those are kept that are not healthy, or not there yet.
            desired = i64::from(asked.number);
            left = desired - (i64::from(everything(asked.seen)) - i64::from(asked.seen.healthy));
        }
        1 => {
            // As few as its share allows are kept of those that shall be; all may go if the share is not known.
            let share = asked.seen.keeps.unwrap_or(0);
            let mut kept = 0;
            while kept * 100 < asked.seen.desired * share {
                kept += 1;
            }
            let there = i64::from(if beyond > 0 { asked.seen.desired } else { asked.seen.running });
            left -= (there - i64::from(kept)).max(0);
        }
        5 => left -= i64::from(refreshed(asked)),
        _ => left -= i64::from(asked.healthy_one),
    }
    let left = left.max(0);
    let mut holds = true;
    if let Some(percent) = reach.healthy_percent {
        // At least the share, rounded up to whole ones.
        let least = (desired * i64::from(percent) + 99) / 100;
        *edge |= (left - least).abs() <= 1;
        holds &= left >= least;
    }
    if let Some(minimum) = reach.healthy_minimum {
        *edge |= (left - i64::from(minimum)).abs() <= 1;
        holds &= left >= i64::from(minimum);
    }
    holds
}

fn taking_holds(reach: &Reach, world: &World, asked: &Asked, edge: &mut bool) -> bool {
    let own = taken(asked);
    let mut holds = true;
    if let Some(percent) = reach.changing_percent {
        let most = asked.seen.running * percent / 100;
        note(edge, own.into(), most.into());
        holds &= own <= most;
    }
    if let Some(most) = reach.changing
        && own > 0
    {
        let mut all = own;
        for done in &world.done {
            if done.to.is_none() && speaks(reach.only, done.policy, done.target, done.action) {
                all += done.taken;
            }
        }
        note(edge, all.into(), most.into());
        holds &= all <= most;
    }
    holds
}

/// The least number of approvals with which the rules permit it, up to three: now, and without what the clock leapt over.
fn people(plan: &Plan, world: &World, asked: &Asked, now: u64) -> Option<u32> {
    let times = [now, now - world.leapt()];
    (0..=3).find(|approvals| times.iter().all(|time| permitted(plan, asked, *time, *approvals)))
}

fn permitted(plan: &Plan, asked: &Asked, time: u64, approvals: u32) -> bool {
    let mut permitted = false;
    for rule in &plan.rules {
        match applies(rule, asked, time, approvals) {
            Some(true) if rule.permits => permitted = true,
            Some(false) => {}
            // A `forbid` that applies, or a rule that cannot be evaluated.
            Some(true) | None => return false,
        }
    }
    permitted
}

/// Whether a rule applies; none if that cannot be said.
fn applies(rule: &Rule, asked: &Asked, now: u64, approvals: u32) -> Option<bool> {
    let place = &TARGETS[asked.target];
    let of = match rule.of {
        Of::Anything => true,
        Of::Action(action) => action == asked.action,
        Of::Group("scale") => sets_count(asked.action),
        Of::Group(_) => !sets_count(asked.action),
    };
    let on = match rule.on {
        On::Anything => true,
        On::Target(target) => target == asked.target,
        On::Account(account) => account == place.account,
        On::ProdCluster => place.cluster == Some("prod"),
        On::Services => place.cluster.is_some(),
        On::Groups => place.cluster.is_none(),
    };
    if !of || !on || rule.policy.is_some_and(|policy| policy != asked.policy) {
        return Some(false);
    }
    let to = if sets_count(asked.action) { asked.number } else { asked.seen.desired };
    let minute = minute_of_week(now);
    for condition in &rule.when {
        let holds = match *condition {
            Condition::ToAtMost(most) => to <= most,
            Condition::ChangingAtMost(most) => taken(asked) <= most,
            Condition::HourBelow(hour) => minute / 60 % 24 < u64::from(hour),
            Condition::WeekdayIs(day) => minute / 1_440 + 1 == u64::from(day),
            Condition::ApprovalsAtLeast(people) => approvals >= people,
            Condition::IsCritical => asked.critical,
            // One more than the largest number there is.
            Condition::Fails if to > 0 => return None,
            Condition::Fails => true,
        };
        if !holds {
            return Some(false);
        }
    }
    Some(true)
}

/// The caps that what was admitted last went beyond: recounted with it, whatever was said before.
pub(super) fn overrun(plan: &Plan, world: &World, now: u64) -> usize {
    let Some(last) = world.done.last() else { return 0 };
    let over = plan.caps.iter().filter(|cap| speaks(cap.only, last.policy, last.target, last.action)).filter(|cap| {
        let of = |done: &&Done| {
            shares(cap.shares, done, last.policy, last.target)
                && speaks(cap.only, done.policy, done.target, done.action)
        };
        let counts = |done: &Done| match cap.during {
            During::SinceStart(ms) => world.age(done.from, now) < ms,
            During::SinceEnd(ms) => done.to.is_none_or(|to| world.age(to, now) < ms),
            During::Episode => done.episode == last.episode,
            During::AtOnce => done.to.is_none(),
        };
        world.done.iter().filter(of).filter(|done| counts(done)).count() > cap.count
    });
    over.count()
}
