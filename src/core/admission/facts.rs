//! What admission needs to know of the node.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Taint};

use crate::core::model::Amount;
use crate::core::model::totals::Amounts;

/// Which resources the node is short of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// `MemoryPressure`.
    pub memory: bool,
    /// `DiskPressure`.
    pub disk: bool,
    /// `PIDPressure`.
    pub pid: bool,
}

impl Pressure {
    /// The conditions that are true, in upstream's words.
    pub fn conditions(self) -> Vec<&'static str> {
        let all = [(self.memory, "MemoryPressure"), (self.disk, "DiskPressure"), (self.pid, "PIDPressure")];
        all.into_iter().filter(|(holds, _)| *holds).map(|(_, name)| name).collect()
    }
}

/// The node at this moment.
#[derive(Clone, Debug, Default)]
pub struct NodeFacts {
    /// Name of the Node object.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// `status.allocatable`.
    pub allocatable: Amounts,
    /// The runtime can apply `supplementalGroupsPolicy: Strict`.
    pub strict_groups: bool,
    /// `status.declaredFeatures`.
    pub features: BTreeSet<String>,
    /// The kernel has AppArmor.
    pub apparmor: bool,
    /// `allowedUnsafeSysctls`.
    pub unsafe_sysctls: Vec<String>,
    /// What the node is short of.
    pub pressure: Pressure,
    /// The node is going down.
    pub shutting_down: bool,
}

impl NodeFacts {
    /// The part from the Node object.
    pub fn of(node: &Node) -> Self {
        let status = node.status.as_ref();
        let features = status.and_then(|s| s.features.as_ref());
        let allocatable = status.and_then(|s| s.allocatable.as_ref());
        Self {
            name: node.metadata.name.clone().unwrap_or_default(),
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: node.spec.as_ref().and_then(|s| s.taints.clone()).unwrap_or_default(),
            allocatable: allocatable.into_iter().flatten().map(|(name, q)| (name.clone(), Amount::of(q))).collect(),
            strict_groups: features.and_then(|f| f.supplemental_groups_policy).unwrap_or(false),
            features: status.and_then(|s| s.declared_features.clone()).unwrap_or_default().into_iter().collect(),
            ..Self::default()
        }
    }
}
