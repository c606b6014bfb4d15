//! The input of rendering, besides the pod itself.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::core::model::{ContainerId, MountedVolume};
use crate::cri;

/// The contents of a resolv.conf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// Addresses of the `nameserver` lines.
    pub servers: Vec<String>,
    /// Domains of the last `search` line.
    pub searches: Vec<String>,
    /// All options, without duplicates.
    pub options: Vec<String>,
}

/// Facts and settings of the node; built once, and rebuilt when the node's addresses or allocatable resources change.
#[derive(Clone, Debug)]
pub struct NodeContext {
    /// The kubelet's root directory, `/var/lib/kubelet`.
    pub root_dir: PathBuf,
    /// The directory of pod logs, `/var/log/pods`.
    pub pod_logs_dir: PathBuf,
    /// Addresses of the node, primary family first.
    pub host_ips: Vec<IpAddr>,
    /// KubeletConfiguration's `clusterDNS`, addresses of DNS servers.
    pub cluster_dns: Vec<IpAddr>,
    /// KubeletConfiguration's `clusterDomain`; empty for none.
    pub cluster_domain: String,
    /// The parsed file of `resolvConf`, read for each sandbox; `None` if that setting is empty.
    pub resolv_conf: Option<ResolvConf>,
    /// Text of the node's `/etc/hosts`, read for each container of a pod in the host's network.
    pub node_hosts: String,
    /// Memory of the machine in bytes, for `oom_score_adj` and swap.
    pub memory_capacity: u64,
    /// Swap of the machine in bytes.
    pub swap_capacity: u64,
    /// The Node's `status.allocatable`, the default of limits in `resourceFieldRef`.
    pub allocatable: BTreeMap<String, Quantity>,
    /// KubeletConfiguration's `cpuCFSQuota`: enforce CPU limits.
    pub cpu_cfs_quota: bool,
    /// KubeletConfiguration's `cpuCFSQuotaPeriod`, in microseconds.
    pub cpu_cfs_quota_period: i64,
    /// True on a node with the unified cgroup hierarchy.
    pub cgroup_v2: bool,
    /// True if the memory controller accounts for swap.
    pub swap_controller: bool,
    /// True if `memorySwap.swapBehavior` is `LimitedSwap`.
    pub limited_swap: bool,
    /// KubeletConfiguration's `singleProcessOOMKill`; upstream's default is false on cgroup v2.
    pub single_process_oom_kill: bool,
    /// Huge page sizes of the machine as the hugetlb controller names them, e.g. `2MB`.
    pub huge_page_sizes: Vec<String>,
    /// KubeletConfiguration's `seccompDefault`: use `RuntimeDefault` for pods without a profile.
    pub seccomp_default: bool,
    /// Masked paths in addition to upstream's list: every existing `/sys/devices/system/cpu/cpu*/thermal_throttle`.
    pub extra_masked_paths: Vec<String>,
    /// True if SELinux is enabled in the kernel.
    pub selinux: bool,
}

impl NodeContext {
    /// Upstream's defaults, without knowledge of the machine; callers overwrite what they know.
    pub fn defaults(root_dir: &Path) -> Self {
        Self {
            root_dir: root_dir.to_path_buf(),
            pod_logs_dir: PathBuf::from("/var/log/pods"),
            host_ips: Vec::new(),
            cluster_dns: Vec::new(),
            cluster_domain: String::new(),
            resolv_conf: Some(ResolvConf::default()),
            node_hosts: String::new(),
            memory_capacity: 0,
            swap_capacity: 0,
            allocatable: BTreeMap::new(),
            cpu_cfs_quota: true,
            cpu_cfs_quota_period: 100_000,
            cgroup_v2: true,
            swap_controller: false,
            limited_swap: false,
            single_process_oom_kill: false,
            huge_page_sizes: Vec::new(),
            seccomp_default: false,
            extra_masked_paths: Vec::new(),
            selinux: false,
        }
    }
}

/// What is known about one pod when its sandbox or a container is created.
#[derive(Clone, Copy, Debug)]
pub struct PodContext<'a> {
    /// Definition of the pod.
    pub pod: &'a Pod,
    /// Parent cgroup of the sandbox, from the cgroups port.
    pub cgroup_parent: &'a str,
    /// Addresses of the sandbox, primary first; empty before it runs and for pods in the host's network.
    pub pod_ips: &'a [String],
    /// Volumes that are set up, by `spec.volumes[].name`.
    pub volumes: &'a BTreeMap<String, MountedVolume>,
    /// Id mappings of a pod with `hostUsers: false`; `None` for others.
    pub user_namespace: Option<&'a cri::UserNamespace>,
    /// True if the pod's runtime handler supports recursive read-only mounts.
    pub recursive_read_only: bool,
}

/// The user in an image's configuration; at most one of the two is set, neither means root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageUser {
    /// Numeric user id; `None` if the image has a name.
    pub uid: Option<i64>,
    /// User name; empty if there is none.
    pub username: String,
}

impl ImageUser {
    /// The user in an image's status, as upstream's `getImageUser` reads it: no user means uid 0.
    pub fn of(image: Option<&cri::Image>) -> Self {
        match image {
            Some(cri::Image { uid: Some(uid), .. }) => Self { uid: Some(uid.value), username: String::new() },
            Some(i) if !i.username.is_empty() => Self { uid: None, username: i.username.clone() },
            _ => Self { uid: Some(0), username: String::new() },
        }
    }
}

/// What device plugins and dynamic resource allocation assign to a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceGrant {
    /// Device nodes to create.
    pub devices: Vec<cri::Device>,
    /// Mounts, before those of the pod.
    pub mounts: Vec<cri::Mount>,
    /// Environment variables, before those of the pod.
    pub envs: Vec<(String, String)>,
    /// Annotations for the runtime.
    pub annotations: BTreeMap<String, String>,
    /// Names of CDI devices.
    pub cdi_devices: Vec<String>,
    /// Exclusive CPUs (static CPU manager), in the kernel's list form; empty for none.
    pub cpuset_cpus: String,
    /// Exclusive memory nodes; empty for none.
    pub cpuset_mems: String,
    /// True if the container has exclusive CPUs, so no quota is set.
    pub exclusive_cpus: bool,
}

/// What is known when one container is created.
#[derive(Clone, Copy, Debug)]
pub struct ContainerInputs<'a> {
    /// The container, of any kind.
    pub container: &'a Container,
    /// Restart count: 0 for the first start.
    pub attempt: u32,
    /// The image's reference in the runtime after the pull.
    pub image_ref: &'a str,
    /// The user in the image's configuration.
    pub image_user: &'a ImageUser,
    /// Environment variables from [`super::environment`].
    pub env: &'a [(String, String)],
    /// Resolved paths of [`super::sub_paths`], by index of the volume mount.
    pub sub_paths: &'a BTreeMap<usize, PathBuf>,
    /// Image volumes by volume name, as the runtime names them after the pull.
    pub image_volumes: &'a BTreeMap<String, cri::ImageSpec>,
    /// The pod's hosts file on the node; `None` if it could not be written yet.
    pub hosts_file: Option<&'a Path>,
    /// The new termination-message file; `None` if the container has none.
    pub termination_file: Option<&'a Path>,
    /// For an ephemeral container: the container whose process namespace it shares.
    pub target: Option<&'a ContainerId>,
    /// Devices and exclusive resources assigned to it.
    pub grant: &'a DeviceGrant,
}

/// A problem that users should see in an event, although rendering continued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// `reason` of the event.
    pub reason: &'static str,
    /// `message` of the event.
    pub message: String,
}
