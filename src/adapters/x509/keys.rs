//! Private keys in the three common encodings: PKCS #8, PKCS #1 (kubeadm's RSA) and SEC 1 (kubeadm's ECDSA).

use rcgen::KeyPair;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use crate::ports::node::PkiError;

const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;
/// `rsaEncryption` with its NULL parameter, as the content of an AlgorithmIdentifier.
const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
const EC: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];

/// Reads the first private key of a PEM text.
pub fn parse_key(pem: &str) -> Result<KeyPair, PkiError> {
    let wrong = |error: &dyn std::fmt::Display| PkiError::Key(error.to_string());
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| wrong(&error))?;
    let pkcs8 = match key {
        PrivateKeyDer::Pkcs8(key) => key.secret_pkcs8_der().to_vec(),
        PrivateKeyDer::Pkcs1(key) => wrap(RSA, key.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(key) => {
            let key = key.secret_sec1_der();
            let names = |curve: &[u8]| key.windows(curve.len()).any(|window| window == curve);
            let curve = if names(P256) {
                P256
            } else if names(P384) {
                P384
            } else {
                return Err(wrong(&"an elliptic curve other than P-256 and P-384"));
            };
            wrap(&[EC, curve].concat(), key)
        }
        _ => return Err(wrong(&"an unknown encoding")),
    };
    KeyPair::try_from(pkcs8.as_slice()).map_err(|error| wrong(&error))
}

/// Wraps a key of an older encoding in PrivateKeyInfo (RFC 5208).
fn wrap(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let version = [0x02, 0x01, 0x00];
    der(SEQUENCE, &[&version[..], &der(SEQUENCE, algorithm), &der(OCTET_STRING, key)].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut encoded = vec![tag];
    // One byte up to 127; otherwise the number of length bytes (at most eight) comes first.
    if content.len() > 0x7f {
        encoded.push(0x80 | u8::try_from(significant.len()).unwrap_or(0x7f));
    }
    match significant.is_empty() {
        true => encoded.push(0),
        false => encoded.extend(significant),
    }
    encoded.extend_from_slice(content);
    encoded
}
