//! Steps: each states one thing that shall be true, and carries all that is needed to make it true.
//!
//! A kind of thing has a file here, and one of the same name in `bootstrap/steps`, which reads and changes the node.

mod condition;
mod files;
mod kubeconfigs;
mod members;
mod objects;
mod pki;
mod units;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use condition::Condition;
pub use files::{Content, FileStep};
pub use kubeconfigs::{ClientKubeconfig, KubeconfigStep};
pub use members::MemberStep;
pub use objects::{ObjectStep, covers, object_name};
pub use pki::PkiStep;
pub use units::UnitStep;

use super::key_handover::Wanted;

/// One thing that shall be true. Its `Display` is the line of a plan; secrets never show.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Of a file or folder.
    File(FileStep),
    /// Of keys and certificates.
    Pki(PkiStep),
    /// Of a kubeconfig that the node keeps.
    Kubeconfig(KubeconfigStep),
    /// Of a systemd unit.
    Unit(UnitStep),
    /// Of an object of the API.
    Object(ObjectStep),
    /// Of this node's member of etcd.
    Member(MemberStep),
    /// An image exists under this name in the runtime's store.
    EnsureImage {
        /// Full name with tag.
        reference: String,
        /// How to get it.
        from: ImageOrigin,
        /// The image is never collected by a kubelet.
        pinned: bool,
    },
    /// The PKI files that control planes share are in this folder, handed over by a control plane that has them.
    ReceiveKeys {
        /// Kubeconfig with the credentials that ask for them.
        kubeconfig: PathBuf,
        /// Name of this node.
        node: String,
        /// Absolute path of the PKI folder.
        folder: PathBuf,
        /// What must exist, by names below the folder; what an external CA keeps is not among it.
        needed: Vec<String>,
        /// Which ones are asked for.
        wanted: Wanted,
    },
    /// The condition holds; waited for, at most this long.
    WaitFor {
        /// What to wait for.
        condition: Condition,
        /// When to give up.
        within: Duration,
    },
    /// No pod is in the container runtime.
    RemovePods,
    /// Nothing of the pod network is on the node: routes, rules, bridge, CNI configuration and leases.
    RemovePodNetwork,
}

/// How an image comes into the runtime's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageOrigin {
    /// Pulled by its name.
    Registry,
    /// Imported from whichever of these archives (or folders of archives) holds it.
    Archives(Vec<PathBuf>),
    /// Made on the spot of one small static program of the node (the sandbox image, which mounts nothing).
    Program(PathBuf),
    /// Made on the spot: an image without any layer, for programs mounted from the node.
    Scratch,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(step) => step.fmt(f),
            Self::Pki(step) => step.fmt(f),
            Self::Kubeconfig(step) => step.fmt(f),
            Self::Unit(step) => step.fmt(f),
            Self::Object(step) => step.fmt(f),
            Self::Member(step) => step.fmt(f),
            Self::EnsureImage { reference, from, pinned } => {
                let how = match from {
                    ImageOrigin::Registry => "pull",
                    ImageOrigin::Archives(_) => "import",
                    ImageOrigin::Program(_) => "create",
                    ImageOrigin::Scratch => "create scratch",
                };
                write!(f, "{how} image {reference}{}", if *pinned { ", pinned" } else { "" })
            }
            Self::ReceiveKeys { folder, .. } => {
                write!(f, "receive the shared keys of the control planes into {}", folder.display())
            }
            Self::WaitFor { condition, within } => write!(f, "wait until {condition} (at most {} s)", within.as_secs()),
            Self::RemovePods => f.write_str("stop and remove every pod"),
            Self::RemovePodNetwork => f.write_str("remove the pod network: routes, rules, bridge, CNI configuration"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::Secret;

    #[test]
    fn a_plan_never_shows_a_secret() {
        let step = Step::File(FileStep::Write {
            path: "/etc/kubernetes/token".into(),
            mode: 0o600,
            content: Content::Secret(Secret::new("hunter2".to_owned())),
        });
        assert_eq!(step.to_string(), "write /etc/kubernetes/token (0600)");
        assert!(!format!("{step:?}").contains("hunter2"));
        // The content of Secret objects is not in their line either.
        let object = serde_json::json!({"kind": "Secret", "metadata": {"namespace": "a", "name": "b"}, "data": {"k": "hunter2"}});
        assert_eq!(Step::Object(ObjectStep::Apply { object, create_only: false }).to_string(), "apply Secret a/b");
    }
}
