//! Objects that pods refer to: watched while a pod needs them, read on demand otherwise.

mod services;
mod tokens;
mod watched;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::Api;
use tokio::sync::broadcast;

use self::services::Services;
use self::tokens::Tokens;
use self::watched::{Found, Watched};
use super::session::{Session, ask};
use crate::core::model::{PodUid, Reference, ReferenceKind, references_of, uid_of};
use crate::ports::kubelet::{ObjectChange, ObjectError, Objects, TokenRequest};
use crate::ports::node::ApiError;

/// Changes that may be queued for the task of volumes.
const BACKLOG: usize = 256;

/// Objects in the API.
pub struct ReferencedObjects {
    session: Session,
    watched: Mutex<HashMap<Reference, (Watched, BTreeSet<PodUid>)>>,
    changes: broadcast::Sender<ObjectChange>,
    services: Services,
    tokens: Tokens,
}

impl ReferencedObjects {
    /// Reads through this session. Nothing is watched until a pod is registered.
    pub fn new(session: &Session) -> Self {
        Self {
            session: session.clone(),
            watched: Mutex::default(),
            changes: broadcast::channel(BACKLOG).0,
            services: Services::new(session),
            tokens: Tokens::new(session),
        }
    }

    fn reference(kind: ReferenceKind, namespace: &str, name: &str) -> Reference {
        Reference { kind, namespace: namespace.into(), name: name.into() }
    }

    /// The state known by the watch; `None` without a watch, or before its first result.
    async fn look(&self, reference: &Reference) -> Option<Found> {
        let state = {
            let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            watched.get(reference).map(|(watched, _)| watched.state())
        };
        watched::first(state?).await
    }
}

fn failed(kind: &'static str, namespace: &str, name: &str, error: ApiError) -> ObjectError {
    match error {
        ApiError::NotFound(_) => ObjectError::NotFound { kind, name: name.into() },
        error => {
            ObjectError::Failed { kind, namespace: namespace.into(), name: name.into(), message: error.to_string() }
        }
    }
}

#[async_trait]
impl Objects for ReferencedObjects {
    fn register(&self, pod: &Pod) {
        let uid = uid_of(pod);
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        for reference in references_of(pod) {
            let (_, users) = watched
                .entry(reference.clone())
                .or_insert_with(|| (Watched::start(&self.session, reference, self.changes.clone()), BTreeSet::new()));
            users.insert(uid.clone());
        }
    }

    fn unregister(&self, pod: &Pod) {
        let uid = uid_of(pod);
        self.tokens.forget(&uid);
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, (_, users)| {
            users.remove(&uid);
            !users.is_empty()
        });
    }

    async fn config_map(&self, namespace: &str, name: &str) -> Result<Arc<ConfigMap>, ObjectError> {
        let reference = Self::reference(ReferenceKind::ConfigMap, namespace, name);
        if let Some(Found::ConfigMap(object)) = self.look(&reference).await {
            return Ok(object);
        }
        // Even if the watch says that it does not exist: the watch may lag behind.
        let api: Api<ConfigMap> = Api::namespaced(self.session.client(), namespace);
        let object = ask(|| format!("get configmap {namespace}/{name}"), api.get(name)).await;
        object.map(Arc::new).map_err(|error| failed("configmap", namespace, name, error))
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Arc<Secret>, ObjectError> {
        let reference = Self::reference(ReferenceKind::Secret, namespace, name);
        if let Some(Found::Secret(object)) = self.look(&reference).await {
            return Ok(object);
        }
        let api: Api<Secret> = Api::namespaced(self.session.client(), namespace);
        let object = ask(|| format!("get secret {namespace}/{name}"), api.get(name)).await;
        object.map(Arc::new).map_err(|error| failed("secret", namespace, name, error))
    }

    async fn services(&self, namespace: &str) -> Result<Vec<Arc<Service>>, ObjectError> {
        self.services.of(namespace).await
    }

    async fn runtime_class(&self, name: &str) -> Result<Arc<RuntimeClass>, ObjectError> {
        let api: Api<RuntimeClass> = Api::all(self.session.client());
        let object = ask(|| format!("get runtimeclass {name}"), api.get(name)).await;
        object.map(Arc::new).map_err(|error| failed("RuntimeClass", "", name, error))
    }

    async fn service_account(&self, namespace: &str, name: &str) -> Result<Arc<ServiceAccount>, ObjectError> {
        let api: Api<ServiceAccount> = Api::namespaced(self.session.client(), namespace);
        let object = ask(|| format!("get serviceaccount {namespace}/{name}"), api.get(name)).await;
        object.map(Arc::new).map_err(|error| failed("serviceaccount", namespace, name, error))
    }

    async fn claim(&self, namespace: &str, name: &str) -> Result<Arc<PersistentVolumeClaim>, ObjectError> {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.session.client(), namespace);
        let object = ask(|| format!("get persistentvolumeclaim {namespace}/{name}"), api.get(name)).await;
        object.map(Arc::new).map_err(|error| failed("persistentvolumeclaim", namespace, name, error))
    }

    async fn volume(&self, name: &str) -> Result<Arc<PersistentVolume>, ObjectError> {
        let api: Api<PersistentVolume> = Api::all(self.session.client());
        let object = ask(|| format!("get persistentvolume {name}"), api.get(name)).await;
        object.map(Arc::new).map_err(|error| failed("persistentvolume", "", name, error))
    }

    async fn token(&self, pod: &Pod, request: &TokenRequest) -> Result<(String, Timestamp), ObjectError> {
        self.tokens.of(pod, request).await
    }

    fn changes(&self) -> broadcast::Receiver<ObjectChange> {
        self.changes.subscribe()
    }
}
