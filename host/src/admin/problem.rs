//! What is said when something is not done: one shape for every answer that is no success (RFC 9457), and the readers of
//! requests that answer with it.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Path, Query, Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS},
        request::Parts,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use super::Admin;
use crate::audit::AuditError;

/// Bytes of a request's body: what people ask for is short.
const BODY_BYTES: usize = 64 << 10;

/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// The media type of a problem.
pub(super) const PROBLEM: &str = "application/problem+json";

/// Why something is not done.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
}

/// A problem as it is written (RFC 9457; its type is `about:blank`).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Written {
    /// The status in words.
    title: &'static str,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What happened to which thing, and what to do.
    detail: String,
}

/// What is read of a problem by whoever asked.
#[derive(Debug, Deserialize)]
pub(crate) struct Said {
    pub(crate) detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// The request cannot be understood.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// There is no such thing.
    pub(super) fn absent(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// It is understood, and does not go with how things are.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// Not now.
    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Dropped(_) => Self::absent(error.to_string()),
            error => Self::unavailable(error.to_string()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, detail } = self;
        let written = Written { title: status.canonical_reason().unwrap_or(""), status: status.as_u16(), detail };
        let body = serde_json::to_vec(&written).expect("it serialises");
        let mut response = (status, [(CONTENT_TYPE, PROBLEM)], body).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"balm\""));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// After every answer: count it, and say it in the one shape where the router itself said no.
pub(super) async fn finish(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let (mut parts, body) = response.into_parts();
    let bare =
        (parts.status.is_client_error() || parts.status.is_server_error()) && !parts.headers.contains_key(CONTENT_TYPE);
    let mut response = if bare {
        let detail = match parts.status {
            StatusCode::NOT_FOUND => "there is nothing at this address; /openapi.json lists what there is",
            StatusCode::METHOD_NOT_ALLOWED => {
                "this address does not take this method; the header Allow lists what it takes"
            }
            _ => "the request was refused",
        };
        let mut problem = Problem::new(parts.status, detail).into_response();
        // What the router said beyond the status stays: `Allow`.
        parts.headers.remove(axum::http::header::CONTENT_LENGTH);
        problem.headers_mut().extend(parts.headers);
        problem
    } else {
        Response::from_parts(parts, body)
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    admin.doors.count(response.status());
    response
}

/// A body of JSON.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Admin>> for Asked<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Admin>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            let detail = "the body must be JSON, and say so: content-type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let bytes = read(body).await?;
        // What it is made of has names: a list of the same values in their order is none of it, though serde would take one.
        if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
            return Err(Problem::malformed("the body is not what is asked for: it must be an object"));
        }
        let read = serde_json::from_slice(&bytes);
        read.map(Self).map_err(|error| Problem::malformed(format!("the body is not what is asked for: {error}")))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|text| text.split(';').next()).map(str::trim);
    media_type.is_some_and(|text| text.eq_ignore_ascii_case("application/json"))
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    read_most(body, BODY_BYTES, BODY_WITHIN).await
}

/// A body of so many bytes at most, within a time.
pub(super) async fn read_most(body: Body, most: usize, within: Duration) -> Result<Bytes, Problem> {
    match tokio::time::timeout(within, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => {
            let detail = format!("the body is larger than {} KiB", most >> 10);
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
        }
        Ok(Err(_)) => Err(Problem::malformed("the body did not arrive whole")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}

/// What stands behind the question mark.
pub(super) struct Fields<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Admin>> for Fields<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Admin>) -> Result<Self, Problem> {
        let query = Query::try_from_uri(&parts.uri);
        query.map(|Query(fields)| Self(fields)).map_err(|rejection| Problem::malformed(rejection.body_text()))
    }
}

/// Nothing stands there: what is not known is a mistake, and not passed over.
pub(super) struct NoFields;

impl FromRequestParts<Arc<Admin>> for NoFields {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Admin>) -> Result<Self, Problem> {
        match parts.uri.query() {
            None | Some("") => Ok(Self),
            Some(_) => Err(Problem::malformed("this address takes nothing behind a question mark")),
        }
    }
}

/// The name of a thing in the address.
pub(super) struct Named(pub(super) String);

impl FromRequestParts<Arc<Admin>> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Problem> {
        let named = Path::<String>::from_request_parts(parts, admin).await;
        named.map(|Path(name)| Self(name)).map_err(|rejection| Problem::malformed(rejection.body_text()))
    }
}
