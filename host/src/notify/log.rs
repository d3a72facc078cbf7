//! The host's own log as a receiver of notices.

use balm_core::{
    name::NotifierName,
    notice::{Notice, Urgency},
};

use super::Delivery;

pub(super) fn deliver(notifier: &NotifierName, notice: &Notice, dropped: u64) -> Delivery {
    let (about, headline) = (notice.about.0, &notice.headline);
    let episode = notice.episode.map(|episode| episode.0.0);
    match notice.urgency {
        Urgency::Info => tracing::info!(target: "notice", %notifier, about, episode, dropped, "{headline}"),
        Urgency::Warning => tracing::warn!(target: "notice", %notifier, about, episode, dropped, "{headline}"),
        Urgency::Person => tracing::error!(target: "notice", %notifier, about, episode, dropped, "{headline}"),
    }
    Delivery::Arrived(String::new())
}
