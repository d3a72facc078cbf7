//! Endings: what a call's outcome says about whether it happened.
//!
//! In doubt it is unknown. Only two things make a call one that surely did not happen: AWS says so, or the connection was
//! never made.

use std::error::Error;

use aws_sdk_ecs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_ecs::operation::RequestId;
use aws_smithy_runtime_api::http::Response;
use balm_core::record::CallResult;

/// Codes with which AWS says "not now": nothing was done (aws-runtime, the SDK's own list of throttling errors).
const THROTTLES: [&str; 14] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "RequestThrottled",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
];

/// Codes with which Auto Scaling says "not now": a change before has yet to take effect, and nothing was done (Amazon EC2
/// Auto Scaling API Reference, errors of `SetDesiredCapacity`). The second comes with status 500.
const IN_PROGRESS: [&str; 2] = ["ScalingActivityInProgress", "ResourceContention"];

/// Codes with which AWS says that our credentials have run out: nothing was done, and new ones are on their way.
const EXPIRED: [&str; 3] = ["ExpiredToken", "ExpiredTokenException", "RequestExpired"];

/// What a call's outcome says.
pub(super) fn of<T: RequestId, E>(outcome: Result<T, SdkError<E, Response>>) -> CallResult
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let error = match outcome {
        Ok(answer) => return CallResult::Done { request: answer.request_id().unwrap_or_default().to_owned() },
        Err(error) => error,
    };
    let why = DisplayErrorContext(&error).to_string();
    match &error {
        SdkError::ConstructionFailure(_) => CallResult::NotDone { why },
        SdkError::DispatchFailure(failure)
            if failure.as_connector_error().is_some_and(|error| was_never_connected(error)) =>
        {
            CallResult::NotDone { why }
        }
        SdkError::ServiceError(context) => {
            let code = context.err().code().unwrap_or_default();
            answered(context.raw().status().as_u16(), code, why)
        }
        SdkError::ResponseError(context) => answered(context.raw().status().as_u16(), "", why),
        // A timeout, or a connection that broke: it may have happened.
        _ => CallResult::Unknown { why },
    }
}

fn answered(status: u16, code: &str, why: String) -> CallResult {
    match status {
        _ if [&THROTTLES[..], &IN_PROGRESS, &EXPIRED].iter().any(|codes| codes.contains(&code)) => {
            CallResult::NotDone { why }
        }
        429 => CallResult::NotDone { why },
        400..=499 if !code.is_empty() => CallResult::Refused { why },
        // A 5xx, or an answer that is none of AWS's: something on the way may have done it and lost the answer.
        _ => CallResult::Unknown { why },
    }
}

/// Whether the other side was never reached: then nothing was sent.
fn was_never_connected(error: &(dyn Error + 'static)) -> bool {
    let refused = |error: &(dyn Error + 'static)| {
        let io = error.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused)
    };
    let mut cause = Some(error);
    while let Some(error) = cause {
        if refused(error) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, code: &str) -> &'static str {
        match answered(status, code, String::new()) {
            CallResult::Done { .. } => "done",
            CallResult::Refused { .. } => "refused",
            CallResult::NotDone { .. } => "not done",
            CallResult::Unknown { .. } => "unknown",
        }
    }

    #[test]
    fn only_aws_itself_can_say_that_nothing_happened() {
        let cases = [
            (400, "ThrottlingException", "not done"),
            (503, "SlowDown", "not done"),
            (429, "", "not done"),
            (403, "ExpiredTokenException", "not done"),
            (400, "Throttling", "not done"),
            (400, "ScalingActivityInProgress", "not done"),
            (500, "ResourceContention", "not done"),
            (400, "InstanceRefreshInProgress", "refused"),
            (400, "ValidationError", "refused"),
            (500, "InternalFailure", "unknown"),
            (400, "ServiceNotFoundException", "refused"),
            (400, "AccessDeniedException", "refused"),
            (400, "", "unknown"),
            (500, "ServerException", "unknown"),
            (502, "", "unknown"),
            (200, "", "unknown"),
        ];
        for (status, code, wanted) in cases {
            assert_eq!(kind(status, code), wanted, "{status} {code:?}");
        }
    }
}
