//! Steps about kubeconfigs.

use std::fmt;
use std::path::PathBuf;

use crate::core::model::pki::{KeyPairFiles, Leaf};

/// What shall be true of a kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KubeconfigStep {
    /// It exists with a client certificate in it; an existing one that fits is kept.
    Write(ClientKubeconfig),
    /// An existing one leads to this server and trusts this CA. Its user stays as it is.
    Point {
        /// The kubeconfig; one that does not exist is met.
        path: PathBuf,
        /// URL of the API server.
        server: String,
        /// PEM file with the certificates to trust.
        ca: PathBuf,
        /// Units that read it only when they start: they are stopped while it changes.
        readers: Vec<String>,
    },
}

/// A kubeconfig whose user is a certificate issued for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKubeconfig {
    /// The file, mode 0600.
    pub path: PathBuf,
    /// Name of the cluster entry in it.
    pub cluster: String,
    /// URL of the API server.
    pub server: String,
    /// The CA that signs the API server's certificate.
    pub ca: KeyPairFiles,
    /// Subject and signer of the client certificate.
    pub leaf: Leaf,
}

impl fmt::Display for KubeconfigStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(config) => {
                write!(f, "write kubeconfig {} for {} at {}", config.path.display(), config.leaf.subject, config.server)
            }
            Self::Point { path, server, ca, .. } => {
                write!(f, "point kubeconfig {} to {server} and the CA {}", path.display(), ca.display())
            }
        }
    }
}
