//! Settings of one node.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::Component;

/// The settings of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSpec {
    /// Name of the Node object, lower case.
    pub name: String,
    /// Address that the API server advertises and the kubelet reports.
    pub address: IpAddr,
    /// Port of this node's API server.
    pub api_port: u16,
    /// Labels the node registers with.
    pub labels: BTreeMap<String, String>,
    /// Taints besides the control plane's own.
    pub taints: Vec<Taint>,
    /// True if a control-plane node repels ordinary pods by a taint.
    pub taint_control_plane: bool,
    /// Socket of the container runtime, without scheme.
    pub runtime_socket: PathBuf,
    /// Fields of this node's KubeletConfiguration, which override the cluster's.
    pub kubelet: serde_json::Map<String, serde_json::Value>,
    /// Folders from which pods of the API may run host programs instead of images.
    pub host_programs: Vec<PathBuf>,
    /// True if the system declares the units itself, as NixOS does: they are checked and never written.
    pub declared_units: bool,
    /// Folders that we write to.
    pub paths: Paths,
    /// Programs that our units start.
    pub programs: Programs,
}

/// A taint as in the API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Taint {
    /// Key of the taint, a qualified name.
    pub key: String,
    /// Value of the taint; may be empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            "" => write!(f, "{}:{}", self.key, self.effect),
            value => write!(f, "{}={value}:{}", self.key, self.effect),
        }
    }
}

/// Folders that the bootstrapper writes to; each one is a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// `/etc/kubernetes`: kubeconfigs and manifests.
    pub kubernetes: PathBuf,
    /// The PKI folder, `/etc/kubernetes/pki`.
    pub pki: PathBuf,
    /// The kubelet's root directory, `/var/lib/kubelet`.
    pub kubelet: PathBuf,
    /// etcd's data directory, `/var/lib/etcd`.
    pub etcd_data: PathBuf,
    /// Where snapshots of etcd are written.
    pub snapshots: PathBuf,
    /// Where unit files are written: `/etc/systemd/system`, or `/run/systemd/system` if /etc is read-only.
    pub units: PathBuf,
    /// Where CNI configurations are written, `/etc/cni/net.d`.
    pub cni_conf: PathBuf,
}

impl NodeSpec {
    /// The loopback address, of the family of the node's address.
    pub fn loopback(&self) -> IpAddr {
        if self.address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
    }
}

impl Paths {
    /// The folder of static pod manifests.
    pub fn manifests(&self) -> PathBuf {
        self.kubernetes.join("manifests")
    }

    /// The static pod manifest of a component.
    pub fn manifest(&self, component: Component) -> PathBuf {
        self.manifests().join(format!("{component}.yaml"))
    }

    /// A kubeconfig of `/etc/kubernetes`, e.g. `admin.conf`.
    pub fn kubeconfig(&self, name: &str) -> PathBuf {
        self.kubernetes.join(name)
    }

    /// A file below the PKI folder, e.g. `etcd/ca.crt`.
    pub fn pki(&self, name: impl AsRef<Path>) -> PathBuf {
        self.pki.join(name)
    }

    /// The kubelet's configuration file.
    pub fn kubelet_config(&self) -> PathBuf {
        self.kubelet.join("config.yaml")
    }
}

/// Programs that units start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// Path of the kubelet.
    pub kubelet: PathBuf,
    /// Path of this program, for timers and the node agent.
    pub bootstrap: PathBuf,
}
