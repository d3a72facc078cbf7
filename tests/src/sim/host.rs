//! The host in the simulation: the real engine and the real lines, on a disk that keeps what was synced and, of what was
//! not, whatever the seed decides.

use balm_core::{
    alert::Alert,
    approval::Terms,
    configuration::{
        Bound, Configuration, Filter, Guardrails, Limit, Matcher, Mode, Policy, Scope, Targets, Timing, Window,
    },
    digest::Digest,
    engine::{Effect, Engine, Handed, genesis},
    input::{Input, Reply},
    json::Json,
    line::{self, Chain, Framing},
    name::Seq,
    record::{AccountChecked, Fact, HostStarted, Manifest, PluginActivated, Record},
    recovery::{self, Rest},
    snapshot,
    state::State,
    time::Timestamp,
};

use super::{
    random::Random,
    script::SERVICES,
    world::{ACCOUNT, REGION, SETTLE_MS, name},
};

/// Admissions of one target in an hour.
pub(super) const LIMIT: u32 = 12;

/// Where a step crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    /// Nothing of the group reaches the disk.
    BeforeWrite,
    /// Some of its bytes do.
    DuringWrite,
    /// All of it does, and nobody is answered.
    BeforeAnswer,
    /// Everybody is answered, and nothing is handed out.
    BeforeRelease,
    /// Everything is handed out.
    AfterRelease,
}

impl Crash {
    pub(super) fn any(random: &mut Random) -> Self {
        match random.below(5) {
            0 => Self::BeforeWrite,
            1 => Self::DuringWrite,
            2 => Self::BeforeAnswer,
            3 => Self::BeforeRelease,
            _ => Self::AfterRelease,
        }
    }
}

/// Something that a host began has come to its end.
#[derive(Debug)]
pub(super) struct Ending {
    /// Which life of the host began it: another one does not hear of it.
    pub(super) life: u32,
    pub(super) input: Input,
}

/// What a step did.
#[derive(Debug, Default)]
pub(super) struct Stepped {
    pub(super) crashed: bool,
    /// Records that are durable now and were not before.
    pub(super) durable: Vec<Record>,
    pub(super) effects: Vec<Effect>,
    /// What somebody sent and, since it crashed, got no answer to.
    pub(super) unanswered: Vec<Input>,
}

/// The host and its disk.
#[derive(Debug)]
pub(super) struct Host {
    engine: Engine,
    life: u32,
    inbox: Vec<Input>,
    /// Bytes on the disk.
    disk: Vec<u8>,
    records: Vec<Record>,
    /// How many of them a step has told about.
    told: usize,
    chain: Chain,
    /// The last record that an alert was acknowledged with, and its hash.
    acknowledged: Chain,
}

impl Host {
    pub(super) fn new() -> Self {
        Self {
            engine: Engine::new(),
            life: 0,
            inbox: Vec::new(),
            disk: Vec::new(),
            records: Vec::new(),
            told: 0,
            chain: Chain::START,
            acknowledged: Chain::START,
        }
    }

    pub(super) const fn life(&self) -> u32 {
        self.life
    }

    pub(super) const fn state(&self) -> &State {
        self.engine.state()
    }

    pub(super) fn waits(&mut self, input: Input) {
        self.inbox.push(input);
    }

    pub(super) fn ends(&self, ending: Ending) -> Option<Input> {
        (ending.life == self.life).then_some(ending.input)
    }

    pub(super) fn next_timer(&self) -> Option<u64> {
        self.engine.state().next_timer().map(Timestamp::as_millis)
    }

    pub(super) fn alert(&self, seq: Seq) -> Alert {
        let index = usize::try_from(seq.0 - 1).expect("a small number");
        match &self.records[index].fact {
            Fact::AlertReceived(received) => received.alert.clone(),
            _ => unreachable!("an evaluation names the record of its alert"),
        }
    }

    /// Begin to live: believe what is on the disk, sometimes by way of a saved state, and write down that the host runs.
    /// Says what was lost that was acknowledged.
    pub(super) fn restart(&mut self, now: Timestamp, random: &mut Random) -> Option<String> {
        self.life += 1;
        self.inbox.clear();
        self.engine = Engine::new();
        self.records.clear();
        let mut hash_of_acknowledged = None;
        let (records, engine, acknowledged) = (&mut self.records, &mut self.engine, self.acknowledged);
        let held = recovery::read_file(&self.disk, Chain::START, |batch| {
            for placed in batch {
                engine.replay(&placed.line.record);
                if placed.line.record.seq == acknowledged.seq {
                    hash_of_acknowledged = Some(placed.line.hash);
                }
                records.push(placed.line.record);
            }
        });
        self.engine.recovered().expect("the rules load");
        if !matches!(held.rest, Rest::Nothing | Rest::Torn { .. }) {
            return Some(format!("the journal is not believed: {:?}", held.rest));
        }
        self.disk.truncate(held.believed);
        self.chain = held.chain;
        if self.records.len() < self.told {
            return Some(format!("of {} durable records {} are there", self.told, self.records.len()));
        }
        if acknowledged.seq != Seq::ZERO && hash_of_acknowledged != Some(acknowledged.hash) {
            return Some(format!("record {} was acknowledged and is not there", acknowledged.seq));
        }
        if self.chain == Chain::START {
            let first = genesis("simulated".into(), "0.1.0", now);
            self.engine.replay(&first);
            let group = self.encode(std::slice::from_ref(&first));
            self.disk.extend(group);
            self.records.push(first);
        }
        for input in beginnings() {
            self.inbox.push(input);
        }
        if random.percent(50) {
            let saved = snapshot::read(&bytes(self.engine.state(), self.chain));
            self.engine = Engine::resuming(saved.expect("it was just written").state);
            self.engine.recovered().expect("the rules load");
        }
        None
    }

    fn encode(&mut self, records: &[Record]) -> Vec<u8> {
        let synced = self.chain.seq;
        let mut group = Vec::new();
        for record in records {
            let framing = Framing { synced: group.is_empty().then_some(synced), prev: None };
            self.chain = line::write(self.chain, record, framing, &mut group);
        }
        group
    }

    /// Take what waits and what is due, in one group.
    pub(super) fn step(&mut self, now: Timestamp, crash: Option<Crash>, random: &mut Random) -> Stepped {
        let mut records = Vec::new();
        let mut unanswered = Vec::new();
        for input in std::mem::take(&mut self.inbox) {
            if matches!(input, Input::Alerts(_) | Input::Stop(..) | Input::Resume(..)) {
                unanswered.push(input.clone());
            }
            let taken = self.engine.take(input, now);
            debug_assert!(!matches!(taken.reply, Reply::Overloaded(_)));
            records.extend(taken.records);
        }
        while self.engine.state().next_timer().is_some_and(|next| next <= now) {
            records.extend(self.engine.take(Input::Tick, now).records);
        }
        let group = self.encode(&records);
        let reached = match crash {
            Some(Crash::BeforeWrite) => Vec::new(),
            Some(Crash::DuringWrite) => tear(&group, random),
            Some(Crash::BeforeAnswer | Crash::BeforeRelease | Crash::AfterRelease) | None => group,
        };
        self.disk.extend(reached);
        if matches!(crash, Some(Crash::BeforeWrite | Crash::DuringWrite)) {
            return Stepped { crashed: true, unanswered, durable: self.untold(), ..Stepped::default() };
        }
        self.records.extend(records);
        if crash != Some(Crash::BeforeAnswer) && !unanswered.is_empty() {
            self.acknowledged = self.chain;
            unanswered.clear();
        }
        let mut effects = Vec::new();
        if !matches!(crash, Some(Crash::BeforeAnswer | Crash::BeforeRelease)) {
            self.engine.release(|effect| {
                effects.push(effect);
                Handed::UnderWay
            });
        }
        Stepped { crashed: crash.is_some(), durable: self.untold(), effects, unanswered }
    }

    /// What is durable and was not told about yet: with it what the last start found whole, though the host crashed while it
    /// was written.
    fn untold(&mut self) -> Vec<Record> {
        let untold = self.records[self.told..].to_vec();
        self.told = self.records.len();
        untold
    }

    /// Whether replaying the journal gives another state than living did; from its first record, and from the state that
    /// would have been saved at any batch's end.
    pub(super) fn differs_from_its_journal(&self, random: &mut Random) -> Option<String> {
        let (mut again, mut batches) = (Engine::new(), Vec::new());
        let held = recovery::read_file(&self.disk, Chain::START, |batch| {
            let last = batch.last().expect("a batch has a record");
            let chain = Chain { seq: last.line.record.seq, hash: last.line.hash };
            batch.iter().for_each(|placed| again.replay(&placed.line.record));
            batches.push((chain, batch.into_iter().map(|placed| placed.line.record).collect::<Vec<_>>()));
        });
        if again.state() != self.state() || held.chain != self.chain {
            return Some("the replayed state is another one".to_owned());
        }
        let cut = usize::try_from(random.below(batches.len() as u64)).expect("a small number");
        let (before, behind) = batches.split_at(cut);
        match from_snapshot(before, behind) {
            Ok(resumed) if bytes(resumed.state(), self.chain) == bytes(self.state(), self.chain) => None,
            Ok(_) => Some(format!("the state from the one saved after batch {cut} is another one")),
            Err(why) => Some(format!("the state saved after batch {cut} cannot be used: {why}")),
        }
    }

    pub(super) fn story(&self) -> Vec<(u64, String)> {
        let line = |record: &Record| {
            let text = serde_json::to_string(record).expect("a record serialises");
            (record.at.as_millis(), format!("host   {text:.600}"))
        };
        self.records.iter().map(line).collect()
    }

    pub(super) fn disk(&self) -> &[u8] {
        &self.disk
    }

    pub(super) fn fingerprint(&self) -> String {
        Digest::of(&[&self.disk]).to_string()
    }
}

type Batch = (Chain, Vec<Record>);

/// Save the state after some batches, and go on from what was saved with the others.
fn from_snapshot(before: &[Batch], behind: &[Batch]) -> Result<Engine, String> {
    let mut saved = Engine::new();
    before.iter().flat_map(|(_, records)| records).for_each(|record| saved.replay(record));
    let chain = before.last().map_or(Chain::START, |(chain, _)| *chain);
    let read = snapshot::read(&bytes(saved.state(), chain)).map_err(|error| error.to_string())?;
    if read.chain != chain || read.state != *saved.state() {
        return Err("what is read is not what was saved".into());
    }
    let mut resumed = Engine::resuming(read.state);
    behind.iter().flat_map(|(_, records)| records).for_each(|record| resumed.replay(record));
    Ok(resumed)
}

fn bytes(state: &State, chain: Chain) -> Vec<u8> {
    let mut bytes = Vec::new();
    snapshot::write(state, chain, &mut bytes).expect("memory can be written");
    bytes
}

/// Some sectors of a write reach the disk, others do not; or all do, and the host does not live to see it.
fn tear(group: &[u8], random: &mut Random) -> Vec<u8> {
    const SECTOR: usize = 512;
    if random.percent(10) {
        return group.to_vec();
    }
    let kept = usize::try_from(random.below(group.len() as u64 + 1)).expect("a small number");
    let mut torn = group[..kept].to_vec();
    if random.percent(50) {
        for sector in torn.chunks_mut(SECTOR) {
            if random.percent(30) {
                sector.fill(0);
            }
        }
    }
    torn
}

/// What every start writes down.
fn beginnings() -> [Input; 4] {
    let manifest = Manifest {
        version: "0.1.0".into(),
        summary: String::new(),
        actions: vec!["ecs:scale-service".into()],
        queries: vec!["ecs:service".into()],
    };
    let plugin = "scale-ecs-service".parse().expect("a name");
    let activated = PluginActivated {
        plugin,
        digest: Digest::of(&[b"native"]),
        bytes: 6,
        manifest,
        cause: balm_core::versions::record::Cause::Directory,
    };
    let (account, region) = (ACCOUNT.parse().expect("an account"), REGION.parse().expect("a region"));
    [
        Input::Started(HostStarted { version: "0.1.0".into(), engine: "native".into() }),
        Input::Configured(Box::new(configuration())),
        Input::PluginActivated(Box::new(activated)),
        Input::AccountChecked(AccountChecked { account, region, identity: Ok("the simulator".into()) }),
    ]
}

fn configuration() -> Configuration {
    let (account, region) = (ACCOUNT.parse().expect("an account"), REGION.parse().expect("a region"));
    let settings = r#"{"minimum":2,"maximum":10,"out-step":2,"in-step":1,"out-pause":60,"in-pause":90}"#;
    let policy = Policy {
        plugin: "scale-ecs-service".parse().expect("a name"),
        mode: Mode::Enforce,
        matches: Matcher { sources: Vec::new(), labels: [("alertname".to_owned(), vec!["HighCpu".to_owned()])].into() },
        targets: Targets::EcsServiceFromLabel {
            account,
            region: REGION.parse().expect("a region"),
            cluster: "prod".into(),
            label: "service".into(),
            allowed: (0..SERVICES).map(name).collect(),
        },
        settings: Json::parse(settings).expect("JSON"),
    };
    let bound = Bound { minimum: Some(2), maximum: Some(10), step: Some(4), ..Bound::default() };
    Configuration {
        policies: [("web-cpu".parse().expect("a name"), policy)].into(),
        guardrails: Guardrails {
            rules: [("all.cedar".to_owned(), "permit(principal, action, resource);".to_owned())].into(),
            limits: vec![Limit {
                scope: Scope::Target,
                only: Filter::default(),
                count: LIMIT,
                window: Window::of_ms(3_600_000),
            }],
            bounds: vec![bound],
            opposes_for_ms: 30_000,
            ..Guardrails::default()
        },
        accounts: [(account, vec![region])].into(),
        notifiers: vec!["log".parse().expect("a name")],
        paced: vec!["log".parse().expect("a name")],
        checkpoints: vec![],
        quarantine_after: 4,
        timing: Timing { settle_ms: SETTLE_MS, ..Timing::default() },
        approval: Terms::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_left_whole_is_told_about_though_nobody_saw_it_written() {
        let mut whole = 0;
        for seed in 0..100 {
            let (mut host, mut random) = (Host::new(), Random::new(seed));
            let mut told = Vec::new();
            for (at, crash) in [(1, None), (2, Some(Crash::DuringWrite)), (3, None)] {
                assert_eq!(host.restart(Timestamp::from_millis(at), &mut random), None);
                let stepped = host.step(Timestamp::from_millis(at), crash, &mut random);
                told.extend(stepped.durable.iter().map(|record| record.seq.0));
            }
            assert!(told.iter().copied().eq(1..=told.len() as u64), "seed {seed}: {told:?}");
            whole += usize::from(host.records.iter().filter(|record| record.at.as_millis() == 2).count() > 0);
        }
        assert!(whole > 5, "{whole} groups were whole");
    }
}
