//! Where the kubelet keeps the certificates it was issued, and the kubeconfig that names them.

use std::io;
use std::path::Path;

use jiff::Timestamp;

use crate::core::model::Secret;
use crate::core::model::credentials::CertificateUse;

/// Who a kubeconfig authenticates as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KubeconfigUser {
    /// There is no such file.
    Missing,
    /// A client certificate, given as PEM.
    Certificate {
        /// The certificate.
        pem: String,
        /// It is elsewhere than where renewed ones are stored: in the kubeconfig itself, or in another file.
        elsewhere: bool,
    },
    /// A certificate file that cannot be read.
    Unreadable,
    /// Something else, such as a token.
    Other,
}

/// Files below `--cert-dir`, with upstream's names, and kubeconfigs.
pub trait CredentialFiles: Send + Sync {
    /// `kubelet-client-current.pem` or `kubelet-server-current.pem`: certificate and key.
    fn current(&self, use_: CertificateUse) -> Option<String>;
    /// The key of a pending request, so that it is continued after a restart.
    fn pending_key(&self, use_: CertificateUse) -> Option<Secret<String>>;
    /// Stores that key, or removes it (`None`).
    fn set_pending_key(&self, use_: CertificateUse, key: Option<&Secret<String>>) -> io::Result<()>;
    /// Stores certificate and key under the time's name and turns the link `…-current.pem` to it.
    fn store(&self, use_: CertificateUse, cert: &str, key: &Secret<String>, now: Timestamp) -> io::Result<()>;
    /// Who the current context of a kubeconfig authenticates as.
    fn user_of(&self, kubeconfig: &Path) -> KubeconfigUser;
    /// The CAs that the cluster of a kubeconfig's current context is trusted by, as PEM; `None` where they are not
    /// in it.
    fn authorities(&self, kubeconfig: &Path) -> Option<String>;
    /// Writes a kubeconfig with the cluster of `template` and the current client certificate's file.
    fn write_kubeconfig(&self, template: &Path, kubeconfig: &Path, user: &str) -> io::Result<()>;
}
