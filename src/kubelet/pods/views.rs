//! Views for readers: the pods as their workers last observed them, and the pod of each runtime id.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use crate::core::model::{PodKey, PodUid, key_of};
use crate::ports::kubelet::{Lifecycle, PodView, Pods};

/// Views of all pods; written by workers, read by anyone without blocking.
#[derive(Default)]
pub struct Table {
    inner: RwLock<Inner>,
    /// Signals changes of static pods.
    statics: watch::Sender<()>,
}

#[derive(Default)]
struct Inner {
    views: HashMap<PodUid, Arc<PodView>>,
    /// Newest pod of each namespace and name.
    keys: HashMap<PodKey, PodUid>,
    /// Uid of a static pod, by the uid of its mirror pod.
    mirrors: HashMap<PodUid, PodUid>,
    /// Pods of which only remains exist.
    unlisted: HashMap<PodUid, Lifecycle>,
    /// The pod of each container and sandbox id.
    ids: HashMap<Box<str>, PodUid>,
}

impl Table {
    /// Sets a pod's newest view.
    pub(super) fn put(&self, uid: &PodUid, mut view: PodView) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        view.mirror_uid = inner.mirrors.iter().find(|(_, of)| *of == uid).map(|(mirror, _)| mirror.clone());
        for id in view.containers.iter().map(|c| c.id.as_str()).chain(view.sandbox.iter().map(|s| s.as_str())) {
            if inner.ids.get(id) != Some(uid) {
                inner.ids.insert(id.into(), uid.clone());
            }
        }
        let key = key_of(&view.pod);
        if inner.keys.get(&key) != Some(uid) {
            inner.keys.insert(key, uid.clone());
        }
        let is_static = view.is_static;
        inner.views.insert(uid.clone(), Arc::new(view));
        drop(inner);
        if is_static {
            self.statics.send_replace(());
        }
    }

    /// Signals that a static pod appeared, changed or disappeared.
    pub fn static_changes(&self) -> watch::Receiver<()> {
        self.statics.subscribe()
    }

    /// Records a runtime id as soon as it exists, so that its first event finds the pod.
    pub(super) fn note_id(&self, id: &str, uid: &PodUid) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.ids.insert(id.into(), uid.clone());
    }

    /// Records the state of a pod that no source has ever listed.
    pub(super) fn put_unlisted(&self, uid: &PodUid, lifecycle: Lifecycle) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.unlisted.insert(uid.clone(), lifecycle);
    }

    pub(super) fn remove(&self, uid: &PodUid) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let view = inner.views.remove(uid);
        inner.unlisted.remove(uid);
        inner.keys.retain(|_, of| of != uid);
        inner.mirrors.retain(|_, of| of != uid);
        inner.ids.retain(|_, of| of != uid);
        drop(inner);
        if view.is_some_and(|view| view.is_static) {
            self.statics.send_replace(());
        }
    }

    /// The pod that this container or sandbox belongs to.
    pub(super) fn owner(&self, id: &str) -> Option<PodUid> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).ids.get(id).cloned()
    }

    /// Records the uid of a static pod's mirror pod; `None` if it was deleted.
    pub fn set_mirror(&self, key: &PodKey, mirror: Option<PodUid>) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let Some(uid) = inner.keys.get(key).cloned() else { return };
        inner.mirrors.retain(|_, of| *of != uid);
        if let Some(mirror) = &mirror {
            inner.mirrors.insert(mirror.clone(), uid.clone());
        }
        if let Some(view) = inner.views.get(&uid).filter(|v| v.is_static && v.mirror_uid != mirror) {
            let view = PodView { mirror_uid: mirror, ..(**view).clone() };
            inner.views.insert(uid, Arc::new(view));
        }
    }
}

impl Pods for Table {
    fn by_uid(&self, uid: &PodUid) -> Option<Arc<PodView>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let uid = inner.mirrors.get(uid).unwrap_or(uid);
        inner.views.get(uid).cloned()
    }

    fn by_key(&self, key: &PodKey) -> Option<Arc<PodView>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.views.get(inner.keys.get(key)?).cloned()
    }

    fn list(&self) -> Vec<Arc<PodView>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).views.values().cloned().collect()
    }

    fn unlisted(&self) -> Vec<Lifecycle> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).unlisted.values().copied().collect()
    }
}
