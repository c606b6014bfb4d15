//! Seals data to a one-time public key: X25519 with an ephemeral key on either side, HKDF-SHA256, AES-256-GCM.
//!
//! Both private keys exist for one message and only in memory; recorded traffic cannot be decrypted later.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey, X25519};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::SystemRandom;

use crate::core::bootstrap::key_handover::PUBLIC_KEY_LENGTH;

const LABEL: &[u8] = b"roost key handover v1";

/// Sealing or opening failed; deliberately without details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed keys cannot be opened: they were made for another request or were modified in transit")]
pub struct SealError;

impl From<ring::error::Unspecified> for SealError {
    fn from(_: ring::error::Unspecified) -> Self {
        Self
    }
}

/// The private half of a key that opens one message.
pub struct OneTimeKey {
    private: EphemeralPrivateKey,
    public: [u8; PUBLIC_KEY_LENGTH],
}

impl OneTimeKey {
    pub fn generate() -> Result<Self, SealError> {
        let private = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new())?;
        let public = private.compute_public_key()?.as_ref().try_into().map_err(|_| SealError)?;
        Ok(Self { private, public })
    }

    pub fn public(&self) -> &[u8; PUBLIC_KEY_LENGTH] {
        &self.public
    }

    /// Opens what was sealed to this key in the same context; the key is consumed.
    pub fn open(self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (sender, ciphertext) = sealed.split_at_checked(PUBLIC_KEY_LENGTH).ok_or(SealError)?;
        let key = derive(self.private, sender, &self.public, sender)?;
        let mut bytes = ciphertext.to_vec();
        let plain = key.open_in_place(nonce(), Aad::from(context.as_bytes()), &mut bytes)?;
        Ok(plain.to_vec())
    }
}

/// Seals to a public key. `context` identifies the occasion: what is sealed for one cannot be opened for another.
pub fn seal(recipient: &[u8; PUBLIC_KEY_LENGTH], context: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let own = OneTimeKey::generate()?;
    let key = derive(own.private, recipient, recipient, &own.public)?;
    let mut bytes = plain.to_vec();
    key.seal_in_place_append_tag(nonce(), Aad::from(context.as_bytes()), &mut bytes)?;
    Ok([own.public.as_slice(), &bytes].concat())
}

fn derive(own: EphemeralPrivateKey, peer: &[u8], recipient: &[u8], sender: &[u8]) -> Result<LessSafeKey, SealError> {
    let key = agreement::agree_ephemeral(own, &UnparsedPublicKey::new(&X25519, peer), |shared| {
        let secret = Salt::new(HKDF_SHA256, LABEL).extract(shared);
        secret.expand(&[recipient, sender], &AES_256_GCM).map(UnboundKey::from)
    })??;
    Ok(LessSafeKey::new(key))
}

/// Always zero: every key is used for one message.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_time_key_opens_and_only_in_its_context() {
        let key = OneTimeKey::generate().unwrap();
        let sealed = seal(key.public(), "request-1", b"keys").unwrap();
        assert!(!sealed.windows(4).any(|part| part == b"keys"));
        assert_eq!(OneTimeKey::generate().unwrap().open("request-1", &sealed), Err(SealError));
        assert_eq!(key.open("request-1", &sealed).unwrap(), b"keys");
        let key = OneTimeKey::generate().unwrap();
        let sealed = seal(key.public(), "request-1", b"keys").unwrap();
        assert_eq!(key.open("request-2", &sealed), Err(SealError));
    }

    #[test]
    fn a_changed_or_cut_message_is_refused() {
        for change in 0..4 {
            let key = OneTimeKey::generate().unwrap();
            let mut sealed = seal(key.public(), "c", b"keys").unwrap();
            match change {
                0 => sealed[0] ^= 1,
                1 => *sealed.last_mut().unwrap() ^= 1,
                2 => sealed.truncate(10),
                _ => sealed[..PUBLIC_KEY_LENGTH].fill(0),
            }
            assert_eq!(key.open("c", &sealed), Err(SealError), "change {change}");
        }
    }
}
