//! Whether a pod may run on this node.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::core::model::Verdict;

/// Called once per pod before its worker starts it; never blocks (docs/contract.md, kubelet 1.3).
pub trait Admission: Send + Sync {
    /// `active` are the pods that were admitted and are not terminal, without `pod` itself. `is_static` pods are critical.
    fn admit(&self, pod: &Arc<Pod>, is_static: bool, active: &[Arc<Pod>]) -> Verdict;
}
