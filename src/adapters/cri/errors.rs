//! From gRPC status to the port's error.

use tonic::{Code, Status};

use crate::ports::node::RuntimeError;

/// The text is that of upstream's events, `rpc error: code = … desc = …`.
pub(super) fn convert(call: &'static str, status: &Status) -> RuntimeError {
    let message = format!("rpc error: code = {} desc = {}", name(status.code()), status.message());
    match status.code() {
        Code::NotFound => RuntimeError::NotFound { call, message },
        Code::Unimplemented => RuntimeError::Unimplemented { call },
        Code::DeadlineExceeded => RuntimeError::DeadlineExceeded { call },
        Code::Unavailable => RuntimeError::Unavailable { call, message },
        // containerd 2.2 returns Unknown for calls that it does not implement.
        Code::Unknown if status.message().contains("not implemented") => RuntimeError::Unimplemented { call },
        _ => RuntimeError::Other { call, message },
    }
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

/// "Not found" is success for removals.
pub(super) fn gone_is_fine<T: Default>(result: Result<T, RuntimeError>) -> Result<T, RuntimeError> {
    match result {
        Err(RuntimeError::NotFound { .. }) => Ok(T::default()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_with_not_implemented_is_unimplemented() {
        let status = Status::unknown("UpdatePodSandboxResources not implemented");
        assert!(matches!(convert("x", &status), RuntimeError::Unimplemented { call: "x" }));
    }

    #[test]
    fn removing_what_is_gone_succeeds() {
        let gone: Result<(), _> = Err(convert("x", &Status::not_found("no such container")));
        assert!(gone_is_fine(gone).is_ok());
    }
}
