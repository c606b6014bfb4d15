//! The components of a control plane.

use std::fmt;

/// A component of a control plane that a node runs as a static pod or as a systemd service. The order is that of
/// dependence: each needs those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// The store of the cluster's state.
    Etcd,
    /// The server of the Kubernetes API, the only client of etcd.
    ApiServer,
    /// The controllers that every cluster has.
    ControllerManager,
    /// Assigns pods to nodes.
    Scheduler,
    /// cloud-controller-manager, which each cloud provider builds and only clusters in a cloud have.
    CloudControllerManager,
}

impl Component {
    /// Every component there is, in start order.
    pub const ALL: [Self; 5] =
        [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler, Self::CloudControllerManager];
    /// The components that every control plane has, unless its etcd is external.
    pub const REQUIRED: [Self; 4] = [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler];
    /// The components that have the version of Kubernetes and that every control plane has.
    pub const CONTROL_PLANE: [Self; 3] = [Self::ApiServer, Self::ControllerManager, Self::Scheduler];

    /// Upstream's name of it: of its program, image, manifest and pod, and its key in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::CloudControllerManager => "cloud-controller-manager",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
