//! The host's own log as a receiver of notices: a line for each.

use balm_core::{name::NotifierName, notice::Urgency};

use super::{
    Delivery,
    message::{Body, Message},
};
use crate::text::printable;

pub(super) fn deliver(notifier: &NotifierName, message: &Message) -> Delivery {
    let (about, episode, urgency, headline) = match &message.body {
        Body::Steps { lead, .. } => (lead.about.0, lead.episode, lead.urgency, &lead.headline),
        Body::Digest { about, urgency, headline, .. } => (about.0, None, *urgency, headline),
    };
    let (episode, headline, dropped) = (episode.map(|episode| episode.0.0), printable(headline), message.dropped);
    match urgency {
        Urgency::Info => tracing::info!(target: "notice", %notifier, about, episode, dropped, "{headline}"),
        Urgency::Warning => tracing::warn!(target: "notice", %notifier, about, episode, dropped, "{headline}"),
        Urgency::Person => tracing::error!(target: "notice", %notifier, about, episode, dropped, "{headline}"),
    }
    Delivery::Arrived(String::new())
}
