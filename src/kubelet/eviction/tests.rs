//! Eviction on fakes with a paused clock.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::PodStatus;
use serde_json::{Value, json};

use super::*;
use crate::core::evict::{Amount, Signal};
use crate::core::model::cgroup_sample::{CgroupDetails, MachineShape};
use crate::core::model::kubelet_spec::ImageSettings;
use crate::core::model::usage::{FsUsage, MemoryUsage, NodeUsage, PodReference, VolumeUsage};
use crate::core::model::{PodKey, PodUid};
use crate::fakes::{FakeEvents, FakeImages, FakeNodeCredentials, FakeRecords, FakeRuntime, FakeSecrets};
use crate::kubelet::image_gc::ImageGcPorts;
use crate::kubelet::images::{ImagePorts, Images};
use crate::kubelet::startup::StartupTracker;

const TIME: Timestamp = Timestamp::UNIX_EPOCH;

/// A node of 1000 bytes; each pod uses the amount in its uid, a killed one none after its volumes are removed.
#[derive(Default)]
struct World {
    pods: Mutex<Vec<Arc<PodView>>>,
    kills: Mutex<Vec<String>>,
    /// Finished pods whose containers still exist.
    dead: Mutex<Vec<Arc<PodView>>>,
    /// How long the removal of a killed pod's volumes takes.
    cleanup: Duration,
    /// Killed pods whose volumes still exist.
    leaving: Mutex<Vec<Arc<PodView>>>,
}

impl World {
    fn pods(&self) -> Vec<Arc<PodView>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Amount that finished pods still use.
    fn dead(&self) -> u64 {
        let dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        dead.iter().map(|view| bytes(uid_of(&view.pod).as_str())).fold(0, u64::saturating_add)
    }

    fn leaving(&self) -> Vec<Arc<PodView>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn bytes(uid: &str) -> u64 {
    uid.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn memory(used: u64) -> MemoryUsage {
    MemoryUsage {
        time: TIME,
        available_bytes: Some(1000u64.saturating_sub(used)),
        usage_bytes: None,
        working_set_bytes: Some(used),
        rss_bytes: None,
        page_faults: None,
        major_page_faults: None,
        psi: None,
    }
}

#[async_trait]
impl Usage for World {
    async fn node(&self, _: UsageDepth) -> NodeUsage {
        let used = self.pods().iter().chain(&self.leaving()).map(|view| bytes(uid_of(&view.pod).as_str())).sum();
        NodeUsage {
            node_name: "n".into(),
            system_containers: vec![],
            start_time: TIME,
            cpu: None,
            memory: Some(memory(used)),
            io: None,
            network: None,
            fs: Some(FsUsage {
                time: TIME,
                available_bytes: Some(1000u64.saturating_sub(used.saturating_add(self.dead()))),
                capacity_bytes: Some(1000),
                used_bytes: None,
                inodes_free: None,
                inodes: None,
                inodes_used: None,
            }),
            runtime: None,
            rlimit: None,
            swap: None,
        }
    }

    async fn pods(&self, _: UsageDepth) -> Vec<PodUsage> {
        self.pods().iter().map(|view| pod_usage(uid_of(&view.pod).as_str())).collect()
    }

    async fn pod(&self, _: &PodUid) -> Option<PodUsage> {
        None
    }

    async fn machine(&self) -> Option<MachineShape> {
        None
    }

    async fn details(&self) -> Option<CgroupDetails> {
        None
    }
}

fn pod_usage(uid: &str) -> PodUsage {
    let fs = FsUsage {
        time: TIME,
        available_bytes: None,
        capacity_bytes: None,
        used_bytes: Some(bytes(uid)),
        inodes_free: None,
        inodes: None,
        inodes_used: None,
    };
    PodUsage {
        pod_ref: PodReference { name: uid.into(), namespace: "n".into(), uid: uid.into() },
        start_time: TIME,
        containers: vec![],
        cpu: None,
        memory: Some(memory(bytes(uid))),
        io: None,
        network: None,
        volumes: vec![VolumeUsage { fs, name: "v".into(), pvc_ref: None, local_ephemeral: true }],
        ephemeral_storage: None,
        processes: None,
        swap: None,
    }
}

impl Pods for World {
    fn by_uid(&self, uid: &PodUid) -> Option<Arc<PodView>> {
        self.leaving().into_iter().find(|view| uid_of(&view.pod) == *uid)
    }
    fn by_key(&self, _: &PodKey) -> Option<Arc<PodView>> {
        None
    }
    fn list(&self) -> Vec<Arc<PodView>> {
        self.pods()
    }
}

#[async_trait]
impl PodControl for Arc<World> {
    async fn kill(&self, uid: &PodUid, kill: PodKill) -> bool {
        let killed = self.pods().into_iter().find(|view| uid_of(&view.pod) == *uid);
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).retain(|view| uid_of(&view.pod) != *uid);
        let (world, uid_of_killed) = (Arc::clone(self), uid.clone());
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner).extend(killed);
        tokio::spawn(async move {
            tokio::time::sleep(world.cleanup).await;
            let mut leaving = world.leaving.lock().unwrap_or_else(PoisonError::into_inner);
            leaving.retain(|view| uid_of(&view.pod) != uid_of_killed);
        });
        let grace = kill.grace_seconds.unwrap_or(-1);
        let line = format!("{uid} {grace} {} {}", kill.disruption.is_some(), kill.message);
        self.kills.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        true
    }
    async fn remove_dead(&self) {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
    fn wake(&self, _: &PodUid) {}
}

fn view(uid: &str, spec: Value) -> Arc<PodView> {
    let mut pod = json!({"metadata": {"name": uid, "namespace": "n", "uid": uid}, "spec": {"containers": []}});
    pod["spec"].as_object_mut().expect("a spec").extend(spec.as_object().cloned().unwrap_or_default());
    Arc::new(PodView {
        pod: Arc::new(serde_json::from_value(pod).expect("a pod")),
        is_static: uid.starts_with("static"),
        mirror_uid: None,
        status: Arc::new(PodStatus { phase: Some("Running".into()), ..PodStatus::default() }),
        sandbox: None,
        containers: vec![],
        ..PodView::default()
    })
}

fn wall() -> Timestamp {
    TIME
}

/// Runs eviction over these pods for a minute; returns the kills and the events.
async fn evicted(pods: Vec<Arc<PodView>>, grace: u64) -> (Vec<String>, Vec<String>, Pressure) {
    evicted_from(World { pods: Mutex::new(pods), ..World::default() }, Signal::Memory, grace).await
}

async fn evicted_from(world: World, signal: Signal, grace: u64) -> (Vec<String>, Vec<String>, Pressure) {
    let world = Arc::new(world);
    let (events, service, runtime) =
        (Arc::new(FakeEvents::default()), Arc::new(FakeImages::default()), Arc::new(FakeRuntime::default()));
    let settings = ImageSettings {
        pull_qps: 0,
        pull_burst: 0,
        max_parallel: None,
        minimum_age: Duration::ZERO,
        maximum_age: Duration::ZERO,
        gc_high: 85,
        gc_low: 80,
        verification_policy: String::new(),
        verification_allowlist: vec![],
        credential_config: None,
        credential_bin_dir: None,
    };
    let image_ports = ImagePorts {
        images: service.clone(),
        objects: Arc::new(FakeSecrets::default()),
        events: events.clone(),
        node: Arc::new(FakeNodeCredentials::default()),
        records: Arc::new(FakeRecords::default()),
        startup: Arc::new(StartupTracker::new(Arc::default(), wall)),
        metrics: Arc::default(),
        wall,
    };
    let metrics = Arc::<Metrics>::default();
    let gc = ImageGcPorts {
        images: service,
        runtime,
        pods: world.clone(),
        usage: world.clone(),
        events: events.clone(),
        records: Arc::new(Images::new(image_ports, &settings, vec![])),
        metrics: metrics.clone(),
        wall,
    };
    let ports = EvictionPorts {
        usage: world.clone(),
        pods: world.clone(),
        control: Arc::new(world.clone()),
        events: events.clone(),
        images: Arc::new(ImageGc::new(gc, &settings)),
        metrics: metrics.clone(),
        wall,
    };
    let limits = EvictionLimits {
        thresholds: vec![Threshold {
            signal,
            value: Amount::Exact(300),
            grace: Duration::from_secs(grace),
            minimum_reclaim: None,
        }],
        transition: Duration::from_secs(300),
        max_pod_grace: 7,
        local_storage: true,
        dedicated_image_fs: false,
    };
    let (sender, receiver) = watch::channel(Pressure::default());
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(async move { run(&ports, &limits, &sender, stopped).await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    stop.cancel();
    task.await.expect("the loop ends");
    let kills = world.kills.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let pressure = *receiver.borrow();
    // Evictions because of a threshold are annotated for programs too.
    assert_eq!(events.annotations().contains_key("starved_resource"), kills.iter().any(|kill| kill.contains(" true ")));
    let counted = ["memory.available", "emptydirfs.limit"].map(|signal| metrics.evictions.with([signal]).get());
    assert_eq!(counted[0] + counted[1], kills.len() as u64);
    assert!(metrics.eviction_stats_age.count(["memory.available"]) >= counted[0]);
    (kills, events.take(), pressure)
}

#[tokio::test(start_paused = true)]
async fn the_least_needed_goes_and_no_more_than_must() {
    let pods = vec![
        view("static-300", json!({})),
        view("critical-200", json!({"priority": 2_000_000_000})),
        view("valued-100", json!({"priority": 5})),
        view("plain-150", json!({})),
        view("small-10", json!({})),
    ];
    let (kills, events, pressure) = evicted(pods, 0).await;
    let message = "The node was low on resource: memory. Threshold quantity: 300, available: 240. ";
    assert_eq!(kills, [format!("plain-150 1 true {message}")]);
    assert_eq!(
        events,
        [
            "node EvictionThresholdMet: Attempting to reclaim memory".to_owned(),
            format!("n/plain-150 Evicted: {message}")
        ]
    );
    assert!(pressure.memory && !pressure.disk);
}

#[tokio::test(start_paused = true)]
async fn nobody_else_goes_while_the_volumes_of_an_evicted_pod_are_being_removed() {
    let pods = vec![view("hog-700", json!({})), view("innocent-10", json!({}))];
    let world = World { pods: Mutex::new(pods), cleanup: Duration::from_secs(25), ..World::default() };
    let (kills, _, _) = evicted_from(world, Signal::Memory, 0).await;
    assert_eq!(kills.len(), 1, "{kills:?}");
    assert!(kills[0].starts_with("hog-700 "), "{kills:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_goes_for_a_disk_that_finished_pods_have_filled() {
    let world = World {
        pods: Mutex::new(vec![view("innocent-10", json!({}))]),
        dead: Mutex::new(vec![view("evicted-800", json!({}))]),
        ..World::default()
    };
    let (kills, events, pressure) = evicted_from(world, Signal::NodeFs, 0).await;
    assert_eq!((kills, pressure.disk), (vec![], true));
    assert_eq!(events, ["node EvictionThresholdMet: Attempting to reclaim ephemeral-storage"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_of_critical_pods_is_left_alone() {
    let (kills, _, pressure) = evicted(vec![view("static-900", json!({}))], 0).await;
    assert!(kills.is_empty() && pressure.memory);
}

#[tokio::test(start_paused = true)]
async fn a_volume_over_its_limit_ends_its_pod() {
    let sized = json!({"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "50"}}]});
    let (kills, _, pressure) = evicted(vec![view("over-51", sized.clone()), view("under-50", sized)], 0).await;
    assert_eq!(kills, ["over-51 1 false Usage of EmptyDir volume \"v\" exceeds the limit \"50\". "]);
    assert_eq!(pressure, Pressure::default());
}

#[test]
fn a_negative_limit_of_the_grace_is_none() {
    for (most, own, grace) in [(7, 30, 7), (30, 7, 7), (0, 30, 0), (-1, 30, 30), (i64::MIN, i64::MAX, i64::MAX)] {
        assert_eq!(soft_grace(most, own), grace, "{most} of {own}");
    }
}
