//! Why the kubelet cannot run.

use std::path::PathBuf;

/// Why the kubelet cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The runtime's endpoint is not a unix socket.
    #[error("containerRuntimeEndpoint {0:?} is not a unix socket; write unix:///run/containerd/containerd.sock")]
    Endpoint(String),
    /// The settings forbid to run on this machine.
    #[error("{}", .0.join("\n"))]
    Machine(Vec<String>),
    /// The file of `--lock-file` cannot be locked or watched.
    #[error("--lock-file {path}")]
    Lock {
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A directory of the kubelet cannot be created.
    #[error("folder {path}")]
    Folder {
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The client of the API server cannot be created.
    #[error("kubeconfig {path}")]
    Kubeconfig {
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A part of the kubelet cannot start.
    #[error("{what}")]
    Part { what: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
}
