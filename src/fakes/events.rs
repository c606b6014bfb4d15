//! Events kept in a list.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::core::model::key_of;
use crate::ports::kubelet::{EventKind, EventTarget, Events};

/// Records each event as one line, `target reason: message`.
#[derive(Debug, Default)]
pub struct FakeEvents {
    lines: Mutex<Vec<String>>,
    annotations: Mutex<BTreeMap<String, String>>,
}

impl FakeEvents {
    /// The annotations of all events so far.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        self.annotations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns and clears the lines recorded so far.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Events for FakeEvents {
    fn record(&self, target: EventTarget<'_>, _: EventKind, reason: &str, message: String) {
        let target = match target {
            EventTarget::Pod(pod) => key_of(pod).to_string(),
            EventTarget::Container(pod, path) => format!("{} {path}", key_of(pod)),
            EventTarget::Node => "node".into(),
        };
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{target} {reason}: {message}"));
    }

    fn record_annotated(
        &self,
        target: EventTarget<'_>,
        kind: EventKind,
        reason: &str,
        message: String,
        annotations: BTreeMap<String, String>,
    ) {
        self.annotations.lock().unwrap_or_else(PoisonError::into_inner).extend(annotations);
        self.record(target, kind, reason, message);
    }
}
