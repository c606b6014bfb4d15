//! Traits through which the drivers reach the world. Each states its contract; real ones live in `adapters`,
//! in-memory ones beside them in `adapters::fake`.

mod admission;
mod cgroups;
mod checks;
mod cluster_discovery;
mod cluster_objects;
mod events;
mod hooks;
mod images;
mod objects;
mod pod_control;
mod pod_images;
mod pod_network;
mod pod_files;
mod pods;
mod probes;
mod reviews;
mod runtime;
mod serving_approvals;
mod status_sink;
mod usage;
mod volumes;

pub use admission::Admission;
pub use cgroups::{CgroupError, Cgroups, PodCgroup};
pub use checks::{CheckError, Checks};
pub use cluster_discovery::{ClusterDiscovery, ContactError};
pub use cluster_objects::{Applied, ClusterObjects, ClusterObjectsError, ObjectRef};
pub use events::{EventKind, EventTarget, Events};
pub use hooks::{HookCall, HookError, Hooks};
pub use images::ImageService;
pub use objects::{ObjectChange, ObjectError, Objects, TokenRequest};
pub use pod_control::PodControl;
pub use pod_images::{ImageDemand, ImageWaiting, PodImages, PulledImage};
pub use pod_network::{PodNetwork, PodNetworkError};
pub use pod_files::PodFiles;
pub use pods::{ContainerView, PodView, Pods};
pub use probes::Probes;
pub use reviews::{ReviewError, Reviews};
pub use runtime::{CgroupDriver, Runtime, RuntimeError, RuntimeEvent, StreamStdio};
pub use serving_approvals::{ApprovalError, PendingRequest, ServingApprovals};
pub use status_sink::StatusSink;
pub use usage::{Usage, UsageDepth};
pub use volumes::{MountedVolume, VolumeError, Volumes};
