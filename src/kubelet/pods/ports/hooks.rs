//! Lifecycle hooks of containers.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{LifecycleHandler, Pod};

use crate::core::model::ContainerId;

/// A hook failed; the text is what the events `FailedPostStartHook` and `FailedPreStopHook` show.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct HookError {
    /// In upstream's words, e.g. `PostStartHook failed`.
    pub message: String,
}

/// One hook to run.
#[derive(Clone, Debug)]
pub struct HookCall {
    /// The pod.
    pub pod: Arc<Pod>,
    /// Name of the container.
    pub container: String,
    /// Its runtime id.
    pub id: ContainerId,
    /// Primary address of the pod, for `httpGet` without a host.
    pub pod_ip: Option<String>,
    /// What to run.
    pub handler: LifecycleHandler,
}

/// Runs hooks to their end. The caller bounds the time by dropping the future and reports failures as events; only
/// `LifecycleHTTPFallback` is recorded inside.
#[async_trait]
pub trait Hooks: Send + Sync {
    /// Runs a postStart or preStop handler.
    async fn run(&self, call: HookCall) -> Result<(), HookError>;
}
