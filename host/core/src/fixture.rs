//! What tests of the core share: valid defaults, so that a test shows only what matters.

use std::time::Duration;

use balm_catalogue::{asg, ecs};

use crate::{
    alert::{Alert, Status, tests::firing},
    approval::Terms,
    configuration::{
        Bound, Configuration, Filter, Guardrails, Limit, Matcher, Mode, Policy, Scope, Targets, Timing, Window,
    },
    digest::Digest,
    engine::{Effect, Engine, Handed, genesis},
    evaluation::{Capsule, Conclusion, Decision, Proposal, Trigger},
    guard::ProposedIntent,
    input::{Input, Reply, Resume},
    json::Json,
    look::Reading,
    name::{EpisodeId, IntentId, PolicyName, Seq},
    record::{
        AccountChecked, CallResult, Fact, HostStarted, IntentJudged, Manifest, Person, PluginActivated, Purpose,
        Record, StopEngaged, StopScope,
    },
    target::Target,
    time::Timestamp,
    versions::record::Cause,
};

pub(crate) fn policy_name() -> PolicyName {
    "web-cpu".parse().expect("a name")
}

pub(crate) fn target() -> Target {
    "arn:aws:ecs:eu-central-1:123456789012:service/prod/web".parse().expect("a target")
}

pub(crate) fn policy() -> Policy {
    Policy {
        plugin: "scale-ecs-service".parse().expect("a name"),
        mode: Mode::Enforce,
        matches: Matcher {
            sources: vec!["grafana".parse().expect("a name")],
            labels: [("alertname".to_owned(), vec!["HighCpu".to_owned(), "LowCpu".to_owned()])].into(),
        },
        targets: Targets::Fixed(vec![target(), fleet()]),
        settings: Json::empty_object(),
    }
}

pub(crate) fn configuration() -> Configuration {
    let bound = Bound {
        only: Filter { action: Some("ecs:scale-service".into()), ..Filter::default() },
        minimum: Some(2),
        maximum: Some(12),
        ..Bound::default()
    };
    Configuration {
        policies: [(policy_name(), policy())].into(),
        guardrails: Guardrails {
            rules: [("web.cedar".to_owned(), "permit(principal, action, resource);".to_owned())].into(),
            limits: vec![Limit {
                scope: Scope::Target,
                only: Filter::default(),
                count: 9,
                window: Window::of_ms(3_600_000),
            }],
            bounds: vec![bound],
            opposes_for_ms: 300_000,
            ..Guardrails::default()
        },
        accounts: [(target().account, vec![target().region])].into(),
        notifiers: vec!["log".parse().expect("a name"), "team".parse().expect("a name")],
        paced: vec!["team".parse().expect("a name")],
        checkpoints: vec![],
        timing: Timing::default(),
        quarantine_after: 0,
        approval: Terms::default(),
    }
}

/// A look at a steady service of so many tasks.
pub(crate) fn reading(desired: u32) -> Reading {
    Reading::EcsService { service: service(desired), tasks: vec![] }
}

/// A steady service of so many tasks.
pub(crate) fn service(desired: u32) -> ecs::Service {
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

pub(crate) fn task(id: &str) -> ecs::Task {
    ecs::Task {
        id: id.into(),
        last_status: "RUNNING".into(),
        desired_status: "RUNNING".into(),
        health: "HEALTHY".into(),
        created_at: 0,
        stopped_reason: String::new(),
    }
}

pub(crate) fn fleet() -> Target {
    "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/fleet"
        .parse()
        .expect("a target")
}

/// A look at a steady group of so many instances.
pub(crate) fn group_reading(desired: u32) -> Reading {
    Reading::AsgGroup { group: group(desired) }
}

/// A steady group of so many instances, which may have 1 to 12.
pub(crate) fn group(desired: u32) -> asg::Group {
    asg::Group {
        status: String::new(),
        desired,
        min: 1,
        max: 12,
        instances: (0..desired).map(instance).collect(),
        refreshes: vec![],
        suspended: vec![],
        tags: [("team".to_owned(), "web".to_owned())].into(),
    }
}

pub(crate) fn instance(number: u32) -> asg::Instance {
    asg::Instance {
        id: format!("i-{number:017x}"),
        lifecycle_state: "InService".into(),
        health_status: "Healthy".into(),
        protected: false,
    }
}

pub(crate) fn refresh(id: &str, status: &str) -> asg::Refresh {
    asg::Refresh { id: id.into(), status: status.into(), started_at: 0, percentage_complete: 0 }
}

/// Make a proposal one that does something to the group.
pub(crate) fn on_fleet(proposal: &mut Proposal, action: &str, parameters: &str, expects: &str) {
    proposal.action = action.into();
    proposal.target = fleet().to_string();
    proposal.parameters = Json::parse(parameters).expect("JSON");
    proposal.expects = Json::parse(expects).expect("JSON");
}

/// Make a proposal one that scales from what it saw to what it wants.
pub(crate) fn scale(proposal: &mut Proposal, from: u32, to: u32) {
    proposal.parameters = Json::of(&ecs::ScaleService { desired: to });
    proposal.expects = Json::parse(&format!(r#"{{"desired":{from}}}"#)).expect("JSON");
}

pub(crate) fn proposal() -> Proposal {
    let mut proposal = Proposal {
        action: "ecs:scale-service".into(),
        target: target().to_string(),
        parameters: Json::empty_object(),
        expects: Json::empty_object(),
        verify_within: None,
        undo: false,
        reason: "CPU is at 91 %".into(),
    };
    scale(&mut proposal, 4, 6);
    proposal
}

pub(crate) fn person() -> Person {
    Person { who: "ada".into(), why: "maintenance".into() }
}

/// A host in which an alert has fired and a policy has proposed to scale the service from 4 to 6 tasks.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) now: Timestamp,
    pub(crate) intent: IntentId,
    pub(crate) episode: EpisodeId,
    pub(crate) records: Vec<Record>,
    reading: Result<Reading, String>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let mut bench = Self::before_alert();
        bench.account(Ok("arn:aws:sts::123456789012:assumed-role/balm/host".into()));
        bench.fires();
        bench
    }

    /// The same, before the account's identity was asked.
    pub(crate) fn unverified() -> Self {
        let mut bench = Self::before_alert();
        bench.fires();
        bench
    }

    /// A host in which a policy has proposed to set the group from 4 to 6 instances, which a bound covers.
    pub(crate) fn for_fleet() -> Self {
        let mut bench = Self::new();
        bench.configure(|configuration, _| configuration.guardrails.bounds.push(Bound::default()));
        bench
            .propose(|proposal| on_fleet(proposal, "asg:set-desired-capacity", r#"{"desired":6}"#, r#"{"desired":4}"#));
        bench.look(group_reading(4));
        bench
    }

    fn fires(&mut self) {
        let alert = Alert { labels: with_severity(), ..firing() };
        self.take(Input::Alerts(vec![alert]));
        self.episode = EpisodeId(self.engine.state().seq);
        self.propose(|_| {});
    }

    /// A configured host that has seen no alert. Its clock begins on a Thursday at midnight.
    pub(crate) fn before_alert() -> Self {
        let zero = IntentId { proposed: Seq::ZERO, index: 0 };
        let mut engine = Engine::new();
        engine.replay(&genesis("host".into(), "0.1.0", Timestamp::EPOCH));
        let mut bench = Self {
            engine,
            now: Timestamp::EPOCH,
            intent: zero,
            episode: EpisodeId(Seq::ZERO),
            records: Vec::new(),
            reading: Ok(reading(4)),
        };
        bench.take(Input::Started(HostStarted { version: "0.1.0".into(), engine: "48".into() }));
        bench.take(Input::Configured(Box::new(configuration())));
        bench.activate(balm_catalogue::ACTIONS);
        bench
    }

    pub(crate) fn take(&mut self, input: Input) -> Vec<Record> {
        let taken = self.engine.take(input, self.now);
        assert!(!matches!(taken.reply, Reply::Refused(_) | Reply::Overloaded(_)), "{:?}", taken.reply);
        let more: Vec<bool> = taken.records.iter().map(|record| record.more).collect();
        assert!(more.iter().rev().skip(1).all(|more| *more) && more.last() != Some(&true), "a batch ends once");
        self.records.extend(taken.records.iter().cloned());
        taken.records
    }

    pub(crate) fn release(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.engine.release(|effect| {
            effects.push(effect);
            Handed::UnderWay
        });
        effects
    }

    pub(crate) fn policy_name(&self) -> PolicyName {
        policy_name()
    }

    pub(crate) fn target(&self) -> Target {
        target()
    }

    pub(crate) fn configuration(&self) -> Configuration {
        Configuration::clone(&self.engine.state().configuration)
    }

    pub(crate) fn configure(&mut self, change: impl FnOnce(&mut Configuration, &PolicyName)) {
        let mut configuration = self.configuration();
        change(&mut configuration, &policy_name());
        self.take(Input::Configured(Box::new(configuration)));
    }

    pub(crate) fn activate(&mut self, actions: &[&str]) {
        let manifest = Manifest {
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
            queries: vec!["ecs:service".into()],
            ..Manifest::default()
        };
        let plugin = "scale-ecs-service".parse().expect("a name");
        let activated =
            PluginActivated { plugin, digest: Digest::of(&[b"plugin"]), bytes: 6, manifest, cause: Cause::Directory };
        self.take(Input::PluginActivated(Box::new(activated)));
    }

    /// The version in force.
    pub(crate) fn version(&self) -> Digest {
        self.engine.state().plugins[&policy().plugin].digest
    }

    pub(crate) fn account(&mut self, identity: Result<String, String>) {
        let Target { account, region, .. } = target();
        self.take(Input::AccountChecked(AccountChecked { account, region, identity }));
    }

    pub(crate) fn stop(&mut self, scope: StopScope) -> Seq {
        self.take(Input::Stop(StopEngaged::by_person(scope, person())))[0].seq
    }

    pub(crate) fn resume(&mut self, stop: Seq) {
        self.take(Input::Resume(Resume::Stop(stop), None, person()));
    }

    pub(crate) fn resolve(&mut self) {
        let ends_at = Some(self.now.max(Timestamp::from_millis(2_000)));
        self.take(Input::Alerts(vec![Alert { status: Status::Resolved, ends_at, ..firing() }]));
    }

    /// The alert fires again after it was resolved.
    pub(crate) fn fires_again(&mut self) {
        let starts_at = Some(self.now);
        self.take(Input::Alerts(vec![Alert { starts_at, ..firing() }]));
    }

    /// Another alert fires, which has an episode of its own; the bench goes on with it.
    pub(crate) fn fires_elsewhere(&mut self) {
        self.take(Input::Alerts(vec![Alert { fingerprint: "0123456789abcdef".into(), ..firing() }]));
        self.episode = EpisodeId(self.engine.state().seq);
    }

    /// An alert fires that concerns another policy, with a service of this name; the bench goes on as it was.
    pub(crate) fn fires_for(&mut self, service: &str) -> Vec<Record> {
        let target = target().to_string().replace("/web", &format!("/{service}")).parse().expect("a target");
        let matches =
            Matcher { labels: [("alertname".to_owned(), vec![service.to_owned()])].into(), ..policy().matches };
        let policy = Policy { targets: Targets::Fixed(vec![target]), matches, ..policy() };
        self.configure(|configuration, _| {
            configuration.policies.insert(format!("for-{service}").parse().expect("a name"), policy);
        });
        let labels = [("alertname".to_owned(), service.to_owned())].into();
        self.take(Input::Alerts(vec![Alert { fingerprint: service.into(), labels, ..firing() }]))
    }

    /// The policy also proposes to set the group, which a bound covers; the bench goes on with that.
    pub(crate) fn propose_on_fleet(&mut self) -> IntentId {
        self.configure(|configuration, _| configuration.guardrails.bounds.push(Bound::default()));
        let (parameters, expects) = (r#"{"desired":6}"#, r#"{"desired":4}"#);
        self.propose(|proposal| on_fleet(proposal, "asg:set-desired-capacity", parameters, expects));
        self.look(group_reading(4));
        self.intent
    }

    pub(crate) fn wait(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    pub(crate) fn clock_jumps(&mut self, span: Duration) {
        self.wait(span);
        self.take(Input::ClockJumped(u64::try_from(span.as_millis()).expect("a short time")));
    }

    pub(crate) fn clock_accepted(&mut self) {
        self.take(Input::ClockAccepted(person()));
    }

    pub(crate) fn look(&mut self, reading: Reading) {
        self.reading = Ok(reading);
    }

    pub(crate) fn unreadable(&mut self) {
        self.reading = Err("AWS did not answer".into());
    }

    /// The policy proposes; the bench goes on with this intent.
    pub(crate) fn propose(&mut self, change: impl FnOnce(&mut Proposal)) {
        let mut proposal = proposal();
        change(&mut proposal);
        let decision = Decision {
            intents: vec![proposal],
            explanation: "saturated".into(),
            look_again_after: None,
            extra: Json::empty_object(),
        };
        self.decide(decision);
        self.intent = IntentId { proposed: self.last_evaluated(), index: 0 };
    }

    pub(crate) fn decide(&mut self, decision: Decision) {
        self.conclude(Conclusion::Decided(decision));
    }

    pub(crate) fn conclude(&mut self, conclusion: Conclusion) {
        let capsule = self.capsule(conclusion);
        self.take(Input::Evaluated(Box::new(capsule)));
    }

    pub(crate) fn capsule(&self, conclusion: Conclusion) -> Capsule {
        let concern = self.engine.state().concern(self.episode, &policy_name()).expect("a concern");
        Capsule {
            episode: self.episode,
            policy: policy_name(),
            generation: concern.generation,
            plugin: Digest::of(&[b"plugin"]),
            alert: self.episode.0,
            configured: self.engine.state().configured,
            trigger: Trigger::Fired,
            targets: vec![target(), fleet()],
            answers: vec![],
            history: vec![],
            now: self.now,
            seed: 1,
            rounds: 1,
            fuel: 1,
            took_us: 1,
            conclusion,
            superseded: false,
        }
    }

    fn last_evaluated(&self) -> Seq {
        let evaluated = |record: &&Record| matches!(record.fact, Fact::Evaluated(_));
        self.records.iter().rev().find(evaluated).expect("an evaluation").seq
    }

    /// What the guard says of the intent now, without anything following from it.
    pub(crate) fn judge(&mut self) -> IntentJudged {
        let state = self.engine.state();
        let Some(intent) = state.intents.get(&self.intent) else {
            // It was out of reach and judged at once.
            return judged(&self.records, self.intent);
        };
        let rules = crate::guard::Rules::compile(&state.configuration.guardrails.rules).expect("rules");
        let reading = self.reading.as_ref().map_err(String::as_str);
        let judgement = ProposedIntent::new(state, &rules, intent, reading, self.now).judge();
        let Some(Fact::IntentJudged(judged)) = judgement.facts.into_iter().next() else { panic!("a judgement") };
        *judged
    }

    /// The host looks, and the guard judges.
    pub(crate) fn judge_and_admit(&mut self) -> IntentJudged {
        self.looked(Purpose::Guard, self.reading.clone());
        judged(&self.records, self.intent)
    }

    pub(crate) fn looked(&mut self, purpose: Purpose, reading: Result<Reading, String>) -> Vec<Record> {
        let reading = reading.map(Box::new);
        self.take(Input::Looked { intent: self.intent, purpose, reading, read_at: self.now })
    }

    pub(crate) fn call_ended(&mut self, result: CallResult) -> Vec<Record> {
        let attempt = self.engine.state().intents[&self.intent].attempts;
        self.take(Input::CallEnded { intent: self.intent, attempt, result })
    }

    /// AWS answers, and the world is as promised.
    pub(crate) fn done_and_verified(&mut self) {
        let wanted: ecs::ScaleService =
            self.engine.state().intents[&self.intent].proposal.parameters.read().expect("parameters");
        self.call_ended(CallResult::Done { request: "r-1".into() });
        self.looked(Purpose::Verify, Ok(reading(wanted.desired)));
        assert!(!self.engine.state().intents.contains_key(&self.intent), "it is verified");
    }
}

fn judged(records: &[Record], intent: IntentId) -> IntentJudged {
    let of_intent = |record: &Record| match &record.fact {
        Fact::IntentJudged(judged) if judged.intent == intent => Some(IntentJudged::clone(judged)),
        _ => None,
    };
    records.iter().rev().find_map(of_intent).expect("a judgement")
}

fn with_severity() -> std::collections::BTreeMap<String, String> {
    let mut labels = firing().labels;
    labels.insert("severity".into(), "critical".into());
    labels
}
