//! How a failed pull is named in a container's status (upstream `evalCRIPullErr`).

/// Reason and message of `state.waiting`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullFailure {
    /// `ErrImagePull`, `RegistryUnavailable` or `SignatureValidationFailed`.
    pub reason: &'static str,
    /// Text for `state.waiting.message`, for users.
    pub message: String,
}

/// Derives the reason from the runtime's message `error`.
pub fn name_failure(image: &str, error: &str) -> PullFailure {
    for (reason, words) in [
        ("RegistryUnavailable", "the registry is unavailable"),
        ("SignatureValidationFailed", "the signature validation failed"),
    ] {
        if let Some(detail) = error.strip_prefix(reason) {
            return PullFailure { reason, message: format!("image pull failed for {image} because {words}{detail}") };
        }
    }
    PullFailure { reason: "ErrImagePull", message: error.to_owned() }
}

/// Joins the errors of all attempted credentials.
pub fn join_failures(errors: &[String]) -> String {
    match errors {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_may_name_the_cause() {
        assert_eq!(
            name_failure("i", "RegistryUnavailable: down"),
            PullFailure {
                reason: "RegistryUnavailable",
                message: "image pull failed for i because the registry is unavailable: down".into(),
            }
        );
        assert_eq!(name_failure("i", "SignatureValidationFailed").reason, "SignatureValidationFailed");
        assert_eq!(name_failure("i", "no such host").reason, "ErrImagePull");
    }
}
