//! Keys and certificates as PEM texts: made, signed, read. Where they are kept is another port's matter.

use jiff::Timestamp;

use crate::core::model::Secret;
use crate::core::model::pki::{Authority, Leaf, ObservedCertificate, San, Subject};

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPairPem {
    /// The certificate, or the public key of a bare pair.
    pub public: String,
    /// The key.
    pub key: Secret<String>,
}

/// Why a certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// Text that is no PEM certificate.
    #[error("no certificate in PEM: {0}")]
    Certificate(String),
    /// Text that is no key, or a key of a kind that cannot be used.
    #[error("no usable private key in PEM (supported: RSA, ECDSA P-256 and P-384, Ed25519): {0}")]
    Key(String),
    /// The library refused.
    #[error("issue a certificate: {0}")]
    Make(String),
}

/// The maker of certificates.
pub trait Pki: Send + Sync {
    /// Reads the first certificate of a PEM text, and holds it against its key and its signer's certificate.
    fn inspect(&self, cert: &str, key: Option<&str>, signer: Option<&str>) -> Result<ObservedCertificate, PkiError>;
    /// Creates a self-signed CA.
    fn make_authority(&self, authority: &Authority, now: Timestamp) -> Result<KeyPairPem, PkiError>;
    /// Creates a leaf with a new key, never outliving its signer.
    fn issue(&self, leaf: &Leaf, signer_cert: &str, signer_key: &str, now: Timestamp) -> Result<KeyPairPem, PkiError>;
    /// Creates a bare key pair.
    fn generate_key(&self) -> Result<KeyPairPem, PkiError>;
    /// Creates a certificate request (PKCS #10) for a key.
    fn request(&self, subject: &Subject, names: &[San], key: &str) -> Result<String, PkiError>;
    /// The public half of a key, in PEM.
    fn public_of(&self, key: &str) -> Result<String, PkiError>;
}
