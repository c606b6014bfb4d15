//! Keys and certificates by rcgen, x509-parser and ring. New keys are ECDSA P-256; RSA keys of the user's are accepted.

mod issue;
mod keys;
mod read;

pub use issue::X509;
pub use read::expires_at;
