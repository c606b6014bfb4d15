//! API objects: only secrets and service accounts exist.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::broadcast;

use crate::core::model::uid_of;
use crate::ports::kubelet::{ObjectChange, ObjectError, Objects, TokenRequest};

/// Secrets, and annotations of service accounts, by name in every namespace.
#[derive(Debug, Default)]
pub struct FakeSecrets(pub BTreeMap<String, Arc<Secret>>, pub BTreeMap<String, BTreeMap<String, String>>);

fn absent<T>(kind: &'static str, name: &str) -> Result<T, ObjectError> {
    Err(ObjectError::NotFound { kind, name: name.into() })
}

#[async_trait]
impl Objects for FakeSecrets {
    fn register(&self, _: &Pod) {}
    fn unregister(&self, _: &Pod) {}
    async fn config_map(&self, _: &str, name: &str) -> Result<Arc<ConfigMap>, ObjectError> {
        absent("configmap", name)
    }
    async fn secret(&self, _: &str, name: &str) -> Result<Arc<Secret>, ObjectError> {
        self.0.get(name).cloned().map_or_else(|| absent("secret", name), Ok)
    }
    async fn services(&self, _: &str) -> Result<Vec<Arc<Service>>, ObjectError> {
        Ok(Vec::new())
    }
    async fn runtime_class(&self, name: &str) -> Result<Arc<RuntimeClass>, ObjectError> {
        absent("runtimeclass", name)
    }
    async fn service_account(&self, namespace: &str, name: &str) -> Result<Arc<ServiceAccount>, ObjectError> {
        let annotations = self.1.get(name).cloned().map_or_else(|| absent("serviceaccount", name), Ok)?;
        let metadata = ObjectMeta {
            namespace: Some(namespace.into()),
            name: Some(name.into()),
            uid: Some(format!("uid of {name}")),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        };
        Ok(Arc::new(ServiceAccount { metadata, ..ServiceAccount::default() }))
    }
    async fn claim(&self, _: &str, name: &str) -> Result<Arc<PersistentVolumeClaim>, ObjectError> {
        absent("persistentvolumeclaim", name)
    }
    async fn volume(&self, name: &str) -> Result<Arc<PersistentVolume>, ObjectError> {
        absent("persistentvolume", name)
    }
    async fn token(&self, pod: &Pod, _: &TokenRequest) -> Result<(String, Timestamp), ObjectError> {
        // Bound to the pod.
        Ok((format!("token of {}", uid_of(pod)), Timestamp::UNIX_EPOCH))
    }
    fn changes(&self) -> broadcast::Receiver<ObjectChange> {
        broadcast::channel(1).1
    }
}
