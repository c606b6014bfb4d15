//! Events as `kubectl describe` shows them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

/// Type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Something happened as it should.
    Normal,
    /// Something that a user may have to look at.
    Warning,
}

/// What an event is about.
#[derive(Clone, Copy, Debug)]
pub enum EventTarget<'a> {
    /// A pod.
    Pod(&'a Pod),
    /// A container of a pod, by its field path such as `spec.containers{web}`.
    Container(&'a Pod, &'a str),
    /// The node itself.
    Node,
}

/// Takes events. Never blocks and never fails: events are aggregated, rate limited, and wait for the API server as long as
/// there is room.
pub trait Events: Send + Sync {
    /// Records one event; `reason` is the API's CamelCase word.
    fn record(&self, target: EventTarget<'_>, kind: EventKind, reason: &str, message: String);

    /// Records one event with annotations, which are for programs; who shows events as lines leaves them out.
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
