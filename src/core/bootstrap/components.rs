//! Names of the control-plane components.

/// Component name of etcd, used for its manifest, unit and pod.
pub const ETCD: &str = "etcd";
/// The components besides etcd, in dependency order.
pub const CONTROL_PLANE: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
/// Annotation with the version of a host program, which has no image tag: a new version creates a new pod.
pub const VERSION_ANNOTATION: &str = "roost.io/kubernetes-version";
