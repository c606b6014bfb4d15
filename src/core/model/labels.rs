//! Names of the labels and annotations by which sandboxes and containers are recognized.
//!
//! They are upstream's (`pkg/kubelet/types/labels.go`, `kuberuntime/labels.go`), so that a node can switch between the
//! two kubelets while its pods run.

/// Label: `metadata.name` of the pod.
pub const POD_NAME: &str = "io.kubernetes.pod.name";
/// Label: `metadata.namespace` of the pod.
pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Label: `metadata.uid` of the pod.
pub const POD_UID: &str = "io.kubernetes.pod.uid";
/// Label: name of the container in the pod.
pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";
/// Annotation: FNV-1a hash of name and image, in hex.
pub const CONTAINER_HASH: &str = "io.kubernetes.container.hash";
/// Annotation: number of restarts before this container.
pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
/// Annotation: path of the termination message in the container.
pub const TERMINATION_MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
/// Annotation: `File` or `FallbackToLogsOnError`.
pub const TERMINATION_MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
/// Annotation: the preStop handler as JSON, so that a container whose spec is unknown still gets its hook.
pub const PRE_STOP_HANDLER: &str = "io.kubernetes.container.preStopHandler";
/// Annotation: the container's ports as JSON.
pub const CONTAINER_PORTS: &str = "io.kubernetes.container.ports";
/// Annotation: `metadata.deletionGracePeriodSeconds` of the pod.
pub const DELETION_GRACE: &str = "io.kubernetes.pod.deletionGracePeriod";
/// Annotation: `spec.terminationGracePeriodSeconds` of the pod.
pub const TERMINATION_GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";

/// Pod annotation: identity of a static pod's manifest.
pub const CONFIG_HASH: &str = "kubernetes.io/config.hash";
/// Pod annotation on a mirror pod: the `config.hash` of its static pod.
pub const CONFIG_MIRROR: &str = "kubernetes.io/config.mirror";
/// Pod annotation: `file`, `http` or `api`.
pub const CONFIG_SOURCE: &str = "kubernetes.io/config.source";
/// Pod annotation: when the kubelet first observed this definition, RFC 3339.
pub const CONFIG_SEEN: &str = "kubernetes.io/config.seen";
