//! Delivery over HTTP, once for all vendors: a POST, its answer, and whether another try is worth it.
//!
//! It refuses to know what is posted and what a vendor calls success. The address may carry a token: it is in no error, and
//! of an answer no more is kept than a status and a word, since error pages like to repeat the address.

use std::time::Duration;

use reqwest::{header::RETRY_AFTER, redirect::Policy};

use super::Delivery;
use crate::config::Secret;

/// A delivery, from connecting to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read: what is meant for us is a word.
const ANSWER_BYTES: usize = 1_024;

/// The longest word that is kept of an answer, in bytes. Slack's longest error has 25.
const WORD_BYTES: usize = 40;

/// Where notices are posted.
pub(super) struct Receiver {
    client: reqwest::Client,
    url: Secret,
}

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client can be made for notices: {0}")]
pub(crate) struct NoClient(String);

/// What the receiver answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// When it wants to be asked again.
    pub(super) retry_after: Option<Duration>,
    /// The whole answer, if it is one word of lower-case letters.
    pub(super) word: Option<String>,
}

impl Receiver {
    pub(super) fn new(url: &Secret) -> Result<Self, NoClient> {
        // The process's cryptography is chosen once; the second notifier finds it chosen.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            // A receiver that moves is configured anew; following would send our signature to a stranger.
            .redirect(Policy::none())
            .user_agent(concat!("Balm/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| NoClient(error.to_string()))?;
        Ok(Self { client, url: url.clone() })
    }

    /// Post JSON. The error says why there is no answer.
    pub(super) async fn post(&self, body: String, headers: &[(&'static str, String)]) -> Result<Answer, String> {
        let mut request = self.client.post(self.url.reveal()).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut answer = request.body(body).send().await.map_err(in_words)?;
        let (status, retry_after) = (answer.status().as_u16(), retry_after(&answer));
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(in_words)? {
            text.extend_from_slice(&chunk);
            if text.len() > ANSWER_BYTES {
                break;
            }
        }
        Ok(Answer { status, retry_after, word: word(&text) })
    }
}

impl Answer {
    /// What follows from an answer that is no success.
    pub(super) fn refusal(self) -> Delivery {
        let Self { status, retry_after, word } = self;
        let said = word.map(|word| format!(" {word}")).unwrap_or_default();
        match status {
            408 | 425 | 429 | 500..=599 => {
                Delivery::Later(format!("the receiver answered {status}{said}"), retry_after)
            }
            _ => Delivery::Never(format!("the receiver answered {status}{said}")),
        }
    }
}

/// An error with its causes, and without the address.
fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

fn retry_after(answer: &reqwest::Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn word(text: &[u8]) -> Option<String> {
    let text = text.trim_ascii();
    let is_word = (1..=WORD_BYTES).contains(&text.len()) && text.iter().all(|c| c.is_ascii_lowercase() || *c == b'_');
    is_word.then(|| String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_can_be_made_for_any_number_of_receivers() {
        for _ in 0..2 {
            assert!(Receiver::new(&Secret::from("https://hooks.example.com/x")).is_ok());
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_will_not_is_given_up() {
        let kind = |status| match (Answer { status, retry_after: None, word: None }).refusal() {
            Delivery::Arrived(_) => "arrived",
            Delivery::Later(..) => "later",
            Delivery::Never(_) => "never",
        };
        let cases = [(302, "never"), (400, "never"), (404, "never"), (410, "never"), (429, "later"), (503, "later")];
        for (status, wanted) in cases {
            assert_eq!(kind(status), wanted, "{status}");
        }
    }

    #[test]
    fn only_a_word_of_an_answer_is_kept() {
        for (text, wanted) in [("ok\n", Some("ok")), ("channel_not_found", Some("channel_not_found"))] {
            assert_eq!(word(text.as_bytes()).as_deref(), wanted);
        }
        let long = "x".repeat(WORD_BYTES + 1);
        for text in ["", "Cannot POST /services/T0/B0/s3cr3t", "https://x", "two words", &long] {
            assert_eq!(word(text.as_bytes()), None, "{text}");
        }
    }
}
