//! The API server as the kubelet uses it: pods, the node, its lease, events, certificate requests.

use async_trait::async_trait;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use serde_json::Value;

use crate::core::model::PodKey;
use crate::ports::node::ApiError;

/// A change of the pods of this node.
#[derive(Clone, Debug)]
pub enum PodChange {
    /// All pods of the node; others no longer exist.
    Listed(Vec<Pod>),
    /// One pod was created or changed.
    Applied(Box<Pod>),
    /// One pod was deleted.
    Deleted(Box<Pod>),
}

/// Watches the pods bound to this node, without their managed fields.
#[async_trait]
pub trait PodWatch: Send {
    /// The next change; the first one is a list. Retries errors with back-off, as long as it takes.
    async fn next(&mut self) -> PodChange;
}

/// Requests for pods of this node.
#[async_trait]
pub trait PodApi: Send + Sync {
    /// Reads a pod with its current status.
    async fn get(&self, key: &PodKey) -> Result<Pod, ApiError>;
    /// Creates a pod (used for mirror pods).
    async fn create(&self, pod: &Pod) -> Result<Pod, ApiError>;
    /// Applies a strategic merge patch to the status subresource.
    async fn patch_status(&self, key: &PodKey, patch: &Value) -> Result<Pod, ApiError>;
    /// Deletes with grace period 0, if the pod still has this uid.
    async fn delete_now(&self, key: &PodKey, uid: &str) -> Result<(), ApiError>;
}

/// Requests for the Node object of this node, and its lease.
#[async_trait]
pub trait NodeApi: Send + Sync {
    /// Reads the Node object.
    async fn get(&self) -> Result<Node, ApiError>;
    /// Creates the Node object; `AlreadyExists` if there is one.
    async fn create(&self, node: &Node) -> Result<Node, ApiError>;
    /// Applies a strategic merge patch to metadata and spec.
    async fn patch(&self, patch: &Value) -> Result<Node, ApiError>;
    /// Applies a strategic merge patch to the status.
    async fn patch_status(&self, patch: &Value) -> Result<Node, ApiError>;
    /// Reads the lease of the node.
    async fn get_lease(&self) -> Result<Lease, ApiError>;
    /// Creates the lease; `AlreadyExists` if there is one.
    async fn create_lease(&self, lease: &Lease) -> Result<Lease, ApiError>;
    /// Replaces the lease; `Conflict` if it was changed meanwhile.
    async fn replace_lease(&self, lease: &Lease) -> Result<Lease, ApiError>;
    /// Waits until the Node object changed in the API, as reported by a watch.
    async fn changed(&self);
}

/// Requests for Event objects.
#[async_trait]
pub trait EventApi: Send + Sync {
    /// Creates an event; returns it with the name that the server gave it.
    async fn create(&self, event: &Event) -> Result<Event, ApiError>;
    /// Patches the count, time and message of an event.
    async fn patch(&self, namespace: &str, name: &str, patch: &Value) -> Result<(), ApiError>;
}

/// Requests for CertificateSigningRequests of this node.
#[async_trait]
pub trait CertificateApi: Send + Sync {
    /// Creates a certificate request; `AlreadyExists` if there is one of its name.
    async fn create(&self, request: &CertificateSigningRequest) -> Result<CertificateSigningRequest, ApiError>;
    /// Reads a certificate request with its status.
    async fn get(&self, name: &str) -> Result<CertificateSigningRequest, ApiError>;
    /// The CAs of kubelets' serving certificates, PEM, the signing one first; `None` if the cluster publishes none.
    async fn serving_authorities(&self) -> Result<Option<String>, ApiError> {
        Ok(None)
    }
}
