//! AWS JSON 1.1, as ECS speaks it, and the way to those that speak otherwise; and how lies look on a wire.
//!
//! What a call does is the cloud's; whose it is stands in its headers. Protocol: smithy.io, "AWS JSON 1.1 protocol".

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Response, StatusCode,
    header::{HeaderName, HeaderValue},
    http::request::Parts,
};
use serde::Deserialize;

use super::{
    Answer, Closed, asg,
    credential::{self, Scope},
    json, plain, query, reply,
    shared::Shared,
    sts,
};
use crate::{
    Outcome, Reply,
    answer::Error,
    random::mix,
    request::{Operation, Request},
};

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
const TARGET_PREFIX: &str = "AmazonEC2ContainerServiceV20141113.";

/// The protocol that a call came in, and so the one of its answer.
#[derive(Clone, Copy)]
enum Protocol {
    Json,
    Query(query::Service),
}

/// A request that is no call: wrong before any service would look at it.
pub(super) struct Malformed {
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// Answers a call.
pub(super) async fn answer(head: &Parts, body: &[u8], shared: &Shared) -> Answer {
    if head.method != Method::POST || head.uri.path() != "/" {
        return Ok(plain(StatusCode::NOT_FOUND, "AWS's operations are at POST /, controls under /_cloud/"));
    }
    let is_json = head.headers.contains_key("x-amz-target");
    let protocol = if is_json { Protocol::Json } else { Protocol::Query(query::Service::of(&head.headers)) };
    let request = match read(protocol, &head.headers, body, shared) {
        Ok(request) => request,
        Err(malformed) => return Ok(malformed.into_response(protocol)),
    };
    let reply = shared.with(|cloud, now_ms| cloud.call(now_ms, &request))?;
    if reply.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(reply.delay_ms)).await;
    }
    write(protocol, reply)
}

fn read(protocol: Protocol, headers: &HeaderMap, body: &[u8], shared: &Shared) -> Result<Request, Malformed> {
    let scope = credential::scope(headers).ok_or_else(|| Malformed {
        code: "MissingAuthenticationTokenException",
        message: "Missing Authentication Token".into(),
    })?;
    let operation = match protocol {
        Protocol::Json => ecs_operation(scope, headers, body)?,
        Protocol::Query(query::Service::Sts) => {
            sts::operation(body).ok_or_else(|| unknown(scope, "the action of its body"))?
        }
        Protocol::Query(query::Service::AutoScaling) => asg::operation(body)?,
    };
    Ok(Request {
        account: shared.account_of(scope.key).to_owned(),
        region: scope.region.to_owned(),
        caller: credential::application(headers).to_owned(),
        operation,
    })
}

fn ecs_operation(scope: Scope<'_>, headers: &HeaderMap, body: &[u8]) -> Result<Operation, Malformed> {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    match target.strip_prefix(TARGET_PREFIX) {
        Some("DescribeServices") => parameters(body).map(Operation::DescribeServices),
        Some("UpdateService") => parameters(body).map(Operation::UpdateService),
        Some("ListTasks") => parameters(body).map(Operation::ListTasks),
        Some("DescribeTasks") => parameters(body).map(Operation::DescribeTasks),
        Some("StopTask") => parameters(body).map(Operation::StopTask),
        _ => Err(unknown(scope, target)),
    }
}

fn parameters<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Malformed> {
    let wrong = |error: serde_json::Error| Malformed { code: "SerializationException", message: error.to_string() };
    serde_json::from_slice(body).map_err(wrong)
}

fn unknown(scope: Scope<'_>, target: &str) -> Malformed {
    let message = format!("no such operation of {} is modelled here: {target}", scope.service);
    Malformed { code: "UnknownOperationException", message }
}

fn write(protocol: Protocol, given: Reply) -> Answer {
    let id = request_id(given.number);
    match given.outcome {
        Outcome::Answered(answer) => Ok(match protocol {
            Protocol::Json => identified(reply(StatusCode::OK, CONTENT_TYPE, json(&answer)), &id),
            Protocol::Query(query::Service::Sts) => identified(sts::answered(&answer, &id), &id),
            Protocol::Query(query::Service::AutoScaling) => identified(asg::answered(&answer, &id), &id),
        }),
        Outcome::Refused(error) => Ok(match protocol {
            Protocol::Json => identified(json_error(&error), &id),
            Protocol::Query(service) => identified(query::refused(service, &error, &id), &id),
        }),
        Outcome::HtmlPage(status) => Ok(html_page(status)),
        Outcome::Lost => Err(Closed),
    }
}

fn json_error(error: &Error) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let body = serde_json::json!({ "__type": error.code, "message": error.message });
    reply(status, CONTENT_TYPE, json(&body))
}

impl Malformed {
    fn into_response(self, protocol: Protocol) -> Response<Full<Bytes>> {
        match protocol {
            Protocol::Json => {
                let body = serde_json::json!({ "__type": self.code, "message": self.message });
                reply(StatusCode::BAD_REQUEST, CONTENT_TYPE, json(&body))
            }
            Protocol::Query(service) => query::error(service, StatusCode::BAD_REQUEST, self.code, &self.message, "-"),
        }
    }
}

/// As a load balancer writes it.
fn html_page(status: u16) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let page = format!(
        "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n</body>\r\n\
         </html>\r\n"
    );
    reply(status, "text/html", page)
}

fn identified(mut response: Response<Full<Bytes>>, id: &str) -> Response<Full<Bytes>> {
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(HeaderName::from_static("x-amzn-requestid"), value);
    }
    response
}

/// Looks like AWS's, and is the same for the same number.
fn request_id(number: u64) -> String {
    let (high, low) = (mix(number), mix(!number));
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}
