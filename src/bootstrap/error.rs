//! Why a step failed.

use crate::core::model::pki::Unfit;
use crate::ports::{
    ClusterObjectsError, FileError, ImageStoreError, PkiError, PodNetworkError, RuntimeError, UnitError,
};

/// Why a step could not be looked at or applied.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The runtime, about its pods.
    #[error("pods of the container runtime")]
    Pods(#[source] RuntimeError),
    /// The node's network.
    #[error(transparent)]
    Network(#[from] PodNetworkError),
    /// A unit.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// An image.
    #[error(transparent)]
    Image(#[from] ImageStoreError),
    /// A pull.
    #[error("pull image {image}; without a network set `source = \"archive\"` or \"host\" in [components]")]
    Pull {
        /// Its name.
        image: String,
        /// The cause.
        #[source]
        source: RuntimeError,
    },
    /// No archive holds it.
    #[error("no archive holds image {image}; looked in {looked}")]
    NotInArchives {
        /// Its name.
        image: String,
        /// Where.
        looked: String,
    },
    /// An object of the API.
    #[error(transparent)]
    Object(#[from] ClusterObjectsError),
    /// A certificate or key.
    #[error("{path}")]
    Pki {
        /// The file.
        path: std::path::PathBuf,
        /// The cause.
        #[source]
        source: PkiError,
    },
    /// An authority that is there but cannot be used. It is never replaced: that would end all trust in the cluster.
    #[error("{path} cannot be used: {why}; put a right one there, or remove it (and what it signed) for a new one")]
    Authority {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        why: Unfit,
    },
    /// The signer's key is elsewhere.
    #[error("{path} must be signed by {signer}, whose key is not on this node: bring the signed certificate along")]
    ExternalSigner {
        /// The certificate that is wanted.
        path: std::path::PathBuf,
        /// The signer's certificate.
        signer: std::path::PathBuf,
    },
    /// No connection to the cluster.
    #[error("connect to the cluster of {kubeconfig}")]
    Connect {
        /// The kubeconfig.
        kubeconfig: std::path::PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A condition did not come to hold.
    #[error("waited {seconds} s, but still not so: {condition}; {hint}")]
    TimedOut {
        /// The condition.
        condition: String,
        /// How long.
        seconds: u64,
        /// Where to look.
        hint: String,
    },
    /// Nobody does this yet.
    #[error("this build cannot do that step")]
    Unsupported,
}
