//! Conditions that become true by themselves.

use crate::core::model::spec::Component;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

/// Something that becomes true by itself once the previous steps are done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// An HTTPS or HTTP endpoint answers 200.
    Answers {
        /// URL with scheme, address, port and path.
        url: String,
        /// CA to check its certificate with; `None` for plain HTTP.
        ca: Option<PathBuf>,
    },
    /// The unit is active.
    UnitActive {
        /// Full name of the unit.
        unit: String,
    },
    /// The Node object is there.
    NodeRegistered {
        /// `metadata.name` of the Node.
        name: String,
    },
    /// The Node is Ready.
    NodeReady {
        /// `metadata.name` of the Node.
        name: String,
    },
    /// A file is there.
    FileExists {
        /// Absolute path of the file.
        path: PathBuf,
    },
    /// The kubelet has exchanged its bootstrap credentials for its own.
    KubeletCredentials {
        /// The kubeconfig that the kubelet writes for itself.
        path: PathBuf,
        /// The kubeconfig with which it asks.
        bootstrap: PathBuf,
        /// Name of its node.
        node: String,
        /// Uids of denied requests that are of an earlier attempt.
        denied: BTreeSet<String>,
    },
    /// No static pod of this component runs.
    PodGone {
        /// The component, whose name is that of its manifest.
        component: Component,
    },
    /// A static pod of this component runs.
    PodRuns {
        /// The component, whose name is that of its manifest.
        component: Component,
    },
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answers { url, .. } => write!(f, "{url} answers"),
            Self::UnitActive { unit } => write!(f, "{unit} is active"),
            Self::NodeRegistered { name } => write!(f, "node {name} is registered"),
            Self::NodeReady { name } => write!(f, "node {name} is Ready"),
            Self::FileExists { path } | Self::KubeletCredentials { path, .. } => {
                write!(f, "{} exists", path.display())
            }
            Self::PodGone { component } => write!(f, "the static pod of {component} has stopped"),
            Self::PodRuns { component } => write!(f, "the static pod of {component} is running"),
        }
    }
}
