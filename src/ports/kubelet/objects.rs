//! API objects that pods refer to: configMaps, secrets, services, runtime classes, tokens.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::node::v1::RuntimeClass;
use tokio::sync::broadcast;

/// Why an object could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ObjectError {
    /// It does not exist, according to the API server.
    #[error("{kind} \"{name}\" not found")]
    NotFound {
        /// Lower-case kind as upstream prints it, e.g. `configmap`.
        kind: &'static str,
        /// Name of the object, without its namespace.
        name: String,
    },
    /// The server was unreachable, or rejected the request.
    #[error("{kind} \"{namespace}/{name}\": {message}")]
    Failed {
        /// Kind in lower case, e.g. `secret`.
        kind: &'static str,
        /// Namespace; empty for cluster-scoped kinds.
        namespace: String,
        /// Name of the object, without its namespace.
        name: String,
        /// Message of the server or the transport.
        message: String,
    },
    /// The kubelet runs without an API server.
    #[error("{kind} \"{name}\" cannot be read: this kubelet runs standalone")]
    Standalone {
        /// Kind in lower case, e.g. `secret`.
        kind: &'static str,
        /// Name of the object, without its namespace.
        name: String,
    },
}

/// A referenced object changed; the volumes that use it are updated immediately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectChange {
    /// A configMap, by namespace and name.
    ConfigMap(Arc<str>, Arc<str>),
    /// A secret, by namespace and name.
    Secret(Arc<str>, Arc<str>),
}

/// Parameters of a TokenRequest for a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenRequest {
    /// Audiences of the token; empty for the API server's own.
    pub audiences: Vec<String>,
    /// Requested lifetime in seconds.
    pub expiration_seconds: i64,
}

/// Reads objects for pods. Objects in use are watched, so that reading is a lookup in memory.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Starts watching what the pod refers to; called before its volumes are set up.
    fn register(&self, pod: &Pod);
    /// Ends the pod's interest; watches that no pod needs are closed.
    fn unregister(&self, pod: &Pod);
    /// The ConfigMap, from the watch if there is one.
    async fn config_map(&self, namespace: &str, name: &str) -> Result<Arc<ConfigMap>, ObjectError>;
    /// The Secret, from the watch if there is one.
    async fn secret(&self, namespace: &str, name: &str) -> Result<Arc<Secret>, ObjectError>;
    /// Services with a cluster IP in a namespace, for environment variables; waits for the first list.
    async fn services(&self, namespace: &str) -> Result<Vec<Arc<Service>>, ObjectError>;
    /// The RuntimeClass, read from the API server.
    async fn runtime_class(&self, name: &str) -> Result<Arc<RuntimeClass>, ObjectError>;
    /// A service account, read from the API server.
    async fn service_account(&self, namespace: &str, name: &str) -> Result<Arc<ServiceAccount>, ObjectError>;
    /// The PersistentVolumeClaim, read from the API server.
    async fn claim(&self, namespace: &str, name: &str) -> Result<Arc<PersistentVolumeClaim>, ObjectError>;
    /// The PersistentVolume, read from the API server.
    async fn volume(&self, name: &str) -> Result<Arc<PersistentVolume>, ObjectError>;
    /// A service-account token bound to the pod, with its expiry; cached until 80 % of its lifetime.
    async fn token(&self, pod: &Pod, request: &TokenRequest) -> Result<(String, Timestamp), ObjectError>;
    /// Changes of registered objects.
    fn changes(&self) -> broadcast::Receiver<ObjectChange>;
}
