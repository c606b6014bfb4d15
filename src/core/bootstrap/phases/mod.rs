//! One file per phase: what it requires, as steps.

pub mod agent;
pub mod certs;
pub mod control_plane;
pub mod convert;
pub mod etcd_member;
pub mod images;
pub mod keys;
pub mod kubeconfigs;
pub mod kubelet_join;
pub mod kubelet_serving;
pub mod kubelet_start;
pub mod labels;
pub mod objects;
pub mod ready;
pub mod renewal;
pub mod reset;
pub mod rotation;
pub mod snapshots;
