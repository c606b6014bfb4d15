//! The worker's part in an in-place resize: puts allocated resources in force and says how that goes.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use super::worker::Worker;
use crate::core::model::time::Moment;
use crate::core::plan::Action;
use crate::core::plan::resize;
use crate::core::render::{DeviceGrant, resources::container_resources};
use crate::ports::{EventKind, EventTarget};

/// Pause after a resize that could not be put in force.
const RETRY: SignedDuration = SignedDuration::from_secs(10);

impl Worker {
    /// The pod has other resources allocated than `before`.
    pub(super) fn begin_resize(&mut self, before: Arc<Pod>) {
        let restart = resize::restarts(&before, &self.pod, &self.observed);
        let state = &mut self.ledger.resize;
        state.in_progress = true;
        state.error = None;
        state.restart.extend(restart);
        self.resize_from = Some(before);
        self.resize_retry = None;
    }

    /// What is left to be done for the resize; ends it when that is nothing.
    pub(super) fn plan_resize(&mut self, now: Timestamp) -> Vec<Action> {
        let state = &self.ledger.resize;
        if !state.in_progress || self.resize_retry.is_some_and(|at| at > now) {
            return Vec::new();
        }
        let running = |id| self.observed.by_id(id).is_some_and(|r| r.state == crate::core::model::RunState::Running);
        if state.restart.iter().any(running) {
            return Vec::new();
        }
        let node = Arc::clone(&self.shared.ports.node.borrow());
        let grant = DeviceGrant::default();
        let specs = crate::core::model::containers_of(&self.pod);
        let wanted =
            specs.iter().map(|(_, c)| (c.name.clone(), container_resources(&node, &self.pod, c, &grant))).collect();
        let actions = resize::plan_resize(&self.pod, self.resize_from.as_deref(), &self.observed, &wanted);
        // The pod's own size is put in force at least once; then an empty rest means that all is done.
        let only_pod = !actions.iter().any(|a| matches!(a, Action::Update { .. }));
        if only_pod && self.resize_from.is_none() {
            self.end_resize();
            return Vec::new();
        }
        actions
    }

    fn end_resize(&mut self) {
        self.ledger.resize.in_progress = false;
        self.ledger.resize.error = None;
        self.ledger.resize.restart.clear();
        let message = format!("Pod resize completed: {}", resize_text(&self.pod));
        let target = EventTarget::Pod(&self.pod);
        self.shared.ports.events.record(target, EventKind::Normal, "ResizeCompleted", message);
    }

    /// A pass with the resize's actions has ended well.
    pub(super) fn resized(&mut self) {
        self.resize_from = None;
        self.ledger.resize.error = None;
    }

    /// The resize could not be put in force; tried again later.
    pub(super) fn resize_failed(&mut self, now: Timestamp, message: String) {
        self.resize_retry = Some(now.later(RETRY));
        if self.ledger.resize.error.as_ref() != Some(&message) {
            let text = format!("Pod resize error: {message}");
            self.shared.ports.events.record(EventTarget::Pod(&self.pod), EventKind::Warning, "ResizeError", text);
            self.ledger.resize.error = Some(message);
        }
    }
}

/// Text of the event `ResizeStarted` and of `ResizeCompleted`: the new resources as upstream prints them.
pub(super) fn resize_text(pod: &Pod) -> String {
    let containers = pod.spec.iter().flat_map(|s| s.init_containers.iter().flatten().chain(&s.containers));
    let list: Vec<_> = containers
        .map(|c| serde_json::json!({"name": c.name, "resources": c.resources.clone().unwrap_or_default()}))
        .collect();
    let generation = pod.metadata.generation.unwrap_or_default();
    serde_json::json!({"containers": list, "generation": generation}).to_string()
}
