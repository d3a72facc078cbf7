//! A host in which a policy has proposed to scale a service from 4 to 6 tasks, and the guard has asked for people.

use std::time::Duration;

use balm_catalogue::ecs;
use balm_core::{
    alert::{Alert, Status},
    approval::{Approver, Said, Speaker, Terms, record::Saying},
    configuration::{
        Bound, Configuration, Filter, Guardrails, Limit, Matcher, Mode, Policy, Scope, Targets, Timing, Window,
    },
    digest::Digest,
    engine::{Engine, genesis},
    evaluation::{Capsule, Conclusion, Decision, Proposal, Trigger},
    input::{Input, Reply, Resume},
    intent::Stage,
    json::Json,
    line::{self, Chain, Framing},
    look::Reading,
    name::{EpisodeId, IntentId, PolicyName, Seq},
    record::{
        AccountChecked, CallResult, Fact, HostStarted, IntentEnd, Manifest, Person, PluginActivated, PluginRemoved,
        Purpose, Record, StopEngaged, StopScope, Verdict,
    },
    recovery,
    state::State,
    target::Target,
    time::Timestamp,
};

use super::{Ends, Expect, Needs};

pub(super) const WEB: &str = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";
pub(super) const API: &str = "arn:aws:ecs:eu-central-1:123456789012:service/prod/api";

/// How long a request waits, in seconds, unless a case says otherwise.
pub(super) const EXPIRES_S: u64 = 600;

/// When the story begins: a Thursday, an hour before midnight.
const BEGINS: u64 = 23 * 3_600_000;

/// How a host lives through a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lives {
    /// Without an end.
    Once,
    /// It is killed after every batch of records, and goes on from the bytes of its journal.
    AfterEachBatch,
}

/// The host and what it has written.
#[derive(Debug)]
pub(crate) struct Scene {
    engine: Engine,
    lives: Lives,
    now: Timestamp,
    records: Vec<Record>,
    disk: Vec<u8>,
    chain: Chain,
    episode: EpisodeId,
    pub(super) intent: IntentId,
    desired: u32,
    service: fn(&mut ecs::Service),
    complaints: Vec<String>,
}

impl Scene {
    pub(super) fn new(needs: Needs, lives: Lives) -> Self {
        let mut scene = Self {
            engine: Engine::new(),
            lives,
            now: Timestamp::from_millis(BEGINS),
            records: Vec::new(),
            disk: Vec::new(),
            chain: Chain::START,
            episode: EpisodeId(Seq::ZERO),
            intent: IntentId { proposed: Seq::ZERO, index: 0 },
            desired: 4,
            service: |_| (),
            complaints: Vec::new(),
        };
        let first = genesis("host".into(), "0.1.0", scene.now);
        scene.engine.replay(&first);
        scene.keep(&first);
        scene.take(Input::Started(HostStarted { version: "0.1.0".into(), engine: "48".into() }));
        scene.take(Input::Configured(Box::new(configuration(needs))));
        scene.plugin(b"plugin");
        scene.account(Ok("arn:aws:sts::123456789012:assumed-role/balm/host".into()));
        scene.fires("HighCpu");
        scene.episode = EpisodeId(scene.last());
        scene.propose();
        scene.look();
        scene
    }

    fn last(&self) -> Seq {
        self.engine.state().seq
    }

    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    /// What is wrong whatever the case is about.
    pub(super) fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// Hand in an input; what it became is durable.
    pub(super) fn take(&mut self, input: Input) -> Reply {
        let taken = self.engine.take(input, self.now);
        taken.records.iter().for_each(|record| self.keep(record));
        if self.lives == Lives::AfterEachBatch && !taken.records.is_empty() {
            self.live_again();
        }
        taken.reply
    }

    fn keep(&mut self, record: &Record) {
        let (framing, begins) = (Framing { synced: Some(self.chain.seq), prev: None }, self.disk.len());
        self.chain = line::write(self.chain, record, framing, &mut self.disk);
        let json = line::split(self.disk[begins..].trim_ascii_end()).map_or(&b""[..], |(_, json)| json);
        if line::glance(json).is_none_or(|glance| glance.episode != record.fact.episode()) {
            self.complaints.push(format!("record {} is not found by its episode", record.seq));
        }
        self.records.push(record.clone());
    }

    /// SIGKILL: another process reads what is on the disk, and must know the same.
    fn live_again(&mut self) {
        let mut engine = Engine::new();
        recovery::read_file(&self.disk, Chain::START, |batch| {
            batch.iter().for_each(|placed| engine.replay(&placed.line.record));
        });
        engine.recovered().expect("the rules compile");
        let (before, after) = (self.engine.state(), engine.state());
        let judges_by = |state: &State| format!("{:?}", state.guarded());
        if before.seq != after.seq || judges_by(before) != judges_by(after) {
            self.complaints.push(format!("after record {} the journal says something else", before.seq));
        }
        self.engine = engine;
    }

    /// How the intent stands.
    pub(super) fn found(&self) -> Expect {
        let (mut attempts, mut refusals, mut void, mut ended) = (0, Vec::new(), None, None);
        for record in &self.records {
            match &record.fact {
                Fact::AttemptStarted(attempt) if attempt.intent == self.intent => attempts += 1,
                Fact::ApprovalRefused(refused) => refusals.push(refused.reason),
                Fact::ApprovalVoid(it) if it.intent == self.intent => void = Some(it.reason),
                Fact::IntentEnded(it) if it.intent == self.intent => {
                    ended = Some(if it.how == IntentEnd::Verified { Ends::Verified } else { Ends::Ended(it.how) });
                }
                Fact::IntentJudged(judged) if judged.intent == self.intent => match judged.verdict {
                    Verdict::Refused(check) => ended = Some(Ends::Refused(check)),
                    Verdict::Observed => ended = Some(Ends::Observed),
                    Verdict::Admitted | Verdict::NeedsApproval(_) => {}
                },
                _ => {}
            }
        }
        let state = self.engine.state();
        let given = state.approvals.get(self.intent).map_or(0, |request| request.given.len());
        let stands = state.intents.get(&self.intent).map(|intent| match intent.stage {
            Stage::Attempting { .. } => Ends::Acts,
            _ => Ends::Waits(given),
        });
        let ends = ended.or(stands).unwrap_or(Ends::Waits(usize::MAX));
        Expect { ends, attempts, refusals, void }
    }

    // What people say.

    /// A person says yes to the plan that is asked for. `#1001` is a user of the machine, anything else a credential.
    pub(super) fn yes(&mut self, who: &str) {
        let plan = self.hash();
        self.say(Saying::Yes, who, self.intent, &plan);
    }

    pub(super) fn yes_to(&mut self, who: &str, plan: &str) {
        self.say(Saying::Yes, who, self.intent, plan);
    }

    pub(super) fn no(&mut self, who: &str) {
        let plan = self.hash();
        self.say(Saying::No, who, self.intent, &plan);
    }

    pub(super) fn withdraw(&mut self, who: &str) {
        let plan = self.hash();
        self.say(Saying::Withdrawn, who, self.intent, &plan);
    }

    pub(super) fn say(&mut self, saying: Saying, who: &str, intent: IntentId, plan: &str) {
        let speaker = match who.strip_prefix('#') {
            Some(uid) => Speaker::User(uid.parse().ok()),
            None => Speaker::Holder(who.into()),
        };
        let person = Person { who: who.into(), why: "I have looked".into() };
        let before = self.records.len();
        let said = Said { intent, saying, plan: plan.into(), speaker, person };
        let reply = self.take(Input::Approval(Box::new(said)));
        let refused = self.records[before..].iter().any(|record| matches!(record.fact, Fact::ApprovalRefused(_)));
        if refused != matches!(reply, Reply::Refused(_)) {
            self.complaints.push(format!("the answer {reply:?} is not what the records say"));
        }
    }

    /// The hash that people were last shown for the intent.
    pub(super) fn hash(&self) -> String {
        self.hash_of(self.intent).unwrap_or_else(|| Digest::ZERO.to_string())
    }

    pub(super) fn hash_of(&self, intent: IntentId) -> Option<String> {
        self.records.iter().rev().find_map(|record| match &record.fact {
            Fact::ApprovalRequested(requested) if requested.plan.intent == intent => Some(requested.hash.to_string()),
            _ => None,
        })
    }

    /// The plan that people were shown, to be forged.
    pub(super) fn plan(&self) -> balm_core::approval::Plan {
        self.engine.state().approvals.get(self.intent).expect("people were asked").plan.clone()
    }

    // What the world does.

    /// The host looks for the guard, if that is due.
    pub(super) fn look(&mut self) {
        let mut service = service(self.desired);
        (self.service)(&mut service);
        self.looked(Ok(Reading::EcsService { service, tasks: vec![] }), 0);
    }

    /// A look that came back so many seconds after it was made.
    pub(super) fn look_late(&mut self, seconds: u64) {
        self.looked(Ok(Reading::EcsService { service: service(self.desired), tasks: vec![] }), seconds);
    }

    pub(super) fn look_in_vain(&mut self) {
        self.looked(Err("AWS did not answer".into()), 0);
    }

    fn looked(&mut self, reading: Result<Reading, String>, late_s: u64) {
        let read_at = self.now.before(Duration::from_secs(late_s));
        let (intent, reading) = (self.intent, reading.map(Box::new));
        self.take(Input::Looked { intent, purpose: Purpose::Guard, reading, read_at });
    }

    pub(super) fn becomes(&mut self, desired: u32) {
        self.desired = desired;
    }

    pub(super) fn service_becomes(&mut self, change: fn(&mut ecs::Service)) {
        self.service = change;
    }

    pub(super) fn call_ends(&mut self, result: CallResult) {
        let attempt = self.engine.state().intents.get(&self.intent).map_or(0, |intent| intent.attempts);
        self.take(Input::CallEnded { intent: self.intent, attempt, result });
    }

    pub(super) fn done_and_verified(&mut self) {
        self.call_ends(CallResult::Done { request: "r-1".into() });
        let reading = Ok(Box::new(Reading::EcsService { service: service(6), tasks: vec![] }));
        self.take(Input::Looked { intent: self.intent, purpose: Purpose::Verify, reading, read_at: self.now });
    }

    /// Time passes, and what is due happens.
    pub(super) fn wait_ms(&mut self, ms: u64) {
        self.pass_unnoticed(ms);
        self.take(Input::Tick);
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.wait_ms(seconds * 1000);
    }

    /// Time passes, and the host has not looked at the clock yet.
    pub(super) fn pass_unnoticed(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
    }

    pub(super) fn clock_jumps(&mut self, seconds: u64) {
        self.pass_unnoticed(seconds * 1000);
        self.take(Input::ClockJumped(seconds * 1000));
        self.take(Input::Tick);
    }

    pub(super) fn fires(&mut self, name: &str) {
        self.take(Input::Alerts(vec![alert(name, Status::Firing, self.now)]));
    }

    /// An alert of which there was none before.
    fn another_fires(&mut self) -> EpisodeId {
        let fingerprint = format!("{:016}", self.records.len());
        self.take(Input::Alerts(vec![Alert { fingerprint, ..alert("Other", Status::Firing, self.now) }]));
        EpisodeId(self.last())
    }

    pub(super) fn resolves(&mut self) {
        let alert = Alert { ends_at: Some(self.now), ..alert("HighCpu", Status::Resolved, self.now) };
        self.take(Input::Alerts(vec![alert]));
    }

    // What policies propose.

    /// The policy proposes; the story goes on with this intent.
    pub(super) fn propose(&mut self) {
        let proposal = scale(WEB, 4, 6);
        self.intent = self.decide("web-cpu", self.episode, proposal);
    }

    /// The policy proposes the same once more, and people are asked for that as well; the story stays with the first.
    pub(super) fn propose_again(&mut self) -> IntentId {
        let first = self.intent;
        self.propose();
        self.look();
        std::mem::replace(&mut self.intent, first)
    }

    /// Another policy, which needs nobody, acts on a target, and is done with it or not.
    pub(super) fn another_acts(&mut self, target: &str, from: u32, to: u32, done: bool) {
        let (first, desired) = (self.intent, self.desired);
        let episode = self.another_fires();
        self.intent = self.decide("other", episode, scale(target, from, to));
        self.desired = from;
        self.look();
        if done {
            self.call_ends(CallResult::Done { request: "r-9".into() });
            let reading = Ok(Box::new(Reading::EcsService { service: service(to), tasks: vec![] }));
            self.take(Input::Looked { intent: self.intent, purpose: Purpose::Verify, reading, read_at: self.now });
        }
        (self.intent, self.desired) = (first, desired);
    }

    fn decide(&mut self, policy: &str, episode: EpisodeId, proposal: Proposal) -> IntentId {
        let policy: PolicyName = policy.parse().expect("a name");
        let state = self.engine.state();
        let concern = state.concern(episode, &policy).expect("the policy is concerned");
        let decision = Decision {
            intents: vec![proposal],
            explanation: "saturated".into(),
            look_again_after: None,
            extra: Json::empty_object(),
        };
        let capsule = Capsule {
            episode,
            policy,
            generation: concern.generation,
            plugin: Digest::of(&[b"plugin"]),
            alert: episode.0,
            configured: state.configured,
            trigger: Trigger::Fired,
            targets: concern.targets.clone(),
            answers: vec![],
            history: vec![],
            now: self.now,
            seed: 1,
            rounds: 1,
            fuel: 1,
            took_us: 1,
            conclusion: Conclusion::Decided(decision),
            superseded: false,
        };
        self.take(Input::Evaluated(Box::new(capsule)));
        let evaluated = |record: &&Record| matches!(record.fact, Fact::Evaluated(_));
        let proposed = self.records.iter().rev().find(evaluated).expect("it was evaluated").seq;
        IntentId { proposed, index: 0 }
    }

    // What operators do.

    pub(super) fn configure(&mut self, change: impl FnOnce(&mut Configuration)) {
        let mut configuration = Configuration::clone(&self.engine.state().configuration);
        change(&mut configuration);
        self.take(Input::Configured(Box::new(configuration)));
    }

    pub(super) fn mode(&mut self, mode: Mode) {
        self.configure(|configuration| {
            let policy = configuration.policies.get_mut(&name("web-cpu")).expect("it is configured");
            policy.mode = mode;
        });
    }

    pub(super) fn settings(&mut self, policy: &str) {
        self.configure(|configuration| {
            let policy = configuration.policies.get_mut(&name(policy)).expect("it is configured");
            policy.settings = Json::parse(r#"{"maximum":9}"#).expect("JSON");
        });
    }

    pub(super) fn rules(&mut self, rules: &str) {
        self.configure(|configuration| {
            configuration.guardrails.rules = [("web.cedar".to_owned(), rules.to_owned())].into();
        });
    }

    pub(super) fn approvers(&mut self, change: impl FnOnce(&mut Terms)) {
        self.configure(|configuration| change(&mut configuration.approval));
    }

    pub(super) fn plugin(&mut self, bytes: &[u8]) {
        let manifest = Manifest {
            actions: vec!["ecs:scale-service".into()],
            queries: vec!["ecs:service".into()],
            ..Manifest::default()
        };
        let (plugin, digest) = ("scale-ecs-service".parse().expect("a name"), Digest::of(&[bytes]));
        let activated = PluginActivated {
            plugin,
            digest,
            bytes: 6,
            manifest,
            cause: balm_core::versions::record::Cause::Directory,
        };
        self.take(Input::PluginActivated(Box::new(activated)));
    }

    pub(super) fn plugin_goes(&mut self) {
        let plugin = "scale-ecs-service".parse().expect("a name");
        let removed =
            PluginRemoved { plugin, digest: Digest::of(&[b"plugin"]), why: "its file is gone".into(), by: None };
        let arrived = balm_core::input::Arrived { removed: vec![removed], ..balm_core::input::Arrived::default() };
        self.take(Input::Arrived(Box::new(arrived)));
    }

    pub(super) fn account(&mut self, identity: Result<String, String>) {
        let Target { account, region, .. } = WEB.parse().expect("a target");
        self.take(Input::AccountChecked(AccountChecked { account, region, identity }));
    }

    pub(super) fn stop(&mut self, scope: StopScope) {
        self.take(Input::Stop(StopEngaged::by_person(scope, Person { who: "ada".into(), why: "odd".into() })));
    }

    pub(super) fn resume(&mut self, scope: StopScope) {
        self.take(Input::Resume(Resume::Scope(scope), None, Person { who: "ada".into(), why: "mended".into() }));
    }
}

pub(super) fn name(text: &str) -> PolicyName {
    text.parse().expect("a name")
}

/// Rules that let the other policy act by itself, and `web-cpu` once so many have approved it.
pub(super) fn rules_for(approvals: u32) -> String {
    format!(
        "permit(principal == Policy::\"other\", action, resource);\n\
         permit(principal == Policy::\"web-cpu\", action, resource) when {{ context.approvals >= {approvals} }};"
    )
}

fn configuration(needs: Needs) -> Configuration {
    let (mode, approvals) = match needs {
        Needs::Suggest => (Mode::Suggest, 0),
        Needs::Rules(approvals) => (Mode::Enforce, approvals),
        Needs::Both(approvals) => (Mode::Suggest, approvals),
        Needs::Nobody => (Mode::Enforce, 0),
    };
    let approver = |credential, uid| Approver { credential, uid };
    let approvers = [
        ("ada", approver(true, Some(1001))),
        ("grace", approver(true, None)),
        ("eve", approver(true, None)),
        ("otto", approver(false, Some(1002))),
    ];
    let approvers = approvers.map(|(name, how)| (name.parse().expect("a name"), how)).into();
    let target: Target = WEB.parse().expect("a target");
    Configuration {
        policies: [
            (name("web-cpu"), policy(mode, "HighCpu", &[WEB])),
            (name("other"), policy(Mode::Enforce, "Other", &[WEB, API])),
        ]
        .into(),
        guardrails: Guardrails {
            rules: [("web.cedar".to_owned(), rules_for(approvals))].into(),
            limits: vec![Limit {
                scope: Scope::Everything,
                only: Filter::default(),
                count: 2,
                window: Window::of_ms(3_600_000),
            }],
            bounds: vec![Bound { minimum: Some(2), maximum: Some(12), ..Bound::default() }],
            opposes_for_ms: 300_000,
            ..Guardrails::default()
        },
        accounts: [(target.account, vec![target.region])].into(),
        notifiers: vec!["log".parse().expect("a name")],
        paced: vec![],
        checkpoints: vec![],
        timing: Timing::default(),
        quarantine_after: 0,
        approval: Terms { expires_after_ms: EXPIRES_S * 1000, approvers },
    }
}

fn policy(mode: Mode, alertname: &str, targets: &[&str]) -> Policy {
    Policy {
        plugin: "scale-ecs-service".parse().expect("a name"),
        mode,
        matches: Matcher { sources: vec![], labels: [("alertname".to_owned(), vec![alertname.to_owned()])].into() },
        targets: Targets::Fixed(targets.iter().map(|target| target.parse().expect("a target")).collect()),
        settings: Json::empty_object(),
    }
}

fn scale(target: &str, from: u32, to: u32) -> Proposal {
    Proposal {
        action: "ecs:scale-service".into(),
        target: target.into(),
        parameters: Json::of(&ecs::ScaleService { desired: to }),
        expects: Json::parse(&format!(r#"{{"desired":{from}}}"#)).expect("JSON"),
        verify_within: None,
        undo: false,
        reason: "CPU is at 91 %".into(),
    }
}

fn alert(name: &str, status: Status, now: Timestamp) -> Alert {
    Alert {
        source: "grafana".parse().expect("a name"),
        org: "1".into(),
        fingerprint: format!("{name:0>16}"),
        status,
        name: name.into(),
        labels: [("alertname".to_owned(), name.to_owned())].into(),
        annotations: [].into(),
        values: [].into(),
        starts_at: Some(now),
        ends_at: None,
        url: String::new(),
        held: None,
    }
}

fn service(desired: u32) -> ecs::Service {
    let deployment = ecs::Deployment {
        id: "ecs-svc/1".into(),
        status: "PRIMARY".into(),
        desired,
        running: desired,
        pending: 0,
        failed: 0,
        created_at: 0,
        rollout_state: "COMPLETED".into(),
    };
    ecs::Service {
        status: "ACTIVE".into(),
        desired,
        running: desired,
        pending: 0,
        task_definition: "arn:aws:ecs:eu-central-1:123456789012:task-definition/web:7".into(),
        deployments: vec![deployment],
        min_healthy_percent: Some(100),
        tags: [("team".to_owned(), "web".to_owned())].into(),
    }
}
