//! Mirror pods represent what runs, not what the manifest already says.

use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::Value;

use super::*;
use crate::core::model::labels::{CONFIG_HASH, CONFIG_MIRROR};
use crate::ports::kubelet::{PodChange, PodView};

/// An API server whose changes appear in the view.
struct FakeApi {
    view: Arc<ApiPodView>,
    calls: Mutex<Vec<String>>,
}

#[async_trait]
impl PodApi for FakeApi {
    async fn get(&self, key: &PodKey) -> Result<Pod, ApiError> {
        Err(ApiError::NotFound(key.to_string()))
    }
    async fn create(&self, pod: &Pod) -> Result<Pod, ApiError> {
        let hash = pod.metadata.annotations.as_ref().unwrap()[CONFIG_MIRROR].clone();
        self.calls.lock().unwrap().push(format!("create {hash}"));
        let mut made = pod.clone();
        made.metadata.uid = Some(format!("mirror-of-{hash}"));
        made.metadata.resource_version = Some(hash);
        self.view.apply(PodChange::Applied(Box::new(made.clone())));
        Ok(made)
    }
    async fn patch_status(&self, key: &PodKey, _: &Value) -> Result<Pod, ApiError> {
        Err(ApiError::NotFound(key.to_string()))
    }
    async fn delete_now(&self, key: &PodKey, uid: &str) -> Result<(), ApiError> {
        self.calls.lock().unwrap().push(format!("delete {uid}"));
        let gone = self.view.by_key(key).unwrap();
        self.view.apply(PodChange::Deleted(Box::new((*gone).clone())));
        Ok(())
    }
}

/// The static pods that have not terminated.
#[derive(Default)]
struct Running(Mutex<Vec<Arc<PodView>>>);

impl Running {
    fn set(&self, pod: Option<&Arc<Pod>>) {
        let view = |pod: &Arc<Pod>| Arc::new(PodView { pod: Arc::clone(pod), is_static: true, ..PodView::default() });
        *self.0.lock().unwrap() = pod.map(view).into_iter().collect();
    }
}

impl Pods for Running {
    fn by_uid(&self, _: &PodUid) -> Option<Arc<PodView>> {
        None
    }
    fn by_key(&self, key: &PodKey) -> Option<Arc<PodView>> {
        self.0.lock().unwrap().iter().find(|view| key_of(&view.pod) == *key).cloned()
    }
    fn list(&self) -> Vec<Arc<PodView>> {
        self.0.lock().unwrap().clone()
    }
}

/// A static pod `d/p`; its uid and hash are derived from the manifest's content.
fn manifest(hash: &str) -> Arc<Pod> {
    let mut pod = Pod::default();
    pod.metadata.name = Some("p".into());
    pod.metadata.namespace = Some("d".into());
    pod.metadata.uid = Some(format!("static-{hash}"));
    pod.metadata.annotations = Some([(CONFIG_HASH.to_owned(), hash.to_owned())].into());
    Arc::new(pod)
}

#[tokio::test]
async fn a_mirror_pod_is_replaced_when_the_containers_of_its_static_pod_have_ended() {
    let view = Arc::new(ApiPodView::default());
    view.apply(PodChange::Listed(Vec::new()));
    let api = Arc::new(FakeApi { view: Arc::clone(&view), calls: Mutex::default() });
    let running = Arc::new(Running::default());
    let (statics, wanted) = watch::channel(None);
    let mirrors = Mirrors {
        api: Arc::clone(&api) as _,
        view,
        statics: wanted,
        pods: Arc::clone(&running) as _,
        node_name: "n1".into(),
        node_uid: watch::channel(Some("node".to_owned())).1,
    };
    let calls = || std::mem::take(&mut *api.calls.lock().unwrap());
    let (old, new) = (manifest("old"), manifest("new"));

    statics.send_replace(Some(vec![Arc::clone(&old)]));
    running.set(Some(&old));
    assert!(mirrors.reconcile().await);
    assert_eq!(calls(), ["create old"]);

    // The manifest has changed; the old containers are still within their grace period.
    statics.send_replace(Some(vec![Arc::clone(&new)]));
    assert!(!mirrors.reconcile().await, "something is left to do");
    assert!(calls().is_empty(), "the status of what ends needs its mirror");

    running.set(Some(&new));
    mirrors.reconcile().await;
    mirrors.reconcile().await;
    assert_eq!(calls(), ["delete mirror-of-old", "create new"]);

    // Removed from the folder, but still terminating on the node.
    statics.send_replace(Some(Vec::new()));
    assert!(!mirrors.reconcile().await);
    running.set(None);
    assert!(mirrors.reconcile().await);
    assert_eq!(calls(), ["delete mirror-of-new"]);
}
