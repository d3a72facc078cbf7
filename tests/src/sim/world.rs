//! The world outside the host: the model cloud, its network, and the real policy, run without Wasm.

use std::collections::{BTreeMap, BTreeSet};

use balm_catalogue::ecs;
use balm_cloud::{
    Cloud, Options, Outcome, Span,
    answer::{Answer as CloudAnswer, ErrorCode},
    fault::{Chance, Fault, Matching, When},
    log::Applied,
    request::{DescribeServices, Operation, OperationName, Request, UpdateService},
    scenario::{Address, NewService, Step},
};
use balm_core::{
    action::{Change, ecs as ecs_action},
    engine::{Effect, Look, Order, Tell},
    evaluation::{Answer, Capsule, Conclusion, Decision, Failure, FailureKind, Proposal, Query},
    guard::ApprovedIntent,
    input::Input,
    json::Json,
    look::Reading,
    name::IntentId,
    record::{CallResult, NoticeSent},
    target::{Resource, Target},
    time::Timestamp,
};
use balm_sdk::wire;
use scale_ecs_service::ScaleEcsService;

use super::{
    Event,
    host::{Ending, Host},
    random::Random,
    script::{Happening, SERVICES},
};

pub(super) const ACCOUNT: &str = "123456789012";
pub(super) const REGION: &str = "eu-central-1";

/// How long a caller waits for an answer, and how long after it sent a call can still land.
const CALL_TIMEOUT_MS: u64 = 10_000;
pub(super) const SETTLE_MS: u64 = 20_000;

/// The name of a service.
pub(super) fn name(service: usize) -> String {
    format!("web-{service}")
}

/// A call that the cloud made true.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) token: String,
    pub(super) service: String,
    pub(super) at: u64,
}

/// A call on its way to the cloud.
#[derive(Debug)]
struct Sent {
    intent: IntentId,
    attempt: u32,
    life: u32,
    at: u64,
    request: Request,
}

/// Everything outside the host.
#[derive(Debug)]
pub(super) struct World {
    cloud: Cloud,
    on_the_wire: BTreeMap<u64, Sent>,
    calls: u64,
    unanswered: u32,
    truthful: bool,
    /// Calls of a host that has crashed: they may arrive, but nobody hears of them.
    orphans: BTreeSet<u64>,
    /// When somebody else changed which service.
    others: Vec<(String, u64)>,
}

impl World {
    pub(super) fn new(seed: u64, random: &mut Random) -> Self {
        let mut cloud = Cloud::new(seed, Options::default());
        for service in 0..SERVICES {
            let new = NewService { address: address(service), desired: 4, ..NewService::default() };
            let step = Step::CreateService(new).at_home(ACCOUNT, REGION);
            cloud.play(super::START - 3_600_000, &step).expect("a service can be created");
        }
        let mut world = Self {
            cloud,
            on_the_wire: BTreeMap::new(),
            calls: 0,
            unanswered: 0,
            truthful: false,
            orphans: BTreeSet::new(),
            others: Vec::new(),
        };
        world.lie(random);
        world
    }

    /// Every seed has its own mixture of lies.
    fn lie(&mut self, random: &mut Random) {
        let span = |least, most| Span::between(least, most).expect("in order");
        let update = Matching { operation: Some(OperationName::UpdateService), ..Matching::default() };
        let lies = [
            (update.clone(), Fault::Throttled),
            (update.clone(), Fault::ServerError { when: When::Before }),
            (update.clone(), Fault::ServerError { when: When::After }),
            (update.clone(), Fault::Closed { when: When::Before }),
            (update.clone(), Fault::Closed { when: When::After }),
            (update.clone(), Fault::HtmlPage { status: 502, when: When::After }),
            // It lands after the caller gave up, and before the host may believe that it did not.
            (update.clone(), Fault::Late { after_ms: span(1_000, SETTLE_MS - 2_000), held_ms: Some(span(0, 15_000)) }),
            (update, Fault::Slow { ms: span(100, 12_000) }),
            (Matching::default(), Fault::ServerError { when: When::Before }),
            (Matching::default(), Fault::Slow { ms: span(10, 3_000) }),
        ];
        for (matching, fault) in lies {
            let per_million = u32::try_from(random.below(4) * random.below(60_000)).expect("below a million");
            if per_million > 0 {
                self.cloud.plan().chance(Chance { matching, per_million, fault }).expect("the plan has room");
            }
        }
    }

    pub(super) fn be_truthful(&mut self) {
        if !self.truthful {
            self.cloud.plan().clear();
            self.truthful = true;
        }
    }

    pub(super) fn happens(&mut self, happening: &Happening, now: u64) {
        let step = match happening {
            Happening::SomebodyScales(service, tasks) => {
                self.others.push((name(*service), now));
                Step::SetDesired { service: address(*service), desired: *tasks }
            }
            Happening::TaskDies(service) => Step::KillTask { service: address(*service), task: None },
            Happening::Alerts(_) | Happening::Stop | Happening::Resume => return,
        };
        // There may be no task to die.
        let _ = self.cloud.play(now, &step.at_home(ACCOUNT, REGION));
    }

    /// Begin what the host hands out: what happens of it, and when.
    pub(super) fn begin(&mut self, effect: Effect, host: &Host, now: u64, random: &mut Random) -> Vec<(u64, Event)> {
        let life = host.life();
        let ends = |at, input| (at, Event::Ends(Box::new(Ending { life, input })));
        match effect {
            Effect::Evaluate(order) => {
                let (took, capsule) = self.evaluate(*order, host, now, random);
                vec![ends(now + took, Input::Evaluated(Box::new(capsule)))]
            }
            Effect::Compare(_) => unreachable!("no candidate is named in these lives"),
            Effect::Skip(skipped) => vec![ends(now, Input::Skipped(skipped))],
            Effect::Look(look) => {
                let (took, input) = self.look(&look, now, random);
                vec![ends(now + took, input)]
            }
            Effect::Act(intent) => {
                let at = now + random.below(200);
                vec![(at, Event::Arrives(self.send(intent, life, now)))]
            }
            Effect::Tell(Tell { notifier, message }) => {
                let delivered = if random.percent(90) { Ok("200".into()) } else { Err("no answer".into()) };
                // Half of what does not arrive is tried again.
                let kept = delivered.is_err() && message.about.0.is_multiple_of(2);
                let (about, covers, dropped) = (message.about, message.covers, message.dropped);
                let sent = NoticeSent { notifier, about, episode: None, delivered, dropped, covers, kept };
                vec![ends(now + random.below(2_000), Input::NoticeSent(sent))]
            }
        }
    }

    fn evaluate(&mut self, order: Order, host: &Host, now: u64, random: &mut Random) -> (u64, Capsule) {
        let mut raw = wire::RawInput {
            alert: sdk_alert(&host.alert(order.alert)),
            policy: order.policy.to_string(),
            targets: order.targets.iter().map(|target| balm_sdk::Target::new(target.to_string())).collect(),
            settings: order.settings.to_string(),
            answers: Vec::new(),
            trigger: balm_sdk::Trigger::from(order.trigger.to_string()),
            history: order.history.iter().map(sdk_past).collect(),
            now: order.now.as_millis(),
            seed: order.seed,
        };
        let (mut answers, mut took, mut rounds) = (Vec::new(), 1 + random.below(5), 0);
        let conclusion = loop {
            rounds += 1;
            match wire::evaluate::<ScaleEcsService>(raw.clone()) {
                Ok(wire::Outcome::Decided(decision)) => break Conclusion::Decided(core_decision(decision)),
                Err(message) => break Conclusion::Failed(Failure { kind: FailureKind::Returned, message }),
                Ok(wire::Outcome::Needs(queries)) => {
                    for query in queries {
                        let target: Target = query.target.arn().parse().expect("a target");
                        // What the policy sees may be up to a second old.
                        let reading = self.read(&target, now + took);
                        took += reading.1 + random.below(1_000);
                        answers.push(core_answer(&query, &reading.0, now));
                        let reading = reading.0.map(|reading| Json::of(&reading.service()).to_string());
                        raw.answers.push(wire::Answer { query, reading, at: now });
                    }
                }
            }
        };
        let capsule = Capsule {
            episode: order.episode,
            policy: order.policy,
            generation: order.generation,
            plugin: order.digest,
            alert: order.alert,
            configured: order.configured,
            trigger: order.trigger,
            targets: order.targets,
            answers,
            history: order.history,
            now: order.now,
            seed: order.seed,
            rounds,
            fuel: 0,
            took_us: took * 1000,
            conclusion,
            superseded: false,
        };
        (took, capsule)
    }

    fn look(&mut self, look: &Look, now: u64, random: &mut Random) -> (u64, Input) {
        let (reading, delay) = self.read(&look.target, now);
        let input = Input::Looked {
            intent: look.intent,
            purpose: look.purpose,
            reading: reading.map(Box::new),
            read_at: Timestamp::from_millis(now),
        };
        (delay + random.below(50), input)
    }

    /// What the cloud says of a service, and how long it takes to say it.
    fn read(&mut self, target: &Target, now: u64) -> (Result<Reading, String>, u64) {
        let Resource::EcsService { cluster, name } = &target.resource else {
            return (Err("this world has services only".into()), 1);
        };
        let describe = DescribeServices {
            cluster: Some(cluster.to_string()),
            services: vec![name.to_string()],
            include: vec!["TAGS".into()],
        };
        let request = request(String::new(), Operation::DescribeServices(describe));
        // A read may be in the future of the world by a little; the world only moves forward.
        let now = now.max(self.cloud.now_ms());
        let reply = self.cloud.call(now, &request);
        if reply.delay_ms >= CALL_TIMEOUT_MS {
            return (Err("timeout".into()), CALL_TIMEOUT_MS);
        }
        let reading = match reply.outcome {
            Outcome::Answered(answer) => match *answer {
                CloudAnswer::Services(services) => services
                    .services
                    .first()
                    .map(|service| Reading::EcsService { service: catalogue_service(service), tasks: Vec::new() })
                    .ok_or_else(|| "it is missing".to_owned()),
                _ => Err("another answer".into()),
            },
            other => Err(format!("{other:?}")),
        };
        (reading, reply.delay_ms)
    }

    fn send(&mut self, intent: ApprovedIntent, life: u32, now: u64) -> u64 {
        self.calls += 1;
        let Resource::EcsService { cluster, name } = intent.target().resource.clone() else {
            unreachable!("this world has services only, and its policies have no other targets");
        };
        let token = intent.token().to_owned();
        let (id, attempt) = (intent.id(), intent.attempt());
        let mut update =
            UpdateService { cluster: Some(cluster.to_string()), service: name.to_string(), ..UpdateService::default() };
        match intent.into_change() {
            Change::Ecs(ecs_action::Change::ScaleService(to)) => update.desired_count = Some(i64::from(to.desired)),
            Change::Ecs(ecs_action::Change::RedeployService(_)) => update.force_new_deployment = Some(true),
            Change::Ecs(ecs_action::Change::StopTask(_)) | Change::Asg(_) => {}
        }
        let request = request(token, Operation::UpdateService(update));
        self.on_the_wire.insert(self.calls, Sent { intent: id, attempt, life, at: now, request });
        self.calls
    }

    /// A call reaches the cloud; what its sender hears, and when.
    pub(super) fn arrives(&mut self, call: u64, now: u64) -> Option<(u64, Ending)> {
        let sent = self.on_the_wire.remove(&call)?;
        let reply = self.cloud.call(now.max(self.cloud.now_ms()), &sent.request);
        if self.orphans.remove(&call) {
            return None;
        }
        let timeout = sent.at + CALL_TIMEOUT_MS;
        let (at, result) = match (now + reply.delay_ms, reply.outcome) {
            (at, _) if at >= timeout => (timeout, CallResult::Unknown { why: "timeout".into() }),
            (at, Outcome::Answered(_)) => (at, CallResult::Done { request: call.to_string() }),
            (at, Outcome::Refused(error)) => (at, refusal(error.code, error.message)),
            (at, Outcome::HtmlPage(status)) => (at, CallResult::Unknown { why: format!("an HTML page, {status}") }),
            (at, Outcome::Lost) => (at, CallResult::Unknown { why: "the connection was closed".into() }),
        };
        self.unanswered += u32::from(matches!(result, CallResult::Unknown { .. }));
        let input = Input::CallEnded { intent: sent.intent, attempt: sent.attempt, result };
        Some((at, Ending { life: sent.life, input }))
    }

    /// The host is gone. What it had sent arrives all the same, or was still in its socket.
    pub(super) fn forget_senders(&mut self, random: &mut Random) {
        let on_the_wire: Vec<u64> = self.on_the_wire.keys().copied().collect();
        for call in on_the_wire {
            if random.percent(50) {
                self.on_the_wire.remove(&call);
            } else {
                self.orphans.insert(call);
            }
        }
    }

    /// All changes that were made for the host.
    pub(super) fn applied(&mut self) -> Vec<Made> {
        let update = |entry: &&balm_cloud::log::Entry| entry.request.operation.name() == OperationName::UpdateService;
        let made = self.cloud.log().entries().filter(update).filter_map(|entry| match entry.applied {
            Applied::At(at) => Some(Made { token: entry.request.caller.clone(), service: entry.service.clone(), at }),
            Applied::No | Applied::Due(_) => None,
        });
        made.collect()
    }

    pub(super) fn story(&self) -> Vec<(u64, String)> {
        let line = |entry: &balm_cloud::log::Entry| {
            let text = serde_json::to_string(entry).expect("an entry serialises");
            (entry.at_ms, format!("cloud  {text:.600}"))
        };
        self.cloud.log().entries().map(line).collect()
    }

    /// Changes made more than once for one intent.
    ///
    /// One that somebody else took back before its answer was missed, exactly to what it was before, cannot be seen and
    /// is made again: that is not counted.
    pub(super) fn duplicates(&mut self) -> usize {
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        let mut twice = 0;
        for Made { token, service, at } in self.applied() {
            if let Some(before) = last.insert(token, at) {
                let taken_back =
                    self.others.iter().any(|(other, then)| *other == service && (before..=at).contains(then));
                twice += usize::from(!taken_back);
            }
        }
        twice
    }

    pub(super) const fn unanswered(&self) -> u32 {
        self.unanswered
    }
}

fn refusal(code: ErrorCode, why: String) -> CallResult {
    match code {
        ErrorCode::ThrottlingException => CallResult::NotDone { why },
        ErrorCode::ServerException => CallResult::Unknown { why },
        _ => CallResult::Refused { why },
    }
}

fn request(caller: String, operation: Operation) -> Request {
    Request { account: ACCOUNT.into(), region: REGION.into(), caller, operation }
}

fn address(service: usize) -> Address {
    Address { cluster: "prod".into(), service: name(service), ..Address::default() }
}

fn catalogue_service(service: &balm_cloud::answer::Service) -> ecs::Service {
    let deployment = |deployment: &balm_cloud::answer::Deployment| ecs::Deployment {
        id: deployment.id.clone(),
        status: deployment.status.to_owned(),
        desired: deployment.desired_count,
        running: deployment.running_count,
        pending: deployment.pending_count,
        failed: deployment.failed_tasks,
        created_at: deployment.created_at,
        rollout_state: deployment.rollout_state.to_owned(),
    };
    ecs::Service {
        status: service.status.to_owned(),
        desired: service.desired_count,
        running: service.running_count,
        pending: service.pending_count,
        task_definition: service.task_definition.clone(),
        deployments: service.deployments.iter().map(deployment).collect(),
        min_healthy_percent: Some(service.deployment_configuration.minimum_healthy_percent),
        tags: BTreeMap::new(),
    }
}

fn sdk_alert(alert: &balm_core::alert::Alert) -> balm_sdk::Alert {
    balm_sdk::Alert {
        source: alert.source.to_string(),
        org: alert.org.clone(),
        fingerprint: alert.fingerprint.clone(),
        firing: alert.status == balm_core::alert::Status::Firing,
        name: alert.name.clone(),
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        values: alert.values.clone(),
        starts_at: alert.starts_at.map(Timestamp::as_millis),
        ends_at: alert.ends_at.map(Timestamp::as_millis),
    }
}

fn sdk_past(past: &balm_core::evaluation::PastIntent) -> balm_sdk::PastIntent {
    balm_sdk::PastIntent {
        action: past.action.clone(),
        target: balm_sdk::Target::new(past.target.clone()),
        at: past.at.as_millis(),
        state: past.state.clone(),
        before: past.before.to_string(),
        after: past.after.to_string(),
    }
}

fn core_answer(query: &wire::Query, reading: &Result<Reading, String>, now: u64) -> Answer {
    let parameters = Json::parse(&query.parameters).expect("JSON");
    let query = Query { kind: query.kind.clone(), target: query.target.arn().into(), parameters };
    let reading = reading.as_ref().map(|reading| Json::of(&reading.service())).map_err(Clone::clone);
    Answer { query, reading, at: Timestamp::from_millis(now) }
}

fn core_decision(decision: balm_sdk::Decision) -> Decision {
    let proposal = |intent: balm_sdk::Intent| Proposal {
        action: intent.action,
        target: intent.target.arn().into(),
        parameters: Json::parse(&intent.parameters).expect("JSON"),
        expects: Json::of(&intent.expects),
        verify_within: intent.verify_within,
        undo: intent.undo,
        reason: intent.reason,
    };
    Decision {
        intents: decision.intents.into_iter().map(proposal).collect(),
        explanation: decision.explanation,
        look_again_after: decision.look_again_after,
        extra: Json::empty_object(),
    }
}
