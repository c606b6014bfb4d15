//! The kubelet's own certificates.

/// What a certificate of the kubelet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateUse {
    /// Towards the API server.
    Client,
    /// On the kubelet's port.
    Serving,
}

impl CertificateUse {
    /// Stem of the files below `--cert-dir`.
    pub fn stem(self) -> &'static str {
        match self {
            Self::Client => "kubelet-client",
            Self::Serving => "kubelet-server",
        }
    }
}
