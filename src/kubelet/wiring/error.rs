//! Why the kubelet cannot run.

use std::path::PathBuf;

/// Why the kubelet cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The runtime's endpoint is no unix socket.
    #[error("containerRuntimeEndpoint {0:?} is no unix socket; write unix:///run/containerd/containerd.sock")]
    Endpoint(String),
    /// The settings forbid to run on this machine.
    #[error("{}", .0.join("\n"))]
    Machine(Vec<String>),
    /// The file of `--lock-file` cannot be locked or watched.
    #[error("--lock-file {path}")]
    Lock {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A folder of the kubelet cannot be made.
    #[error("folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The API server's client cannot be made.
    #[error("kubeconfig {path}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A part of the kubelet cannot start.
    #[error("{what}")]
    Part {
        /// Which part.
        what: &'static str,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
