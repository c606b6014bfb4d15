//! Admission with what is known of the node at the moment of asking.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use tokio::sync::watch;

use crate::core::admission::{NodeFacts, Pressure, decide};
use crate::core::model::Verdict;
use crate::kubelet::pods::Admission;

/// Answers from the newest values of its inputs; it never asks anybody.
#[derive(Clone, Debug)]
pub struct NodeAdmission {
    /// The Node object as last read or written; before that, as it will be registered.
    pub node: watch::Receiver<Arc<Node>>,
    /// From eviction.
    pub pressure: watch::Receiver<Pressure>,
    /// From the shutdown watch.
    pub shutting_down: watch::Receiver<bool>,
    /// Whether the kernel has AppArmor.
    pub apparmor: bool,
    /// `allowedUnsafeSysctls`.
    pub unsafe_sysctls: Vec<String>,
}

impl Admission for NodeAdmission {
    fn admit(&self, pod: &Arc<Pod>, is_static: bool, active: &[Arc<Pod>]) -> Verdict {
        let facts = NodeFacts {
            apparmor: self.apparmor,
            unsafe_sysctls: self.unsafe_sysctls.clone(),
            pressure: *self.pressure.borrow(),
            shutting_down: *self.shutting_down.borrow(),
            ..NodeFacts::of(&self.node.borrow())
        };
        decide(pod, is_static, active, &facts)
    }
}
