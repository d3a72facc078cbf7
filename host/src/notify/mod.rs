//! Notifying: tells people what happened. Its trouble changes nothing else.
//!
//! It owns trying again, once for all vendors; a vendor's file says whether a delivery arrived and whether another try is
//! worth it. Every end is a record, so a notice is delivered at least once, also over restarts; a receiver knows a
//! repetition by its id.

mod log;
mod webhook;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use balm_core::{
    engine::Tell,
    name::NotifierName,
    notice::{self, Notice},
    record::NoticeSent,
};

use crate::{config, journal::Log};

/// Tries of one notice, at doubling pauses: about ten minutes.
const TRIES: u32 = 10;

/// The pause after the first try; doubled each time.
const PAUSE_FIRST: Duration = Duration::from_secs(1);

/// The longest pause, also if the receiver asks for a longer one.
const PAUSE_MOST: Duration = Duration::from_secs(120);

/// Tells people.
pub(crate) struct Notifiers {
    log: Arc<Log>,
    host: String,
    vendors: BTreeMap<NotifierName, Vendor>,
}

enum Vendor {
    Log,
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

impl Notifiers {
    /// Made from the configuration. `host` is who is speaking.
    pub(crate) fn new(
        log: Arc<Log>,
        host: String,
        configured: &BTreeMap<NotifierName, config::Notifier>,
    ) -> Result<Self, webhook::NoClient> {
        let vendor = |notifier: &config::Notifier| match notifier {
            config::Notifier::Log => Ok(Vendor::Log),
            config::Notifier::Webhook { url, key } => webhook::Webhook::new(url, key).map(Vendor::Webhook),
        };
        let vendors = configured.iter().map(|(name, notifier)| Ok((name.clone(), vendor(notifier)?)));
        Ok(Self { log, host, vendors: vendors.collect::<Result<_, _>>()? })
    }

    /// Tell of a record, and try again while that is worth it.
    pub(crate) async fn tell(&self, tell: Tell) -> NoticeSent {
        let Tell { notifier, about, dropped } = tell;
        let (episode, delivered) = match self.log.read(about) {
            Ok(record) => {
                let notice = notice::of(&record);
                (notice.episode, self.deliver(&notifier, &notice, dropped).await)
            }
            Err(error) => (None, Err(error.to_string())),
        };
        NoticeSent { notifier, about, episode, delivered, dropped }
    }

    async fn deliver(&self, name: &NotifierName, notice: &Notice, dropped: u64) -> Result<String, String> {
        let vendor = self.vendors.get(name).ok_or("it is not configured")?;
        let mut pause = PAUSE_FIRST;
        let mut tries = 1;
        loop {
            let delivery = match vendor {
                Vendor::Log => log::deliver(name, notice, dropped),
                Vendor::Webhook(webhook) => webhook.deliver(&self.host, notice, dropped).await,
            };
            let (why, asked) = match delivery {
                Delivery::Arrived(answer) => return Ok(answer),
                Delivery::Never(why) => return Err(why),
                Delivery::Later(why, _) if tries >= TRIES => {
                    return Err(format!("given up after {tries} tries: {why}"));
                }
                Delivery::Later(why, asked) => (why, asked),
            };
            tracing::debug!(notifier = %name, about = notice.about.0, tries, why, "a notice is tried again");
            tokio::time::sleep(asked.unwrap_or(pause).clamp(pause, PAUSE_MOST)).await;
            (pause, tries) = ((pause * 2).min(PAUSE_MOST), tries + 1);
        }
    }
}
