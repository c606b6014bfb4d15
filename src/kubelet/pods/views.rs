//! What everybody may read: the pods as their workers last saw them, and whose a runtime id is.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use crate::core::model::{PodKey, PodUid, key_of};
use crate::ports::kubelet::{Lifecycle, PodView, Pods};

/// Views of all pods; written by workers, read by anyone without waiting.
#[derive(Default)]
pub struct Table {
    inner: RwLock<Inner>,
    /// Changes with each static pod.
    statics: watch::Sender<()>,
}

#[derive(Default)]
struct Inner {
    views: HashMap<PodUid, Arc<PodView>>,
    /// Newest pod of each name.
    keys: HashMap<PodKey, PodUid>,
    /// Uid of a static pod by that of its mirror.
    mirrors: HashMap<PodUid, PodUid>,
    /// Pods known by what is left of them only.
    unlisted: HashMap<PodUid, Lifecycle>,
    /// Pod of each container and sandbox id.
    ids: HashMap<Box<str>, PodUid>,
}

impl Table {
    /// Puts a pod's newest view.
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

    /// Tells when a static pod came, changed or went.
    pub fn static_changes(&self) -> watch::Receiver<()> {
        self.statics.subscribe()
    }

    /// Notes a runtime id as soon as it exists, so that its first event finds the pod.
    pub(super) fn note_id(&self, id: &str, uid: &PodUid) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.ids.insert(id.into(), uid.clone());
    }

    /// Notes where a pod is that no source has ever listed.
    pub(super) fn put_unlisted(&self, uid: &PodUid, lifecycle: Lifecycle) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.unlisted.insert(uid.clone(), lifecycle);
    }

    /// Forgets a pod.
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

    /// Whose container or sandbox this is.
    pub(super) fn owner(&self, id: &str) -> Option<PodUid> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).ids.get(id).cloned()
    }

    /// Notes the uid of a static pod's mirror; `None` when it is gone.
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
