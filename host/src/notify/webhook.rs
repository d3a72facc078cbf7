//! A webhook as a receiver of notices: JSON, signed as Standard Webhooks are
//! (<https://github.com/standard-webhooks/standard-webhooks>, version 1.0.0).
//!
//! Headers: `webhook-id`, the same for every try of a message; `webhook-timestamp`, Unix seconds; `webhook-signature`,
//! `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. The body is the notice; for several steps of an episode
//! the most important one with all of them in `notices`, and for a digest `"kind":"digest"` with `counts`.

use balm_core::{
    name::Seq,
    notice::{Notice, Urgency},
    notices::Count,
    time::Timestamp,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use sha2::Sha256;

use super::{
    Delivery,
    http::{NoClient, Receiver},
    message::{Body, Message},
};
use crate::{clock, config::Secret};

/// The beginning of a key in the notation of Standard Webhooks.
const KEY_PREFIX: &str = "whsec_";

pub(super) struct Webhook {
    receiver: Receiver,
    key: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Posted<'a> {
    host: &'a str,
    #[serde(flatten)]
    what: What<'a>,
    /// Notices that it covers.
    covers: u64,
    /// Notices before it that nobody was told of.
    dropped: u64,
}

#[derive(Serialize)]
#[serde(untagged, rename_all = "kebab-case")]
enum What<'a> {
    Notice(&'a Notice),
    Steps {
        #[serde(flatten)]
        lead: &'a Notice,
        notices: &'a [Notice],
    },
    Digest {
        about: Seq,
        at: Timestamp,
        urgency: Urgency,
        kind: &'static str,
        headline: &'a str,
        counts: &'a [Count],
        notices: &'a [Notice],
    },
}

impl Webhook {
    pub(super) fn new(url: &Secret, key: &Secret) -> Result<Self, NoClient> {
        Ok(Self { receiver: Receiver::new(url)?, key: decode_key(key.reveal()) })
    }

    pub(super) async fn deliver(&self, message: &Message) -> Delivery {
        let timestamp = (clock::wall().as_millis() / 1000).to_string();
        let body = serde_json::to_string(&posted(message)).expect("a notice serialises");
        let headers = [
            ("webhook-signature", sign(&self.key, &message.id, &timestamp, &body)),
            ("webhook-id", message.id.clone()),
            ("webhook-timestamp", timestamp),
        ];
        match self.receiver.post(body, &headers).await {
            Ok(answer) if (200..300).contains(&answer.status) => Delivery::Arrived(answer.status.to_string()),
            Ok(answer) => answer.refusal(),
            Err(why) => Delivery::Later(why, None),
        }
    }
}

fn posted(message: &Message) -> Posted<'_> {
    let what = match &message.body {
        Body::Steps { lead, others } if others.is_empty() => What::Notice(lead),
        Body::Steps { lead, others } => What::Steps { lead, notices: others },
        Body::Digest { about, at, urgency, headline, counts, named } => {
            What::Digest { about: *about, at: *at, urgency: *urgency, kind: "digest", headline, counts, notices: named }
        }
    };
    Posted { host: &message.host, what, covers: message.covers, dropped: message.dropped }
}

/// A `whsec_` key is base64; any other text is taken as it is.
fn decode_key(text: &str) -> Vec<u8> {
    text.strip_prefix(KEY_PREFIX).and_then(|key| STANDARD.decode(key).ok()).unwrap_or_else(|| text.as_bytes().to_vec())
}

fn sign(key: &[u8], id: &str, timestamp: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in [id, ".", timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::message::fixture;

    /// The example of the Standard Webhooks specification and its libraries.
    #[test]
    fn the_signature_is_the_one_that_receivers_libraries_compute() {
        let key = decode_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_body_has_what_a_receiver_needs_to_sort_it() {
        let bodies = [fixture::steps(1), fixture::steps(3), fixture::digest(50)];
        let posted = bodies.map(|message| serde_json::to_value(posted(&message)).unwrap());
        for body in &posted {
            for key in ["host", "about", "at", "urgency", "kind", "headline", "covers", "dropped"] {
                assert!(!body[key].is_null(), "{key} in {body}");
            }
        }
        assert_eq!(posted[0]["intent"]["change"], "desired 4 → 6");
        assert!(posted[0]["notices"].is_null());
        assert_eq!(posted[1]["notices"].as_array().unwrap().len(), 3);
        assert_eq!((&posted[2]["kind"], &posted[2]["covers"]), (&"digest".into(), &50.into()));
        assert_eq!(posted[2]["counts"][0]["urgency"], "person");
    }
}
