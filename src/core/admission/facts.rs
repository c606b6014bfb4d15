//! The state of the node on which admission depends.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Taint};

use crate::core::model::Amount;
use crate::core::model::totals::Amounts;

/// Resources that the node is short of, as node conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// True while the condition `MemoryPressure` is.
    pub memory: bool,
    /// True while the condition `DiskPressure` is.
    pub disk: bool,
    /// True while the condition `PIDPressure` is.
    pub pid: bool,
}

impl Pressure {
    /// Names of the conditions that are true.
    pub fn conditions(self) -> Vec<&'static str> {
        let all = [(self.memory, "MemoryPressure"), (self.disk, "DiskPressure"), (self.pid, "PIDPressure")];
        all.into_iter().filter(|(holds, _)| *holds).map(|(_, name)| name).collect()
    }
}

/// The node at the time of the decision.
#[derive(Clone, Debug, Default)]
pub struct NodeFacts {
    /// Name of the Node object.
    pub name: String,
    /// Labels of the Node object.
    pub labels: BTreeMap<String, String>,
    /// Taints of the Node object.
    pub taints: Vec<Taint>,
    /// The Node's `status.allocatable`; empty while it is unknown.
    pub allocatable: Amounts,
    /// True if the runtime supports `supplementalGroupsPolicy: Strict`.
    pub strict_groups: bool,
    /// Feature gates in the Node's `status.declaredFeatures`.
    pub features: BTreeSet<String>,
    /// True if AppArmor is enabled in the kernel.
    pub apparmor: bool,
    /// KubeletConfiguration's `allowedUnsafeSysctls`; a trailing `*` matches any rest.
    pub unsafe_sysctls: Vec<String>,
    /// Sysctls that every pod may set, of the version that the kubelet claims.
    pub safe_sysctls: &'static [&'static str],
    /// Resources that the node is short of.
    pub pressure: Pressure,
    /// True during a graceful node shutdown.
    pub shutting_down: bool,
}

impl NodeFacts {
    /// The facts that come from the Node object; the others have their defaults.
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
