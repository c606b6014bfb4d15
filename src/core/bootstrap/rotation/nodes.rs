//! What nodes report about the CAs that they trust and are signed by, as annotations of their Node objects.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::bootstrap::objects::CONTROL_PLANE_LABEL;
use crate::core::model::json::at;

/// Annotation with the stage that a control plane has finished with all of its components.
pub const ROTATION_ANNOTATION: &str = "roost.io/rotation-of-authorities";
/// Annotation with the CAs that the kubelet of a node trusts, and those that signed its certificates.
pub const KUBELET_ANNOTATION: &str = "roost.io/kubelet-authorities";

/// A stage of the replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Trust in both.
    Prepared,
    /// The next one signs.
    Switched,
    /// Trust in the next alone.
    Finished,
}

impl Stage {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Switched => "switched",
            Self::Finished => "finished",
        }
    }

    /// The command that brings a control plane there.
    pub fn command(self) -> &'static str {
        match self {
            Self::Prepared => "prepare",
            Self::Switched => "switch",
            Self::Finished => "finish",
        }
    }
}

/// What a control plane reports: its stage, and of which CAs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The stage.
    pub stage: Stage,
    /// Names the next CAs.
    pub digest: String,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.stage.as_str(), self.digest)
    }
}

impl FromStr for Told {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (word, digest) = text.split_once(' ').ok_or(())?;
        let all = [Stage::Prepared, Stage::Switched, Stage::Finished];
        let stage = all.into_iter().find(|stage| stage.as_str() == word).ok_or(())?;
        Ok(Self { stage, digest: digest.to_owned() })
    }
}

impl Told {
    /// What a Node reports.
    pub fn of(node: &Value) -> Option<Self> {
        at(node, &["metadata", "annotations", ROTATION_ANNOTATION]).as_str()?.parse().ok()
    }
}

/// Whose certificates a kubelet believes and has, by the ids of their CAs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeletTrust {
    /// CAs whose certificates it believes.
    pub trusts: Vec<String>,
    /// The one that signed its client certificate.
    pub client: Option<String>,
    /// The one that signed its serving certificate; `None` where it has none from the cluster.
    pub serving: Option<String>,
}

impl KubeletTrust {
    /// What a Node reports.
    pub fn of(node: &Value) -> Option<Self> {
        serde_json::from_str(at(node, &["metadata", "annotations", KUBELET_ANNOTATION]).as_str()?).ok()
    }

    /// True if all certificates of the kubelet are signed by these CAs.
    pub fn is_signed_by(&self, client: &str, serving: &str) -> bool {
        self.client.as_deref() == Some(client) && self.serving.as_deref().is_none_or(|signer| signer == serving)
    }
}

/// True of a Node that is marked as a control plane.
pub fn is_control_plane(node: &Value) -> bool {
    at(node, &["metadata", "labels"]).get(CONTROL_PLANE_LABEL).is_some()
}
