//! Lifecycle hooks of containers.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{LifecycleHandler, Pod};

use crate::core::model::ContainerId;

/// Why a hook failed; the text of the events `FailedPostStartHook` and `FailedPreStopHook`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct HookError {
    /// Message in upstream's words, e.g. `PostStartHook failed`.
    pub message: String,
}

/// A hook to run.
#[derive(Clone, Debug)]
pub struct HookCall {
    /// Definition of the pod.
    pub pod: Arc<Pod>,
    /// Name of the container.
    pub container: String,
    /// Runtime id of the container.
    pub id: ContainerId,
    /// Primary address of the pod, for `httpGet` without a host; `None` if it has none.
    pub pod_ip: Option<String>,
    /// The handler: exec, httpGet or sleep.
    pub handler: LifecycleHandler,
}

/// Runs hooks to completion. The caller limits the time by dropping the future, and reports failures as events; only
/// `LifecycleHTTPFallback` is recorded here.
#[async_trait]
pub trait Hooks: Send + Sync {
    /// Runs a postStart or preStop handler to completion.
    async fn run(&self, call: HookCall) -> Result<(), HookError>;
}
