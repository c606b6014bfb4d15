//! Volumes in a temporary directory, with objects in memory.

use std::collections::HashMap;
use std::fs;
use std::sync::Mutex;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Secret, Service, ServiceAccount};
use k8s_openapi::api::node::v1::RuntimeClass;
use tokio::sync::broadcast;

use super::*;
use crate::ports::kubelet::{ObjectChange, ObjectError, TokenRequest};
use crate::telemetry::Metrics;

#[derive(Default)]
pub(super) struct Shelf {
    pub config_maps: Mutex<HashMap<String, ConfigMap>>,
    pub secrets: Mutex<HashMap<String, Secret>>,
    pub claims: Mutex<HashMap<String, PersistentVolumeClaim>>,
    pub volumes: Mutex<HashMap<String, PersistentVolume>>,
}

fn find<T: Clone>(shelf: &Mutex<HashMap<String, T>>, kind: &'static str, name: &str) -> Result<Arc<T>, ObjectError> {
    shelf.lock().unwrap().get(name).cloned().map(Arc::new).ok_or_else(|| missing(kind, name))
}

fn missing(kind: &'static str, name: &str) -> ObjectError {
    ObjectError::NotFound { kind, name: name.to_owned() }
}

#[async_trait]
impl Objects for Shelf {
    fn register(&self, _: &Pod) {}
    fn unregister(&self, _: &Pod) {}
    async fn config_map(&self, _: &str, name: &str) -> Result<Arc<ConfigMap>, ObjectError> {
        find(&self.config_maps, "configmap", name)
    }
    async fn secret(&self, _: &str, name: &str) -> Result<Arc<Secret>, ObjectError> {
        find(&self.secrets, "secret", name)
    }
    async fn services(&self, _: &str) -> Result<Vec<Arc<Service>>, ObjectError> {
        Ok(Vec::new())
    }
    async fn runtime_class(&self, name: &str) -> Result<Arc<RuntimeClass>, ObjectError> {
        Err(missing("runtimeclass", name))
    }
    async fn service_account(&self, _: &str, name: &str) -> Result<Arc<ServiceAccount>, ObjectError> {
        Err(missing("serviceaccount", name))
    }
    async fn claim(&self, _: &str, name: &str) -> Result<Arc<PersistentVolumeClaim>, ObjectError> {
        find(&self.claims, "persistentvolumeclaim", name)
    }
    async fn volume(&self, name: &str) -> Result<Arc<PersistentVolume>, ObjectError> {
        find(&self.volumes, "persistentvolume", name)
    }
    async fn token(&self, _: &Pod, _: &TokenRequest) -> Result<(String, Timestamp), ObjectError> {
        Ok(("token".to_owned(), Timestamp::UNIX_EPOCH))
    }
    fn changes(&self) -> broadcast::Receiver<ObjectChange> {
        broadcast::channel(1).1
    }
}

/// A pod whose container mounts all of these volumes.
pub(super) fn pod(volumes: serde_json::Value) -> Pod {
    let mounts = volumes.as_array().into_iter().flatten();
    let mounts: Vec<_> = mounts.map(|v| serde_json::json!({"name": v["name"], "mountPath": "/v"})).collect();
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u1"},
        "spec": {"containers": [{"name": "c", "volumeMounts": mounts}], "volumes": volumes}
    }))
    .unwrap()
}

pub(super) fn volumes(root: &Path) -> (LocalVolumes, Arc<Shelf>) {
    let shelf = Arc::new(Shelf::default());
    let (_, node) = watch::channel(Arc::new(NodeContext::defaults(root)));
    (LocalVolumes::new(shelf.clone(), node), shelf)
}

fn set(shelf: &Shelf, key: &str, value: &str) {
    let data = BTreeMap::from([(key.to_owned(), value.to_owned())]);
    shelf.config_maps.lock().unwrap().insert("m".into(), ConfigMap { data: Some(data), ..ConfigMap::default() });
}

#[tokio::test]
async fn volumes_are_where_upstream_has_them_and_go_with_the_pod() {
    let dir = tempfile::tempdir().unwrap();
    let (volumes, shelf) = volumes(dir.path());
    let metrics = Arc::new(Metrics::default());
    let volumes = volumes.with_metrics(metrics.clone());
    set(&shelf, "k", "1");
    let pod = pod(serde_json::json!([{"name": "e", "emptyDir": {}}, {"name": "c", "configMap": {"name": "m"}},
        {"name": "h", "hostPath": {"path": "/"}}, {"name": "i", "image": {"reference": "r", "pullPolicy": "Never"}}]));
    let ready = volumes.set_up(&pod).await.unwrap();
    let base = dir.path().join("pods/u1/volumes");
    assert_eq!(ready["e"].path, base.join("kubernetes.io~empty-dir/e"));
    assert_eq!(ready["c"].path, base.join("kubernetes.io~configmap/c"));
    assert!(ready["c"].read_only && !ready["e"].read_only);
    assert_eq!(ready["h"].path, Path::new("/"));
    assert_eq!(ready["i"].image, Some(("r".into(), Some("Never".into()))));
    assert_eq!(fs::read_to_string(ready["c"].path.join("k")).unwrap(), "1");
    assert_eq!(volumes.known_pods().await, [PodUid::from("u1")]);
    assert!(volumes.tear_down(&PodUid::from("u1")).await.unwrap());
    assert!(volumes.known_pods().await.is_empty());
    let count = |plugin, operation| metrics.storage_operation.count([plugin, operation, "success", "false"]);
    for operation in ["volume_mount", "volume_unmount"] {
        let counts = ["kubernetes.io/empty-dir", "kubernetes.io/configmap"].map(|plugin| count(plugin, operation));
        assert_eq!(counts, [1, 1], "{operation}");
    }
    assert_eq!(count("kubernetes.io/host-path", "volume_mount"), 1);
}

#[tokio::test]
async fn a_changed_object_is_written_on_refresh() {
    let dir = tempfile::tempdir().unwrap();
    let (volumes, shelf) = volumes(dir.path());
    set(&shelf, "k", "1");
    let pod = pod(serde_json::json!([{"name": "c", "configMap": {"name": "m"}}]));
    let path = volumes.set_up(&pod).await.unwrap()["c"].path.clone();
    set(&shelf, "other", "2");
    volumes.refresh(&pod).await.unwrap();
    assert!(!path.join("k").exists());
    assert_eq!(fs::read_to_string(path.join("other")).unwrap(), "2");
}

#[tokio::test]
async fn every_missing_object_is_told_unless_optional() {
    let dir = tempfile::tempdir().unwrap();
    let (volumes, _) = volumes(dir.path());
    let faulty = pod(
        serde_json::json!([{"name": "c", "configMap": {"name": "m"}}, {"name": "o", "configMap": {"name": "m", "optional": true}},
        {"name": "q", "persistentVolumeClaim": {"claimName": "pvc"}}]),
    );
    let faults = volumes.set_up(&faulty).await.unwrap_err();
    let texts: Vec<_> = faults.iter().map(|f| (f.volume.as_str(), f.message.as_str(), f.transient)).collect();
    assert_eq!(
        texts,
        [
            ("c", "configmap \"m\" not found", true),
            (
                "q",
                "error processing PVC ns/pvc: failed to fetch PVC from API server: persistentvolumeclaim \"pvc\" not found",
                true
            )
        ]
    );
}

#[tokio::test]
async fn names_from_a_manifest_cannot_lead_out_of_the_pods_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (volumes, _) = volumes(dir.path());
    for name in ["../x", "..", "a/b", ""] {
        let bad = pod(serde_json::json!([{"name": name, "emptyDir": {}}]));
        assert!(volumes.set_up(&bad).await.is_err(), "{name}");
    }
    assert!(volumes.tear_down(&PodUid::from("..")).await.is_err());
}

#[tokio::test]
async fn files_are_read_only_from_inside_the_volume() {
    let dir = tempfile::tempdir().unwrap();
    let (volumes, _) = volumes(dir.path());
    let ready = volumes.set_up(&pod(serde_json::json!([{"name": "e", "emptyDir": {}}]))).await.unwrap();
    fs::write(ready["e"].path.join("f"), "x").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", ready["e"].path.join("l")).unwrap();
    assert_eq!(volumes.read_file(&ready["e"], "e", "f").await.unwrap(), b"x");
    assert!(volumes.read_file(&ready["e"], "e", "l").await.is_err());
}

#[tokio::test]
async fn a_volume_that_no_container_uses_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (volumes, shelf) = volumes(dir.path());
    set(&shelf, "key", "value");
    let there = |name: &str| serde_json::json!({"name": name, "configMap": {"name": "m"}});
    let missing = [
        serde_json::json!({"name": "map", "configMap": {"name": "missing"}}),
        serde_json::json!({"name": "secret", "secret": {"secretName": "missing"}}),
        serde_json::json!({"name": "claim", "persistentVolumeClaim": {"claimName": "missing"}}),
        serde_json::json!({"name": "path", "hostPath": {"path": "/missing", "type": "Directory"}}),
    ];
    let used = ["regular", "init", "ephemeral"];
    let all: Vec<_> = used.into_iter().map(there).chain(missing).collect();
    let container = |name: &str| {
        let mounts = [serde_json::json!({"name": name, "mountPath": "/v"})];
        serde_json::json!([{"name": name, "volumeMounts": mounts}])
    };
    let pod: Pod = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u1"},
        "spec": {"containers": container("regular"), "initContainers": container("init"),
            "ephemeralContainers": container("ephemeral"), "volumes": all}
    }))
    .unwrap();
    let ready = volumes.set_up(&pod).await.unwrap();
    assert_eq!(ready.into_keys().collect::<Vec<_>>(), ["ephemeral", "init", "regular"]);
    volumes.refresh(&pod).await.unwrap();

    let maps = serde_json::json!([{"name": "regular", "volumeDevices": [{"name": "claim", "devicePath": "/dev/x"}]}]);
    let mut mapped = pod;
    mapped.spec.as_mut().unwrap().containers = serde_json::from_value(maps).unwrap();
    let faults = volumes.set_up(&mapped).await.unwrap_err();
    assert_eq!(faults.into_iter().map(|fault| fault.volume).collect::<Vec<_>>(), ["claim"], "it is mapped");
}
