//! STS's one operation on the wire.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};

use super::query::{self, Service, element};
use crate::{
    answer::Answer,
    request::{GetCallerIdentity, Operation},
};

/// The one operation that is modelled. Its name and version need no decoding.
pub(super) fn operation(form: &[u8]) -> Option<Operation> {
    let form = std::str::from_utf8(form).ok()?;
    let has = |field: &str| form.split('&').any(|found| found == field);
    (has("Action=GetCallerIdentity") && has("Version=2011-06-15"))
        .then_some(Operation::GetCallerIdentity(GetCallerIdentity {}))
}

pub(super) fn answered(answer: &Answer, id: &str) -> Response<Full<Bytes>> {
    let Answer::Identity(identity) = answer else {
        let (status, what) = (StatusCode::INTERNAL_SERVER_ERROR, "not an answer of STS");
        return query::error(Service::Sts, status, "InternalFailure", what, id);
    };
    let fields =
        [element("Arn", &identity.arn), element("UserId", &identity.user_id), element("Account", &identity.account)];
    let result = format!("<GetCallerIdentityResult>{}</GetCallerIdentityResult>", fields.concat());
    query::answered(Service::Sts, "GetCallerIdentity", &result, id)
}
