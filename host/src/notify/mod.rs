//! Notifying: tells people what happened. Its trouble changes nothing else.
//!
//! It owns trying again, once for all vendors; a vendor's file says whether a delivery arrived and whether another try is
//! worth it. Every end is a record, so a notice is delivered at least once, also over restarts; a receiver knows a
//! repetition by its id. What goes into one message, and when, is the core's rule.

mod http;
mod log;
mod message;
mod slack;
mod webhook;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use balm_core::{
    engine::Tell,
    name::{EpisodeId, NotifierName},
    notices,
    record::NoticeSent,
};

pub(crate) use self::http::NoClient;
use self::message::Message;
use crate::{clock, config, journal::Log};

/// Tries of one message, at doubling pauses, that bridge a hiccup. After that the engine makes a new message, which has
/// in it what has happened meanwhile, so that a receiver that was away for long is not told of old things one by one.
const TRIES: u32 = 3;

/// The pause after the first try; doubled each time.
const PAUSE_FIRST: Duration = Duration::from_secs(1);

/// The longest pause that a receiver may ask for.
const RETRY_AFTER_MOST: Duration = Duration::from_secs(10 * 60);

/// Tells people.
pub(crate) struct Notifiers {
    log: Arc<Log>,
    host: String,
    vendors: RwLock<Vendors>,
}

/// Another one after a reload.
type Vendors = Arc<BTreeMap<NotifierName, Vendor>>;

enum Vendor {
    Log,
    Slack(slack::Slack),
    Webhook(webhook::Webhook),
}

/// How a delivery ended.
enum Delivery {
    /// It arrived; the receiver's answer.
    Arrived(String),
    /// It did not, and may later; after what the receiver asks for, if it does.
    Later(String, Option<Duration>),
    /// It did not, and will not.
    Never(String),
}

/// How telling ended.
struct Told {
    episode: Option<EpisodeId>,
    delivered: Result<String, String>,
    kept: bool,
}

impl Notifiers {
    /// Made from the configuration. `host` is who is speaking.
    pub(crate) fn new(
        log: Arc<Log>,
        host: String,
        configured: &BTreeMap<NotifierName, config::Notifier>,
    ) -> Result<Self, NoClient> {
        Ok(Self { log, host, vendors: RwLock::new(vendors(configured)?) })
    }

    /// Others from now on; a message that is being tried stays with its own to its end.
    pub(crate) fn replace(&self, configured: &BTreeMap<NotifierName, config::Notifier>) -> Result<(), NoClient> {
        let vendors = vendors(configured)?;
        *self.vendors.write().unwrap_or_else(PoisonError::into_inner) = vendors;
        Ok(())
    }

    fn vendors(&self) -> Vendors {
        Arc::clone(&self.vendors.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tell what is due, and try again while that is worth it.
    pub(crate) async fn tell(&self, tell: Tell) -> NoticeSent {
        let Tell { notifier, message } = tell;
        let (about, covers, dropped) = (message.about, message.covers, message.dropped);
        let Told { episode, delivered, kept } = self.try_to_tell(&notifier, message).await;
        if let Err(why) = &delivered {
            tracing::warn!(%notifier, about = about.0, covers, kept, why, "people could not be told");
        }
        NoticeSent { notifier, about, episode, delivered, dropped, covers, kept }
    }

    async fn try_to_tell(&self, name: &NotifierName, message: notices::Message) -> Told {
        let never = |why: String| Told { episode: None, delivered: Err(why), kept: false };
        let vendors = self.vendors();
        let Some(vendor) = vendors.get(name) else { return never("it is not configured".into()) };
        let (log, host) = (Arc::clone(&self.log), self.host.clone());
        // A digest reads some hundred records.
        let reading = tokio::task::spawn_blocking(move || Message::read(&log, &host, &message));
        let message = match reading.await {
            Ok(Ok(message)) => message,
            Ok(Err(error)) => return never(error.to_string()),
            Err(_) => return never("Balm itself failed at this; its log has the place".into()),
        };
        let (delivered, kept) = match deliver(vendor, name, &message).await {
            Delivery::Arrived(answer) => (Ok(answer), false),
            Delivery::Never(why) => (Err(why), false),
            Delivery::Later(why, _) => (Err(why), true),
        };
        Told { episode: message.episode(), delivered, kept }
    }

    /// Send a test now, once, beside whatever waits: the receiver's answer, or why there is none.
    pub(crate) async fn test(&self, name: &str, who: &str) -> Result<String, String> {
        let vendors = self.vendors();
        let Some((name, vendor)) = vendors.iter().find(|(known, _)| known.as_str() == name) else {
            let known: Vec<&str> = vendors.keys().map(NotifierName::as_str).collect();
            return Err(format!("{name:?} is no notifier of the running host; there are: {}", known.join(", ")));
        };
        let headline = format!("a test of notifier {name} by {who}: whoever reads this will be told when it matters");
        match vendor.deliver(name, &Message::test(&self.host, headline, clock::wall())).await {
            Delivery::Arrived(answer) if answer.is_empty() => Ok(format!("{name} was told")),
            Delivery::Arrived(answer) => Ok(format!("{name} was told, and answered {answer}")),
            Delivery::Later(why, _) => Err(format!("{name} could not be told now: {why}")),
            Delivery::Never(why) => Err(format!("{name} could not be told: {why}")),
        }
    }
}

async fn deliver(vendor: &Vendor, name: &NotifierName, message: &Message) -> Delivery {
    let (mut pause, mut tries) = (PAUSE_FIRST, 1);
    loop {
        let delivery = vendor.deliver(name, message).await;
        let Delivery::Later(why, asked) = &delivery else { return delivery };
        tracing::debug!(notifier = %name, id = message.id, tries, why, "a message did not arrive");
        let asked = asked.map(|asked| asked.min(RETRY_AFTER_MOST));
        if tries == TRIES {
            // What the receiver asks for is kept also after the last try.
            tokio::time::sleep(asked.unwrap_or_default()).await;
            return delivery;
        }
        tokio::time::sleep(asked.unwrap_or_default().max(pause)).await;
        (pause, tries) = (pause * 2, tries + 1);
    }
}

impl Vendor {
    fn new(notifier: &config::Notifier) -> Result<Self, NoClient> {
        Ok(match notifier {
            config::Notifier::Log => Self::Log,
            config::Notifier::Slack { url, base_url } => Self::Slack(slack::Slack::new(url, base_url.as_ref())?),
            config::Notifier::Webhook { url, key } => Self::Webhook(webhook::Webhook::new(url, key)?),
        })
    }

    async fn deliver(&self, name: &NotifierName, message: &Message) -> Delivery {
        match self {
            Self::Log => log::deliver(name, message),
            Self::Slack(slack) => slack.deliver(message).await,
            Self::Webhook(webhook) => webhook.deliver(message).await,
        }
    }
}

fn vendors(configured: &BTreeMap<NotifierName, config::Notifier>) -> Result<Vendors, NoClient> {
    let vendors = configured.iter().map(|(name, notifier)| Ok((name.clone(), Vendor::new(notifier)?)));
    vendors.collect::<Result<_, _>>().map(Arc::new)
}
