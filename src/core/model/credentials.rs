//! The kubelet's own certificates.

/// The purpose of a certificate of the kubelet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateUse {
    /// Authenticates the kubelet to the API server.
    Client,
    /// Serves the kubelet's HTTPS port.
    Serving,
}

impl CertificateUse {
    /// Base name of the files below `--cert-dir`.
    pub fn stem(self) -> &'static str {
        match self {
            Self::Client => "kubelet-client",
            Self::Serving => "kubelet-server",
        }
    }
}
