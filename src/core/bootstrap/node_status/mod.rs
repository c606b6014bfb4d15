//! State of a node as `bootstrap status` reports it: what was observed on the node and in the API. [`judge`] says what is
//! wrong, [`text`] prints it; docs/status.md describes the JSON document, whose fields are the ones here.

pub mod cluster;
mod judge;
mod judge_cluster;
mod report;
pub mod text;

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

use super::drill::DrillResult;

pub use cluster::{ClusterView, Condition, CoreDnsView, NodeView, PodView};
pub use judge::NO_NODE;
pub use report::{Problem, Report};

/// What this machine is, as its files show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// It runs an API server.
    ControlPlane,
    /// It has a kubelet of a cluster.
    Worker,
    /// A join began and did not finish: there is no credential of the kubelet yet.
    Joining,
    /// It is no node of a cluster.
    #[default]
    None,
}

/// Everything that was observed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Name of the node.
    pub node: String,
    /// What the machine is.
    pub role: Role,
    /// True where an API server should run.
    pub control_plane: bool,
    /// Version of the cluster in this node's settings.
    pub cluster_version: String,
    /// What the machine says of itself.
    pub machine: MachineStatus,
    /// The units that the node requires.
    pub units: Vec<UnitStatus>,
    /// Services that timers start and that failed at their last run.
    pub failed_jobs: Vec<String>,
    /// This node's API server; `None` on a worker.
    pub api: Option<ApiStatus>,
    /// Where the kubelet of this node reaches the API; `None` without a kubeconfig.
    pub endpoint: Option<ApiStatus>,
    /// Pods from manifests; `None` when the runtime did not answer.
    pub static_pods: Option<Vec<StaticPodStatus>>,
    /// Manifests that are invalid, have no pod, or whose pod is not Ready.
    pub manifests: Vec<ManifestStatus>,
    /// Manifest sets whose last switch failed.
    pub manifest_sets: Vec<ManifestSetStatus>,
    /// Certificates on the node.
    pub certificates: Vec<CertificateStatus>,
    /// Members of etcd; `None` on a worker.
    pub etcd: Option<EtcdStatus>,
    /// Snapshots of etcd on this node; `None` on a worker, and with an external etcd.
    pub snapshots: Option<SnapshotsStatus>,
    /// The last restore drill of this cluster; `None` if there was none.
    pub drill: Option<DrillResult>,
    /// File systems that the node writes to.
    pub disks: Vec<DiskStatus>,
    /// How pods get their network.
    pub network: NetworkStatus,
    /// kube-proxy on this node; `None` where the cluster has no kube-proxy of ours.
    pub kube_proxy: Option<ProxyStatus>,
    /// The DNS Service, asked from here; `None` where the cluster has no CoreDNS of ours.
    pub dns: Option<DnsStatus>,
    /// What the API says; `None` if it could not be asked.
    pub cluster: Option<ClusterView>,
    /// Why the API could not be asked; `None` if it could.
    pub cluster_fault: Option<String>,
}

/// What the machine says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineStatus {
    /// The id in `/etc/machine-id`; empty if it has none.
    pub machine_id: String,
    /// Id of the present boot.
    pub boot_id: String,
    /// The node's address in the settings.
    pub address: Option<IpAddr>,
    /// True if an interface has that address.
    pub has_address: bool,
    /// True if addresses and Node belong to a cloud provider, which may know the node by others.
    pub external_cloud: bool,
    /// When the kubelet was started; `None` if it does not run.
    pub kubelet_since: Option<Timestamp>,
}

/// State of a systemd unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitStatus {
    /// Full name of the unit, e.g. `kubelet.service`.
    pub unit: String,
    /// `active`, `failed`, `not-found`, …
    pub state: String,
    /// Enabled: starts at boot.
    pub enabled: bool,
}

/// Whether an API server answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiStatus {
    /// The URL that was requested.
    pub url: String,
    /// True if `/readyz` succeeded.
    pub ready: bool,
    /// Another URL of the same server that does answer; asked only if the first one does not.
    pub answers_at: Option<String>,
}

/// A pod from a manifest, as observed in the runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StaticPodStatus {
    /// The pod as `namespace/name`.
    pub pod: String,
    /// Number of running containers.
    pub running: usize,
    /// Number of containers that the pod has.
    pub containers: usize,
    /// Number of restarts of its containers.
    pub restarts: u32,
}

/// A manifest of a static pod that needs attention.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestStatus {
    /// Path of the manifest.
    pub path: String,
    /// Its pod as `namespace/name`; `None` if it is invalid.
    pub pod: Option<String>,
    /// What is wrong with it, with line and column; empty if it is valid.
    pub faults: Vec<String>,
    /// True if the runtime has a pod of its name. Not set for an invalid manifest, whose previous pod may be running.
    pub has_pod: bool,
    /// Why the kubelet rejects the pod; it retries.
    pub refused: Option<String>,
    /// Why the pod is not Ready, as the kubelet says; `None` if it is, or if the kubelet does not answer.
    pub not_ready: Option<String>,
    /// The unit of the pod.
    pub unit: Option<String>,
}

/// A manifest set that needs attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestSetStatus {
    /// Name of the set.
    pub name: String,
    /// How its last switch went, with the reason.
    pub outcome: String,
}

/// State of a certificate on the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// Path of the file, a certificate or a kubeconfig.
    pub path: String,
    /// When it expires; `None` if it cannot be read.
    pub not_after: Option<Timestamp>,
    /// When it will be renewed; `None` for a CA.
    pub renewed_at: Option<Timestamp>,
    /// Why it cannot be used; `None` if it can.
    pub fault: Option<String>,
    /// The command that replaces it; `None` if another program does.
    pub remedy: Option<&'static str>,
}

/// The members of etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EtcdStatus {
    /// True if the cluster does not run it.
    pub external: bool,
    /// False if no member listed the others: then `members` are the endpoints that this node knows.
    pub listed: bool,
    /// The members, by name.
    pub members: Vec<EtcdMember>,
    /// Why no member could be asked at all.
    pub fault: Option<String>,
}

/// A member of etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EtcdMember {
    /// Its name, or its URL if the name is unknown.
    pub name: String,
    /// True while it has no vote.
    pub learner: bool,
    /// True if it answers and follows a leader.
    pub has_leader: bool,
    /// Why it is not healthy; `None` if it is.
    pub fault: Option<String>,
    /// Size of its database in bytes; 0 if it does not answer.
    pub db_size: i64,
    /// Size at which it rejects writes; 0 if unknown.
    pub db_quota: i64,
}

/// Snapshots of etcd on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotsStatus {
    /// The folder in which they are.
    pub folder: String,
    /// True if a timer takes them.
    pub scheduled: bool,
    /// Number of those of this cluster.
    pub count: usize,
    /// Path of the newest of them.
    pub newest: Option<String>,
    /// When that one was taken.
    pub newest_at: Option<Timestamp>,
    /// Number of this node's snapshots of other clusters, which are left alone.
    pub of_other_clusters: usize,
}

/// Free space of a file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskStatus {
    /// The folder for which it was measured.
    pub path: String,
    /// Bytes that are left for programs.
    pub available: u64,
    /// Size of the file system in bytes.
    pub capacity: u64,
    /// Inodes that are left.
    pub inodes_free: u64,
    /// Number of inodes; 0 if the file system has no limit.
    pub inodes: u64,
}

/// How pods of this node get their network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkStatus {
    /// True for the built-in bridge network.
    pub builtin: bool,
    /// Folder of CNI configurations.
    pub folder: String,
    /// Name of the CNI configuration that the runtime uses: the first by name. `None` if there is none.
    pub configuration: Option<String>,
    /// Plugins of that configuration that exist in none of the folders.
    pub missing_plugins: Vec<String>,
    /// Where the runtime looks for plugins; empty if it does not say.
    pub plugin_folders: Vec<String>,
    /// Why the runtime's network is not ready; `None` if it is, or if the runtime does not answer.
    pub runtime_fault: Option<String>,
    /// Connections to pods of other nodes.
    pub probes: Vec<NetworkProbe>,
}

/// A connection to a pod of another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkProbe {
    /// Name of the other node.
    pub node: String,
    /// The pod as `namespace/name`.
    pub pod: String,
    /// Address of the pod.
    pub address: IpAddr,
    /// Why it was not reached; a refused connection counts as reached.
    pub fault: Option<String>,
}

/// kube-proxy on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyStatus {
    /// Its pod as `namespace/name`; `None` if this node has none.
    pub pod: Option<String>,
    /// Why it is not Ready; `None` if it is.
    pub fault: Option<String>,
}

/// What the DNS Service answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsStatus {
    /// Address of the Service.
    pub server: IpAddr,
    /// The name that was asked for.
    pub name: String,
    /// The addresses in the answer.
    pub addresses: Vec<IpAddr>,
    /// The address that the answer should have.
    pub expected: Option<IpAddr>,
    /// Why there is no answer; `None` if there is one.
    pub fault: Option<String>,
}

#[cfg(test)]
mod tests;
