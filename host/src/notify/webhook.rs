//! A webhook as a receiver of notices: JSON, signed as Standard Webhooks are
//! (<https://github.com/standard-webhooks/standard-webhooks>, version 1.0.0).
//!
//! Headers: `webhook-id`, the same for every try of a notice; `webhook-timestamp`, Unix seconds; `webhook-signature`,
//! `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.

use std::time::Duration;

use balm_core::notice::Notice;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{StatusCode, header::RETRY_AFTER, redirect::Policy};
use serde::Serialize;
use sha2::Sha256;

use super::Delivery;
use crate::{clock, config::Secret};

/// A delivery, from connecting to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The beginning of a key in the notation of Standard Webhooks.
const KEY_PREFIX: &str = "whsec_";

pub(super) struct Webhook {
    client: reqwest::Client,
    url: Secret,
    key: Vec<u8>,
}

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client can be made for notices: {0}")]
pub(crate) struct NoClient(String);

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Body<'a> {
    host: &'a str,
    #[serde(flatten)]
    notice: &'a Notice,
    dropped: u64,
}

impl Webhook {
    pub(super) fn new(url: &Secret, key: &Secret) -> Result<Self, NoClient> {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            // A receiver that moves is configured anew; following would send our signature to a stranger.
            .redirect(Policy::none())
            .user_agent(concat!("Balm/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| NoClient(error.to_string()))?;
        Ok(Self { client, url: url.clone(), key: decode_key(key.reveal()) })
    }

    pub(super) async fn deliver(&self, host: &str, notice: &Notice, dropped: u64) -> Delivery {
        let id = format!("{host}-{}", notice.about);
        let timestamp = (clock::wall().as_millis() / 1000).to_string();
        let body = serde_json::to_string(&Body { host, notice, dropped }).expect("a notice serialises");
        let request = self
            .client
            .post(self.url.reveal())
            .header("content-type", "application/json")
            .header("webhook-signature", sign(&self.key, &id, &timestamp, &body))
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .body(body);
        match request.send().await {
            Ok(answer) => judge(answer.status(), retry_after(&answer)),
            // Without the URL, which may carry a token.
            Err(error) => Delivery::Later(error.without_url().to_string(), None),
        }
    }
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

fn retry_after(answer: &reqwest::Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn judge(status: StatusCode, retry_after: Option<Duration>) -> Delivery {
    let answer = status.as_u16().to_string();
    match status.as_u16() {
        200..=299 => Delivery::Arrived(answer),
        408 | 425 | 429 | 500..=599 => Delivery::Later(answer, retry_after),
        _ => Delivery::Never(format!("the receiver answered {answer}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification and its libraries.
    #[test]
    fn the_signature_is_the_one_that_receivers_libraries_compute() {
        let key = decode_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_will_not_is_given_up() {
        let kind = |status| match judge(StatusCode::from_u16(status).unwrap(), None) {
            Delivery::Arrived(_) => "arrived",
            Delivery::Later(..) => "later",
            Delivery::Never(_) => "never",
        };
        let cases = [
            (200, "arrived"),
            (204, "arrived"),
            (302, "never"),
            (400, "never"),
            (410, "never"),
            (429, "later"),
            (503, "later"),
        ];
        for (status, wanted) in cases {
            assert_eq!(kind(status), wanted, "{status}");
        }
    }
}
