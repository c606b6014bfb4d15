//! Why a pod cannot be rendered, with upstream's messages: users and tests read them in events and statuses.

/// A configuration that cannot be rendered. That may change (a ConfigMap is created), so callers retry.
///
/// For a container the waiting reason is [`Error::WAITING_REASON`] with this text as message, and the event is `Failed`
/// with the prefix `Error: `. For a sandbox the event is `FailedCreatePodSandBox`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

impl Error {
    /// `state.waiting.reason` of a container that cannot be rendered.
    pub const WAITING_REASON: &'static str = "CreateContainerConfigError";
}

/// Creates an [`Error`] like `format!`.
macro_rules! fail {
    ($($arg:tt)*) => { $crate::core::render::Error(format!($($arg)*)) };
}
pub(super) use fail;
