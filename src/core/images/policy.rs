//! `imagePullPolicy`.

/// When to pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// Each time a container starts.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// Not at all.
    Never,
}

impl PullPolicy {
    /// The policy of a spec; where it says nothing, `latest` is pulled always and other tags when absent.
    pub fn of(policy: Option<&str>, image: &str) -> Self {
        match policy {
            Some("Always") => Self::Always,
            Some("Never") => Self::Never,
            Some("IfNotPresent") => Self::IfNotPresent,
            _ if image.ends_with(":latest") => Self::Always,
            _ => Self::IfNotPresent,
        }
    }
}
