//! Replacements for a kubelet without an API server: no objects, and events in the log.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::node::v1::RuntimeClass;
use tokio::sync::broadcast;
use tracing::{info, warn};

use crate::core::model::key_of;
use crate::ports::kubelet::{EventKind, EventTarget, Events, ObjectChange, ObjectError, Objects, TokenRequest};

pub struct NoObjects {
    changes: broadcast::Sender<ObjectChange>,
}

impl Default for NoObjects {
    fn default() -> Self {
        Self { changes: broadcast::channel(1).0 }
    }
}

fn refuse<T>(kind: &'static str, name: &str) -> Result<T, ObjectError> {
    Err(ObjectError::Standalone { kind, name: name.into() })
}

#[async_trait]
impl Objects for NoObjects {
    fn register(&self, _: &Pod) {}
    fn unregister(&self, _: &Pod) {}
    async fn config_map(&self, _: &str, name: &str) -> Result<Arc<ConfigMap>, ObjectError> {
        refuse("configmap", name)
    }
    async fn secret(&self, _: &str, name: &str) -> Result<Arc<Secret>, ObjectError> {
        refuse("secret", name)
    }
    async fn services(&self, _: &str) -> Result<Vec<Arc<Service>>, ObjectError> {
        Ok(Vec::new())
    }
    async fn runtime_class(&self, name: &str) -> Result<Arc<RuntimeClass>, ObjectError> {
        refuse("RuntimeClass", name)
    }
    async fn service_account(&self, _: &str, name: &str) -> Result<Arc<ServiceAccount>, ObjectError> {
        refuse("serviceaccount", name)
    }
    async fn claim(&self, _: &str, name: &str) -> Result<Arc<PersistentVolumeClaim>, ObjectError> {
        refuse("persistentvolumeclaim", name)
    }
    async fn volume(&self, name: &str) -> Result<Arc<PersistentVolume>, ObjectError> {
        refuse("persistentvolume", name)
    }
    async fn token(&self, pod: &Pod, _: &TokenRequest) -> Result<(String, Timestamp), ObjectError> {
        refuse("serviceaccount", &key_of(pod).name)
    }
    fn changes(&self) -> broadcast::Receiver<ObjectChange> {
        self.changes.subscribe()
    }
}

pub struct LogEvents;

impl Events for LogEvents {
    fn record(&self, target: EventTarget<'_>, kind: EventKind, reason: &str, message: String) {
        let subject = match target {
            EventTarget::Pod(pod) => key_of(pod).to_string(),
            EventTarget::Container(pod, path) => format!("{} {path}", key_of(pod)),
            EventTarget::Node => "node".into(),
        };
        match kind {
            EventKind::Normal => info!(subject, reason, message),
            EventKind::Warning => warn!(subject, reason, message),
        }
    }
}
