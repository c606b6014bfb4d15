//! The only code that performs I/O: one room per technology, each behind a port.

pub mod apiserver;
pub mod checks;
#[cfg(any(test, feature = "fakes"))]
pub mod fake;
pub mod cgroups;
pub mod etcd;
pub mod fs;
pub mod network;
pub mod sealing;
pub mod containerd;
pub mod cri;
pub mod usage;
pub mod csi;
pub mod volumes;
pub mod credentials;
pub mod systemd;
pub mod x509;
pub mod serving;
pub mod standalone;
pub mod machine;
pub mod premises;
pub mod credential_files;
