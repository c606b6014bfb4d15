//! Keys and certificates by rcgen, x509-parser and ring. New keys are ECDSA P-256; the user's RSA keys are accepted.

mod issue;
mod keys;
mod read;

pub use issue::X509;
pub use read::expires_at;
