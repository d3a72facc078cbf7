//! The engine: the loop's one step, without the loop.
//!
//! `take` turns an input into records; once they are durable, `release` hands out what is due. What is due is a function
//! of the state, so starting up and running are the same code: an effect that was lost with the process is due again,
//! except for calls to AWS, which are never just repeated. It refuses to know threads, files and clocks.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use crate::{
    caps,
    configuration::{Guardrails, Mode},
    decide,
    digest::Digest,
    evaluation::{PastIntent, Trigger},
    guard::{ApprovedIntent, Rules},
    input::{Input, Reply},
    intent::Intent,
    json::Json,
    name::{EpisodeId, IntentId, NotifierName, PluginName, PolicyName, Seq},
    notices::Message,
    record::{EvaluationSkipped, Fact, NoticeSent, Purpose, Record},
    state::State,
    target::Target,
    time::Timestamp,
};

/// The state with what is under way.
#[derive(Debug)]
pub struct Engine {
    state: State,
    rules: Arc<Rules>,
    /// The rules are those of the configuration in force: not before the first one, nor where its rules do not compile.
    compiled: bool,
    approved: Vec<ApprovedIntent>,
    evaluating: BTreeMap<PolicyName, BTreeSet<(EpisodeId, u32)>>,
    looking: BTreeSet<(IntentId, Purpose)>,
    comparing: BTreeSet<Seq>,
    telling: BTreeSet<NotifierName>,
    /// Plugins are being loaded: no evaluation is handed out.
    held: bool,
    /// The policy that was served last, so that every policy has its turn.
    served: Option<PolicyName>,
}

/// What an input became.
#[derive(Debug)]
pub struct Taken {
    /// One batch; the caller makes it durable before anything else. Empty where nothing was to be recorded.
    pub records: Vec<Record>,
    /// For whoever caused the input, once the batch is durable.
    pub reply: Reply,
}

/// Something to be done outside; its end comes back as an input.
#[derive(Debug)]
pub enum Effect {
    /// Evaluate a policy: [`Input::Evaluated`].
    Evaluate(Box<Order>),
    /// A policy cannot be evaluated: take this as [`Input::Skipped`].
    Skip(EvaluationSkipped),
    /// Look at a target: [`Input::Looked`].
    Look(Look),
    /// Make a call: [`Input::CallEnded`].
    Act(ApprovedIntent),
    /// Evaluate a candidate as the version in force was: [`Input::Compared`].
    Compare(Comparison),
    /// Tell people of records: [`Input::NoticeSent`].
    Tell(Tell),
}

/// What became of an effect that was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed {
    /// Its end comes back later.
    UnderWay,
    /// It has ended already, and its end is the next that is taken: it takes no place among those under way.
    Ended,
}

/// An evaluation that is due: all that the input needs but the alert, which stands in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Of which episode.
    pub episode: EpisodeId,
    /// Of which policy.
    pub policy: PolicyName,
    /// Which of its triggers.
    pub generation: u32,
    /// By which plugin.
    pub plugin: PluginName,
    /// In which version.
    pub digest: Digest,
    /// The queries that it may ask.
    pub queries: Vec<String>,
    /// The record with the alert.
    pub alert: Seq,
    /// The record with the settings.
    pub configured: Seq,
    /// Why.
    pub trigger: Trigger,
    /// What it may look at and change.
    pub targets: Vec<Target>,
    /// What the operator told the plugin.
    pub settings: Json,
    /// What it proposed before, oldest first.
    pub history: Vec<PastIntent>,
    /// The time that it sees.
    pub now: Timestamp,
    /// The randomness that it sees.
    pub seed: u64,
}

/// A look that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// For which intent.
    pub intent: IntentId,
    /// What for.
    pub purpose: Purpose,
    /// At what.
    pub target: Target,
    /// Whether its tasks are to be read as well.
    pub tasks: bool,
    /// Whether a reading that is a moment old will do, since nothing can follow from it.
    pub shared: bool,
}

/// A comparison that is due: all else stands in the record of the evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The plugin.
    pub plugin: PluginName,
    /// The candidate.
    pub digest: Digest,
    /// What it may ask.
    pub queries: Vec<String>,
    /// The record of the evaluation.
    pub capsule: Seq,
}

/// A message that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tell {
    /// Whom.
    pub notifier: NotifierName,
    /// What of.
    pub message: Message,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// Before the first record.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::default(),
            rules: Arc::new(Rules::none()),
            compiled: false,
            approved: Vec::new(),
            evaluating: BTreeMap::new(),
            looking: BTreeSet::new(),
            comparing: BTreeSet::new(),
            telling: BTreeSet::new(),
            held: false,
            served: None,
        }
    }

    /// After the records that led to a state.
    #[must_use]
    pub fn resuming(state: State) -> Self {
        Self { state, ..Self::new() }
    }

    /// What all records so far say.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The rules in force.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Apply a record that is durable already: recovery.
    pub fn replay(&mut self, record: &Record) {
        self.state.apply(record);
    }

    /// Recovery is over: make ready what is not written down because it follows from what is.
    ///
    /// Rules that no longer compile, after an update of Balm, permit nothing; the host says so and goes on.
    pub fn recovered(&mut self) -> Result<(), String> {
        match Rules::compile(&self.state.configuration.guardrails.rules) {
            Ok(rules) => {
                self.rules = Arc::new(rules);
                self.compiled = true;
                Ok(())
            }
            Err(mistakes) => {
                self.rules = Arc::new(Rules::none());
                self.compiled = false;
                Err(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
            }
        }
    }

    /// Hand out no evaluation until [`Engine::resume_evaluations`]: while a host starts, a configuration may be in force
    /// whose plugins are not yet, and an evaluation in between would be one of a mixed version.
    pub const fn hold_evaluations(&mut self) {
        self.held = true;
    }

    /// Plugins and configuration are in force together.
    pub const fn resume_evaluations(&mut self) {
        self.held = false;
    }

    /// Decide an input at a time; a time before the last record's counts as that one.
    pub fn take(&mut self, input: Input, now: Timestamp) -> Taken {
        self.settle_under_way(&input);
        let configuration = match &input {
            Input::Configured(configuration) => Some(configuration.as_ref()),
            Input::Arrived(arrived) => arrived.configuration.as_ref(),
            _ => None,
        };
        if let Some(configuration) = configuration
            && let Err(mistakes) = self.compile(&configuration.guardrails)
        {
            return Taken { records: Vec::new(), reply: Reply::Refused(mistakes) };
        }
        let rules = Arc::clone(&self.rules);
        let at = now.max(self.state.now);
        let decided = decide::decide(&mut self.state, &rules, input, at);
        self.approved.extend(decided.approved);
        Taken { records: decided.records, reply: decided.reply }
    }

    /// Rules of a configuration that is to be in force. The same text is not compiled again: a plugin that arrives brings
    /// the whole configuration with it, and alerts wait meanwhile.
    fn compile(&mut self, guardrails: &Guardrails) -> Result<(), String> {
        if self.compiled && guardrails.rules == self.state.configuration.guardrails.rules {
            return Ok(());
        }
        match Rules::compile(&guardrails.rules) {
            Ok(rules) => {
                self.rules = Arc::new(rules);
                self.compiled = true;
                Ok(())
            }
            Err(mistakes) => Err(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        }
    }

    fn settle_under_way(&mut self, input: &Input) {
        match input {
            Input::Evaluated(capsule) => self.settle_evaluation(&capsule.policy, capsule.episode, capsule.generation),
            Input::Skipped(EvaluationSkipped { policy, episode, generation, .. }) => {
                self.settle_evaluation(policy, *episode, *generation);
            }
            Input::Looked { intent, purpose, .. } => {
                self.looking.remove(&(*intent, *purpose));
            }
            Input::Compared(compared) => {
                self.comparing.remove(&compared.capsule);
            }
            Input::NoticeSent(NoticeSent { notifier, .. }) => {
                self.telling.remove(notifier);
            }
            _ => {}
        }
    }

    fn settle_evaluation(&mut self, policy: &PolicyName, episode: EpisodeId, generation: u32) {
        if let Some(evaluating) = self.evaluating.get_mut(policy) {
            evaluating.remove(&(episode, generation));
            if evaluating.is_empty() {
                self.evaluating.remove(policy);
            }
        }
    }

    /// Hand out what is due and not under way. Everything taken so far must be durable.
    pub fn release(&mut self, mut effect: impl FnMut(Effect) -> Handed) {
        for approved in self.approved.drain(..) {
            effect(Effect::Act(approved));
        }
        self.release_looks(&mut effect);
        self.release_evaluations(&mut effect);
        self.release_comparisons(&mut effect);
        self.release_notices(&mut effect);
    }

    fn release_looks(&mut self, effect: &mut impl FnMut(Effect) -> Handed) {
        let Self { state, looking, .. } = self;
        let (mut under_way, mut ended) = (looking.len(), 0);
        for due in &state.looks {
            if under_way >= caps::LOOKS_IN_FLIGHT || ended >= caps::LOOKS_AT_ONCE {
                break;
            }
            let Some((intent, (target, tasks))) =
                state.intents.get(&due.0).and_then(|intent| Some((intent, decide::target_of(intent)?)))
            else {
                continue;
            };
            if looking.insert(*due) {
                let shared = due.1 == Purpose::Guard && state.mode(&intent.policy) == Mode::Shadow;
                match effect(Effect::Look(Look { intent: due.0, purpose: due.1, target, tasks, shared })) {
                    Handed::UnderWay => under_way += 1,
                    Handed::Ended => ended += 1,
                }
            }
        }
    }

    /// One of each policy in turn, so that a policy with a thousand alerts does not starve one with a single alert. The first of
    /// a policy needs no room: what has filled it may take its time.
    fn release_evaluations(&mut self, effect: &mut impl FnMut(Effect) -> Handed) {
        if self.held {
            return;
        }
        let under_way: usize = self.evaluating.values().map(BTreeSet::len).sum();
        let mut room = caps::EVALUATIONS_IN_FLIGHT.saturating_sub(under_way);
        let mut policies = self.waiting_evaluations();
        while let Some((policy, mut waiting)) = policies.pop_front() {
            let Some(due) = waiting.pop_front().filter(|_| room > 0 || !self.evaluating.contains_key(&policy)) else {
                continue;
            };
            effect(self.order(&policy, due));
            self.evaluating.entry(policy.clone()).or_default().insert(due);
            self.served = Some(policy.clone());
            room = room.saturating_sub(1);
            policies.push_back((policy, waiting));
        }
    }

    /// What each policy may have under way now, beginning with the policy after the one that was served last.
    fn waiting_evaluations(&self) -> VecDeque<(PolicyName, VecDeque<(EpisodeId, u32)>)> {
        let share = (caps::EVALUATIONS_IN_FLIGHT / self.state.evaluations.len().max(1)).max(1);
        let none = BTreeSet::new();
        let waiting = |(policy, due): (&PolicyName, &BTreeSet<(EpisodeId, u32)>)| {
            let under_way = self.evaluating.get(policy).unwrap_or(&none);
            let room = share.saturating_sub(under_way.len());
            let waiting = due.iter().filter(|due| !under_way.contains(due)).take(room);
            (policy.clone(), waiting.copied().collect())
        };
        // A version that is stopped is about to be replaced, or taken out of force: then they are evaluated, or skipped.
        let ready = self.state.evaluations.iter().filter(|(policy, _)| !self.state.waits_for_a_version(policy));
        let mut policies: VecDeque<_> = ready.map(waiting).collect();
        let served = policies.iter().take_while(|(policy, _)| self.served.as_ref().is_some_and(|last| policy <= last));
        policies.rotate_left(served.count());
        policies
    }

    fn order(&self, policy: &PolicyName, (episode, generation): (EpisodeId, u32)) -> Effect {
        match self.try_order(policy, episode, generation) {
            Ok(order) => Effect::Evaluate(Box::new(order)),
            Err(why) => Effect::Skip(EvaluationSkipped { episode, policy: policy.clone(), generation, why }),
        }
    }

    fn try_order(&self, name: &PolicyName, id: EpisodeId, generation: u32) -> Result<Order, String> {
        let state = &self.state;
        let policy = state.configuration.policies.get(name).ok_or("it is no longer configured")?;
        if policy.mode == Mode::Off {
            return Err("its mode is off".into());
        }
        let plugin = state.plugins.get(&policy.plugin);
        let plugin = plugin.ok_or_else(|| format!("its plugin {} is not loaded", policy.plugin))?;
        let episode = state.episodes.get(&id).ok_or("its episode is no longer known")?;
        let concern = state.concern(id, name).ok_or("its episode no longer concerns it")?;
        let open = concern.open.iter().filter_map(|id| state.intents.get(id));
        let open = open.map(|intent: &Intent| intent.as_past(intent.stage.word()));
        let mut history: Vec<PastIntent> = concern.past.iter().cloned().chain(open).collect();
        history.sort_by_key(|past| past.id);
        history.drain(..history.len().saturating_sub(caps::HISTORY_PER_CONCERN));
        Ok(Order {
            episode: id,
            policy: name.clone(),
            generation,
            plugin: policy.plugin.clone(),
            digest: plugin.digest,
            queries: plugin.manifest.queries.clone(),
            alert: episode.alert,
            configured: state.configured,
            trigger: concern.trigger,
            targets: concern.targets.clone(),
            settings: policy.settings.clone(),
            history,
            now: state.now,
            seed: seed(&state.host, id, name, state.now),
        })
    }

    /// The longest waiting first; few at once.
    fn release_comparisons(&mut self, effect: &mut impl FnMut(Effect) -> Handed) {
        if self.held {
            return;
        }
        for (plugin, candidate) in &self.state.candidates {
            for capsule in candidate.waiting.iter().take(caps::COMPARISONS_IN_FLIGHT) {
                if self.comparing.len() >= caps::COMPARISONS_IN_FLIGHT {
                    return;
                }
                if self.comparing.insert(*capsule) {
                    let (plugin, queries) = (plugin.clone(), candidate.queries.clone());
                    let comparison = Comparison { plugin, digest: candidate.digest, queries, capsule: *capsule };
                    effect(Effect::Compare(comparison));
                }
            }
        }
    }

    fn release_notices(&mut self, effect: &mut impl FnMut(Effect) -> Handed) {
        for (notifier, notices) in &self.state.notices {
            if self.telling.contains(notifier) {
                continue;
            }
            if let Some(message) = notices.due(self.state.now) {
                self.telling.insert(notifier.clone());
                effect(Effect::Tell(Tell { notifier: notifier.clone(), message }));
            }
        }
    }
}

/// The same for the same evaluation, and not to be guessed by whoever writes alerts.
fn seed(host: &str, episode: EpisodeId, policy: &PolicyName, now: Timestamp) -> u64 {
    let fields =
        [host.as_bytes(), &episode.0.0.to_be_bytes(), policy.as_str().as_bytes(), &now.as_millis().to_be_bytes()];
    let digest = Digest::of_fields(&fields);
    u64::from_be_bytes(digest.as_bytes()[..8].try_into().expect("eight bytes"))
}

/// The first record of a journal.
#[must_use]
pub fn genesis(host: String, version: &str, at: Timestamp) -> Record {
    let genesis = crate::record::Genesis { host, version: version.into() };
    Record { seq: Seq::ZERO.next(), at, more: false, fact: Fact::Genesis(genesis) }
}
