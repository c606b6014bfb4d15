//! What the runtime reports about itself: network, features of its handlers.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use k8s_openapi::api::core::v1::Pod;

use crate::cri;

/// Shared by all workers; updated from the runtime's status.
#[derive(Clone, Default)]
pub struct RuntimeFacts(Arc<RwLock<Facts>>);

#[derive(Default)]
struct Facts {
    network_ready: bool,
    /// Support of recursive read-only mounts, by handler.
    recursive: BTreeMap<String, bool>,
    /// Support of user namespaces, by handler.
    user_namespaces: BTreeMap<String, bool>,
}

impl RuntimeFacts {
    /// Updates the facts from a status.
    pub fn learn(&self, status: &cri::StatusResponse) {
        let mut facts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let conditions = status.status.iter().flat_map(|s| &s.conditions);
        facts.network_ready = conditions.filter(|c| c.r#type == "NetworkReady").any(|c| c.status);
        facts.recursive = status
            .runtime_handlers
            .iter()
            .map(|h| (h.name.clone(), h.features.as_ref().is_some_and(|f| f.recursive_read_only_mounts)))
            .collect();
        facts.user_namespaces = status
            .runtime_handlers
            .iter()
            .map(|h| (h.name.clone(), h.features.as_ref().is_some_and(|f| f.user_namespaces)))
            .collect();
    }

    /// True if the pod network was ready when it was last checked.
    pub fn network_ready(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).network_ready
    }

    /// Makes the next pod check the network again.
    pub fn forget_network(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).network_ready = false;
    }

    /// True if the pod's handler supports recursive read-only mounts. The handler of a RuntimeClass nearly always has
    /// the class's name; others are treated as not supporting it.
    pub fn recursive_read_only(&self, pod: &Pod) -> bool {
        let handler = pod.spec.as_ref().and_then(|s| s.runtime_class_name.as_deref()).unwrap_or_default();
        let facts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        facts.recursive.get(handler).copied().unwrap_or_default()
    }

    /// True if a handler supports user namespaces.
    pub fn user_namespaces(&self, handler: &str) -> bool {
        let facts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        facts.user_namespaces.get(handler).copied().unwrap_or_default()
    }
}
