//! Ports of the bootstrapper and its node agent.

mod cluster_discovery;
mod cluster_objects;
mod image_store;
mod key_handover;
mod kubelet_requests;
mod members;
mod node_events;
mod node_files;
mod node_probes;
mod pod_network;
mod progress;
mod reachability;
mod runtime;
mod snapshots;
mod static_pod_states;
mod units;

pub use cluster_discovery::{ClusterDiscovery, ContactError};
pub use cluster_objects::{Applied, ClusterObjects, ClusterObjectsError, ObjectRef};
pub use image_store::{ImageStore, ImageStoreError};
pub use key_handover::{HandoverError, HandoverRequests, KeyHandover, PendingHandover};
pub use kubelet_requests::{ApprovalError, KubeletRequests, Verdict};
pub use members::{Etcd, EtcdIdentity, Holdings, MemberHealth, Members, MembersError};
pub use node_events::NodeEvents;
pub use node_files::{FileError, FileInfo, NodeFiles, Owner};
pub use node_probes::NodeProbes;
pub use pod_network::{NetworkChange, PodNetwork, PodNetworkError};
pub use progress::Progress;
pub use reachability::Reachability;
pub use runtime::NodeRuntime;
pub use snapshots::{EtcdFileError, EtcdFiles};
pub use static_pod_states::StaticPodStates;
pub use units::{UnitState, Units};
