//! The storm: alerts that concern the configured policies, in every order that senders produce, and what other people and
//! bad luck do meanwhile.

use std::collections::BTreeMap;

use balm_core::{
    alert::{Alert, Status},
    configuration::{Configuration, Mode, Policy, Targets},
    name::SourceName,
    target::Target,
    time::Timestamp,
};

use super::random::Random;

/// Alerts beyond those that the width of a storm needs: one for each pair of policy and target at most.
const PAIRS_MOST: usize = 500;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// A request brings alerts.
    Alerts(Vec<Sent>),
    /// Somebody else sets a count.
    SomebodySets(Target, u32),
    /// A task or an instance dies.
    OneDies(Target),
    /// A task or an instance stays, and its checks fail.
    OneFallsIll(Target),
    /// The storm is over: nothing fails any more.
    Calm,
}

/// An alert as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    source: SourceName,
    labels: BTreeMap<String, String>,
    fingerprint: String,
    firing: bool,
    /// Milliseconds before it is sent at which it began or ended.
    ago_ms: u64,
}

impl Sent {
    pub(super) fn alert(&self, now: Timestamp) -> Alert {
        let time = Some(now.before(std::time::Duration::from_millis(self.ago_ms)));
        Alert {
            source: self.source.clone(),
            org: String::new(),
            fingerprint: self.fingerprint.clone(),
            status: if self.firing { Status::Firing } else { Status::Resolved },
            name: self.labels.get("alertname").cloned().unwrap_or_default(),
            labels: self.labels.clone(),
            annotations: BTreeMap::new(),
            values: [("A".to_owned(), 93.0)].into(),
            starts_at: time.filter(|_| self.firing),
            ends_at: time.filter(|_| !self.firing),
            url: String::new(),
            held: None,
        }
    }
}

/// Everything that will happen, with its time from the beginning.
pub(super) fn write(random: &mut Random, configuration: &Configuration, act_ms: u64) -> Vec<(u64, Happening)> {
    let mut script = Vec::new();
    let pairs = pairs(configuration);
    // In most seeds much alerts at once, in the others one thing after the other.
    let burst = random.percent(60).then(|| random.below(act_ms / 2));
    for (number, (policy, target)) in pairs.iter().take(PAIRS_MOST).enumerate() {
        let at = match burst {
            Some(burst) if random.percent(70) => burst + random.below(60_000),
            _ => random.below(act_ms / 2),
        };
        let Some(labels) = labels(random, policy, target) else { continue };
        let sources = &policy.matches.sources;
        let source = if sources.is_empty() { "simulation".parse().ok() } else { Some(random.one_of(sources).clone()) };
        let Some(source) = source else { continue };
        let fingerprint = format!("{number:016x}");
        let sent = Sent { source, labels, fingerprint, firing: true, ago_ms: 0 };
        write_alert(random, &sent, (at, act_ms), &mut script);
    }
    for (_, target) in &pairs {
        if random.percent(30) {
            let to = u32::try_from(random.within(2, 10)).unwrap_or(2);
            script.push((random.below(act_ms), Happening::SomebodySets(target.clone(), to)));
        }
        for _ in 0..random.below(3) {
            let one = if random.percent(50) { Happening::OneDies } else { Happening::OneFallsIll };
            script.push((random.below(act_ms), one(target.clone())));
        }
    }
    script
}

/// The life of an alert: it fires, is repeated, resolves, perhaps flaps; it is over when the storm is.
fn write_alert(random: &mut Random, sent: &Sent, (mut at, act_ms): (u64, u64), script: &mut Vec<(u64, Happening)>) {
    let send = |firing, ago_ms| Happening::Alerts(vec![Sent { firing, ago_ms, ..sent.clone() }]);
    for _ in 0..random.within(1, 4) {
        if at >= act_ms {
            return;
        }
        let lasts = random.within(5_000, act_ms / 3).min(act_ms - at);
        script.push((at, send(true, random.below(5_000))));
        for _ in 0..random.below(4) {
            let late = random.below(lasts);
            script.push((at + late, send(true, late)));
        }
        script.push((at + lasts, send(false, 0)));
        at += lasts + random.within(1_000, 300_000);
    }
}

/// Labels that the policy matches, and that name the target where it takes that from one.
fn labels(random: &mut Random, policy: &Policy, target: &Target) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    for (name, values) in &policy.matches.labels {
        if values.is_empty() {
            return None;
        }
        labels.insert(name.clone(), random.one_of(values).clone());
    }
    if let Targets::EcsServiceFromLabel { label, .. } | Targets::AsgGroupFromLabel { label, .. } = &policy.targets {
        labels.insert(label.clone(), target.resource.name().to_owned());
    }
    Some(labels)
}

/// Every policy that is evaluated, with each of its targets.
pub(super) fn pairs(configuration: &Configuration) -> Vec<(&Policy, Target)> {
    let evaluated = configuration.policies.values().filter(|policy| policy.mode != Mode::Off);
    evaluated.flat_map(|policy| targets(policy).into_iter().map(move |target| (policy, target))).collect()
}

/// What a policy may be concerned with.
fn targets(policy: &Policy) -> Vec<Target> {
    match &policy.targets {
        Targets::Fixed(targets) => targets.clone(),
        Targets::EcsServiceFromLabel { account, region, cluster, allowed, .. } => {
            let arn = |name: &String| format!("arn:aws:ecs:{region}:{account}:service/{cluster}/{name}").parse().ok();
            allowed.iter().filter_map(arn).collect()
        }
        Targets::AsgGroupFromLabel { account, region, allowed, .. } => {
            let place = format!("arn:aws:autoscaling:{region}:{account}");
            let arn = |name: &String| format!("{place}:autoScalingGroup:*:autoScalingGroupName/{name}").parse().ok();
            allowed.iter().filter_map(arn).collect()
        }
    }
}
