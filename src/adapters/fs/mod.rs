//! Files of the node.

pub mod atomic;
pub mod node_files;
pub mod beneath;
pub mod mounts;
pub mod node_context;
pub mod pod_files;
pub mod user_namespaces;
pub mod manifests;
pub mod pull_records;
