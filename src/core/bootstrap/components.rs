//! The components of a control plane by name.

/// etcd's component name.
pub const ETCD: &str = "etcd";
/// The components besides etcd, in the order in which they are of use to each other.
pub const CONTROL_PLANE: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
/// Annotation with the version of a program of the host, which has no image tag: another version makes a new pod.
pub const VERSION_ANNOTATION: &str = "roost.io/kubernetes-version";
