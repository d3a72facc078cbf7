//! Authentication of alert sources: bearer tokens, basic credentials, and Grafana's signatures.
//!
//! Everything that is configured for a source must be shown. Comparisons take the same time wherever two texts differ.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use balm_core::time::Timestamp;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::config::{self, Source};

/// How far the sender's clock and ours may be apart where a signature covers the time.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// Why a request is not the source's. Told to nobody but the log: the sender learns only that it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No credential, or not the right kind.
    Missing,
    /// A wrong token, user or password.
    Wrong,
    /// No signature, or none that can be read.
    Unsigned,
    /// A wrong signature.
    Forged,
    /// A right signature of another time.
    Stale,
}

/// What can be checked before the body is read.
pub(crate) fn check_head(source: &Source, headers: &HeaderMap) -> Result<(), Refusal> {
    let credential = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    if !source.bearer.is_empty() {
        let token = credential.and_then(|value| after_scheme(value, "bearer")).ok_or(Refusal::Missing)?;
        let right = source.bearer.iter().filter(|secret| secret.matches(token)).count();
        if right == 0 {
            return Err(Refusal::Wrong);
        }
    }
    if let Some((user, passwords)) = &source.basic {
        let encoded = credential.and_then(|value| after_scheme(value, "basic")).ok_or(Refusal::Missing)?;
        let pair = STANDARD.decode(encoded).map_err(|_| Refusal::Wrong)?;
        let colon = pair.iter().position(|c| *c == b':').ok_or(Refusal::Wrong)?;
        let right = passwords.iter().filter(|secret| secret.matches(&pair[colon + 1..])).count();
        if right == 0 || pair[..colon] != *user.as_bytes() {
            return Err(Refusal::Wrong);
        }
    }
    Ok(())
}

/// The rest of a credential behind its scheme, whose case does not matter (RFC 9110, 11.1).
pub(crate) fn after_scheme<'a>(value: &'a [u8], scheme: &str) -> Option<&'a [u8]> {
    let space = value.iter().position(|c| *c == b' ')?;
    value[..space].eq_ignore_ascii_case(scheme.as_bytes()).then(|| value[space..].trim_ascii())
}

/// What needs the body: the signature over its raw bytes.
pub(crate) fn check_body(source: &Source, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Refusal> {
    let Some(hmac) = &source.hmac else { return Ok(()) };
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signature = text(&hmac.header).and_then(decode_hex).ok_or(Refusal::Unsigned)?;
    let timestamp = match &hmac.timestamp_header {
        Some(header) => Some(text(header).ok_or(Refusal::Unsigned)?),
        None => None,
    };
    if !hmac.keys.iter().any(|key| is_signed(key, timestamp, body, &signature)) {
        return Err(Refusal::Forged);
    }
    match timestamp {
        Some(timestamp) => check_time(timestamp, now),
        None => Ok(()),
    }
}

/// HMAC-SHA256 over the body, or over the time, a colon and the body (grafana/alerting, `http/hmac.go`).
fn mac(key: &config::Secret, timestamp: Option<&str>, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.reveal().as_bytes()).expect("HMAC takes keys of any length");
    if let Some(timestamp) = timestamp {
        mac.update(timestamp.as_bytes());
        mac.update(b":");
    }
    mac.update(body);
    mac
}

fn is_signed(key: &config::Secret, timestamp: Option<&str>, body: &[u8], signature: &[u8]) -> bool {
    mac(key, timestamp, body).verify_slice(signature).is_ok()
}

/// The headers that a sender shows for a source, as Grafana does: what [`check_head`] and [`check_body`] accept.
pub(crate) fn credentials(source: &Source, body: &[u8], now: Timestamp) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    if let Some(token) = source.bearer.first() {
        headers.push((AUTHORIZATION.to_string(), format!("Bearer {}", token.reveal())));
    }
    if let Some((user, password)) = source.basic.as_ref().and_then(|(user, all)| Some((user, all.first()?))) {
        let pair = STANDARD.encode(format!("{user}:{}", password.reveal()));
        headers.push((AUTHORIZATION.to_string(), format!("Basic {pair}")));
    }
    if let Some((hmac, key)) = source.hmac.as_ref().and_then(|hmac| Some((hmac, hmac.keys.first()?))) {
        let timestamp = hmac.timestamp_header.as_ref().map(|header| (header, (now.as_millis() / 1000).to_string()));
        let mac = mac(key, timestamp.as_ref().map(|(_, time)| time.as_str()), body).finalize().into_bytes();
        headers.push((hmac.header.clone(), mac.iter().map(|byte| format!("{byte:02x}")).collect()));
        headers.extend(timestamp.map(|(header, time)| (header.clone(), time)));
    }
    headers
}

fn check_time(timestamp: &str, now: Timestamp) -> Result<(), Refusal> {
    let seconds: u64 = timestamp.parse().map_err(|_| Refusal::Unsigned)?;
    let signed = Timestamp::from_millis(seconds.saturating_mul(1000));
    if now.since(signed).max(signed.since(now)) > SKEW { Err(Refusal::Stale) } else { Ok(()) }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?);
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const BODY: &[u8] = br#"{"receiver":"test","status":"firing","alerts":[]}"#;
    const NOW: Timestamp = Timestamp::from_millis(1_758_042_679_000);

    fn open() -> Source {
        Source { bearer: vec![], basic: None, hmac: None }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_token_must_be_one_of_those_configured() {
        let source = Source { bearer: vec!["old".into(), "new".into()], ..open() };
        let check = |value: &str| check_head(&source, &headers(&[("authorization", value)]));
        assert_eq!(check("Bearer new"), Ok(()));
        assert_eq!(check("bearer  old"), Ok(()));
        assert_eq!(check("Bearer newer"), Err(Refusal::Wrong));
        assert_eq!(check("Bearer "), Err(Refusal::Wrong));
        assert_eq!(check("Basic bmV3"), Err(Refusal::Missing));
        assert_eq!(check("new"), Err(Refusal::Missing));
        assert_eq!(check_head(&source, &HeaderMap::new()), Err(Refusal::Missing));
    }

    #[test]
    fn user_and_password_must_both_be_right() {
        let source = Source { basic: Some(("grafana".into(), vec!["s3:cr3t".into()])), ..open() };
        let check = |pair: &str| {
            check_head(&source, &headers(&[("authorization", &format!("Basic {}", STANDARD.encode(pair)))]))
        };
        assert_eq!(check("grafana:s3:cr3t"), Ok(()));
        for wrong in ["grafana:s3", "grafana:", "other:s3:cr3t", ":s3:cr3t", "grafana", ""] {
            assert_eq!(check(wrong), Err(Refusal::Wrong), "{wrong}");
        }
        let not_base64 = check_head(&source, &headers(&[("authorization", "Basic !!!")]));
        assert_eq!(not_base64, Err(Refusal::Wrong));
    }

    fn signed(timestamp_header: Option<&str>) -> Source {
        let hmac = config::sources::Hmac {
            keys: vec!["wrong".into(), "s3cr3t".into()],
            header: "x-grafana-alerting-signature".into(),
            timestamp_header: timestamp_header.map(Into::into),
        };
        Source { hmac: Some(hmac), ..open() }
    }

    /// Known answers, computed from the definition with OpenSSL.
    #[test]
    fn signatures_are_grafanas() {
        let plain = "bc999250f9832a8f3588aad94e8d687843267c2a1d5997b17a4703620c89a820";
        let timed = "ebf2c8e1533e1af52edf7c824faacc16531cd2c8de9bd010e124079bdb091d1e";
        let check = |source: &Source, pairs: &[(&'static str, &str)]| check_body(source, &headers(pairs), BODY, NOW);
        let header = "x-grafana-alerting-signature";
        assert_eq!(check(&signed(None), &[(header, plain)]), Ok(()));
        assert_eq!(check(&signed(None), &[(header, timed)]), Err(Refusal::Forged));
        assert_eq!(check(&signed(None), &[(header, "zz")]), Err(Refusal::Unsigned));
        assert_eq!(check(&signed(None), &[(header, &plain[1..])]), Err(Refusal::Unsigned));
        assert_eq!(check(&signed(None), &[(header, &plain[2..])]), Err(Refusal::Forged));
        assert_eq!(check(&signed(None), &[]), Err(Refusal::Unsigned));
        let timed_source = signed(Some("x-time"));
        assert_eq!(check(&timed_source, &[(header, timed), ("x-time", "1758042679")]), Ok(()));
        assert_eq!(check(&timed_source, &[(header, timed)]), Err(Refusal::Unsigned));
        assert_eq!(check(&timed_source, &[(header, timed), ("x-time", "1758042680")]), Err(Refusal::Forged));
        assert_eq!(check(&timed_source, &[(header, plain), ("x-time", "1758042679")]), Err(Refusal::Forged));
    }

    #[test]
    fn a_right_signature_of_another_time_is_refused() {
        let (source, header) = (signed(Some("x-time")), "x-grafana-alerting-signature");
        let timed = "ebf2c8e1533e1af52edf7c824faacc16531cd2c8de9bd010e124079bdb091d1e";
        let at = |now| check_body(&source, &headers(&[(header, timed), ("x-time", "1758042679")]), BODY, now);
        assert_eq!(at(NOW + SKEW), Ok(()));
        assert_eq!(at(NOW + SKEW + Duration::from_millis(1)), Err(Refusal::Stale));
        assert_eq!(at(NOW.before(SKEW)), Ok(()));
        assert_eq!(at(NOW.before(SKEW + Duration::from_secs(1))), Err(Refusal::Stale));
    }

    #[test]
    fn a_changed_body_is_noticed() {
        let plain = "bc999250f9832a8f3588aad94e8d687843267c2a1d5997b17a4703620c89a820";
        let mut body = BODY.to_vec();
        body.push(b' ');
        let checked = check_body(&signed(None), &headers(&[("x-grafana-alerting-signature", plain)]), &body, NOW);
        assert_eq!(checked, Err(Refusal::Forged));
    }

    #[test]
    fn what_a_source_accepts_is_what_we_show_for_it() {
        let source = Source { bearer: vec!["new".into(), "old".into()], ..signed(Some("x-time")) };
        let basic = Source { basic: Some(("grafana".into(), vec!["s3:cr3t".into()])), ..signed(None) };
        for source in [source, basic] {
            let shown: HeaderMap = credentials(&source, BODY, NOW)
                .into_iter()
                .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(&value).unwrap()))
                .collect();
            assert_eq!(check_head(&source, &shown), Ok(()));
            assert_eq!(check_body(&source, &shown, BODY, NOW), Ok(()));
            assert_eq!(check_body(&source, &shown, b"{}", NOW), Err(Refusal::Forged));
        }
    }
}
