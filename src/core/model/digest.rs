//! Short digests, to tell contents apart.

use sha2::{Digest, Sha256};

/// Sixteen hex digits of SHA-256, enough to tell versions of one thing apart.
pub fn short_digest(content: impl AsRef<[u8]>) -> String {
    Sha256::digest(content).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
