//! The Node object, its lease, events and certificate requests.

use async_trait::async_trait;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use serde_json::Value;
use tokio::sync::Mutex;

use super::session::{Session, ask};
use super::watching::Watching;
use crate::ports::kubelet::{CertificateApi, EventApi, NodeApi};
use crate::ports::node::ApiError;

const LEASES: &str = "kube-node-lease";

/// Requests for this node's objects.
pub struct ApiNode {
    session: Session,
    name: String,
    watching: Mutex<Watching<Node>>,
}

impl ApiNode {
    /// Requests for the node of that name.
    pub fn new(session: &Session, name: &str) -> Self {
        let config = watcher::Config::default().any_semantic().fields(&format!("metadata.name={name}"));
        let watching = Mutex::new(Watching::new(session, config, Api::all));
        Self { session: session.clone(), name: name.to_string(), watching }
    }

    fn nodes(&self) -> Api<Node> {
        Api::all(self.session.client())
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.session.client(), LEASES)
    }

    fn what(&self, verb: &'static str) -> impl Fn() -> String + '_ {
        move || format!("{verb} {}", self.name)
    }
}

#[async_trait]
impl NodeApi for ApiNode {
    async fn get(&self) -> Result<Node, ApiError> {
        ask(self.what("get node"), self.nodes().get(&self.name)).await
    }

    async fn create(&self, node: &Node) -> Result<Node, ApiError> {
        ask(self.what("create node"), self.nodes().create(&PostParams::default(), node)).await
    }

    async fn patch(&self, patch: &Value) -> Result<Node, ApiError> {
        let patch = Patch::Strategic(patch);
        ask(self.what("patch node"), self.nodes().patch(&self.name, &PatchParams::default(), &patch)).await
    }

    async fn patch_status(&self, patch: &Value) -> Result<Node, ApiError> {
        let patch = Patch::Strategic(patch);
        let nodes = self.nodes();
        ask(self.what("patch status of node"), nodes.patch_status(&self.name, &PatchParams::default(), &patch)).await
    }

    async fn get_lease(&self) -> Result<Lease, ApiError> {
        ask(self.what("get lease"), self.leases().get(&self.name)).await
    }

    async fn create_lease(&self, lease: &Lease) -> Result<Lease, ApiError> {
        ask(self.what("create lease"), self.leases().create(&PostParams::default(), lease)).await
    }

    async fn replace_lease(&self, lease: &Lease) -> Result<Lease, ApiError> {
        ask(self.what("replace lease"), self.leases().replace(&self.name, &PostParams::default(), lease)).await
    }

    async fn changed(&self) {
        let _ = self.watching.lock().await.next().await;
    }
}

/// Requests for events and certificate requests.
#[derive(Clone)]
pub struct ApiObjects {
    session: Session,
}

impl ApiObjects {
    /// Requests through this session.
    pub fn new(session: &Session) -> Self {
        Self { session: session.clone() }
    }
}

#[async_trait]
impl EventApi for ApiObjects {
    async fn create(&self, event: &Event) -> Result<Event, ApiError> {
        let namespace = event.metadata.namespace.as_deref().unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.session.client(), namespace);
        ask(|| "create event".into(), api.create(&PostParams::default(), event)).await
    }

    async fn patch(&self, namespace: &str, name: &str, patch: &Value) -> Result<(), ApiError> {
        let api: Api<Event> = Api::namespaced(self.session.client(), namespace);
        let patch = Patch::Strategic(patch);
        ask(|| format!("patch event {name}"), api.patch(name, &PatchParams::default(), &patch)).await.map(drop)
    }
}

#[async_trait]
impl CertificateApi for ApiObjects {
    async fn create(&self, request: &CertificateSigningRequest) -> Result<CertificateSigningRequest, ApiError> {
        let api: Api<CertificateSigningRequest> = Api::all(self.session.client());
        ask(|| "create certificate request".into(), api.create(&PostParams::default(), request)).await
    }

    async fn get(&self, name: &str) -> Result<CertificateSigningRequest, ApiError> {
        let api: Api<CertificateSigningRequest> = Api::all(self.session.client());
        ask(|| format!("get certificate request {name}"), api.get(name)).await
    }

    async fn serving_authorities(&self) -> Result<Option<String>, ApiError> {
        let api: Api<ConfigMap> = Api::namespaced(self.session.client(), "kube-system");
        let map =
            ask(|| "get configmap kube-system/kubelet-serving-ca".into(), api.get_opt("kubelet-serving-ca")).await?;
        Ok(map.and_then(|map| map.data?.remove("ca.crt")))
    }
}
