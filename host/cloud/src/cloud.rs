//! The cloud as callers meet it: the world, the lies told about it, and the log of what was really done.
//!
//! One function takes a call, whether a simulator makes it in virtual time or the HTTP endpoint in real time.

use std::collections::BTreeMap;

use crate::{
    answer::{Answer, Error, ErrorCode},
    fault::{Fault, Plan, When},
    limits,
    log::{Answered, Applied, Entry, Log, Logged},
    random::Random,
    request::Request,
    scenario::{NotPlayed, Step},
    world::{self, GroupSight, Sight, State, Subject, World, clockwork::Lag},
};

/// How a cloud is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How slow the world is at first.
    pub lag: Lag,
    /// Entries that the call log keeps; the oldest go first.
    pub log_entries: usize,
    /// Which calls are logged.
    pub logged: Logged,
}

impl Default for Options {
    fn default() -> Self {
        Self { lag: Lag::default(), log_entries: limits::LOG_ENTRIES, logged: Logged::Everything }
    }
}

/// What the caller gets for a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The call's number in the log.
    pub number: u64,
    /// After how many milliseconds the caller gets it. A caller that waits less gets nothing.
    pub delay_ms: u64,
    /// What it gets.
    pub outcome: Outcome,
}

/// What a caller gets in the end.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// AWS's answer.
    Answered(Box<Answer>),
    /// AWS's error, or one in its name.
    Refused(Error),
    /// An HTML page with this status, in place of AWS's answer.
    HtmlPage(u16),
    /// Nothing: the connection is closed without a byte.
    Lost,
}

/// A deterministic model of ECS and Auto Scaling that is slow and lies.
///
/// The same seed and the same calls at the same times give the same world, answers and log.
#[derive(Debug)]
pub struct Cloud {
    seed: u64,
    options: Options,
    world: World,
    plan: Plan,
    luck: Random,
    log: Log,
    /// Calls that land after their callers were cut off, by time and number.
    late: BTreeMap<(u64, u64), Late>,
}

#[derive(Debug)]
struct Late {
    request: Request,
    subject: Subject,
}

/// When the world gets to see a call.
enum Landing {
    Now,
    After(u64),
    Never,
}

impl Cloud {
    /// An empty cloud at time 0.
    pub fn new(seed: u64, options: Options) -> Self {
        Self {
            seed,
            options,
            world: World::new(Random::stream(seed, 1), options.lag),
            plan: Plan::default(),
            luck: Random::stream(seed, 2),
            log: Log::new(options.log_entries, options.logged),
            late: BTreeMap::new(),
        }
    }

    /// Takes a call. `now_ms` is when it arrives, in milliseconds since 1970; an earlier time than before counts as
    /// then.
    pub fn call(&mut self, now_ms: u64, request: &Request) -> Reply {
        self.advance(now_ms);
        let subject = self.world.subject(request);
        let fault = self.plan.choose(request, &subject, &mut self.luck);
        let number = self.log.count();
        let landing = self.landing(fault);
        let mut entry = self.entry(number, request, &subject, fault);
        let truth = match landing {
            Landing::Now => Some(self.apply(request, &subject, &mut entry)),
            Landing::Never => None,
            Landing::After(after_ms) => {
                self.postpone(number, after_ms, request, subject, &mut entry);
                None
            }
        };
        let (delay_ms, outcome) = self.outcome(fault, &landing, truth, request);
        if let Some(mut entry) = entry {
            entry.answered = answered(&outcome);
            self.log.push(entry);
        }
        Reply { number, delay_ms, outcome }
    }

    /// Lets everything happen that is due by then, calls that land late among it. Calls do this by themselves.
    pub fn advance(&mut self, now_ms: u64) {
        while let Some(entry) = self.late.first_entry().filter(|entry| entry.key().0 <= now_ms) {
            let ((at_ms, number), late) = entry.remove_entry();
            self.world.advance(at_ms);
            self.land(number, &late);
        }
        self.world.advance(now_ms);
    }

    /// Carries out a step of a scenario. Returns the id of the task or instance that it touched, if it touched one.
    pub fn play(&mut self, now_ms: u64, step: &Step) -> Result<Option<String>, NotPlayed> {
        self.advance(now_ms);
        world::play(&mut self.world, step)
    }

    /// What will go wrong.
    pub fn plan(&mut self) -> &mut Plan {
        &mut self.plan
    }

    /// What was called and done.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The time that the world has reached, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.world.now_ms()
    }

    /// Services and their tasks as they are at that time, in the order of their creation: `most` from the `from`-th.
    /// Nothing of it is logged or faulted.
    pub fn look(&mut self, now_ms: u64, from: usize, most: usize) -> Vec<Sight> {
        self.advance(now_ms);
        self.world.sights(from, most)
    }

    /// The same for groups.
    pub fn look_at_groups(&mut self, now_ms: u64, from: usize, most: usize) -> Vec<GroupSight> {
        self.advance(now_ms);
        self.world.group_sights(from, most)
    }

    /// Starts again with an empty world, log and plan. Time stays, and calls are counted on.
    pub fn reset(&mut self) {
        let now_ms = self.now_ms();
        self.world = World::new(Random::stream(self.seed, 1), self.options.lag);
        self.world.advance(now_ms);
        self.luck = Random::stream(self.seed, 2);
        self.plan.clear();
        self.late.clear();
        self.log.clear();
    }

    fn landing(&mut self, fault: Option<Fault>) -> Landing {
        match fault {
            None | Some(Fault::Slow { .. }) => Landing::Now,
            Some(Fault::Throttled | Fault::AccessDenied) => Landing::Never,
            Some(Fault::ServerError { when } | Fault::Closed { when } | Fault::HtmlPage { when, .. }) => match when {
                When::Before => Landing::Never,
                When::After => Landing::Now,
            },
            Some(Fault::Late { .. }) if self.late.len() >= limits::LATE_CALLS => Landing::Never,
            Some(Fault::Late { after_ms, .. }) => Landing::After(self.luck.within(after_ms)),
        }
    }

    fn outcome(
        &mut self,
        fault: Option<Fault>,
        landing: &Landing,
        truth: Option<Result<Answer, Error>>,
        request: &Request,
    ) -> (u64, Outcome) {
        let no = |code: ErrorCode, message: String| Outcome::Refused(code.with(message));
        match fault {
            Some(Fault::Throttled) => (0, no(ErrorCode::ThrottlingException, "Rate exceeded".into())),
            Some(Fault::AccessDenied) => (0, no(ErrorCode::AccessDeniedException, denial(request))),
            Some(Fault::ServerError { .. }) => (0, server_error()),
            Some(Fault::HtmlPage { status, .. }) => (0, Outcome::HtmlPage(status)),
            Some(Fault::Closed { .. }) => (0, Outcome::Lost),
            Some(Fault::Late { held_ms, .. }) => {
                let until_applied = if let Landing::After(ms) = landing { *ms } else { 0 };
                (held_ms.map_or(until_applied, |span| self.luck.within(span)), Outcome::Lost)
            }
            Some(Fault::Slow { ms }) => (self.luck.within(ms), honest(truth)),
            None => (0, honest(truth)),
        }
    }

    /// The call's entry, as far as it is known before anything is done; `None` when such calls are not logged.
    fn entry(&self, number: u64, request: &Request, subject: &Subject, fault: Option<Fault>) -> Option<Entry> {
        self.log.keeps(request.operation.name()).then(|| Entry {
            number,
            at_ms: self.now_ms(),
            request: request.clone(),
            cluster: subject.cluster.clone(),
            service: subject.service.clone(),
            task: subject.task.clone(),
            group: subject.group.clone(),
            instance: subject.instance.clone(),
            fault,
            applied: Applied::No,
            refused: None,
            before: None,
            after: None,
            answered: Answered::Lost,
        })
    }

    /// Does what is asked, now, and notes it.
    fn apply(&mut self, request: &Request, subject: &Subject, entry: &mut Option<Entry>) -> Result<Answer, Error> {
        let noted = entry.is_some() && request.operation.name().changes_the_world();
        let before = noted.then(|| self.world.state(request, subject)).flatten();
        let result = self.world.operate(request);
        if let Some(entry) = entry {
            let after = noted.then(|| self.world.state(request, subject)).flatten();
            note(entry, self.now_ms(), result.as_ref().err(), before, after);
        }
        result
    }

    /// The world gets to see the call later. A read that nobody waits for is as good as none.
    fn postpone(&mut self, number: u64, after_ms: u64, request: &Request, subject: Subject, entry: &mut Option<Entry>) {
        if !request.operation.name().changes_the_world() {
            return;
        }
        let at_ms = self.now_ms() + after_ms;
        if let Some(entry) = entry {
            entry.applied = Applied::Due(at_ms);
        }
        self.late.insert((at_ms, number), Late { request: request.clone(), subject });
    }

    fn land(&mut self, number: u64, late: &Late) {
        let before = self.world.state(&late.request, &late.subject);
        let result = self.world.operate(&late.request);
        let after = self.world.state(&late.request, &late.subject);
        let now_ms = self.now_ms();
        if let Some(entry) = self.log.get_mut(number).filter(|entry| matches!(entry.applied, Applied::Due(_))) {
            note(entry, now_ms, result.as_ref().err(), before, after);
        }
    }
}

fn note(entry: &mut Entry, now_ms: u64, error: Option<&Error>, before: Option<State>, after: Option<State>) {
    let accepted = error.is_none() && entry.request.operation.name().changes_the_world();
    entry.applied = if accepted { Applied::At(now_ms) } else { Applied::No };
    entry.refused = error.map(|error| error.code);
    (entry.before, entry.after) = (before.map(Box::new), after.map(Box::new));
}

fn answered(outcome: &Outcome) -> Answered {
    match outcome {
        Outcome::Answered(_) => Answered::Ok,
        Outcome::Refused(error) => Answered::Error(error.code),
        Outcome::HtmlPage(status) => Answered::HtmlPage(*status),
        Outcome::Lost => Answered::Lost,
    }
}

fn honest(truth: Option<Result<Answer, Error>>) -> Outcome {
    match truth {
        Some(Ok(answer)) => Outcome::Answered(Box::new(answer)),
        Some(Err(error)) => Outcome::Refused(error),
        None => server_error(),
    }
}

fn server_error() -> Outcome {
    Outcome::Refused(ErrorCode::ServerException.with("Service Unavailable. Please try again later."))
}

/// AWS's words of a denial (IAM User Guide, "troubleshoot access denied error messages").
fn denial(request: &Request) -> String {
    let name = request.operation.name();
    let action = format!("{}:{name}", name.service());
    format!(
        "User: arn:aws:iam::{}:user/cloud is not authorized to perform: {action} because no identity-based policy \
         allows the {action} action",
        request.account
    )
}
