//! What rendering needs to know besides the pod itself.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::core::model::{ContainerId, MountedVolume};
use crate::cri;

/// What a resolv.conf says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// `nameserver` lines.
    pub servers: Vec<String>,
    /// Last `search` line.
    pub searches: Vec<String>,
    /// All options, each once.
    pub options: Vec<String>,
}

/// Facts and settings of the node; made once, renewed when the node's addresses or allocatable change.
#[derive(Clone, Debug)]
pub struct NodeContext {
    /// The kubelet's root directory, `/var/lib/kubelet`.
    pub root_dir: PathBuf,
    /// Where pod logs go, `/var/log/pods`.
    pub pod_logs_dir: PathBuf,
    /// Addresses of the node, primary family first.
    pub host_ips: Vec<IpAddr>,
    /// `clusterDNS`.
    pub cluster_dns: Vec<IpAddr>,
    /// `clusterDomain`; empty for none.
    pub cluster_domain: String,
    /// The parsed file of `resolvConf`, read again for each sandbox; `None` when that setting is the empty string.
    pub resolv_conf: Option<ResolvConf>,
    /// Text of the node's `/etc/hosts`, read again for each container of a pod in the host's network.
    pub node_hosts: String,
    /// Memory of the machine in bytes, for `oom_score_adj` and swap.
    pub memory_capacity: u64,
    /// Swap of the machine in bytes.
    pub swap_capacity: u64,
    /// `node.status.allocatable`, default for unset limits in `resourceFieldRef`.
    pub allocatable: BTreeMap<String, Quantity>,
    /// `cpuCFSQuota`.
    pub cpu_cfs_quota: bool,
    /// `cpuCFSQuotaPeriod` in microseconds.
    pub cpu_cfs_quota_period: i64,
    /// Whether the node has unified cgroups.
    pub cgroup_v2: bool,
    /// Whether the memory controller counts swap.
    pub swap_controller: bool,
    /// `memorySwap.swapBehavior` is `LimitedSwap`.
    pub limited_swap: bool,
    /// `singleProcessOOMKill`; upstream's default is false on cgroup v2.
    pub single_process_oom_kill: bool,
    /// Huge page sizes of the machine as the hugetlb controller names them, e.g. `2MB`.
    pub huge_page_sizes: Vec<String>,
    /// `seccompDefault`.
    pub seccomp_default: bool,
    /// Paths masked besides upstream's list: `/sys/devices/system/cpu/cpu*/thermal_throttle` as far as they exist.
    pub extra_masked_paths: Vec<String>,
    /// Whether SELinux is enabled in the kernel.
    pub selinux: bool,
}

impl NodeContext {
    /// Upstream's defaults with nothing known of the machine; callers overwrite what they know.
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

/// What is known of one pod when its sandbox or a container of it is made.
#[derive(Clone, Copy, Debug)]
pub struct PodContext<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// What [`crate::core::render`]'s cgroup port gave as parent.
    pub cgroup_parent: &'a str,
    /// Addresses of the sandbox, primary first; empty before it runs and for pods in the host's network.
    pub pod_ips: &'a [String],
    /// Volumes that are ready, by `spec.volumes[].name`.
    pub volumes: &'a BTreeMap<String, MountedVolume>,
    /// Id mappings of a pod with `hostUsers: false`.
    pub user_namespace: Option<&'a cri::UserNamespace>,
    /// Whether the pod's runtime handler can mount recursively read-only.
    pub recursive_read_only: bool,
}

/// The user that an image asks for; at most one of the two is set, none means root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageUser {
    /// Numeric user.
    pub uid: Option<i64>,
    /// User name; empty for none.
    pub username: String,
}

impl ImageUser {
    /// From an image's status, as upstream's `getImageUser` reads it: no user means uid 0.
    pub fn of(image: Option<&cri::Image>) -> Self {
        match image {
            Some(cri::Image { uid: Some(uid), .. }) => Self { uid: Some(uid.value), username: String::new() },
            Some(i) if !i.username.is_empty() => Self { uid: None, username: i.username.clone() },
            _ => Self { uid: Some(0), username: String::new() },
        }
    }
}

/// What device plugins and dynamic resource allocation grant to a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceGrant {
    /// Device nodes.
    pub devices: Vec<cri::Device>,
    /// Mounts, before those of the pod.
    pub mounts: Vec<cri::Mount>,
    /// Environment, before that of the pod.
    pub envs: Vec<(String, String)>,
    /// Annotations for the runtime.
    pub annotations: BTreeMap<String, String>,
    /// Names of CDI devices.
    pub cdi_devices: Vec<String>,
    /// CPUs of its own (static CPU manager), as the kernel's list; empty for none.
    pub cpuset_cpus: String,
    /// Memory nodes of its own; empty for none.
    pub cpuset_mems: String,
    /// The container has exclusive CPUs, so no quota is set.
    pub exclusive_cpus: bool,
}

/// What is known when one container is made.
#[derive(Clone, Copy, Debug)]
pub struct ContainerInputs<'a> {
    /// The container, of whatever kind.
    pub container: &'a Container,
    /// Restart count.
    pub attempt: u32,
    /// The image as the runtime names it after the pull.
    pub image_ref: &'a str,
    /// The user the image asks for.
    pub image_user: &'a ImageUser,
    /// Result of [`super::environment`].
    pub env: &'a [(String, String)],
    /// Resolved paths of [`super::sub_paths`], by index of the volume mount.
    pub sub_paths: &'a BTreeMap<usize, PathBuf>,
    /// Image volumes by volume name, as the runtime names them after the pull.
    pub image_volumes: &'a BTreeMap<String, cri::ImageSpec>,
    /// The pod's hosts file on the node; `None` when it could not be written yet.
    pub hosts_file: Option<&'a Path>,
    /// The new termination-message file; `None` when the container asks for none.
    pub termination_file: Option<&'a Path>,
    /// For an ephemeral container: the container whose processes it sees.
    pub target: Option<&'a ContainerId>,
    /// Devices and exclusive resources.
    pub grant: &'a DeviceGrant,
}

/// Something users should read in an event although rendering went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Event reason.
    pub reason: &'static str,
    /// Event message.
    pub message: String,
}
