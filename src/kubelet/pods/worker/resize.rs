//! The worker's part in an in-place resize: puts allocated resources in force and reports the progress.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use super::Worker;
use crate::core::model::time::Moment;
use crate::core::plan::Action;
use crate::core::plan::resize::{self, Rest, resize_text};
use crate::ports::kubelet::{EventKind, EventTarget};

/// Delay after a resize that could not be put in force.
const RETRY: SignedDuration = SignedDuration::from_secs(10);

impl Worker {
    /// Begins a resize: the pod has other allocated resources than `before`.
    pub(super) fn begin_resize(&mut self, before: Arc<Pod>) {
        let restart = resize::restarts(&before, &self.pod, &self.observed);
        let state = &mut self.ledger.resize;
        state.in_progress = true;
        state.error = None;
        state.restart.extend(restart);
        self.resize_from = Some(before);
        self.deadlines.resize = None;
    }

    /// The remaining actions of the resize; finishes it if there are none.
    pub(super) fn plan_resize(&mut self, now: Timestamp) -> Vec<Action> {
        if self.deadlines.resize.is_some_and(|at| at > now) {
            return Vec::new();
        }
        let node = Arc::clone(&self.shared.ports.node.borrow());
        let from = self.resize_from.as_deref();
        match resize::plan_rest(&self.ledger.resize, &node, &self.pod, from, &self.observed) {
            Rest::Waits => Vec::new(),
            Rest::Done => {
                self.end_resize();
                Vec::new()
            }
            Rest::Actions(actions) => actions,
        }
    }

    fn end_resize(&mut self) {
        self.ledger.resize.in_progress = false;
        self.ledger.resize.error = None;
        self.ledger.resize.restart.clear();
        let message = format!("Pod resize completed: {}", resize_text(&self.pod));
        let target = EventTarget::Pod(&self.pod);
        self.shared.ports.events.record(target, EventKind::Normal, "ResizeCompleted", message);
    }

    /// A pass with the resize's actions has succeeded.
    pub(super) fn resized(&mut self) {
        self.resize_from = None;
        self.ledger.resize.error = None;
    }

    /// The resize could not be put in force; it is retried later.
    pub(super) fn resize_failed(&mut self, now: Timestamp, message: String) {
        self.deadlines.resize = Some(now.later(RETRY));
        if self.ledger.resize.error.as_ref() != Some(&message) {
            let text = format!("Pod resize error: {message}");
            self.shared.ports.events.record(EventTarget::Pod(&self.pod), EventKind::Warning, "ResizeError", text);
            self.ledger.resize.error = Some(message);
        }
    }
}
