//! What nodes report, as annotations of their Node objects, about the CAs that they trust and that signed their
//! certificates.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::bootstrap::objects::CONTROL_PLANE_LABEL;
use crate::core::model::json::at;

/// Annotation with the stage that all components of a control plane have finished.
pub const ROTATION_ANNOTATION: &str = "roost.io/rotation-of-authorities";
/// Annotation with the CAs that the kubelet of a node trusts, and those that signed its certificates.
pub const KUBELET_ANNOTATION: &str = "roost.io/kubelet-authorities";

/// A finished stage of a CA rotation, as a control plane reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Both CAs are trusted, the old one signs.
    Prepared,
    /// Both CAs are trusted, the next one signs.
    Switched,
    /// Only the next CA is trusted.
    Finished,
}

impl Stage {
    /// The stage as written in the annotation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Switched => "switched",
            Self::Finished => "finished",
        }
    }

    /// The subcommand of `certs rotate-ca` that leads to this stage.
    pub fn command(self) -> &'static str {
        match self {
            Self::Prepared => "prepare",
            Self::Switched => "switch",
            Self::Finished => "finish",
        }
    }
}

/// The report of a control plane: its stage, and to which CAs it rotates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportedStage {
    /// The last stage it has finished.
    pub stage: Stage,
    /// Digest of the next CAs (see `Rotation::digest`).
    pub digest: String,
}

impl fmt::Display for ReportedStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.stage.as_str(), self.digest)
    }
}

impl FromStr for ReportedStage {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (word, digest) = text.split_once(' ').ok_or(())?;
        let all = [Stage::Prepared, Stage::Switched, Stage::Finished];
        let stage = all.into_iter().find(|stage| stage.as_str() == word).ok_or(())?;
        Ok(Self { stage, digest: digest.to_owned() })
    }
}

impl ReportedStage {
    /// Parses the annotation of a Node; `None` if it has none.
    pub fn of(node: &Value) -> Option<Self> {
        at(node, &["metadata", "annotations", ROTATION_ANNOTATION]).as_str()?.parse().ok()
    }
}

/// The CAs that a kubelet trusts, and those that signed its certificates, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeletTrust {
    /// CAs whose certificates it accepts.
    pub trusts: Vec<String>,
    /// The CA that signed its client certificate; `None` if unknown.
    pub client: Option<String>,
    /// The CA that signed its serving certificate; `None` if the certificate is not signed by the cluster.
    pub serving: Option<String>,
}

impl KubeletTrust {
    /// Parses the annotation of a Node; `None` if it has none.
    pub fn of(node: &Value) -> Option<Self> {
        serde_json::from_str(at(node, &["metadata", "annotations", KUBELET_ANNOTATION]).as_str()?).ok()
    }

    /// True if all certificates of the kubelet are signed by these CAs.
    pub fn is_signed_by(&self, client: &str, serving: &str) -> bool {
        self.client.as_deref() == Some(client) && self.serving.as_deref().is_none_or(|signer| signer == serving)
    }
}

/// True for a Node with the label of control planes.
pub fn is_control_plane(node: &Value) -> bool {
    at(node, &["metadata", "labels"]).get(CONTROL_PLANE_LABEL).is_some()
}
