//! Keys and certificates as PEM texts: generates, signs and parses them. Other ports store them.

use jiff::Timestamp;

use crate::core::model::Secret;
use crate::core::model::pki::{Authority, Leaf, ObservedCertificate, San, Subject};

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPairPem {
    /// The certificate; for a bare key pair, the public key.
    pub public: String,
    /// The private key, PEM.
    pub key: Secret<String>,
}

/// Why a certificate could not be issued or parsed.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The text is not a PEM certificate.
    #[error("no certificate in PEM: {0}")]
    Certificate(String),
    /// The text is not a private key, or of an unsupported kind.
    #[error("no usable private key in PEM (supported: RSA, ECDSA P-256 and P-384, Ed25519): {0}")]
    Key(String),
    /// Generating or signing failed; the library's message.
    #[error("issue a certificate: {0}")]
    Make(String),
}

/// Issues and parses certificates.
pub trait Pki: Send + Sync {
    /// Parses the first certificate of a PEM text, and compares it with its key and its signer's certificate.
    fn inspect(&self, cert: &str, key: Option<&str>, signer: Option<&str>) -> Result<ObservedCertificate, PkiError>;
    /// Creates a self-signed CA.
    fn make_authority(&self, authority: &Authority, now: Timestamp) -> Result<KeyPairPem, PkiError>;
    /// Issues a leaf with a new key; it never outlives its signer.
    fn issue(&self, leaf: &Leaf, signer_cert: &str, signer_key: &str, now: Timestamp) -> Result<KeyPairPem, PkiError>;
    /// Generates a key pair without a certificate.
    fn generate_key(&self) -> Result<KeyPairPem, PkiError>;
    /// Creates a certificate request (PKCS #10) for a key.
    fn request(&self, subject: &Subject, names: &[San], key: &str) -> Result<String, PkiError>;
    /// The public key of a private key, PEM.
    fn public_of(&self, key: &str) -> Result<String, PkiError>;
}
