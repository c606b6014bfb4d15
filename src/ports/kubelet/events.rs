//! Events as `kubectl describe` shows them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

/// Type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// For information: something happened as expected.
    Normal,
    /// A problem that users may have to look at.
    Warning,
}

/// The object that an event is about.
#[derive(Clone, Copy, Debug)]
pub enum EventTarget<'a> {
    /// A pod as a whole.
    Pod(&'a Pod),
    /// A container of a pod, by its field path such as `spec.containers{web}`.
    Container(&'a Pod, &'a str),
    /// The node of this kubelet.
    Node,
}

/// Records events. Never blocks and never fails: events are aggregated and rate-limited, and buffered up to a limit
/// while the API server is unreachable.
pub trait Events: Send + Sync {
    /// Records one event; `reason` is a CamelCase word for programs.
    fn record(&self, target: EventTarget<'_>, kind: EventKind, reason: &str, message: String);

    /// Records one event with annotations for programs; implementations that print lines omit them.
    fn record_annotated(
        &self,
        target: EventTarget<'_>,
        kind: EventKind,
        reason: &str,
        message: String,
        _annotations: BTreeMap<String, String>,
    ) {
        self.record(target, kind, reason, message);
    }
}
