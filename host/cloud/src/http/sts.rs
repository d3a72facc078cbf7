//! STS's query protocol: a form in, XML out. Protocol: smithy.io, "AWS query protocol".

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};

use super::reply;
use crate::{
    answer::{Answer, Error, ErrorCode},
    request::{GetCallerIdentity, Operation},
};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// The one operation that is modelled. Its name and version need no decoding.
pub(super) fn operation(form: &[u8]) -> Option<Operation> {
    let form = std::str::from_utf8(form).ok()?;
    let has = |field: &str| form.split('&').any(|found| found == field);
    (has("Action=GetCallerIdentity") && has("Version=2011-06-15"))
        .then_some(Operation::GetCallerIdentity(GetCallerIdentity {}))
}

pub(super) fn answered(answer: &Answer, id: &str) -> Response<Full<Bytes>> {
    let Answer::Identity(identity) = answer else {
        return error(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", "not an answer of STS", id);
    };
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"{NAMESPACE}\"><GetCallerIdentityResult><Arn>{}</Arn><UserId>{}</UserId>\
         <Account>{}</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>{id}</RequestId>\
         </ResponseMetadata></GetCallerIdentityResponse>",
        escape(&identity.arn),
        escape(&identity.user_id),
        escape(&identity.account)
    );
    reply(StatusCode::OK, "text/xml", body)
}

/// STS has its own names and statuses for the common errors (STS API Reference, "common errors").
pub(super) fn refused(refusal: &Error, id: &str) -> Response<Full<Bytes>> {
    let (status, code) = match refusal.code {
        ErrorCode::ThrottlingException => (StatusCode::BAD_REQUEST, "Throttling"),
        ErrorCode::AccessDeniedException => (StatusCode::FORBIDDEN, "AccessDenied"),
        ErrorCode::ServerException => (StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure"),
        ErrorCode::ClusterNotFoundException
        | ErrorCode::ServiceNotFoundException
        | ErrorCode::ServiceNotActiveException
        | ErrorCode::InvalidParameterException => (StatusCode::BAD_REQUEST, "ValidationError"),
    };
    error(status, code, &refusal.message, id)
}

pub(super) fn error(status: StatusCode, code: &str, message: &str, id: &str) -> Response<Full<Bytes>> {
    let side = if status.is_server_error() { "Receiver" } else { "Sender" };
    let body = format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{side}</Type><Code>{code}</Code><Message>{}</Message>\
         </Error><RequestId>{id}</RequestId></ErrorResponse>",
        escape(message)
    );
    reply(status, "text/xml", body)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
