//! Command-line arguments, and the only writer to stdout and stderr.

pub mod agent;
pub mod apply;
pub mod args;
pub mod bootstrap;
pub mod etcd;
pub mod kubelet;
pub mod manifests;
pub mod manual;
pub mod output;
pub mod preflight;
pub mod rotation;
pub mod token;
pub mod upgrade;
