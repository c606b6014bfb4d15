//! The outside world: one room per technology, each behind a port. Policy is elsewhere.

pub mod apiserver;
pub mod balancer;
pub mod cgroups;
pub mod checks;
pub mod containerd;
pub mod credential_files;
pub mod credentials;
pub mod cri;
pub mod csi;
pub mod default_address;
pub mod descriptors;
pub mod etcd;
pub mod fetch;
pub mod fs;
pub mod host;
pub mod iptables;
mod keepalive;
pub mod keyed_lock;
pub mod lock_file;
pub mod machine;
pub mod names;
pub mod network;
pub mod peer_uid;
pub mod preflight;
pub mod program;
pub mod sealing;
pub mod serving;
pub mod standalone;
pub mod static_pods;
pub mod status_probes;
pub mod systemd;
pub mod trust;
pub mod usage;
pub mod volumes;
pub mod x509;

#[cfg(all(test, feature = "node-tests"))]
mod node_tests;
#[cfg(test)]
mod tests;
