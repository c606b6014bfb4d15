//! Events as `kubectl describe` shows them.

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

/// Takes events. Never blocks and never fails: events are aggregated, rate limited (50/s, burst 100) and best effort.
pub trait Events: Send + Sync {
    /// Records one event; `reason` is the API's CamelCase word.
    fn record(&self, target: EventTarget<'_>, kind: EventKind, reason: &str, message: String);
}
