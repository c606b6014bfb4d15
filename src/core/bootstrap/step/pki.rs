//! Steps about keys and certificates.

use std::fmt;
use std::path::PathBuf;

use super::kubeconfigs::ClientKubeconfig;
use crate::core::model::pki::{Authority, Certificate};

/// What shall be true of keys and certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PkiStep {
    /// The CA exists; an existing one is never replaced.
    MakeAuthority(Authority),
    /// The leaf certificate exists; an existing one that fits is kept.
    IssueCert(Certificate),
    /// An ECDSA key and its public half exist; an existing key is kept.
    GenerateKey {
        /// PEM file of the private key, mode 0600.
        key: PathBuf,
        /// PEM file of the public key, mode 0644.
        public: PathBuf,
    },
    /// What a CA signs whose key is not on this node was copied here, and fits.
    FindSigned {
        /// Certificate of the CA.
        signer: PathBuf,
        /// Leaf certificates that are wanted.
        certificates: Vec<Certificate>,
        /// Kubeconfigs that are wanted, with their client certificates.
        kubeconfigs: Vec<ClientKubeconfig>,
    },
}

impl fmt::Display for PkiStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeAuthority(ca) => write!(f, "create CA {} ({})", ca.files.cert.display(), ca.common_name),
            Self::IssueCert(cert) => write!(f, "issue {} for {}", cert.files.cert.display(), cert.leaf.subject),
            Self::GenerateKey { key, .. } => write!(f, "generate key {}", key.display()),
            Self::FindSigned { signer, certificates, kubeconfigs } => {
                let many = certificates.len().saturating_add(kubeconfigs.len());
                write!(f, "check {many} certificates that {} has to sign elsewhere", signer.display())
            }
        }
    }
}
