//! The engine's thread: takes what waits, makes it durable as one group, answers, and hands out what is due.
//!
//! It owns the order: nothing is answered and nothing is done before the journal has it. Whatever waits while a group is
//! synced becomes the next group, so the busier the host is, the fewer syncs an alert costs. It refuses to know what
//! inputs mean and how effects are done.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use balm_core::{
    engine::{Effect, Engine, Handed},
    input::{Input, Reply},
    state::State,
};
use tokio::sync::oneshot;

use crate::{
    clock::Clock,
    journal::{Broken, Journal},
    status::{self, Status},
};

/// Inputs that wait for the engine. More than all requests and effects that can be under way, so that only a flood of
/// requests finds it full, and is told so.
const WAITING: usize = 4096;

/// Inputs of one group.
const GROUP: usize = 1024;

/// Bytes of the journal after which a group is made durable, though more waits. Between groups evaluations are handed out:
/// while alerts come in by the thousand, those that came before are not to wait for the last of them.
const GROUP_BYTES: usize = 256 << 10;

/// The longest sleep: the clock is read at least this often, so that a leap is noticed.
const SLEEP_MOST: Duration = Duration::from_secs(1);

/// How soon the disk is looked at again when there is no room.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(50);

/// Where inputs go.
#[derive(Clone)]
pub(crate) struct Inbox(SyncSender<Message>);

enum Message {
    Input(Box<Input>, Option<oneshot::Sender<Reply>>),
    Loaded,
    View(Box<dyn FnOnce(&State) + Send>),
    Quiet,
    End,
}

/// The engine's thread is gone: the process is about to end.
#[derive(Debug, thiserror::Error)]
#[error("the engine has ended")]
pub(crate) struct Ended;

/// What the thread is made of.
pub(crate) struct Loop {
    pub(crate) engine: Engine,
    pub(crate) journal: Journal,
    pub(crate) clock: Clock,
    pub(crate) status: Arc<Status>,
}

/// The inbox of an engine to be, so that what it hands effects to can be built first.
pub(crate) fn inbox() -> (Inbox, Waiting) {
    let (sender, receiver) = sync_channel(WAITING);
    (Inbox(sender), Waiting(receiver))
}

/// The other end of an inbox.
pub(crate) struct Waiting(Receiver<Message>);

impl Inbox {
    /// Ask for an input to be taken; the reply comes once it is durable. Full is for the caller to say to its own.
    pub(crate) async fn ask(&self, input: Input) -> Result<Reply, Ended> {
        let (reply, replied) = oneshot::channel();
        match self.0.try_send(Message::Input(Box::new(input), Some(reply))) {
            Ok(()) => replied.await.map_err(|_| Ended),
            Err(TrySendError::Full(_)) => Ok(Reply::Overloaded("too many requests wait for the journal".into())),
            Err(TrySendError::Disconnected(_)) => Err(Ended),
        }
    }

    /// The same for what must be taken: it is asked again while too much waits.
    pub(crate) async fn insist(&self, input: Input) -> Result<Reply, Ended> {
        loop {
            match self.ask(input.clone()).await {
                Ok(Reply::Overloaded(_)) => tokio::time::sleep(NO_ROOM_PAUSE).await,
                reply => return reply,
            }
        }
    }

    /// Plugins and configuration are in force together: evaluations may begin.
    pub(crate) fn loaded(&self) {
        let _ = self.0.send(Message::Loaded);
    }

    /// See the state as it is durable. `view` runs on the engine's thread: it must be short. `None` if too much waits.
    pub(crate) async fn view<T: Send + 'static>(&self, view: impl FnOnce(&State) -> T + Send + 'static) -> Option<T> {
        let (seen, to_see) = oneshot::channel();
        let view = Box::new(move |state: &State| drop(seen.send(view(state))));
        self.0.try_send(Message::View(view)).ok()?;
        to_see.await.ok()
    }

    /// Hand in the end of an effect. There is always room for those.
    pub(crate) fn hand_in(&self, input: Input) {
        // If the engine has ended, so does the process, and what the effect did is found out at the next start.
        let _ = self.0.send(Message::Input(Box::new(input), None));
    }

    /// Hand out nothing more; what is under way may end.
    pub(crate) fn quiet(&self) {
        let _ = self.0.send(Message::Quiet);
    }

    /// Take what waits, and end.
    pub(crate) fn end(&self) {
        let _ = self.0.send(Message::End);
    }
}

impl Loop {
    /// Run until told to end. Effects are handed to `start`, which must not block; what has ended at once it returns.
    pub(crate) fn run(
        self,
        waiting: Waiting,
        start: impl FnMut(Effect) -> Option<Input> + Send + 'static,
    ) -> std::io::Result<thread::JoinHandle<Result<(), Broken>>> {
        let running = Running {
            parts: self,
            start,
            postponed: VecDeque::new(),
            replies: Vec::new(),
            changed: true,
            quiet: false,
        };
        thread::Builder::new().name("balm-journal".into()).spawn(move || running.run(&waiting.0))
    }
}

struct Running<F> {
    parts: Loop,
    start: F,
    /// Inputs that could not be taken yet: there was no room, or they follow from the last step.
    postponed: VecDeque<(Box<Input>, Option<oneshot::Sender<Reply>>)>,
    /// To be given once the group is durable.
    replies: Vec<(oneshot::Sender<Reply>, Reply)>,
    /// Something changed that changes seldom.
    changed: bool,
    /// The host is ending: nothing more is handed out.
    quiet: bool,
}

impl<F: FnMut(Effect) -> Option<Input>> Running<F> {
    fn run(mut self, inbox: &Receiver<Message>) -> Result<(), Broken> {
        let mut ending = false;
        loop {
            let room = self.parts.journal.room();
            self.parts.status.beat(room.as_ref().err());
            let mut first = match inbox.recv_timeout(self.pause(room.is_ok())) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            let mut taken = 0;
            while let Some(message) = first.take() {
                match message {
                    Message::Input(input, reply) => self.postponed.push_back((input, reply)),
                    Message::Loaded => self.parts.engine.resume_evaluations(),
                    // What was taken before is durable, what waits is not taken yet.
                    Message::View(view) => view(self.parts.engine.state()),
                    Message::Quiet => self.quiet = true,
                    Message::End => ending = true,
                }
                taken += 1;
                if taken < GROUP {
                    first = inbox.try_recv().ok();
                }
            }
            match room {
                Ok(()) => self.step()?,
                Err(why) => self.refuse(&why),
            }
            if ending {
                return Ok(());
            }
        }
    }

    fn pause(&self, room: bool) -> Duration {
        if !room {
            return NO_ROOM_PAUSE;
        }
        if !self.postponed.is_empty() {
            return Duration::ZERO;
        }
        let next = self.parts.engine.state().next_timer();
        let now = self.parts.clock.about();
        next.map_or(SLEEP_MOST, |next| next.since(now).min(SLEEP_MOST))
    }

    /// Take everything that waits, make it durable, answer, and hand out what is due.
    fn step(&mut self) -> Result<(), Broken> {
        let tick = self.parts.clock.tick();
        if let Some(by_ms) = tick.jumped_ms {
            self.take(Input::ClockJumped(by_ms), None, tick.at)?;
        }
        while self.parts.journal.pending() < GROUP_BYTES
            && let Some((input, reply)) = self.postponed.pop_front()
        {
            self.take(*input, reply, tick.at)?;
        }
        while self.parts.engine.state().next_timer().is_some_and(|next| next <= tick.at) {
            self.take(Input::Tick, None, tick.at)?;
        }
        let since = Instant::now();
        if self.parts.journal.commit()? {
            self.parts.status.commits.observe(since.elapsed());
        }
        self.parts.status.refresh(self.parts.engine.state(), std::mem::take(&mut self.changed));
        for (sender, reply) in self.replies.drain(..) {
            // Whoever asked may be gone; what it asked for is recorded all the same.
            let _ = sender.send(reply);
        }
        if !self.quiet {
            let Self { parts, start, postponed, .. } = self;
            parts.engine.release(|effect| match start(effect) {
                Some(input) => {
                    postponed.push_back((Box::new(input), None));
                    Handed::Ended
                }
                None => Handed::UnderWay,
            });
        }
        Ok(())
    }

    fn take(
        &mut self,
        input: Input,
        reply: Option<oneshot::Sender<Reply>>,
        at: balm_core::time::Timestamp,
    ) -> Result<(), Broken> {
        let taken = self.parts.engine.take(input, at);
        self.parts.journal.append(&taken.records)?;
        self.changed |= taken.records.iter().any(status::changes_view);
        if let Some(sender) = reply {
            self.replies.push((sender, taken.reply));
        }
        Ok(())
    }

    /// There is no room: alerts are sent back, everything else waits, and nothing is handed out.
    fn refuse(&mut self, why: &str) {
        let mut waiting = std::mem::take(&mut self.postponed);
        for (input, reply) in waiting.drain(..) {
            match (*input, reply) {
                (Input::Alerts(_), Some(reply)) => {
                    let _ = reply.send(Reply::Overloaded(why.to_owned()));
                }
                (input, reply) => self.postponed.push_back((Box::new(input), reply)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use balm_core::{engine::genesis, line::Chain, record::HostStarted};

    use super::*;
    use crate::{
        journal::{self, Layout},
        test_dir::TestDir,
    };

    /// An engine over a journal, which is damaged before it runs.
    fn answer(name: &str, damage: impl FnOnce(&mut Journal)) -> (Result<Reply, Ended>, Result<(), Broken>) {
        let dir = TestDir::new(name);
        let layout = Layout { segment_bytes: 64 << 10, reserve_bytes: 0 };
        let mut journal = journal::read(dir.path(), Chain::START, |_| {}).unwrap().open(layout).unwrap().journal;
        let (mut engine, clock) = (Engine::new(), Clock::starting(crate::clock::wall()));
        let first = genesis("host".into(), "0.1.0", clock.about());
        engine.replay(&first);
        journal.append(&[first]).unwrap();
        journal.commit().unwrap();
        damage(&mut journal);
        let (inbox, waiting) = inbox();
        let parts = Loop { engine, journal, clock, status: Arc::default() };
        let thread = parts.run(waiting, |_| None).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let started = HostStarted { version: "0.1.0".into(), engine: "48".into() };
        let answer = runtime.block_on(inbox.ask(Input::Started(started)));
        inbox.end();
        (answer, thread.join().unwrap())
    }

    #[test]
    fn whoever_asks_is_answered_once_the_journal_has_it_and_never_if_it_has_not() {
        let (answered, ended) = answer("engine-well", |_| {});
        assert!(matches!(answered, Ok(Reply::Recorded(_))) && ended.is_ok(), "{answered:?}");
        let (answered, ended) = answer("engine-broken", Journal::cannot_sync);
        assert!(answered.is_err() && ended.is_err(), "{answered:?}");
    }
}
