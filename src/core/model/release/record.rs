//! What a minor version of Kubernetes is to this program.

use std::fmt;

/// A minor version of Kubernetes that this program supports.
pub struct Release {
    /// The minor version, e.g. 37.
    pub minor: u32,
    /// The patch release that was the reference for this minor version: the kubelet reports it, and a cluster gets it
    /// unless the settings name another one.
    pub version: &'static str,
    /// User agent of probes by HTTP and gRPC (`pkg/probe/http`, `pkg/probe/grpc`).
    pub probe_agent: &'static str,
    /// User agent of lifecycle hooks by HTTP (`pkg/kubelet/lifecycle`).
    pub hook_agent: &'static str,
    /// Images with a version of their own, by component (`cmd/kubeadm/app/constants`); to be prefixed by the registry.
    pub images: [(&'static str, &'static str); 3],
    /// Sysctls that every pod may set (`pkg/kubelet/sysctl/safe_sysctls.go`).
    pub safe_sysctls: &'static [&'static str],
    /// Features that the control plane may rely on (`status.declaredFeatures`), sorted; only completely implemented ones.
    pub declared_features: &'static [&'static str],
    /// True if the capacity `ephemeral-storage` is reported in bytes, as the allocatable amount is; else in Ki.
    pub storage_in_bytes: bool,
    /// Default of `memoryThrottlingFactor`; `None` if it has none.
    pub memory_throttling_factor: Option<f64>,
    /// The first version whose kubelet needs a runtime with `RuntimeConfig` (KEP-4033), as this version's kubelet
    /// announces it.
    pub runtime_config_from: &'static str,
    /// Column of this version in the table of feature gates.
    pub(super) column: usize,
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1.{}", self.minor)
    }
}

impl PartialEq for Release {
    fn eq(&self, other: &Self) -> bool {
        self.minor == other.minor
    }
}
