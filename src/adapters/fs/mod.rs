//! Files of the node.

pub mod atomic;
pub mod beneath;
pub mod manifests;
pub mod mounts;
pub mod node_context;
pub mod node_files;
mod owner;
pub mod pod_files;
pub mod pull_records;
pub mod stop_notes;
pub mod tree;
pub mod user_namespaces;
