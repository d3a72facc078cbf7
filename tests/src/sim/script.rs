//! What happens in a simulation besides the host's own doing: alerts in every order that senders produce, people, and
//! other people's changes.

use balm_core::{
    alert::{Alert, Held, Status},
    input::{Input, Resume},
    record::{Person, StopEngaged, StopScope},
    time::Timestamp,
};

use super::random::Random;

/// Services that alerts are about.
pub(super) const SERVICES: usize = 3;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// A request brings alerts.
    Alerts(Vec<Sent>),
    /// A person stops everything.
    Stop,
    /// A person goes on.
    Resume,
    /// Somebody else sets a service's tasks.
    SomebodyScales(usize, u32),
    /// A task of a service dies.
    TaskDies(usize),
}

/// An alert as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    service: usize,
    fingerprint: u64,
    firing: bool,
    /// Milliseconds before it is sent at which it began or ended.
    ago: u64,
    held: bool,
}

/// Everything that will happen, with its time in milliseconds from the beginning.
pub(super) fn write(random: &mut Random, act_ms: u64) -> Vec<(u64, Happening)> {
    let mut script = Vec::new();
    for fingerprint in 0..random.within(2, 6) {
        write_alert(random, act_ms, fingerprint, &mut script);
    }
    if random.percent(40) {
        let at = random.below(act_ms);
        script.push((at, Happening::Stop));
        script.push((at + random.within(1_000, 120_000), Happening::Resume));
    }
    for _ in 0..random.below(3) {
        let (service, tasks) = (index(random), random.within(2, 10));
        let tasks = u32::try_from(tasks).expect("a small number");
        script.push((random.below(act_ms), Happening::SomebodyScales(service, tasks)));
    }
    for _ in 0..random.below(3) {
        script.push((random.below(act_ms), Happening::TaskDies(index(random))));
    }
    script
}

fn index(random: &mut Random) -> usize {
    usize::try_from(random.below(SERVICES as u64)).expect("a small number")
}

/// The life of an alert: it fires, is repeated, resolves, perhaps flaps, and is delivered late and twice.
fn write_alert(random: &mut Random, act_ms: u64, fingerprint: u64, script: &mut Vec<(u64, Happening)>) {
    let service = index(random);
    let mut at = random.below(act_ms / 2);
    for _ in 0..random.within(1, 3) {
        let lasts = random.within(5_000, act_ms / 3);
        let held = random.percent(5);
        let send = |firing, ago| Sent { service, fingerprint, firing, ago, held };
        script.push((at, Happening::Alerts(vec![send(true, 1_000)])));
        for _ in 0..random.below(3) {
            let late = random.below(lasts);
            script.push((at + late, Happening::Alerts(vec![send(true, 1_000 + late)])));
        }
        let end = at + lasts;
        script.push((end, Happening::Alerts(vec![send(false, 0)])));
        if random.percent(20) {
            // The last firing arrives after the end that it was sent before.
            script.push((end + random.below(3_000), Happening::Alerts(vec![send(true, 1_000 + lasts)])));
        }
        if random.percent(20) {
            // The end is told again, with its own time.
            let later = random.below(60_000);
            script.push((end + later, Happening::Alerts(vec![send(false, later)])));
        }
        at = end + random.within(2_000, 240_000);
    }
}

/// What it is to the host, if it is anything.
pub(super) fn input(happening: &Happening, now: u64) -> Option<Input> {
    let ada = |why: &str| Person { who: "ada".into(), why: why.into() };
    match happening {
        Happening::Alerts(sent) => Some(Input::Alerts(sent.iter().map(|sent| alert(sent, now)).collect())),
        Happening::Stop => Some(Input::Stop(StopEngaged::by_person(StopScope::Everything, ada("something is wrong")))),
        Happening::Resume => Some(Input::Resume(Resume::Scope(StopScope::Everything), None, ada("it is well again"))),
        Happening::SomebodyScales(..) | Happening::TaskDies(_) => None,
    }
}

fn alert(sent: &Sent, now: u64) -> Alert {
    let Sent { service, fingerprint, firing, ago, held } = sent;
    let time = Some(Timestamp::from_millis(now - ago));
    let labels = [("alertname".to_owned(), "HighCpu".to_owned()), ("service".to_owned(), super::world::name(*service))];
    Alert {
        source: "grafana".parse().expect("a name"),
        org: "1".into(),
        fingerprint: format!("{fingerprint:016x}"),
        status: if *firing { Status::Firing } else { Status::Resolved },
        name: "HighCpu".into(),
        labels: labels.into(),
        annotations: std::collections::BTreeMap::new(),
        values: [("A".to_owned(), 93.0)].into(),
        starts_at: firing.then_some(time).flatten(),
        ends_at: (!firing).then_some(time).flatten(),
        url: String::new(),
        held: held.then_some(Held::NoValues),
    }
}
