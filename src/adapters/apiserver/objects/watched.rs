//! The watch of one ConfigMap or Secret, as long as a pod needs the object.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::adapters::apiserver::session::Session;
use crate::adapters::apiserver::watching::Watching;
use crate::core::model::{Reference, ReferenceKind};
use crate::ports::kubelet::ObjectChange;
use crate::supervise::restarting;

/// How long a read waits for the first result of a new watch.
const FIRST: Duration = Duration::from_secs(1);

/// The object as the watch knows it.
#[derive(Clone, Debug)]
pub enum Found {
    /// It does not exist.
    Missing,
    ConfigMap(Arc<ConfigMap>),
    Secret(Arc<Secret>),
}

/// One watch; dropping it stops it.
pub struct Watched {
    state: watch::Receiver<Option<Found>>,
    _stop: DropGuard,
}

impl Watched {
    pub fn start(session: &Session, reference: Reference, changes: broadcast::Sender<ObjectChange>) -> Self {
        let (found, state) = watch::channel(None);
        let stop = CancellationToken::new();
        let (namespace, name) = (reference.namespace.clone(), reference.name.clone());
        let end = stop.clone();
        match reference.kind {
            ReferenceKind::ConfigMap => {
                let watching = watching::<ConfigMap>(session, &reference);
                let told = move || drop(changes.send(ObjectChange::ConfigMap(namespace.clone(), name.clone())));
                let wrap = |object: ConfigMap| (object.immutable == Some(true), Found::ConfigMap(Arc::new(object)));
                keep(end, watching, found, wrap, told);
            }
            ReferenceKind::Secret => {
                let watching = watching::<Secret>(session, &reference);
                let told = move || drop(changes.send(ObjectChange::Secret(namespace.clone(), name.clone())));
                let wrap = |object: Secret| (object.immutable == Some(true), Found::Secret(Arc::new(object)));
                keep(end, watching, found, wrap, told);
            }
        }
        Self { state, _stop: stop.drop_guard() }
    }

    /// Its state, to be read with [`first`].
    pub fn state(&self) -> watch::Receiver<Option<Found>> {
        self.state.clone()
    }
}

/// The state once there is one; `None` if the watch has no result in time.
pub async fn first(mut state: watch::Receiver<Option<Found>>) -> Option<Found> {
    let waited = tokio::time::timeout(FIRST, state.wait_for(Option::is_some)).await;
    waited.ok()?.ok()?.clone()
}

fn watching<K>(session: &Session, reference: &Reference) -> Watching<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={}", reference.name));
    let namespace = reference.namespace.clone();
    Watching::new(session, config, move |client| Api::namespaced(client, &namespace))
}

/// Follows the object until `end`, even after a panic.
fn keep<K>(
    end: CancellationToken,
    watching: Watching<K>,
    found: watch::Sender<Option<Found>>,
    wrap: impl Fn(K) -> (bool, Found) + Send + Sync + 'static,
    told: impl Fn() + Send + Sync + 'static,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let stop = end.clone();
    restarting("object of pods", &stop, (Some(watching), found, wrap, told), move |(watching, found, wrap, told)| {
        let end = end.clone();
        Box::pin(async move { _ = end.run_until_cancelled(follow(watching, found, &*wrap, &*told)).await })
    });
}

/// Updates the state. The first result is not a change; an immutable object stops the watch.
async fn follow<K>(
    watching: &mut Option<Watching<K>>,
    found: &watch::Sender<Option<Found>>,
    wrap: &(impl Fn(K) -> (bool, Found) + Sync),
    told: &(impl Fn() + Sync),
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut listed = None;
    let mut version = None;
    while let Some(open) = watching {
        let object = match open.next().await {
            Event::Init => {
                listed = None;
                continue;
            }
            Event::InitApply(object) => {
                listed = Some(object);
                continue;
            }
            Event::InitDone => listed.take(),
            Event::Apply(object) => Some(object),
            Event::Delete(_) => None,
        };
        let next_version = object.as_ref().and_then(ResourceExt::resource_version);
        let first = found.borrow().is_none();
        if !first && next_version == version {
            continue;
        }
        version = next_version;
        let (immutable, state) = match object {
            Some(mut object) => {
                object.meta_mut().managed_fields = None;
                wrap(object)
            }
            None => (false, Found::Missing),
        };
        found.send_replace(Some(state));
        if !first {
            told();
        }
        if immutable {
            // The value stays for readers; it cannot change any more.
            *watching = None;
            found.closed().await;
            return;
        }
    }
}
