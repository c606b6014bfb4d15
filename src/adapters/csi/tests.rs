//! A test driver on real sockets: registration, staging, publishing, and their reversal.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::storage::v1::{CSIDriver, VolumeAttachment};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use tokio::net::UnixListener;
use tokio::sync::broadcast;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

use super::proto::csi::node_server::{Node, NodeServer};
use super::proto::csi::node_service_capability::{Rpc, Type, rpc};
use super::proto::csi::*;
use super::proto::registration::registration_server::{Registration, RegistrationServer};
use super::proto::registration::{InfoRequest, PluginInfo, RegistrationStatus, RegistrationStatusResponse};
use super::*;
use crate::core::status::{Growth, GrowthStep};
use crate::ports::kubelet::{NodeDriver, ObjectChange, ObjectError, Objects, StorageApi, TokenRequest};
use crate::ports::node::ApiError;

/// Records every call as a line of text. Locking `unstaging` blocks that call.
#[derive(Clone)]
pub(super) struct Journal {
    lines: Arc<Mutex<Vec<String>>>,
    unstaging: Arc<tokio::sync::Mutex<()>>,
    /// Number of volumes that can be attached.
    pub fits: Arc<AtomicI64>,
    /// The paths in all calls.
    places: Arc<Mutex<Vec<String>>>,
}

impl Default for Journal {
    fn default() -> Self {
        let (lines, unstaging, places) = Default::default();
        Self { lines, unstaging, fits: Arc::new(AtomicI64::new(5)), places }
    }
}

impl Journal {
    fn note(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

#[derive(Clone)]
struct TestDriver {
    journal: Journal,
    endpoint: String,
    kind: String,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Registration for TestDriver {
    async fn get_info(&self, _: Request<InfoRequest>) -> Answer<PluginInfo> {
        Ok(Response::new(PluginInfo {
            r#type: self.kind.clone(),
            name: "test.csi".into(),
            endpoint: self.endpoint.clone(),
            supported_versions: vec!["1.0.0".into()],
        }))
    }
    async fn notify_registration_status(&self, r: Request<RegistrationStatus>) -> Answer<RegistrationStatusResponse> {
        let r = r.into_inner();
        self.journal.note(format!("told {} {}", r.plugin_registered, r.error));
        Ok(Response::new(RegistrationStatusResponse {}))
    }
}

#[tonic::async_trait]
impl Node for TestDriver {
    async fn node_stage_volume(&self, r: Request<NodeStageVolumeRequest>) -> Answer<NodeStageVolumeResponse> {
        let r = r.into_inner();
        self.journal.places.lock().unwrap().push(r.staging_target_path);
        self.journal.note(format!(
            "stage {} {}",
            r.volume_id,
            r.publish_context.get("dev").cloned().unwrap_or_default()
        ));
        Ok(Response::new(NodeStageVolumeResponse {}))
    }
    async fn node_unstage_volume(&self, r: Request<NodeUnstageVolumeRequest>) -> Answer<NodeUnstageVolumeResponse> {
        let r = r.into_inner();
        self.journal.places.lock().unwrap().push(r.staging_target_path);
        self.journal.note(format!("unstage {}", r.volume_id));
        let _ = self.journal.unstaging.lock().await;
        Ok(Response::new(NodeUnstageVolumeResponse {}))
    }
    async fn node_publish_volume(&self, r: Request<NodePublishVolumeRequest>) -> Answer<NodePublishVolumeResponse> {
        let r = r.into_inner();
        let access = r.volume_capability.unwrap().access_type.unwrap();
        if matches!(access, volume_capability::AccessType::Block(_)) {
            fs::write(&r.target_path, "a device").unwrap();
        } else {
            fs::create_dir_all(&r.target_path).unwrap();
        }
        self.journal.places.lock().unwrap().extend([r.target_path, r.staging_target_path.clone()]);
        let context: BTreeMap<_, _> = r.volume_context.into_iter().collect();
        self.journal.note(format!("publish {} staged={} {context:?}", r.volume_id, !r.staging_target_path.is_empty()));
        Ok(Response::new(NodePublishVolumeResponse {}))
    }
    async fn node_unpublish_volume(
        &self,
        r: Request<NodeUnpublishVolumeRequest>,
    ) -> Answer<NodeUnpublishVolumeResponse> {
        let r = r.into_inner();
        self.journal.places.lock().unwrap().push(r.target_path);
        self.journal.note(format!("unpublish {}", r.volume_id));
        Ok(Response::new(NodeUnpublishVolumeResponse {}))
    }
    async fn node_get_volume_stats(&self, _: Request<NodeGetVolumeStatsRequest>) -> Answer<NodeGetVolumeStatsResponse> {
        Err(Status::unimplemented("no"))
    }
    async fn node_expand_volume(&self, r: Request<NodeExpandVolumeRequest>) -> Answer<NodeExpandVolumeResponse> {
        let r = r.into_inner();
        let bytes = r.capacity_range.unwrap_or_default().required_bytes;
        self.journal.note(format!("expand {} {bytes}", r.volume_id));
        match bytes {
            500 => Ok(Response::new(NodeExpandVolumeResponse { capacity_bytes: bytes })),
            1000 => Err(Status::failed_precondition("in use")),
            _ => Err(Status::out_of_range("too much")),
        }
    }
    async fn node_get_capabilities(
        &self,
        _: Request<NodeGetCapabilitiesRequest>,
    ) -> Answer<NodeGetCapabilitiesResponse> {
        let able = |what: rpc::Type| NodeServiceCapability { r#type: Some(Type::Rpc(Rpc { r#type: what as i32 })) };
        let capabilities = vec![able(rpc::Type::StageUnstageVolume), able(rpc::Type::ExpandVolume)];
        Ok(Response::new(NodeGetCapabilitiesResponse { capabilities }))
    }
    async fn node_get_info(&self, _: Request<NodeGetInfoRequest>) -> Answer<NodeGetInfoResponse> {
        Ok(Response::new(NodeGetInfoResponse {
            node_id: "id-1".into(),
            max_volumes_per_node: self.journal.fits.load(Ordering::SeqCst),
            accessible_topology: None,
        }))
    }
}

/// Serves registration and node calls on one socket.
fn serve(socket: &Path, driver: TestDriver) {
    let listener = UnixListener::bind(socket).unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(RegistrationServer::new(driver.clone()))
        .add_service(NodeServer::new(driver));
    tokio::spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
}

/// An API server with one driver and one attachment.
#[derive(Default)]
pub(super) struct World {
    pub driver: Mutex<Option<CSIDriver>>,
    pub attached: bool,
    /// gRPC code of failing attachments; `None` for success.
    pub attach_error: Option<i32>,
    pub journal: Journal,
}

#[async_trait]
impl StorageApi for World {
    async fn csi_driver(&self, _: &str) -> Result<Option<CSIDriver>, ApiError> {
        Ok(self.driver.lock().unwrap().clone())
    }
    async fn volume_attachment(&self, name: &str) -> Result<Option<VolumeAttachment>, ApiError> {
        assert!(name.starts_with("csi-") && name.len() == 68, "{name}");
        let error = self.attach_error.map(|code| serde_json::json!({"message": "full", "errorCode": code}));
        let status = serde_json::json!({"attached": self.attached, "attachmentMetadata": {"dev": "sdx"},
            "attachError": error});
        let json = serde_json::json!({"spec": {"attacher": "", "nodeName": "", "source": {}}, "status": status});
        Ok(Some(serde_json::from_value(json).unwrap()))
    }
    async fn tell_growth(
        &self,
        claim: &PersistentVolumeClaim,
        step: GrowthStep,
    ) -> Result<PersistentVolumeClaim, ApiError> {
        self.journal.note(format!("{step:?}"));
        Ok(claim.clone())
    }
    async fn publish_node(&self) -> Result<(), ApiError> {
        self.journal.note("node".into());
        Ok(())
    }
    async fn publish_driver(&self, driver: &NodeDriver) -> Result<(), ApiError> {
        self.journal.note(format!("node {} {} {:?}", driver.name, driver.node_id, driver.max_volumes));
        Ok(())
    }
    async fn withdraw_driver(&self, name: &str) -> Result<(), ApiError> {
        self.journal.note(format!("withdraw {name}"));
        Ok(())
    }
}

#[async_trait]
impl Objects for World {
    fn register(&self, _: &Pod) {}
    fn unregister(&self, _: &Pod) {}
    async fn config_map(&self, _: &str, name: &str) -> Result<Arc<ConfigMap>, ObjectError> {
        Err(ObjectError::NotFound { kind: "configmap", name: name.into() })
    }
    async fn secret(&self, _: &str, name: &str) -> Result<Arc<Secret>, ObjectError> {
        Err(ObjectError::NotFound { kind: "secret", name: name.into() })
    }
    async fn services(&self, _: &str) -> Result<Vec<Arc<Service>>, ObjectError> {
        Ok(Vec::new())
    }
    async fn runtime_class(&self, name: &str) -> Result<Arc<RuntimeClass>, ObjectError> {
        Err(ObjectError::NotFound { kind: "runtimeclass", name: name.into() })
    }
    async fn service_account(&self, _: &str, name: &str) -> Result<Arc<ServiceAccount>, ObjectError> {
        Err(ObjectError::NotFound { kind: "serviceaccount", name: name.into() })
    }
    async fn claim(&self, _: &str, name: &str) -> Result<Arc<PersistentVolumeClaim>, ObjectError> {
        Err(ObjectError::NotFound { kind: "persistentvolumeclaim", name: name.into() })
    }
    async fn volume(&self, name: &str) -> Result<Arc<PersistentVolume>, ObjectError> {
        Err(ObjectError::NotFound { kind: "persistentvolume", name: name.into() })
    }
    async fn token(&self, _: &Pod, _: &TokenRequest) -> Result<(String, Timestamp), ObjectError> {
        Ok(("token".into(), Timestamp::UNIX_EPOCH))
    }
    fn changes(&self) -> broadcast::Receiver<ObjectChange> {
        broadcast::channel(1).1
    }
}

pub(super) fn pod(uid: &str) -> Pod {
    serde_json::from_value(serde_json::json!({"metadata": {"name": "p", "namespace": "ns", "uid": uid}})).unwrap()
}

pub(super) fn driver_object(spec: serde_json::Value) -> Option<CSIDriver> {
    Some(serde_json::from_value(serde_json::json!({"metadata": {"name": "test.csi"}, "spec": spec})).unwrap())
}

/// A registered test driver below `root`; returns its journal.
pub(super) async fn registered(root: &Path, world: &Arc<World>) -> (Drivers, Journal, Registrar) {
    let (journal, drivers) = (Journal::default(), Drivers::default());
    fs::create_dir_all(root.join("plugins_registry")).unwrap();
    let driver = TestDriver { journal: journal.clone(), endpoint: String::new(), kind: "CSIPlugin".into() };
    serve(&root.join("plugins_registry/test.sock"), driver);
    let mut registrar = Registrar::new(root, drivers.clone(), Some(world.clone()));
    assert!(registrar.look().await);
    assert_eq!(journal.take(), ["told true "]);
    (drivers, journal, registrar)
}

/// Volumes of that driver on a node that they are attached to.
pub(super) async fn attached(root: &Path) -> (CsiVolumes, Journal, Arc<World>, Registrar) {
    let world = Arc::new(World { attached: true, ..World::default() });
    let (drivers, journal, registrar) = registered(root, &world).await;
    let volumes = CsiVolumes::new(root, "n1", drivers, world.clone(), world.clone());
    (volumes, journal, world, registrar)
}

pub(super) fn grows(size: &str, waits: bool) -> Option<(Arc<PersistentVolumeClaim>, Growth)> {
    Some((Arc::default(), Growth { size: Quantity(size.into()), waits }))
}

pub(super) fn pv1() -> CsiSource {
    CsiSource { name: "pv1".into(), driver: "test.csi".into(), handle: "h1".into(), ..CsiSource::default() }
}

#[tokio::test]
async fn a_driver_is_known_while_its_socket_is_there() {
    let root = tempfile::tempdir().unwrap();
    let world = Arc::new(World::default());
    let (drivers, journal, mut registrar) = registered(root.path(), &world).await;
    assert_eq!(world.journal.take(), ["node", "node test.csi id-1 Some(5)"]);
    assert!(registrar.look().await && journal.take().is_empty());
    fs::remove_file(root.path().join("plugins_registry/test.sock")).unwrap();
    assert!(registrar.look().await);
    assert!(drivers.get("test.csi").is_none());
    assert_eq!(world.journal.take(), ["withdraw test.csi"]);
}

#[tokio::test]
async fn calls_to_a_driver_are_timed_by_method_and_answer() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("plugins_registry")).unwrap();
    let driver = TestDriver { journal: Journal::default(), endpoint: String::new(), kind: "CSIPlugin".into() };
    serve(&root.path().join("plugins_registry/test.sock"), driver);
    let metrics = Arc::new(crate::telemetry::Metrics::default());
    let registrar = Registrar::new(root.path(), Drivers::default(), None);
    assert!(registrar.with_metrics(metrics.clone()).look().await);
    let count = |code| metrics.csi_operations.count(["test.csi", "/csi.v1.Node/NodeGetInfo", code, "false"]);
    assert_eq!((count("OK"), count("Canceled")), (1, 0));
}

#[tokio::test]
async fn a_plugin_of_another_kind_is_told_so() {
    let root = tempfile::tempdir().unwrap();
    let journal = Journal::default();
    fs::create_dir_all(root.path().join("plugins_registry")).unwrap();
    let driver = TestDriver { journal: journal.clone(), endpoint: String::new(), kind: "Odd".into() };
    serve(&root.path().join("plugins_registry/test.sock"), driver);
    let mut registrar = Registrar::new(root.path(), Drivers::default(), None);
    assert!(!registrar.look().await);
    assert!(journal.take()[0].starts_with("told false no handler registered for plugin type: Odd"));
}

#[tokio::test]
async fn a_persistent_volume_is_staged_once_and_unstaged_with_its_last_pod() {
    let root = tempfile::tempdir().unwrap();
    let (volumes, journal, world, _registrar) = attached(root.path()).await;
    let source = pv1();
    let dir = |uid: &str| root.path().join("pods").join(uid).join("volumes/kubernetes.io~csi/pv1");
    for uid in ["a", "b"] {
        volumes.publish(&pod(uid), &source, &dir(uid)).await.unwrap();
        assert_eq!(journal.take(), ["stage h1 sdx", "publish h1 staged=true {}"]);
    }
    let in_use = volumes.in_use();
    let listed = || in_use.borrow().iter().cloned().collect::<Vec<_>>();
    assert_eq!(listed(), ["kubernetes.io/csi/test.csi^h1"]);
    let restarted = CsiVolumes::new(root.path(), "n1", Drivers::default(), world.clone(), world.clone());
    assert_eq!(*restarted.in_use().borrow(), *in_use.borrow(), "what is mounted is known after a restart");
    let staged = root.path().join("plugins/kubernetes.io/csi/test.csi");
    assert_eq!(fs::read_dir(&staged).unwrap().count(), 1);
    assert!(volumes.unpublish_all(&root.path().join("pods/a")).await.is_empty());
    assert_eq!(journal.take(), ["unpublish h1"]);
    assert_eq!(listed().len(), 1);
    assert!(volumes.unpublish_all(&root.path().join("pods/b")).await.is_empty());
    assert_eq!(journal.take(), ["unpublish h1", "unstage h1"]);
    assert!(listed().is_empty());
    assert_eq!(fs::read_dir(&staged).unwrap().count(), 0);
    assert!(!dir("a").exists());
}

#[tokio::test]
async fn a_driver_knows_the_kubelets_directory_by_the_name_that_is_configured() {
    let dir = tempfile::tempdir().unwrap();
    let (root, link) = (dir.path().join("real"), dir.path().join("link"));
    fs::create_dir(&root).unwrap();
    std::os::unix::fs::symlink("real", &link).unwrap();
    let (volumes, journal, _world, _registrar) = attached(&root).await;
    let volumes = volumes.with_named_root(&link);
    let of_pod = root.join("pods/a/volumes/kubernetes.io~csi/pv1");
    let published = volumes.publish(&pod("a"), &pv1(), &of_pod).await.unwrap();
    assert_eq!(published.path, of_pod.join("mount"), "the kubelet's own name is the resolved one");
    assert!(volumes.unpublish_all(&root.join("pods/a")).await.is_empty());
    let places = journal.places.lock().unwrap().clone();
    assert_eq!(places.len(), 5, "stage, publish with two, unpublish, unstage");
    assert!(places.iter().all(|place| Path::new(place).starts_with(&link)), "{places:?}");
}

#[tokio::test]
async fn a_new_pod_waits_until_the_last_one_gave_the_volume_back() {
    let root = tempfile::tempdir().unwrap();
    let (volumes, journal, _world, _registrar) = attached(root.path()).await;
    let source = pv1();
    let pods = root.path().join("pods");
    let dir = |uid: &str| pods.join(uid).join("volumes/kubernetes.io~csi/pv1");
    volumes.publish(&pod("a"), &source, &dir("a")).await.unwrap();
    journal.take();
    let held = journal.unstaging.clone().lock_owned().await;
    let left = pods.join("a");
    let leaving = volumes.unpublish_all(&left);
    let coming = async {
        while journal.lines.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        let (pod, dir) = (pod("b"), dir("b"));
        let mut publish = std::pin::pin!(volumes.publish(&pod, &source, &dir));
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut publish).await.is_err());
        assert_eq!(journal.take(), ["unpublish h1", "unstage h1"]);
        drop(held);
        publish.await
    };
    let (faults, published) = tokio::join!(leaving, coming);
    assert!(faults.is_empty() && published.is_ok());
    assert_eq!(journal.take(), ["stage h1 sdx", "publish h1 staged=true {}"]);
}

#[tokio::test]
async fn a_block_volume_is_a_device_and_leaves_nothing_with_its_last_pod() {
    let root = tempfile::tempdir().unwrap();
    let (volumes, journal, world, _registrar) = attached(root.path()).await;
    let source = CsiSource { block: true, ..pv1() };
    let link = |uid: &str| root.path().join("pods").join(uid).join("volumeDevices/kubernetes.io~csi/pv1");
    let devices = root.path().join("plugins/kubernetes.io/csi/volumeDevices");
    for uid in ["a", "b"] {
        let published = volumes.publish(&pod(uid), &source, &link(uid)).await.unwrap();
        assert_eq!(published.path, devices.join("publish/pv1").join(uid));
        assert_eq!(fs::read_to_string(link(uid)).unwrap(), "a device");
        assert_eq!(journal.take(), ["stage h1 sdx", "publish h1 staged=true {}"]);
    }
    let restarted = CsiVolumes::new(root.path(), "n1", Drivers::default(), world.clone(), world.clone());
    assert_eq!(restarted.in_use().borrow().len(), 1, "what is published is known after a restart");
    assert!(volumes.unpublish_all(&root.path().join("pods/a")).await.is_empty());
    assert_eq!(journal.take(), ["unpublish h1"]);
    assert!(fs::symlink_metadata(link("a")).is_err() && link("b").exists());
    assert!(volumes.unpublish_all(&root.path().join("pods/b")).await.is_empty());
    assert_eq!(journal.take(), ["unpublish h1", "unstage h1"]);
    let left: Vec<_> = ["pv1", "publish/pv1", "staging/pv1"].into_iter().filter(|p| devices.join(p).exists()).collect();
    assert!(left.is_empty() && volumes.in_use().borrow().is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_volume_whose_claim_waits_for_it_grows_and_is_used_where_it_cannot() {
    let root = tempfile::tempdir().unwrap();
    let (volumes, journal, world, _registrar) = attached(root.path()).await;
    world.journal.take();
    let of_size = |size: &str| CsiSource { growing: grows(size, true), ..pv1() };
    let dir = root.path().join("pods/a/volumes/kubernetes.io~csi/pv1");
    volumes.publish(&pod("a"), &of_size("500"), &dir).await.unwrap();
    assert_eq!(journal.take()[1..], ["publish h1 staged=true {}", "expand h1 500"]);
    assert_eq!(world.journal.take(), ["Begun", "Done(Quantity(\"500\"))"]);
    volumes.publish(&pod("a"), &of_size("1k"), &dir).await.unwrap();
    assert!(world.journal.take()[1].starts_with("Failed"));
    let refused = volumes.publish(&pod("a"), &of_size("2k"), &dir).await.unwrap_err().to_string();
    assert!(refused.contains("too much") && world.journal.take()[1].starts_with("Infeasible"), "{refused}");
    let read_only = CsiSource { read_only: true, ..of_size("500") };
    volumes.publish(&pod("a"), &read_only, &dir).await.unwrap();
    assert!(world.journal.take().is_empty());
}

#[tokio::test]
async fn an_inline_volume_needs_the_drivers_consent_and_learns_of_its_pod() {
    let root = tempfile::tempdir().unwrap();
    let source = CsiSource { name: "v".into(), driver: "test.csi".into(), inline: true, ..CsiSource::default() };
    let dir = root.path().join("pods/a/volumes/kubernetes.io~csi/v");
    let world = Arc::new(World::default());
    let (drivers, _, _registrar) = registered(root.path(), &world).await;
    let volumes = CsiVolumes::new(root.path(), "n1", drivers.clone(), world.clone(), world.clone());
    let refused = volumes.publish(&pod("a"), &source, &dir).await.unwrap_err().to_string();
    assert_eq!(refused, "volume mode \"Ephemeral\" not supported by driver test.csi");

    let spec = serde_json::json!({"volumeLifecycleModes": ["Ephemeral"], "podInfoOnMount": true});
    let world = Arc::new(World { driver: Mutex::new(driver_object(spec)), ..World::default() });
    let volumes = CsiVolumes::new(root.path(), "n1", drivers, world.clone(), world.clone());
    volumes.publish(&pod("a"), &source, &dir).await.unwrap();
    let record = fs::read_to_string(dir.join("vol_data.json")).unwrap();
    assert!(record.contains(r#""volumeLifecycleMode":"Ephemeral""#) && record.contains(r#""driverName":"test.csi""#));
    assert!(volumes.unpublish_all(&root.path().join("pods/a")).await.is_empty());
}

#[tokio::test]
async fn what_is_not_ready_is_told_and_nothing_is_mounted() {
    let root = tempfile::tempdir().unwrap();
    let world = Arc::new(World::default());
    let (drivers, journal, _registrar) = registered(root.path(), &world).await;
    let volumes = CsiVolumes::new(root.path(), "n1", drivers, world.clone(), world.clone());
    let dir = root.path().join("pods/a/volumes/kubernetes.io~csi/pv1");
    let source = pv1();
    let error = volumes.publish(&pod("a"), &source, &dir).await.unwrap_err().to_string();
    assert_eq!(error, "volume h1 is not attached to node n1 yet");
    let away = CsiSource { driver: "other".into(), ..source };
    let error = volumes.publish(&pod("a"), &away, &dir).await.unwrap_err().to_string();
    assert_eq!(error, "driver name other not found in the list of registered CSI drivers");
    assert!(journal.take().is_empty());
}
