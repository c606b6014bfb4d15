//! The ordered tables of phases. Each phase can be run alone by its id.

pub use super::phase::Phase;
use super::phases;

// Phases that several tables share.
const IMAGES: Phase = Phase { id: "images", summary: "container runtime and images", plan: phases::images::plan };
const CERTS: Phase = Phase { id: "certs", summary: "certificates and keys", plan: phases::certs::plan };
const KUBECONFIGS: Phase = Phase { id: "kubeconfig", summary: "kubeconfigs", plan: phases::kubeconfigs::plan };
const AGENT: Phase = Phase { id: "agent", summary: "node agent", plan: phases::agent::plan };
const KUBELET: Phase = Phase { id: "kubelet-start", summary: "kubelet", plan: phases::kubelet_start::plan };
const RENEWAL: Phase = Phase { id: "renewal", summary: "certificate renewal timer", plan: phases::renewal::plan };
const SNAPSHOTS: Phase = Phase { id: "snapshots", summary: "etcd snapshot timer", plan: phases::snapshots::plan };
const API_FILES: Phase = Phase { id: "audit", summary: "audit policy", plan: phases::control_plane::plan_api_files };
const WAIT_API: Phase = Phase { id: "wait-control-plane", summary: "API server ready", plan: phases::ready::plan_api };
const WAIT_NODE: Phase = Phase { id: "wait-node", summary: "node Ready", plan: phases::ready::plan_node };
const LABELS: Phase = Phase { id: "labels", summary: "node labels", plan: phases::labels::plan };
const NEW_LABELS: Phase = Phase { id: "labels", summary: "node labels", plan: phases::labels::plan_new };
const WORKER_IMAGES: Phase =
    Phase { id: "images", summary: "container runtime and images", plan: phases::images::plan_worker };
const WORKER_AGENT: Phase = Phase { id: "agent", summary: "node agent", plan: phases::agent::plan_worker };
const WORKER_KUBELET: Phase =
    Phase { id: "kubelet-start", summary: "kubelet", plan: phases::kubelet_start::plan_worker };

/// Its plan depends on the state of the cluster's kubelets ([`Facts::kubelets`](super::Facts::kubelets)).
pub const KUBELET_SERVING_CA: Phase = Phase {
    id: "kubelet-serving-ca",
    summary: "CA of kubelet serving certificates",
    plan: phases::kubelet_serving::plan,
};
const KUBELET_SERVING_KNOWN: Phase = Phase {
    id: "kubelet-serving-ca-known",
    summary: "publish the kubelet serving CA",
    plan: phases::kubelet_serving::plan_published,
};

/// Creates the first control-plane node of a cluster. Everything that the kubelet needs is written before it starts, so
/// that it runs etcd and the control plane at once; services are started before it.
pub const INIT: &[Phase] = &[
    IMAGES,
    CERTS,
    KUBECONFIGS,
    Phase { id: "etcd", summary: "etcd", plan: phases::control_plane::plan_etcd },
    Phase {
        id: "control-plane",
        summary: "API server, controller manager, scheduler",
        plan: phases::control_plane::plan_control_plane,
    },
    AGENT,
    KUBELET,
    RENEWAL,
    SNAPSHOTS,
    WAIT_API,
    Phase { id: "objects", summary: "RBAC, configuration, add-ons", plan: phases::objects::plan },
    Phase { id: "mark-control-plane", summary: "control-plane label and taint", plan: phases::ready::plan_mark_first },
    Phase {
        id: "cluster-info",
        summary: "discovery information for joining nodes",
        plan: phases::objects::plan_cluster_info,
    },
    WAIT_NODE,
    NEW_LABELS,
];

/// Prepares a machine for the restore of a snapshot: without an API server yet, because an empty one would make the
/// kubelets of workers terminate their pods.
pub const INIT_FOR_SNAPSHOT: &[Phase] = &[IMAGES, CERTS, KUBECONFIGS, AGENT, KUBELET];

/// Renews certificates past two thirds of their lifetime and restarts what reads them.
pub const RENEW: &[Phase] = &[
    Phase { id: "certs", summary: "certificates", plan: phases::certs::plan_renewal },
    Phase { id: "kubeconfig", summary: "kubeconfigs", plan: phases::kubeconfigs::plan_renewal },
    Phase {
        id: "control-plane",
        summary: "components with renewed certificates",
        plan: phases::control_plane::plan_renewal,
    },
    WAIT_API,
];

/// Makes this machine a worker of an existing cluster.
pub const JOIN: &[Phase] = &[
    WORKER_IMAGES,
    Phase { id: "kubelet-bootstrap", summary: "cluster CA and bootstrap kubeconfig", plan: phases::kubelet_join::plan },
    WORKER_AGENT,
    WORKER_KUBELET,
    Phase {
        id: "kubelet-wait-bootstrap",
        summary: "client certificate of the kubelet",
        plan: phases::kubelet_join::plan_wait,
    },
    WAIT_NODE,
    NEW_LABELS,
];

/// Makes this machine an additional control plane. Its etcd begins as a learner and is promoted before an API server
/// uses it.
pub const JOIN_CONTROL_PLANE: &[Phase] = &[
    IMAGES,
    Phase { id: "kubelet-bootstrap", summary: "cluster CA and bootstrap kubeconfig", plan: phases::kubelet_join::plan },
    AGENT,
    Phase { id: "keys", summary: "shared keys of the control planes", plan: phases::keys::plan },
    Phase { id: "certs", summary: "certificates", plan: phases::certs::plan_joining },
    Phase { id: "kubeconfig", summary: "kubeconfigs", plan: phases::kubeconfigs::plan_joining },
    Phase { id: "etcd-member", summary: "new etcd member", plan: phases::etcd_member::plan_add },
    Phase { id: "etcd", summary: "etcd", plan: phases::etcd_member::plan_manifest },
    KUBELET,
    Phase { id: "etcd-promote", summary: "promote the etcd member", plan: phases::etcd_member::plan_promote },
    Phase {
        id: "control-plane",
        summary: "API server, controller manager, scheduler",
        plan: phases::control_plane::plan_control_plane,
    },
    RENEWAL,
    SNAPSHOTS,
    WAIT_API,
    Phase {
        id: "kubelet-wait-bootstrap",
        summary: "client certificate of the kubelet",
        plan: phases::kubelet_join::plan_wait,
    },
    Phase { id: "mark-control-plane", summary: "control-plane label and taint", plan: phases::ready::plan_mark },
    WAIT_NODE,
    NEW_LABELS,
];

/// First phases of an upgrade: if a pull fails, nothing has changed.
pub const UPGRADE_IMAGES: &[Phase] =
    &[Phase { id: "images", summary: "images of the target version", plan: phases::images::plan }, API_FILES];

/// Sets the cluster's version to that of an upgraded control plane.
pub const UPGRADE_SETTINGS: &[Phase] =
    &[Phase { id: "objects", summary: "RBAC and configuration", plan: phases::objects::plan_settings }];

/// Upgrades the add-ons, once no API server is older.
pub const UPGRADE_ADDONS: &[Phase] =
    &[Phase { id: "addons", summary: "kube-proxy and CoreDNS", plan: phases::objects::plan_addons }];

/// Upgrades the rest of a control plane.
pub const UPGRADE_NODE: &[Phase] = &[AGENT, KUBELET, RENEWAL, SNAPSHOTS, WAIT_NODE];

/// Upgrades a worker, which has no control-plane components.
pub const UPGRADE_WORKER: &[Phase] = &[WORKER_IMAGES, WORKER_AGENT, WORKER_KUBELET, WAIT_NODE];

/// First phases after a change of settings on a control plane: the files that its components read at startup. The
/// components are then restarted one by one.
pub const APPLY_FIRST: &[Phase] = &[
    IMAGES,
    KUBELET_SERVING_CA,
    KUBELET_SERVING_KNOWN,
    Phase { id: "certs", summary: "certificates", plan: phases::certs::plan_joining },
    Phase { id: "kubeconfig", summary: "kubeconfigs", plan: phases::kubeconfigs::plan_settled },
    API_FILES,
    Phase { id: "etcd-address", summary: "address of the etcd member", plan: phases::etcd_member::plan_address_first },
];

/// The rest of a control plane whose settings changed.
pub const APPLY_NODE: &[Phase] = &[
    Phase { id: "etcd-address", summary: "address of the etcd member", plan: phases::etcd_member::plan_address },
    Phase {
        id: "certificates",
        summary: "components with renewed certificates",
        plan: phases::control_plane::plan_renewal,
    },
    AGENT,
    KUBELET,
    RENEWAL,
    SNAPSHOTS,
    WAIT_API,
];

/// Objects in the API, shared by the whole cluster.
pub const APPLY_CLUSTER: &[Phase] = &[
    Phase { id: "objects", summary: "RBAC and configuration", plan: phases::objects::plan_settings },
    Phase { id: "addons", summary: "kube-proxy and CoreDNS", plan: phases::objects::plan_addons },
    Phase {
        id: "cluster-info",
        summary: "discovery information for joining nodes",
        plan: phases::objects::plan_cluster_info,
    },
];

/// Stage `prepare` of a CA rotation: the next CA is trusted as well.
pub const ROTATE_PREPARE: &[Phase] =
    &[Phase { id: "authorities", summary: "trust both CAs", plan: phases::rotation::plan_prepare }];

/// Stage `switch`: the next CA signs.
pub const ROTATE_SWITCH: &[Phase] =
    &[Phase { id: "authorities", summary: "sign with the next CAs", plan: phases::rotation::plan_switch }];

/// Stage `finish`: the old CA is no longer trusted.
pub const ROTATE_FINISH: &[Phase] =
    &[Phase { id: "authorities", summary: "trust only the next CAs", plan: phases::rotation::plan_finish }];

/// Removes the files that a rotation leaves.
pub const ROTATE_CLEAN: &[Phase] =
    &[Phase { id: "clean", summary: "remove files of the rotation", plan: phases::rotation::plan_clean }];

/// Publishes the trusted CAs in the cluster for all nodes.
pub const ROTATE_PUBLISH: &[Phase] = &[Phase {
    id: "cluster-info",
    summary: "discovery information for nodes",
    plan: phases::objects::plan_cluster_info,
}];

/// Depends on the objects: a cloud controller manager, which exits without its RBAC rules, and the Node of a control
/// plane.
pub const APPLY_LAST: &[Phase] = &[
    Phase { id: "cloud", summary: "cloud controller manager", plan: phases::control_plane::plan_cloud },
    Phase { id: "mark-control-plane", summary: "control-plane label and taint", plan: phases::ready::plan_mark },
    WAIT_NODE,
    LABELS,
];

/// A worker whose settings changed.
pub const APPLY_WORKER: &[Phase] = &[
    WORKER_IMAGES,
    Phase { id: "kubeconfig", summary: "the kubelet's kubeconfig", plan: phases::kubeconfigs::plan_kubelet },
    WORKER_AGENT,
    WORKER_KUBELET,
    WAIT_NODE,
    LABELS,
];

/// Moves the control plane of a node from static pods to systemd services.
pub const TO_SERVICES: &[Phase] = &[
    Phase { id: "kubelet", summary: "kubelet running", plan: phases::convert::plan_kubelet },
    Phase { id: "etcd", summary: "etcd as a service", plan: phases::convert::etcd_to_service },
    Phase { id: "kube-apiserver", summary: "API server as a service", plan: phases::convert::api_to_service },
    Phase {
        id: "controllers",
        summary: "controller manager and scheduler as services",
        plan: phases::convert::controllers_to_service,
    },
];

/// Moves the control plane back to static pods.
pub const TO_STATIC_PODS: &[Phase] = &[
    Phase { id: "kubelet", summary: "kubelet running", plan: phases::convert::plan_kubelet },
    IMAGES,
    Phase { id: "etcd", summary: "etcd as a static pod", plan: phases::convert::etcd_to_pod },
    Phase { id: "kube-apiserver", summary: "API server as a static pod", plan: phases::convert::api_to_pod },
    Phase {
        id: "controllers",
        summary: "controller manager and scheduler as static pods",
        plan: phases::convert::controllers_to_pod,
    },
    Phase { id: "users", summary: "remove users no longer needed", plan: phases::convert::plan_no_users },
];

/// Removes a node from its cluster and cleans up the machine.
pub const RESET: &[Phase] = &[
    Phase { id: "kube-apiserver", summary: "stop the API server", plan: phases::reset::plan_api },
    Phase { id: "etcd-member", summary: "remove the etcd member of this node", plan: phases::etcd_member::plan_remove },
    Phase { id: "units", summary: "stop kubelet and agent", plan: phases::reset::plan_units },
    Phase { id: "pods", summary: "remove pods", plan: phases::reset::plan_pods },
    Phase { id: "network", summary: "remove the pod network", plan: phases::reset::plan_network },
    Phase { id: "files", summary: "remove files", plan: phases::reset::plan_files },
];
