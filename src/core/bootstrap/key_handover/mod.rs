//! How a joining control plane receives the keys of the cluster's CAs.
//!
//! The joining node posts a CertificateSigningRequest for a signer of our own. It contains the public half of a key
//! that exists only in that process. The API server records who asked: a token created for control planes is answered
//! at once, any other request waits for approval (`kubectl certificate approve`). An agent on a control plane then
//! writes the keys, sealed to that public key, into the request's status, where nobody else can decrypt them; the
//! controller manager deletes the request an hour later.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use crate::core::model::Secret;

/// Annotation on the Secret of a used token: uid of the request that received the keys.
pub const HANDED_TO: &str = "roost.io/keys-handed-to";

/// The `signerName` of such requests.
pub const SIGNER: &str = "roost.local/control-plane-join";
/// The group of tokens that may join control planes.
pub const TOKEN_GROUP: &str = "system:bootstrappers:roost:control-plane";
/// The group of such a token after use: it can still join the same node again, but receives no keys.
pub const USED_TOKEN_GROUP: &str = "system:bootstrappers:roost:control-plane-used";
/// The PKI files that all control planes share, relative to the PKI folder. Files that the answering node does not have
/// (external CA, external etcd) are not handed over.
pub const SHARED_FILES: [&str; 11] = [
    "ca.crt",
    "ca.key",
    "etcd/ca.crt",
    "etcd/ca.key",
    "front-proxy-ca.crt",
    "front-proxy-ca.key",
    "kubelet-serving-ca.crt",
    "kubelet-serving-ca.key",
    "kubelet-authorities.crt",
    "sa.key",
    "sa.pub",
];

/// Certificate and key of the CA of kubelets' serving certificates.
pub const KUBELET_SERVING_FILES: [&str; 2] = ["kubelet-serving-ca.crt", "kubelet-serving-ca.key"];

/// Certificates and keys of the next CAs during a CA rotation.
pub const NEXT_FILES: [&str; 8] = [
    "ca-next.crt",
    "ca-next.key",
    "etcd/ca-next.crt",
    "etcd/ca-next.key",
    "front-proxy-ca-next.crt",
    "front-proxy-ca-next.key",
    "kubelet-serving-ca-next.crt",
    "kubelet-serving-ca-next.key",
];

/// Which set of keys is requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Everything that all control planes share.
    Shared,
    /// The next CAs with this digest.
    Next(String),
    /// The CA of kubelets' serving certificates with this digest.
    KubeletServing(String),
}

/// A parsed key request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The requester's public key (X25519), to which the answer is sealed.
    pub key: [u8; PUBLIC_KEY_LENGTH],
    /// Which files the requester asks for.
    pub wanted: Wanted,
}

/// Length of an X25519 public key, bytes.
pub const PUBLIC_KEY_LENGTH: usize = 32;

const KEY_URI: &str = "roost:x25519:";
const NEXT_URI: &str = "roost:authorities:";
const KUBELET_SERVING_URI: &str = "roost:kubelet-serving:";
const SEALED_LINE: &str = "roost-sealed: ";

/// Shared files by their name below the PKI folder.
pub type SharedFiles = BTreeMap<String, Secret<String>>;

/// Why a request or an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request cannot be read.
    #[error("malformed key request of a control plane: {0}")]
    Request(String),
    /// The answer cannot be read.
    #[error("malformed answer to the key request: {0}")]
    Answer(String),
}

/// The requester, as authenticated by the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requester {
    /// User name, e.g. `system:bootstrap:abcdef` for a bootstrap token.
    pub username: String,
    /// Groups of the user; those of a token come from its Secret.
    pub groups: Vec<String>,
}

impl Requester {
    /// True for bearers of a token created for control planes. Only the API server's token authenticator combines this
    /// group with such a user name.
    pub fn may_join_control_planes(&self) -> bool {
        self.token_id().is_some() && self.groups.iter().any(|group| group == TOKEN_GROUP)
    }

    /// The id of the bootstrap token; `None` if the user is not a token.
    pub fn token_id(&self) -> Option<&str> {
        self.username.strip_prefix("system:bootstrap:").filter(|id| !id.is_empty())
    }
}

/// What a token may still be used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// To receive keys, once: its groups must then be changed to these.
    Fresh(String),
    /// To receive keys: this same request used it, and its answer was interrupted.
    Same,
    /// Not for keys: it was already used for them, or was not created for control planes.
    Spent,
}

/// Derives that from a token's Secret: its groups, separated by commas, and the request that received keys.
pub fn judge_token(groups: &str, handed_to: Option<&str>, request: &str) -> TokenUse {
    match handed_to {
        Some(uid) if uid == request => TokenUse::Same,
        Some(_) => TokenUse::Spent,
        None if groups.split(',').any(|group| group == TOKEN_GROUP) => {
            let used = groups.split(',').map(|group| if group == TOKEN_GROUP { USED_TOKEN_GROUP } else { group });
            TokenUse::Fresh(used.collect::<Vec<_>>().join(","))
        }
        None => TokenUse::Spent,
    }
}

/// The SAN that carries the public key in a request.
pub fn render_key_uri(public_key: &[u8; PUBLIC_KEY_LENGTH]) -> String {
    format!("{KEY_URI}{}", URL_SAFE_NO_PAD.encode(public_key))
}

/// The SAN that states what is requested; `None` for the shared files.
pub fn render_wanted(wanted: &Wanted) -> Option<String> {
    match wanted {
        Wanted::Shared => None,
        Wanted::Next(digest) => Some(format!("{NEXT_URI}{digest}")),
        Wanted::KubeletServing(digest) => Some(format!("{KUBELET_SERVING_URI}{digest}")),
    }
}

/// Parses a PEM request, which must be signed by its own key.
pub fn parse_request(pem: &[u8]) -> Result<Asked, Error> {
    let malformed = |error: &dyn std::fmt::Display| Error::Request(error.to_string());
    let (_, block) = x509_parser::pem::parse_x509_pem(pem).map_err(|error| malformed(&error))?;
    let (_, parsed) = X509CertificationRequest::from_der(&block.contents).map_err(|error| malformed(&error))?;
    parsed.verify_signature().map_err(|error| malformed(&error))?;
    let names = parsed.requested_extensions().into_iter().flatten().filter_map(|extension| match extension {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    let uris: Vec<&str> = names
        .flatten()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
        .collect();
    let others: Vec<&str> = uris.iter().filter(|uri| !uri.starts_with(KEY_URI)).copied().collect();
    // An unknown SAN must not be read as a request for all keys.
    let wanted = match others.as_slice() {
        [] => Wanted::Shared,
        [uri] => {
            let next = uri.strip_prefix(NEXT_URI).map(|digest| Wanted::Next(digest.to_owned()));
            let serving = || uri.strip_prefix(KUBELET_SERVING_URI).map(|it| Wanted::KubeletServing(it.to_owned()));
            next.or_else(serving).ok_or_else(|| Error::Request(format!("it asks for unknown {uri}")))?
        }
        _ => return Err(Error::Request("it asks for more than one thing".to_owned())),
    };
    let mut keys = uris.iter().filter_map(|uri| uri.strip_prefix(KEY_URI));
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(Error::Request(format!("it does not have exactly one SAN {KEY_URI}…")));
    };
    let key = URL_SAFE_NO_PAD.decode(key).map_err(|error| malformed(&error))?;
    let key = key.try_into().map_err(|_| Error::Request(format!("the key is not {PUBLIC_KEY_LENGTH} bytes long")))?;
    Ok(Asked { key, wanted })
}

/// The plain bytes that are sealed: the files as JSON.
pub fn render_files(files: &SharedFiles) -> Vec<u8> {
    let plain: BTreeMap<&str, &str> =
        files.iter().map(|(name, text)| (name.as_str(), text.reveal().as_str())).collect();
    serde_json::to_vec(&plain).unwrap_or_default()
}

/// Reads them back; rejects names that are not shared files.
pub fn parse_files(bytes: &[u8]) -> Result<SharedFiles, Error> {
    let plain: BTreeMap<String, String> =
        serde_json::from_slice(bytes).map_err(|error| Error::Answer(error.to_string()))?;
    if let Some(name) = plain.keys().find(|name| !SHARED_FILES.iter().chain(&NEXT_FILES).any(|known| known == name)) {
        return Err(Error::Answer(format!("\"{name}\" is not a file that control planes share")));
    }
    Ok(plain.into_iter().map(|(name, text)| (name, Secret::new(text))).collect())
}

/// The `status.certificate` of an answer. The API accepts any text around certificates (RFC 7468, 5.2) but requires at
/// least one: the cluster's CA.
pub fn render_answer(sealed: &[u8], ca: &str) -> String {
    format!("{SEALED_LINE}{}\n{}\n", STANDARD.encode(sealed), ca.trim())
}

/// The sealed bytes of an answer.
pub fn parse_answer(certificate: &[u8]) -> Result<Vec<u8>, Error> {
    let text = std::str::from_utf8(certificate).map_err(|error| Error::Answer(error.to_string()))?;
    let line = text.lines().find_map(|line| line.strip_prefix(SEALED_LINE));
    let line = line.ok_or_else(|| Error::Answer("it contains no sealed files".to_owned()))?;
    STANDARD.decode(line.trim()).map_err(|error| Error::Answer(error.to_string()))
}

#[cfg(test)]
mod tests;
