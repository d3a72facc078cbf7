//! Effects: starts what the engine hands out, each where it belongs, and hands its end back in.
//!
//! It owns where things run: guests on threads of their own, everything else with the listeners. It refuses to know what
//! is due and why.

use std::{panic::AssertUnwindSafe, sync::Arc};

use balm_core::{
    engine::{Effect, Look},
    input::Input,
    look::Reading,
    record::{CallResult, NoticeSent},
    time::Timestamp,
};
use balm_sandbox::Plugin;
use futures_util::FutureExt as _;
use tokio::{runtime::Handle, sync::mpsc};

use crate::{
    act::Actor,
    clock,
    engine::Inbox,
    evaluate::Evaluator,
    look::{Detail, Looker},
    notify::Notifiers,
};

/// Where guests run: those that take long apart from the others.
#[derive(Clone)]
pub(crate) struct Guests {
    /// Threads for those that do not.
    pub(crate) short: Handle,
    /// Threads that stand back behind all others of the host.
    pub(crate) long: Handle,
}

impl Guests {
    /// Where the next evaluation of a version belongs.
    fn place(&self, plugin: Option<&Plugin>) -> &Handle {
        if plugin.is_some_and(Plugin::takes_long) { &self.long } else { &self.short }
    }
}

/// Starts effects. Once it is dropped and every call under way has ended, nobody holds `calls` any more.
pub(crate) struct Effects {
    pub(crate) parts: Arc<Parts>,
    /// Held by every call to AWS under way, so that the end of the host can wait for them.
    pub(crate) calls: mpsc::Sender<()>,
}

/// Everything that effects are made with.
pub(crate) struct Parts {
    pub(crate) inbox: Inbox,
    pub(crate) evaluator: Arc<Evaluator>,
    pub(crate) looker: Arc<Looker>,
    pub(crate) actor: Arc<Actor>,
    pub(crate) notifiers: Arc<Notifiers>,
    /// Where guests run.
    pub(crate) guests: Guests,
    /// Where everything else runs.
    pub(crate) io: Handle,
}

impl Effects {
    /// Start one. Returns at once, with the input that it comes to where nothing has to be waited for.
    pub(crate) fn start(&self, effect: Effect) -> Option<Input> {
        let all = Arc::clone(&self.parts);
        match effect {
            Effect::Evaluate(order) => {
                // Now, and not when it has its turn: until then another version may be in force, and this one forgotten.
                let plugin = all.evaluator.plugin(&order);
                drop(self.parts.guests.place(plugin.as_deref()).spawn(async move {
                    let capsule = all.evaluator.evaluate(*order, plugin).await;
                    all.inbox.hand_in(Input::Evaluated(Box::new(capsule)));
                }));
            }
            Effect::Compare(comparison) => {
                let plugin = all.evaluator.version(&comparison.digest);
                drop(self.parts.guests.place(plugin.as_deref()).spawn(async move {
                    let compared = all.evaluator.compare(comparison, plugin).await;
                    all.inbox.hand_in(Input::Compared(Box::new(compared)));
                }));
            }
            Effect::Look(look) => {
                let seen = look.shared.then(|| all.looker.glance_at_once(&look.target, detail(&look))).flatten();
                if let Some(seen) = seen {
                    return Some(looked(&look, seen.reading.clone(), seen.at));
                }
                drop(self.parts.io.spawn(async move {
                    let input = all.look(look).await;
                    all.inbox.hand_in(input);
                }));
            }
            Effect::Act(intent) => {
                let call = self.calls.clone();
                drop(self.parts.io.spawn(async move {
                    let (id, attempt, target) = (intent.id(), intent.attempt(), intent.target().clone());
                    let acting = AssertUnwindSafe(all.actor.act(intent)).catch_unwind().await;
                    let result = acting.unwrap_or_else(|_| CallResult::Unknown { why: BUG.into() });
                    all.looker.forget(&target);
                    all.inbox.hand_in(Input::CallEnded { intent: id, attempt, result });
                    drop(call);
                }));
            }
            Effect::Tell(tell) => drop(self.parts.io.spawn(async move {
                let (notifier, message) = (tell.notifier.clone(), &tell.message);
                let (about, covers, dropped) = (message.about, message.covers, message.dropped);
                let telling = AssertUnwindSafe(all.notifiers.tell(tell)).catch_unwind().await;
                // A bug of ours must not silence a notifier for ever.
                let sent = telling.unwrap_or_else(|_| {
                    let delivered = Err(BUG.into());
                    NoticeSent { notifier, about, episode: None, delivered, dropped, covers, kept: false }
                });
                all.inbox.hand_in(Input::NoticeSent(sent));
            })),
            Effect::Skip(skipped) => return Some(Input::Skipped(skipped)),
        }
        None
    }
}

impl Parts {
    async fn look(&self, look: Look) -> Input {
        let looking = AssertUnwindSafe(async {
            if look.shared {
                let seen = self.looker.glance(&look.target, detail(&look)).await;
                (seen.reading.clone(), seen.at)
            } else {
                let seen = self.looker.look(&look.target, detail(&look)).await;
                (seen.reading, seen.at)
            }
        });
        let (reading, read_at) = looking.catch_unwind().await.unwrap_or_else(|_| (Err(BUG.into()), clock::wall()));
        looked(&look, reading, read_at)
    }
}

const fn detail(look: &Look) -> Detail {
    if look.tasks { Detail::Tasks } else { Detail::Alone }
}

fn looked(look: &Look, reading: Result<Reading, String>, read_at: Timestamp) -> Input {
    Input::Looked { intent: look.intent, purpose: look.purpose, reading: reading.map(Box::new), read_at }
}

/// What is said of a bug of ours, wherever it shows.
pub(crate) const BUG: &str = "Balm itself failed at this; its log has the place";
