//! Admission, based on the newest known state of the node.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use tokio::sync::watch;

use crate::core::admission::{NodeFacts, Pressure, decide};
use crate::core::model::{Release, Verdict};
use crate::kubelet::pods::Admission;

/// Decides from the newest values of its inputs; it never does I/O.
#[derive(Clone, Debug)]
pub struct NodeAdmission {
    /// The Node object as last read or written; before registration, the one that will be registered.
    pub node: watch::Receiver<Arc<Node>>,
    /// Node-pressure conditions from the eviction manager.
    pub pressure: watch::Receiver<Pressure>,
    /// True during a node shutdown.
    pub shutting_down: watch::Receiver<bool>,
    /// True if AppArmor is enabled in the kernel.
    pub apparmor: bool,
    pub unsafe_sysctls: Vec<String>,
    /// The version that this kubelet claims, which decides what is safe.
    pub release: &'static Release,
}

impl Admission for NodeAdmission {
    fn admit(&self, pod: &Arc<Pod>, is_static: bool, active: &[Arc<Pod>]) -> Verdict {
        let facts = NodeFacts {
            apparmor: self.apparmor,
            unsafe_sysctls: self.unsafe_sysctls.clone(),
            safe_sysctls: self.release.safe_sysctls,
            pressure: *self.pressure.borrow(),
            shutting_down: *self.shutting_down.borrow(),
            ..NodeFacts::of(&self.node.borrow())
        };
        decide(pod, is_static, active, &facts)
    }
}
