//! AWS's query protocol, as STS and Auto Scaling speak it: a form in, XML out. Protocol: smithy.io, "AWS query protocol".
//!
//! What the fields of a form and an answer are is known to the file of each service.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{HeaderMap, Response, StatusCode};

use super::{aws::Malformed, credential, reply};
use crate::answer::{Error, ErrorCode};

/// The services that speak it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Sts,
    AutoScaling,
}

impl Service {
    /// The service that a request is signed for; STS where it says nothing else.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let named = credential::scope(headers).is_some_and(|scope| scope.service == "autoscaling");
        if named { Self::AutoScaling } else { Self::Sts }
    }

    fn namespace(self) -> &'static str {
        match self {
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
            Self::AutoScaling => "http://autoscaling.amazonaws.com/doc/2011-01-01/",
        }
    }
}

/// A form that was decoded.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn read(body: &[u8]) -> Result<Self, Malformed> {
        let wrong = || Malformed { code: "MalformedQueryString", message: "the body is no form".into() };
        let text = std::str::from_utf8(body).map_err(|_| wrong())?;
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            Some((decode(name)?, decode(value)?))
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|text| pair(text).ok_or_else(wrong));
        pairs.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A list: `<name>.member.1`, `<name>.member.2`, …
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let member = |number: usize| self.get(&format!("{name}.member.{number}")).map(str::to_owned);
        (1..=self.0.len()).map_while(member).collect()
    }

    /// A value that means something; a mistake where it means nothing.
    pub(super) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Malformed> {
        let wrong = || Malformed { code: "ValidationError", message: format!("{name} is malformed") };
        self.get(name).map(|text| text.parse().map_err(|_| wrong())).transpose()
    }
}

/// Percent-decoding, `+` for a blank. `None` where it is malformed.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
            }
            byte => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The answer of an action: its result, which is XML already.
pub(super) fn answered(service: Service, action: &str, result: &str, id: &str) -> Response<Full<Bytes>> {
    let namespace = service.namespace();
    let body = format!(
        "<{action}Response xmlns=\"{namespace}\">{result}<ResponseMetadata><RequestId>{id}</RequestId>\
         </ResponseMetadata></{action}Response>"
    );
    reply(StatusCode::OK, "text/xml", body)
}

/// The query protocol has its own names and statuses for the common errors (STS API Reference and Amazon EC2 Auto Scaling
/// API Reference, "common errors").
pub(super) fn refused(service: Service, refusal: &Error, id: &str) -> Response<Full<Bytes>> {
    let (status, code) = match refusal.code {
        ErrorCode::ThrottlingException => (StatusCode::BAD_REQUEST, "Throttling"),
        ErrorCode::AccessDeniedException => (StatusCode::FORBIDDEN, "AccessDenied"),
        ErrorCode::ServerException => (StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure"),
        ErrorCode::ScalingActivityInProgress => (StatusCode::BAD_REQUEST, "ScalingActivityInProgress"),
        ErrorCode::InstanceRefreshInProgress => (StatusCode::BAD_REQUEST, "InstanceRefreshInProgress"),
        ErrorCode::ClusterNotFoundException
        | ErrorCode::ServiceNotFoundException
        | ErrorCode::ServiceNotActiveException
        | ErrorCode::InvalidParameterException
        | ErrorCode::ValidationError => (StatusCode::BAD_REQUEST, "ValidationError"),
    };
    error(service, status, code, &refusal.message, id)
}

pub(super) fn error(
    service: Service,
    status: StatusCode,
    code: &str,
    message: &str,
    id: &str,
) -> Response<Full<Bytes>> {
    let side = if status.is_server_error() { "Receiver" } else { "Sender" };
    let (namespace, message) = (service.namespace(), escape(message));
    let body = format!(
        "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{side}</Type><Code>{code}</Code><Message>{message}</Message>\
         </Error><RequestId>{id}</RequestId></ErrorResponse>"
    );
    reply(status, "text/xml", body)
}

/// `<name>text</name>`
pub(super) fn element(name: &str, text: impl std::fmt::Display) -> String {
    format!("<{name}>{}</{name}>", escape(&text.to_string()))
}

/// `<name><member>…</member>…</name>`, of members that are XML already.
pub(super) fn list(name: &str, members: impl Iterator<Item = String>) -> String {
    let members: String = members.map(|member| format!("<member>{member}</member>")).collect();
    format!("<{name}>{members}</{name}>")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A time as XML has it: `2026-11-25T01:02:03.456Z`. The days are counted as in Hinnant's "chrono-compatible low-level date
/// algorithms", `civil_from_days`.
pub(super) fn time(ms: u64) -> String {
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_decoded() {
        let Ok(form) = Form::read(b"Action=X&Names.member.1=a%2Fb+c%C3%A9&Names.member.2=d&N=7") else {
            panic!("a form")
        };
        assert_eq!(form.get("Action"), Some("X"));
        assert_eq!(form.list("Names"), ["a/b cé", "d"]);
        assert!(matches!(form.parsed::<i64>("N"), Ok(Some(7))));
        assert!(matches!(form.parsed::<i64>("M"), Ok(None)));
        assert!(form.parsed::<i64>("Action").is_err());
        for wrong in [&b"x"[..], b"a=%", b"a=%4", b"a=%4g", b"a=%ff", b"\xff=1"] {
            assert!(Form::read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_time_is_written_as_xml_has_it() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(time(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(time(1_709_251_200_000), "2024-03-01T00:00:00.000Z");
        assert_eq!(time(1_767_225_599_001), "2025-12-31T23:59:59.001Z");
    }
}
