//! `imagePullPolicy` of a container.

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// Each time a container starts.
    Always,
    /// When the image is not on the node.
    IfNotPresent,
    /// Never; a missing image is an error.
    Never,
}

impl PullPolicy {
    /// The policy in a spec; if it is not set, `Always` for the tag `latest` and `IfNotPresent` for others.
    pub fn of(policy: Option<&str>, image: &str) -> Self {
        match policy {
            Some("Always") => Self::Always,
            Some("Never") => Self::Never,
            Some("IfNotPresent") => Self::IfNotPresent,
            // An unknown value: the registry decides whether the pod may have the image.
            Some(_) => Self::Always,
            None if image.ends_with(":latest") => Self::Always,
            None => Self::IfNotPresent,
        }
    }
}
