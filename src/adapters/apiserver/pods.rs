//! Pods in the API.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::watcher::{self, Event};
use serde_json::Value;

use super::session::{Session, ask};
use super::watching::Watching;
use crate::core::model::PodKey;
use crate::ports::kubelet::{PodApi, PodChange, PodWatch};
use crate::ports::node::ApiError;

#[derive(Clone)]
pub struct ApiPods {
    session: Session,
}

impl ApiPods {
    /// Requests through this session.
    pub fn new(session: &Session) -> Self {
        Self { session: session.clone() }
    }

    fn api(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.session.client(), namespace)
    }
}

#[async_trait]
impl PodApi for ApiPods {
    async fn get(&self, key: &PodKey) -> Result<Pod, ApiError> {
        ask(|| format!("get pod {key}"), self.api(&key.namespace).get(&key.name)).await
    }

    async fn create(&self, pod: &Pod) -> Result<Pod, ApiError> {
        let key = crate::core::model::key_of(pod);
        ask(|| format!("create pod {key}"), self.api(&key.namespace).create(&PostParams::default(), pod)).await
    }

    async fn patch_status(&self, key: &PodKey, patch: &Value) -> Result<Pod, ApiError> {
        let api = self.api(&key.namespace);
        let params = PatchParams::default();
        let patch = Patch::Strategic(patch);
        ask(|| format!("patch status of pod {key}"), api.patch_status(&key.name, &params, &patch)).await
    }

    async fn delete_now(&self, key: &PodKey, uid: &str) -> Result<(), ApiError> {
        let api = self.api(&key.namespace);
        let preconditions = Preconditions { uid: Some(uid.to_string()), resource_version: None };
        let params = DeleteParams::default().grace_period(0).preconditions(preconditions);
        ask(|| format!("delete pod {key}"), api.delete(&key.name, &params)).await.map(drop)
    }
}

/// The watch of this node's pods.
pub struct NodePods {
    watching: Watching<Pod>,
    listing: Vec<Pod>,
}

impl NodePods {
    /// Watches the pods bound to `node_name`.
    pub fn new(session: &Session, node_name: &str) -> Self {
        // Any version of the list is good enough, as the watch updates it; so the server can answer from its cache.
        let config = watcher::Config::default().any_semantic().fields(&format!("spec.nodeName={node_name}"));
        Self { watching: Watching::new(session, config, Api::all), listing: Vec::new() }
    }
}

/// Managed fields are a third of a pod and are not used here.
fn strip(mut pod: Pod) -> Pod {
    pod.metadata.managed_fields = None;
    pod
}

#[async_trait]
impl PodWatch for NodePods {
    async fn next(&mut self) -> PodChange {
        loop {
            match self.watching.next().await {
                Event::Init => self.listing.clear(),
                Event::InitApply(pod) => self.listing.push(strip(pod)),
                Event::InitDone => return PodChange::Listed(std::mem::take(&mut self.listing)),
                Event::Apply(pod) => return PodChange::Applied(Box::new(strip(pod))),
                Event::Delete(pod) => return PodChange::Deleted(Box::new(strip(pod))),
            }
        }
    }
}
