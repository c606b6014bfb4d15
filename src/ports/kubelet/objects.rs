//! API objects that pods refer to: configMaps, secrets, services, runtime classes, tokens.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::node::v1::RuntimeClass;
use tokio::sync::broadcast;

/// Why an object could not be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ObjectError {
    /// The API server says that it does not exist.
    #[error("{kind} \"{name}\" not found")]
    NotFound {
        /// Lower-case kind as upstream prints it, e.g. `configmap`.
        kind: &'static str,
        /// Name without namespace.
        name: String,
    },
    /// It could not be asked, or refused.
    #[error("{kind} \"{namespace}/{name}\": {message}")]
    Failed {
        /// Lower-case kind.
        kind: &'static str,
        /// Namespace, empty for cluster-scoped kinds.
        namespace: String,
        /// Name.
        name: String,
        /// The server's or the transport's text.
        message: String,
    },
    /// The kubelet runs without an API server.
    #[error("{kind} \"{name}\" cannot be read: this kubelet runs standalone")]
    Standalone {
        /// Lower-case kind.
        kind: &'static str,
        /// Name.
        name: String,
    },
}

/// A referenced object changed; the volumes that use it are set up again at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectChange {
    /// A configMap, by namespace and name.
    ConfigMap(Arc<str>, Arc<str>),
    /// A secret, by namespace and name.
    Secret(Arc<str>, Arc<str>),
}

/// What to ask of the TokenRequest API for a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenRequest {
    /// Audiences; empty means the API server's own.
    pub audiences: Vec<String>,
    /// Wanted lifetime in seconds.
    pub expiration_seconds: i64,
}

/// Reads objects for pods. Objects in use are watched, so that a read is a look into memory.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Starts watching what the pod refers to; called before its volumes are set up.
    fn register(&self, pod: &Pod);
    /// Ends the pod's interest; watches that nobody needs are closed.
    fn unregister(&self, pod: &Pod);
    /// A configMap.
    async fn config_map(&self, namespace: &str, name: &str) -> Result<Arc<ConfigMap>, ObjectError>;
    /// A secret.
    async fn secret(&self, namespace: &str, name: &str) -> Result<Arc<Secret>, ObjectError>;
    /// Services with a cluster IP in a namespace, for environment variables; waits for the first list.
    async fn services(&self, namespace: &str) -> Result<Vec<Arc<Service>>, ObjectError>;
    /// A runtime class.
    async fn runtime_class(&self, name: &str) -> Result<Arc<RuntimeClass>, ObjectError>;
    /// A service account, as the API server has it now.
    async fn service_account(&self, namespace: &str, name: &str) -> Result<Arc<ServiceAccount>, ObjectError>;
    /// A claim.
    async fn claim(&self, namespace: &str, name: &str) -> Result<Arc<PersistentVolumeClaim>, ObjectError>;
    /// A persistent volume.
    async fn volume(&self, name: &str) -> Result<Arc<PersistentVolume>, ObjectError>;
    /// A service-account token bound to the pod, with its expiry; cached until 80 % of its lifetime.
    async fn token(&self, pod: &Pod, request: &TokenRequest) -> Result<(String, Timestamp), ObjectError>;
    /// Changes of registered objects.
    fn changes(&self) -> broadcast::Receiver<ObjectChange>;
}
