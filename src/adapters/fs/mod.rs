//! Files of the node.

pub mod atomic;
pub mod beneath;
pub mod mounts;
pub mod pod_files;
pub mod manifests;
pub mod pull_records;
