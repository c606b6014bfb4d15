//! Settings of one node.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// This node's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSpec {
    /// Name of the Node object.
    pub name: String,
    /// Address the API server advertises and the kubelet reports.
    pub address: IpAddr,
    /// Port of this node's API server.
    pub api_port: u16,
    /// Labels the node registers with.
    pub labels: BTreeMap<String, String>,
    /// Taints besides the control plane's own.
    pub taints: Vec<Taint>,
    /// Whether a control-plane node keeps ordinary pods off.
    pub taint_control_plane: bool,
    /// Socket of the container runtime, without scheme.
    pub runtime_socket: PathBuf,
    /// Fields of this node's KubeletConfiguration, over the cluster's.
    pub kubelet: serde_json::Map<String, serde_json::Value>,
    /// Folders from which pods of the API may run programs of the host in place of images.
    pub host_programs: Vec<PathBuf>,
    /// Whether the system declares the units itself, as NixOS does: they are checked and never written.
    pub declared_units: bool,
    /// Where things are put.
    pub paths: Paths,
    /// Programs that are run.
    pub programs: Programs,
}

/// A taint as the API knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value, may be empty.
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
    /// Certificates and keys.
    pub pki: PathBuf,
    /// The kubelet's own folder, `/var/lib/kubelet`.
    pub kubelet: PathBuf,
    /// etcd's data.
    pub etcd_data: PathBuf,
    /// Snapshots of etcd.
    pub snapshots: PathBuf,
    /// Where unit files go; `/etc/systemd/system`, or `/run/systemd/system` where /etc is read-only.
    pub units: PathBuf,
    /// CNI configurations.
    pub cni_conf: PathBuf,
}

impl Paths {
    /// Static pod manifests.
    pub fn manifests(&self) -> PathBuf {
        self.kubernetes.join("manifests")
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
    /// The kubelet.
    pub kubelet: PathBuf,
    /// Ourselves, for timers and the node agent.
    pub bootstrap: PathBuf,
}
