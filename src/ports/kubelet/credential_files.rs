//! Where the kubelet stores its certificates, and the kubeconfigs that refer to them.

use std::io;
use std::path::Path;

use jiff::Timestamp;

use crate::core::model::Secret;
use crate::core::model::credentials::CertificateUse;

/// The credentials in a kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KubeconfigUser {
    /// The kubeconfig does not exist.
    Missing,
    /// A client certificate, given as PEM.
    Certificate {
        /// The certificate in PEM, with its chain.
        pem: String,
        /// True if it is not where renewed certificates are stored: inline in the kubeconfig, or in another file.
        elsewhere: bool,
    },
    /// A certificate file that cannot be read or parsed.
    Unreadable,
    /// Other credentials, such as a token.
    Other,
}

/// Files below `--cert-dir`, with upstream's names, and kubeconfigs.
pub trait CredentialFiles: Send + Sync {
    /// Content of `kubelet-client-current.pem` or `kubelet-server-current.pem`: certificate and key.
    fn current(&self, use_: CertificateUse) -> Option<String>;
    /// The key of a pending request, so that it can be continued after a restart.
    fn pending_key(&self, use_: CertificateUse) -> Option<Secret<String>>;
    /// Stores that key, or removes it (`None`).
    fn set_pending_key(&self, use_: CertificateUse, key: Option<&Secret<String>>) -> io::Result<()>;
    /// Stores certificate and key in a file named after the time, and updates the link `…-current.pem`.
    fn store(&self, use_: CertificateUse, cert: &str, key: &Secret<String>, now: Timestamp) -> io::Result<()>;
    /// The credentials in the current context of a kubeconfig.
    fn user_of(&self, kubeconfig: &Path) -> KubeconfigUser;
    /// The trusted CAs in the current context of a kubeconfig, PEM; `None` if they are not inline.
    fn authorities(&self, kubeconfig: &Path) -> Option<String>;
    /// Writes a kubeconfig with the cluster of `template` and the current client certificate's file.
    fn write_kubeconfig(&self, template: &Path, kubeconfig: &Path, user: &str) -> io::Result<()>;
}
