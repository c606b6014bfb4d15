//! What `bootstrap status` observes of nodes in memory, and what it makes of the faults that an operator meets.

#![allow(clippy::unwrap_used)] // a failed assumption ends the test
#![cfg(feature = "fakes")]

mod shared;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use roost::bootstrap::Ports;
use roost::bootstrap::commands::{self, reset::observe_left};
use roost::bootstrap::etcd::{foresee_drill, foresee_take, take};
use roost::bootstrap::status::{StatusPorts, observe};
use roost::bootstrap::{RunOptions, run};
use roost::core::bootstrap::leftovers::render;
use roost::core::bootstrap::node_status::{DiskStatus, NodeStatus};
use roost::core::bootstrap::workflow::INIT;
use roost::core::model::spec::Spec;
use roost::core::network::cni::RuntimeNetwork;
use roost::core::static_units::PodState;
use roost::fakes::Record;
use roost::fakes::members::{FakeEtcd, member};
use roost::fakes::node::{FakeNode, FakeReachability};
use roost::ports::bootstrap::{EtcdFileError, EtcdFiles, NodeFiles, NodeProbes, Reachability, StaticPodStates, Units};
use roost::ports::node::RuntimeError;
use serde_json::{Value, json};
use shared::{ports, ports_of, spec_of};

/// A machine as healthy as a fresh one.
struct Machine {
    dns: Result<Vec<IpAddr>, String>,
    machine_id: String,
    available: u64,
}

#[async_trait]
impl NodeProbes for Machine {
    fn identity(&self) -> (String, String) {
        (self.machine_id.clone(), "b1".to_owned())
    }
    fn has_address(&self, _: IpAddr) -> bool {
        true
    }
    fn space(&self, path: &Path) -> Option<DiskStatus> {
        let path = path.display().to_string();
        Some(DiskStatus { path, available: self.available, capacity: 100 << 30, inodes_free: 9, inodes: 10 })
    }
    async fn runtime_network(&self) -> Result<RuntimeNetwork, RuntimeError> {
        Ok(RuntimeNetwork { plugin_folders: vec!["/opt/cni/bin".to_owned()], ..RuntimeNetwork::default() })
    }
    async fn resolve(&self, _: IpAddr, _: &str) -> Result<Vec<IpAddr>, String> {
        self.dns.clone()
    }
}

/// Snapshots that are whole.
struct Whole;

impl EtcdFiles for Whole {
    fn check_snapshot(&self, _: &Path) -> Result<u64, EtcdFileError> {
        Ok(4096)
    }
    fn rename(&self, _: &Path, _: &Path) -> Result<(), EtcdFileError> {
        Ok(())
    }
}

/// A kubelet whose pods are all in this state.
struct Kubelet(PodState);

#[async_trait]
impl StaticPodStates for Kubelet {
    async fn state(&self, _: &str, _: &str) -> std::io::Result<PodState> {
        Ok(self.0.clone())
    }
}

/// A control plane after `init`, with what its cluster then has.
struct World {
    node: Arc<FakeNode>,
    ports: Ports,
    spec: Spec,
    machine: Machine,
    kubelet: Kubelet,
}

impl World {
    async fn new() -> Self {
        let node = FakeNode::new();
        let etcd = FakeEtcd::with(&[member(1, "n1", "10.0.0.1", false)]);
        let ports = ports(&node, None, &etcd);
        let spec = spec_of("n1", "10.0.0.1", &[]);
        run(INIT, &spec, &ports, &RunOptions::default(), &|facts| facts, &Record::default()).await.unwrap();
        for plugin in ["bridge", "host-local", "portmap", "loopback"] {
            node.write(&Path::new("/opt/cni/bin").join(plugin), b"", 0o755).unwrap();
        }
        let conflist = br#"{"plugins": [{"type": "bridge", "ipam": {"type": "host-local"}}, {"type": "portmap"}]}"#;
        node.write("/etc/cni/net.d/10-roost.conflist".as_ref(), conflist, 0o600).unwrap();
        let world = Self {
            node,
            ports,
            spec,
            machine: Machine {
                dns: Ok(vec!["10.96.0.1".parse().unwrap()]),
                machine_id: "m1".to_owned(),
                available: 50 << 30,
            },
            kubelet: Kubelet(PodState::Ready("Ready".to_owned())),
        };
        world.set_node("m1", "True").await;
        world.set(&pod("kube-proxy", "kube-proxy-x", "True")).await;
        world.set(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "namespace": "kube-system", "name": "coredns" },
            "spec": { "replicas": 2 }, "status": { "readyReplicas": 2 },
        })).await;
        world
    }

    async fn set(&self, object: &Value) {
        let api = FakeReachability(self.node.clone()).connect("any".as_ref()).await.unwrap();
        api.apply(object).await.unwrap();
    }

    async fn set_node(&self, machine_id: &str, ready: &str) {
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" },
            "status": {
                "nodeInfo": { "machineID": machine_id, "bootID": "b1", "kubeletVersion": "v1.36.3" },
                "addresses": [{ "type": "InternalIP", "address": "10.0.0.1" }],
                "conditions": [{ "type": "Ready", "status": ready, "reason": "R", "message": "why" }],
            },
        });
        self.set(&node).await;
    }

    async fn look(&self) -> NodeStatus {
        let all = StatusPorts { ports: &self.ports, probes: &self.machine, states: &self.kubelet };
        observe(&all, &self.spec).await.unwrap()
    }

    async fn problems(&self) -> String {
        let status = self.look().await;
        let report = status.judge((self.ports.now)());
        let lines = report.problems.iter().map(|problem| format!("{}: {problem}\n", problem.check));
        // The runtime of these tests does not name its pods.
        lines.filter(|line| !line.ends_with(".yaml has no pod\n")).collect()
    }
}

/// A pod of an add-on on n1. Pods of all namespaces are listed at once, so that this one has none here.
fn pod(app: &str, name: &str, ready: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "k8s-app": app } },
        "status": { "conditions": [{ "type": "Ready", "status": ready, "reason": "ContainersNotReady" }] },
    })
}

#[tokio::test]
async fn a_fresh_control_plane_has_no_problems() {
    let world = World::new().await;
    assert_eq!(world.problems().await, "");
    let status = world.look().await;
    assert!(status.control_plane && status.etcd.unwrap().members.len() == 1);
    let units: Vec<&str> = status.units.iter().map(|unit| unit.unit.as_str()).collect();
    assert!(units.contains(&"roost-renewal.timer") && units.contains(&"roost-drill.timer"), "{units:?}");
}

#[tokio::test]
async fn each_fault_of_a_node_is_found() {
    let world = World::new().await;
    world.node.stop("roost-agent.service").await.unwrap();
    assert!(world.problems().await.starts_with("units: roost-agent.service is inactive"), "{}", world.problems().await);
    world.node.start("roost-agent.service").await.unwrap();

    world.node.remove("/opt/cni/bin/portmap".as_ref()).unwrap();
    world.node.write("/opt/cni/bin/bridge".as_ref(), b"", 0o644).unwrap();
    let told = world.problems().await;
    assert!(told.starts_with("network: CNI plugins do not exist in /opt/cni/bin: bridge, portmap;"), "{told}");
    for plugin in ["bridge", "portmap"] {
        world.node.write(&Path::new("/opt/cni/bin").join(plugin), b"", 0o755).unwrap();
    }

    world.node.write("/etc/cni/net.d/05-other.conf".as_ref(), br#"{"type": "bridge"}"#, 0o644).unwrap();
    assert!(world.problems().await.contains("05-other.conf wins by its name"));
    world.node.remove("/etc/cni/net.d/05-other.conf".as_ref()).unwrap();

    world.set(&pod("kube-proxy", "kube-proxy-x", "False")).await;
    assert!(world.problems().await.starts_with("kubeProxy: kube-proxy on this node (/kube-proxy-x) is not Ready"));
    world.set(&pod("kube-proxy", "kube-proxy-x", "True")).await;

    world.set_node("m2", "True").await;
    assert!(world.problems().await.starts_with("cluster: Node n1 belongs to another machine (machine id m2"));
    world.set_node("m1", "False").await;
    assert!(world.problems().await.starts_with("cluster: Node n1: Ready is False: R: why"));
    world.set_node("m1", "True").await;

    world.node.write("/etc/kubernetes/manifests/web.yaml".as_ref(), b"kind: [", 0o600).unwrap();
    assert!(world.problems().await.starts_with("manifests: manifest /etc/kubernetes/manifests/web.yaml is invalid"));
    world.node.remove("/etc/kubernetes/manifests/web.yaml".as_ref()).unwrap();

    world.node.write("/etc/kubernetes/pki/apiserver.crt".as_ref(), b"torn", 0o644).unwrap();
    let told = world.problems().await;
    assert!(
        told.starts_with("certificates: certificate /etc/kubernetes/pki/apiserver.crt") && told.contains("certs renew"),
        "{told}"
    );
}

#[tokio::test]
async fn what_the_machine_and_the_kubelet_say_counts() {
    let mut world = World::new().await;
    world.machine.dns = Err("no answer within 2 s".to_owned());
    world.machine.available = 1 << 30;
    world.kubelet = Kubelet(PodState::Waiting("Not ready, etcd: CrashLoopBackOff".to_owned()));
    let told = world.problems().await;
    for part in [
        "dns: the DNS Service 10.96.0.10 does not resolve kubernetes.default.svc.cluster.local from here: no answer",
        "disks: the file system of /var/lib/kubelet is full",
        "manifests: static pod kube-system/etcd-n1 (/etc/kubernetes/manifests/etcd.yaml): Not ready, etcd: Crash",
    ] {
        assert!(told.contains(part), "{part} in:\n{told}");
    }
    // Each is said once.
    assert_eq!(told.matches("etcd.yaml").count(), 1, "{told}");
    assert_eq!(told.matches("is full").count(), 1, "{told}");
}

/// Another cluster is made on the machine of a former one, whose snapshots and result of a drill are still there.
#[tokio::test]
async fn another_clusters_snapshots_and_drill_are_not_this_ones() {
    let world = World::new().await;
    let namespace = |uid: &str| {
        json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "kube-system", "uid": uid },
        })
    };
    world.set(&namespace("old")).await;
    let folder = Path::new("/var/lib/roost/snapshots");
    let taken = take(&world.ports, &Whole, &world.spec, None, folder, 3).await.unwrap();
    world.node.write(&taken.path, b"(data)", 0o600).unwrap();
    assert_eq!(world.node.file("/var/lib/roost/snapshots/clusters-n1.json").unwrap().matches("old").count(), 1);
    let drill = json!({
        "at": "2027-01-15T08:00:00Z", "cluster": "old", "snapshot": taken.path, "contents": null, "fault": "it is torn",
    });
    world.node.write(&folder.join("drill-n1.json"), drill.to_string().as_bytes(), 0o600).unwrap();
    let status = world.look().await;
    assert_eq!(status.snapshots.as_ref().map(|all| (all.count, all.of_other_clusters)), Some((1, 0)));
    assert!(world.problems().await.contains("drill: the restore drill at 2027-01-15T08:00:00Z failed: it is torn"));

    world.set(&namespace("new")).await;
    let status = world.look().await;
    assert_eq!(status.snapshots.as_ref().map(|all| (all.count, all.of_other_clusters)), Some((0, 1)));
    assert_eq!((status.drill, world.problems().await), (None, String::new()));
    let lines = foresee_drill(&world.ports, &world.spec, None).await.unwrap();
    assert!(lines[0].contains("has no snapshot of this node"), "{lines:?}");
    // Nor does the new cluster remove it.
    let later = foresee_take(&world.ports, &world.spec, None, folder, 1).await.unwrap();
    assert_eq!(later.len(), 1, "{later:?}");
}

#[tokio::test]
async fn a_reset_names_what_it_leaves() {
    let world = World::new().await;
    assert_eq!(observe_left(&world.ports, &world.spec).unwrap(), []);
    for path in [
        "/var/lib/roost/snapshots/etcd-n1-20270101T000000Z.db",
        "/etc/cni/net.d/05-other.conf",
        "/etc/roost/cluster.toml",
    ] {
        world.node.write(path.as_ref(), b"", 0o600).unwrap();
    }
    commands::reset::reset(&world.ports, &world.spec, &RunOptions::default(), &Record::default()).await.unwrap();
    let left = observe_left(&world.ports, &world.spec).unwrap();
    let paths: Vec<String> = left.iter().map(|one| one.path.display().to_string()).collect();
    assert_eq!(paths, ["/var/lib/roost/snapshots", "/etc/cni/net.d/05-other.conf", "/etc/roost/cluster.toml"]);
    assert!(render(&left).starts_with("\nLeft on purpose:\n  /var/lib/roost/snapshots: 1 snapshots of etcd"));
}

#[tokio::test]
async fn a_machine_that_is_no_node_learns_how_it_becomes_one() {
    let node = FakeNode::new();
    let mut world = World::new().await;
    world.ports = ports_of(&node);
    let told = world.problems().await;
    assert!(
        told.starts_with("role: this machine is no node of a cluster; create a cluster with `bootstrap init`"),
        "{told}"
    );
    node.write("/etc/kubernetes/bootstrap-kubelet.conf".as_ref(), b"{}", 0o600).unwrap();
    assert!(world.problems().await.contains("did not finish"));
}

#[tokio::test]
async fn a_worker_is_judged_without_what_only_control_planes_may_read() {
    let mut world = World::new().await;
    let kubeconfig = world.node.file("/etc/kubernetes/kubelet.conf").unwrap();
    let node = FakeNode::new();
    node.write("/etc/kubernetes/kubelet.conf".as_ref(), kubeconfig.as_bytes(), 0o600).unwrap();
    world.ports = ports_of(&node);
    let status = world.look().await;
    assert!(!status.control_plane && status.api.is_none() && status.etcd.is_none());
    let told = world.problems().await;
    assert!(
        told.contains("units: kubelet.service is not") || told.contains("units: kubelet.service does not exist"),
        "{told}"
    );
    assert!(!told.contains("etcd"), "{told}");
}
