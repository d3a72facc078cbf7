//! What headers say of the caller: the access key, region and service of the signature, and the application's name.
//!
//! The signature itself is not checked: there are no secrets here, and the endpoint is on loopback.

use hyper::{HeaderMap, header};

use crate::limits;

/// The credential scope of Signature Version 4 (IAM User Guide, "elements of an AWS API request signature").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope<'a> {
    pub(super) key: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// `Authorization: AWS4-HMAC-SHA256 Credential=<key>/<date>/<region>/<service>/aws4_request, …`
pub(super) fn scope(headers: &HeaderMap) -> Option<Scope<'_>> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let rest = text.strip_prefix("AWS4-HMAC-SHA256 ")?;
    let credential = rest.split(',').find_map(|part| part.trim().strip_prefix("Credential="))?;
    let mut parts = credential.split('/');
    let (key, _date, region, service) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (parts.next() == Some("aws4_request") && parts.next().is_none()).then_some(Scope { key, region, service })
}

/// The name that an application gave the SDK: the part `app/<name>` of the user agent; empty when there is none.
///
/// The Rust SDK writes the same text into both headers; other clients may set `user-agent` to something else, so the
/// SDK's own header is asked first.
pub(super) fn application(headers: &HeaderMap) -> &str {
    let named = |name| {
        let agent: &str = headers.get(name)?.to_str().ok()?;
        agent.split(' ').find_map(|part| part.strip_prefix("app/"))
    };
    let name = named("x-amz-user-agent").or_else(|| named("user-agent")).unwrap_or_default();
    name.get(..limits::CALLER_BYTES).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().expect("a header"));
        headers
    }

    #[test]
    fn the_scope_is_read_from_the_signature() {
        let signed = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-central-1/ecs/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=00";
        let expected = Scope { key: "AKIDEXAMPLE", region: "eu-central-1", service: "ecs" };
        assert_eq!(scope(&headers("authorization", signed)), Some(expected));
    }

    #[test]
    fn no_signature_or_another_kind_gives_no_scope() {
        assert_eq!(scope(&HeaderMap::new()), None);
        for wrong in ["Bearer x", "AWS4-HMAC-SHA256 Credential=a/b/c", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e"] {
            assert_eq!(scope(&headers("authorization", wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn the_application_is_read_from_either_user_agent() {
        let agent = "aws-sdk-rust/1.7.0 ua/2.1 api/ecs/1.157.0 os/linux lang/rust/1.95.0 m/E app/balm-7.0";
        assert_eq!(application(&headers("x-amz-user-agent", agent)), "balm-7.0");
        assert_eq!(application(&headers("user-agent", agent)), "balm-7.0");
        assert_eq!(application(&headers("user-agent", "curl/8.0")), "");
    }
}
