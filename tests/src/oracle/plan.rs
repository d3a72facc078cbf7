//! What the oracle and the guard are both told: a configuration in plain values, drawn at random, and its translation into
//! the core's own. The oracle reads the plain values alone.

use balm_core::{
    approval::Terms,
    configuration::{
        Bound, Configuration, Filter, Guardrails, Limit, Matcher, Mode, Policy, Release, Scope, Since, Targets, Timing,
        Window,
    },
    freeze::{Freeze, Span, When},
    json::Json,
    name::PolicyName,
    storm::{Slow, Storm, Threshold},
    swings::Conflicts,
    target::Target,
    time::Timestamp,
};

use crate::sim::random::Random;

/// The zone of every plan, which is always three hours ahead of UTC.
pub(super) const ZONE: &str = "Etc/GMT-3";
pub(super) const ZONE_AHEAD_MS: u64 = 3 * 3_600_000;

pub(super) const POLICIES: [&str; 3] = ["first", "second", "third"];

/// Which targets the operator gave each policy.
pub(super) const GIVEN: [&[usize]; 3] = [&[0, 1, 2, 3, 4], &[0, 1], &[2, 3]];

/// Targets, each with its account, cluster (of a service), name and kind.
pub(super) const TARGETS: [Place; 5] = [
    Place {
        arn: "arn:aws:ecs:eu-central-1:123456789012:service/prod/web",
        account: "123456789012",
        cluster: Some("prod"),
        name: "web",
    },
    Place {
        arn: "arn:aws:ecs:eu-central-1:123456789012:service/prod/api",
        account: "123456789012",
        cluster: Some("prod"),
        name: "api",
    },
    Place {
        arn: "arn:aws:ecs:us-east-1:210987654321:service/test/web",
        account: "210987654321",
        cluster: Some("test"),
        name: "web",
    },
    Place {
        arn: "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/web",
        account: "123456789012",
        cluster: None,
        name: "web",
    },
    Place {
        arn: "arn:aws:autoscaling:us-east-1:210987654321:autoScalingGroup:*:autoScalingGroupName/fleet",
        account: "210987654321",
        cluster: None,
        name: "fleet",
    },
];

pub(super) const ACTIONS: [&str; 6] = [
    "ecs:scale-service",
    "ecs:redeploy-service",
    "ecs:stop-task",
    "asg:set-desired-capacity",
    "asg:terminate-instance",
    "asg:start-instance-refresh",
];

#[derive(Debug)]
pub(super) struct Place {
    pub(super) arn: &'static str,
    pub(super) account: &'static str,
    pub(super) cluster: Option<&'static str>,
    pub(super) name: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModeOf {
    Shadow,
    Suggest,
    Enforce,
}

/// Which intents something speaks of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Only {
    pub(super) action: Option<usize>,
    pub(super) policy: Option<usize>,
    pub(super) target: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shares {
    Everything,
    Account,
    Service,
    Policy,
    Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum During {
    SinceStart(u64),
    SinceEnd(u64),
    Episode,
    AtOnce,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Cap {
    pub(super) only: Only,
    pub(super) shares: Shares,
    pub(super) during: During,
    pub(super) count: usize,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reach {
    pub(super) only: Only,
    pub(super) minimum: Option<u32>,
    pub(super) maximum: Option<u32>,
    pub(super) step: Option<u32>,
    pub(super) step_percent: Option<u32>,
    pub(super) healthy_percent: Option<u32>,
    pub(super) healthy_minimum: Option<u32>,
    pub(super) changing: Option<u32>,
    pub(super) changing_percent: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Frozen {
    Once(u64, u64),
    /// Minutes of the week in the plan's zone, from Monday.
    Weekly(u16, u16),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    Anything,
    Action(usize),
    Group(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum On {
    Anything,
    Target(usize),
    Account(&'static str),
    ProdCluster,
    Services,
    Groups,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Condition {
    ToAtMost(u32),
    ChangingAtMost(u32),
    HourBelow(u32),
    WeekdayIs(u32),
    ApprovalsAtLeast(u32),
    IsCritical,
    /// An evaluation of this fails where the intent sets any count.
    Fails,
}

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) permits: bool,
    pub(super) policy: Option<usize>,
    pub(super) of: Of,
    pub(super) on: On,
    pub(super) when: Vec<Condition>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Brake {
    pub(super) window_ms: u64,
    pub(super) targets: Option<u32>,
    pub(super) accounts: Option<u32>,
    pub(super) count: usize,
}

/// A configuration, in plain values.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) modes: [ModeOf; 3],
    pub(super) rules: Vec<Rule>,
    pub(super) caps: Vec<Cap>,
    pub(super) reaches: Vec<Reach>,
    pub(super) freezes: Vec<(Only, Frozen)>,
    pub(super) opposes_ms: u64,
    pub(super) reversals: usize,
    pub(super) reversals_ms: u64,
    pub(super) brake: Option<Brake>,
    pub(super) alert_age_ms: u64,
}

/// Windows that limits have, in milliseconds: few, so that boundaries of several meet.
pub(super) const WINDOWS: [u64; 4] = [60_000, 600_000, 3_600_000, 86_400_000];

impl Plan {
    pub(super) fn draw(random: &mut Random, start: u64) -> Self {
        let mode = |random: &mut Random| match random.below(20) {
            0 => ModeOf::Shadow,
            1 => ModeOf::Suggest,
            _ => ModeOf::Enforce,
        };
        Self {
            modes: [mode(random), mode(random), mode(random)],
            rules: rules(random),
            caps: caps(random),
            reaches: reaches(random),
            freezes: freezes(random, start),
            opposes_ms: pick(random, &[0, 600_000, 3_600_000]),
            reversals: usize::try_from(random.within(0, 2)).expect("a small number"),
            reversals_ms: pick(random, &[600_000, 3_600_000, 86_400_000]),
            brake: random.percent(25).then(|| Brake {
                window_ms: pick(random, &[60_000, 600_000]),
                targets: random.percent(80).then(|| narrow(random.within(2, 5))),
                accounts: random.percent(50).then_some(2),
                count: usize::try_from(random.within(1, 3)).expect("a small number"),
            }),
            alert_age_ms: pick(random, &[900_000, 86_400_000, 86_400_000]),
        }
    }
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).expect("a small number")
}

fn index(random: &mut Random, below: usize) -> usize {
    usize::try_from(random.below(below as u64)).expect("a small number")
}

pub(super) fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[index(random, from.len())]
}

fn only(random: &mut Random, narrower: u64) -> Only {
    Only {
        action: random.percent(narrower).then(|| index(random, ACTIONS.len())),
        policy: random.percent(narrower).then(|| index(random, POLICIES.len())),
        target: random.percent(narrower).then(|| index(random, TARGETS.len())),
    }
}

/// Mostly one that everything falls under, and some that narrow.
fn caps(random: &mut Random) -> Vec<Cap> {
    let shares = [Shares::Everything, Shares::Account, Shares::Service, Shares::Policy, Shares::Target];
    let mut caps = Vec::new();
    if random.percent(97) {
        let (only, during) = (Only::default(), During::SinceStart(86_400_000));
        caps.push(Cap { only, shares: Shares::Everything, during, count: 8 + index(random, 30) });
    }
    for _ in 0..random.below(4) {
        let window = pick(random, &WINDOWS);
        let during = match random.below(6) {
            0 | 1 => During::SinceStart(window),
            2 | 3 => During::SinceEnd(window.min(3_600_000)),
            4 => During::Episode,
            _ => During::AtOnce,
        };
        let count = 1 + index(random, 4);
        caps.push(Cap { only: only(random, 20), shares: pick(random, &shares), during, count });
    }
    caps
}

fn reaches(random: &mut Random) -> Vec<Reach> {
    let mut reaches = Vec::new();
    if random.percent(97) {
        reaches.push(Reach { minimum: Some(narrow(random.below(3))), maximum: Some(12), ..Reach::default() });
    }
    for _ in 0..random.below(3) {
        let mut maybe = |percent, least, most| random.percent(percent).then(|| narrow(random.within(least, most)));
        let reach = Reach {
            only: Only::default(),
            minimum: maybe(30, 0, 3),
            maximum: maybe(30, 6, 12),
            step: maybe(40, 1, 5),
            step_percent: maybe(30, 25, 150),
            healthy_percent: maybe(30, 25, 75),
            healthy_minimum: maybe(25, 1, 4),
            changing: maybe(30, 1, 8),
            changing_percent: maybe(25, 20, 100),
        };
        reaches.push(Reach { only: only(random, 20), ..reach });
    }
    reaches
}

fn freezes(random: &mut Random, start: u64) -> Vec<(Only, Frozen)> {
    if !random.percent(25) {
        return Vec::new();
    }
    let frozen = if random.percent(50) {
        let from = start + random.below(86_400_000);
        Frozen::Once(from, from + random.within(60_000, 3_600_000))
    } else {
        let from = random.below(10_080);
        let until = (from + random.within(1, 600)) % 10_080;
        Frozen::Weekly(u16::try_from(from).expect("a minute"), u16::try_from(until).expect("a minute"))
    };
    vec![(only(random, 30), frozen)]
}

fn rules(random: &mut Random) -> Vec<Rule> {
    let mut rules = Vec::new();
    if random.percent(90) {
        rules.push(Rule { permits: true, policy: None, of: Of::Anything, on: On::Anything, when: vec![] });
    }
    for _ in 0..random.below(4) {
        let of = match random.below(4) {
            0 => Of::Anything,
            1 => Of::Action(index(random, ACTIONS.len())),
            _ => Of::Group(pick(random, &["scale", "restart", "disruptive", "irreversible"])),
        };
        let on = match random.below(7) {
            0 => On::Target(index(random, TARGETS.len())),
            1 => On::Account(pick(random, &["123456789012", "210987654321"])),
            2 => On::ProdCluster,
            3 => On::Services,
            4 => On::Groups,
            _ => On::Anything,
        };
        let when = (0..random.below(3)).map(|_| condition(random)).collect();
        let policy = random.percent(40).then(|| index(random, POLICIES.len()));
        rules.push(Rule { permits: random.percent(50), policy, of, on, when });
    }
    rules
}

fn condition(random: &mut Random) -> Condition {
    match random.below(16) {
        0..=2 => Condition::ToAtMost(narrow(random.within(3, 9))),
        3..=4 => Condition::ChangingAtMost(narrow(random.within(0, 4))),
        5..=6 => Condition::HourBelow(narrow(random.within(1, 23))),
        7 => Condition::WeekdayIs(narrow(random.within(1, 7))),
        8..=11 => Condition::ApprovalsAtLeast(narrow(random.within(1, 4))),
        12..=14 => Condition::IsCritical,
        _ => Condition::Fails,
    }
}

impl Plan {
    /// The same for the core.
    pub(super) fn configuration(&self) -> Configuration {
        let targets: Vec<Target> = TARGETS.iter().map(|place| place.arn.parse().expect("a target")).collect();
        let policy = |(name, mode): (&str, &ModeOf)| {
            let labels = [("policy".to_owned(), vec![name.to_owned()])].into();
            let mode = match mode {
                ModeOf::Shadow => Mode::Shadow,
                ModeOf::Suggest => Mode::Suggest,
                ModeOf::Enforce => Mode::Enforce,
            };
            let policy = Policy {
                plugin: "plugin".parse().expect("a name"),
                mode,
                matches: Matcher { sources: vec![], labels },
                targets: Targets::Fixed(vec![]),
                settings: Json::empty_object(),
            };
            (name.parse().expect("a name"), policy)
        };
        let mut policies: std::collections::BTreeMap<_, _> =
            POLICIES.into_iter().zip(&self.modes).map(policy).collect();
        for (name, given) in POLICIES.iter().zip(GIVEN) {
            let given = given.iter().map(|at| targets[*at].clone()).collect();
            let name: PolicyName = name.parse().expect("a name");
            policies.get_mut(&name).expect("it is there").targets = Targets::Fixed(given);
        }
        let accounts = [("123456789012", "eu-central-1"), ("210987654321", "us-east-1")];
        let accounts =
            accounts.map(|(id, region)| (id.parse().expect("an account"), vec![region.parse().expect("a region")]));
        Configuration {
            quarantine_after: 0,
            policies,
            guardrails: self.guardrails(),
            accounts: accounts.into(),
            notifiers: vec![],
            paced: vec![],
            checkpoints: vec![],
            timing: Timing { max_alert_age_ms: self.alert_age_ms, ..Timing::default() },
            approval: Terms::default(),
        }
    }

    fn guardrails(&self) -> Guardrails {
        let text: String = self.rules.iter().map(Rule::text).collect();
        Guardrails {
            rules: [("drawn.cedar".to_owned(), text)].into(),
            limits: self.caps.iter().map(Cap::limit).collect(),
            bounds: self.reaches.iter().map(Reach::bound).collect(),
            opposes_for_ms: self.opposes_ms,
            zone: ZONE.parse().expect("a zone"),
            freezes: self.freezes.iter().map(freeze).collect(),
            breakers: vec![],
            storm: self.brake.map(|brake| Storm {
                window_ms: brake.window_ms,
                slow: Some(Slow {
                    from: Threshold { targets: brake.targets, accounts: brake.accounts },
                    count: narrow(brake.count as u64),
                }),
                stop: Threshold::default(),
            }),
            conflicts: Conflicts {
                reversals: narrow(self.reversals as u64),
                reversals_within_ms: self.reversals_ms,
                recurrences: 3,
            },
            release: Release { people: 1 },
        }
    }
}

impl Only {
    fn filter(self) -> Filter {
        Filter {
            action: self.action.map(|at| ACTIONS[at].to_owned()),
            policy: self.policy.map(|at| POLICIES[at].parse().expect("a name")),
            target: self.target.map(|at| TARGETS[at].arn.parse().expect("a target")),
        }
    }
}

impl Cap {
    fn limit(&self) -> Limit {
        let scope = match self.shares {
            Shares::Everything => Scope::Everything,
            Shares::Account => Scope::Account,
            Shares::Service => Scope::Service,
            Shares::Policy => Scope::Policy,
            Shares::Target => Scope::Target,
        };
        let window = match self.during {
            During::SinceStart(ms) => Window::Time(ms, Since::Start),
            During::SinceEnd(ms) => Window::Time(ms, Since::End),
            During::Episode => Window::Episode,
            During::AtOnce => Window::AtOnce,
        };
        Limit { scope, only: self.only.filter(), count: narrow(self.count as u64), window }
    }
}

impl Reach {
    fn bound(&self) -> Bound {
        let Self { only, minimum, maximum, step, step_percent, healthy_percent, healthy_minimum, .. } = *self;
        let Self { changing, changing_percent, .. } = *self;
        let only = only.filter();
        Bound {
            only,
            minimum,
            maximum,
            step,
            step_percent,
            healthy_percent,
            healthy_minimum,
            changing,
            changing_percent,
        }
    }
}

fn freeze((only, frozen): &(Only, Frozen)) -> Freeze {
    let when = match frozen {
        Frozen::Once(from, until) => {
            When::Once { from: Timestamp::from_millis(*from), until: Timestamp::from_millis(*until) }
        }
        Frozen::Weekly(from, until) => {
            let spans = vec![Span { from: *from, until: *until }];
            When::Weekly { zone: ZONE.parse().expect("a zone"), spans }
        }
    };
    Freeze { only: only.filter(), when, why: "drawn".into() }
}

impl Rule {
    /// In Cedar.
    fn text(&self) -> String {
        let effect = if self.permits { "permit" } else { "forbid" };
        let principal =
            self.policy.map_or("principal".into(), |at| format!("principal == Policy::\"{}\"", POLICIES[at]));
        let action = match self.of {
            Of::Anything => "action".to_owned(),
            Of::Action(at) => format!("action == Action::\"{}\"", ACTIONS[at]),
            Of::Group(name) => format!("action in Action::\"{name}\""),
        };
        let resource = match self.on {
            On::Anything => "resource".to_owned(),
            On::Target(at) => {
                let kind = if TARGETS[at].cluster.is_some() { "Service" } else { "Group" };
                format!("resource == {kind}::\"{}\"", TARGETS[at].arn)
            }
            On::Account(id) => format!("resource in Account::\"{id}\""),
            On::ProdCluster => "resource in Cluster::\"arn:aws:ecs:eu-central-1:123456789012:cluster/prod\"".to_owned(),
            On::Services => "resource is Service".to_owned(),
            On::Groups => "resource is Group".to_owned(),
        };
        let conditions: String =
            self.when.iter().map(|condition| format!(" when {{ {} }}", condition.text())).collect();
        format!("{effect}({principal}, {action}, {resource}){conditions};\n")
    }
}

impl Condition {
    fn text(self) -> String {
        match self {
            Self::ToAtMost(most) => format!("context.to <= {most}"),
            Self::ChangingAtMost(most) => format!("context.changing <= {most}"),
            Self::HourBelow(hour) => format!("context.hour < {hour}"),
            Self::WeekdayIs(day) => format!("context.weekday == {day}"),
            Self::ApprovalsAtLeast(people) => format!("context.approvals >= {people}"),
            Self::IsCritical => "context.severity == \"critical\"".into(),
            Self::Fails => "context.to + 9223372036854775807 > 0".into(),
        }
    }
}
