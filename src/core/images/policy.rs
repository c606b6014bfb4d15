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
            // Not a word of this kubelet's: the registry decides whether the pod may have the image.
            Some(_) => Self::Always,
            None if image.ends_with(":latest") => Self::Always,
            None => Self::IfNotPresent,
        }
    }
}
