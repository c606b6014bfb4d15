//! The API server as the kubelet's own loops use it: pods, the node, its lease, events, certificate requests.

use async_trait::async_trait;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use serde_json::Value;

use crate::core::model::PodKey;
use crate::ports::node::ApiError;

/// Something happened to the pods of this node.
#[derive(Clone, Debug)]
pub enum PodChange {
    /// All pods of the node; what is not among them is gone.
    Listed(Vec<Pod>),
    /// One pod is new or changed.
    Applied(Box<Pod>),
    /// One pod is gone.
    Deleted(Box<Pod>),
}

/// Watches the pods bound to this node, without their managed fields.
#[async_trait]
pub trait PodWatch: Send {
    /// The next change; the first one is a list. Waits out errors with back-off, for as long as it takes.
    async fn next(&mut self) -> PodChange;
}

/// Pods.
#[async_trait]
pub trait PodApi: Send + Sync {
    /// Reads a pod.
    async fn get(&self, key: &PodKey) -> Result<Pod, ApiError>;
    /// Creates a pod (a mirror pod).
    async fn create(&self, pod: &Pod) -> Result<Pod, ApiError>;
    /// Applies a strategic merge patch to the status subresource.
    async fn patch_status(&self, key: &PodKey, patch: &Value) -> Result<Pod, ApiError>;
    /// Deletes with grace 0, provided that the pod still has this uid.
    async fn delete_now(&self, key: &PodKey, uid: &str) -> Result<(), ApiError>;
}

/// The node, its lease and its certificate requests.
#[async_trait]
pub trait NodeApi: Send + Sync {
    /// Reads the node.
    async fn get(&self) -> Result<Node, ApiError>;
    /// Creates the node.
    async fn create(&self, node: &Node) -> Result<Node, ApiError>;
    /// Applies a strategic merge patch to metadata and spec.
    async fn patch(&self, patch: &Value) -> Result<Node, ApiError>;
    /// Applies a strategic merge patch to the status.
    async fn patch_status(&self, patch: &Value) -> Result<Node, ApiError>;
    /// Reads the lease of the node.
    async fn get_lease(&self) -> Result<Lease, ApiError>;
    /// Creates the lease.
    async fn create_lease(&self, lease: &Lease) -> Result<Lease, ApiError>;
    /// Replaces the lease; a conflict when it was changed meanwhile.
    async fn replace_lease(&self, lease: &Lease) -> Result<Lease, ApiError>;
    /// Waits until the node object changed in the API, as seen by a watch.
    async fn changed(&self);
}

/// Events.
#[async_trait]
pub trait EventApi: Send + Sync {
    /// Creates an event.
    async fn create(&self, event: &Event) -> Result<Event, ApiError>;
    /// Patches the count, time and message of an event.
    async fn patch(&self, namespace: &str, name: &str, patch: &Value) -> Result<(), ApiError>;
}

/// Certificate requests.
#[async_trait]
pub trait CertificateApi: Send + Sync {
    /// Creates a request.
    async fn create(&self, request: &CertificateSigningRequest) -> Result<CertificateSigningRequest, ApiError>;
    /// Reads a request.
    async fn get(&self, name: &str) -> Result<CertificateSigningRequest, ApiError>;
    /// The CAs of kubelets' serving certificates, PEM, the one that signs first; `None` where the cluster names none.
    async fn serving_authorities(&self) -> Result<Option<String>, ApiError> {
        Ok(None)
    }
}
