//! CA rotation while the cluster runs: the stage of a node, derived from its files.
//!
//! Beside `ca.crt` are `ca-former.crt` and `ca-next.crt` while this is under way, and `ca.crt` holds both certificates:
//! the first one signs, and all of them are trusted. No other state is kept.

mod gate;
mod nodes;

use std::path::{Path, PathBuf};

pub use gate::{ControlPlane, Refusal, Way, next_stage, way};
pub use nodes::{KUBELET_ANNOTATION, KubeletTrust, ROTATION_ANNOTATION, Stage, Told, is_control_plane};

use super::discovery::CaPin;
use super::pki::KeyPairFiles;
use crate::core::model::short_digest;

/// Stage of a rotation, of one CA or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// No rotation is in progress.
    Settled,
    /// The next CA exists and is not trusted yet.
    Begun,
    /// Both are trusted, the old one signs.
    Prepared,
    /// Both are trusted, the next signs.
    Switched,
    /// Only the next is trusted; files of the old one are to be removed.
    Finished,
}

/// Files of a CA that cannot have come about by these commands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} does not consist of the certificates in the -former.crt and -next.crt files beside it", .0.display())]
pub struct Unclear(pub PathBuf);

/// One CA as it is on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedAuthority {
    /// The file of its certificates.
    pub cert: PathBuf,
    /// What that holds.
    pub bundle: Option<String>,
    /// The previous CA.
    pub former: Option<String>,
    /// The next CA.
    pub next: Option<String>,
    /// Its key is here.
    pub key: bool,
    /// The key of the next one is here, and has not yet taken the other's place.
    pub next_key: bool,
}

/// The certificate of the previous CA.
pub fn former(files: &KeyPairFiles) -> PathBuf {
    beside(&files.cert, "former", "crt")
}

/// Certificate and key of the next CA.
pub fn next(files: &KeyPairFiles) -> KeyPairFiles {
    KeyPairFiles { cert: beside(&files.cert, "next", "crt"), key: beside(&files.cert, "next", "key") }
}

fn beside(cert: &Path, which: &str, kind: &str) -> PathBuf {
    let stem = cert.file_stem().unwrap_or_default().to_string_lossy();
    cert.with_file_name(format!("{stem}-{which}.{kind}"))
}

/// Texts of certificates one after another.
pub fn join<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    parts.into_iter().map(|part| format!("{}\n", part.trim())).collect()
}

/// Each certificate of a PEM text by itself.
pub fn split(bundle: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    bundle.split_inclusive(END).filter(|part| part.ends_with(END)).map(|part| join([part])).collect()
}

/// Names the keys of certificates: the first sixteen digits of the hashes that tokens are given out with.
pub fn ids(bundle: &str) -> Vec<String> {
    let pins = CaPin::of_pem(bundle.as_bytes()).unwrap_or_default();
    let id = |pin: &CaPin| pin.to_string().trim_start_matches("sha256:").chars().take(16).collect();
    pins.iter().map(id).collect()
}

/// Sixteen hex digits of SHA-256 over certificates, in an order that all nodes have.
pub fn digest<'a>(certificates: impl IntoIterator<Item = &'a str>) -> String {
    short_digest(join(certificates))
}

impl ObservedAuthority {
    /// True of the CA of kubelets' serving certificates.
    pub fn is_of_kubelets(&self) -> bool {
        self.cert.file_name().is_some_and(|name| name == "kubelet-serving-ca.crt")
    }

    /// Names the newest certificate of it: the next one, or the one that signs.
    pub fn newest(&self) -> Option<String> {
        ids(self.next.as_deref().or(self.bundle.as_deref())?).into_iter().next()
    }

    /// The file that holds nothing but the certificate that signs; `None` while its own file is that.
    pub fn signer(&self) -> Option<PathBuf> {
        let which = match self.standing().ok()? {
            Standing::Prepared => "former",
            Standing::Switched => "next",
            Standing::Settled | Standing::Begun | Standing::Finished => return None,
        };
        Some(beside(&self.cert, which, "crt"))
    }

    /// How far it is.
    pub fn standing(&self) -> Result<Standing, Unclear> {
        let holds = |parts: &[&String]| {
            self.bundle.as_deref().is_some_and(|bundle| join([bundle]) == join(parts.iter().map(|part| part.as_str())))
        };
        match (&self.former, &self.next) {
            (None, None) => Ok(Standing::Settled),
            (None, Some(next)) if holds(&[next]) => Ok(Standing::Finished),
            (None, Some(_)) => Ok(Standing::Begun),
            (Some(former), Some(_)) if holds(&[former]) => Ok(Standing::Begun),
            (Some(former), Some(next)) if holds(&[former, next]) => Ok(Standing::Prepared),
            (Some(former), Some(next)) if holds(&[next, former]) => Ok(Standing::Switched),
            (Some(_), Some(next)) if holds(&[next]) => Ok(Standing::Finished),
            (Some(_), _) => Err(Unclear(self.cert.clone())),
        }
    }
}

/// All CAs of a node, in an order that all nodes have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// One by one; the cluster's is the first.
    pub authorities: Vec<ObservedAuthority>,
    /// Digest of the next CAs that another control plane has made, when this one shall receive them.
    pub receive: Option<String>,
}

impl Rotation {
    /// How far the node is: as far as the CA that is furthest behind.
    pub fn standing(&self) -> Result<Standing, Unclear> {
        let all: Vec<Standing> = self.authorities.iter().map(ObservedAuthority::standing).collect::<Result<_, _>>()?;
        // CAs that have finished have no files left.
        let late = all.iter().any(|standing| *standing >= Standing::Switched);
        let unfinished = all.iter().copied().filter(|standing| !(late && *standing == Standing::Settled));
        Ok(unfinished.min().unwrap_or(Standing::Settled))
    }

    /// Names the next CAs or, where none are on their way, those that are there.
    pub fn digest(&self) -> String {
        let newest = |authority: &'_ ObservedAuthority| authority.next.clone().or_else(|| authority.bundle.clone());
        let newest: Vec<String> = self.authorities.iter().filter_map(newest).collect();
        digest(newest.iter().map(String::as_str))
    }

    /// True when every CA to come is there.
    pub fn has_next(&self) -> bool {
        !self.authorities.is_empty() && self.authorities.iter().all(|authority| authority.next.is_some())
    }

    /// Names all that is trusted, and in which order, while there is more than one; none otherwise.
    pub fn trust(&self) -> Option<String> {
        let bundles = self.authorities.iter().filter_map(|authority| authority.bundle.as_deref());
        self.authorities.iter().any(|authority| authority.former.is_some()).then(|| digest(bundles))
    }

    /// The file that holds nothing but the certificate that signs for the cluster; `None` while `ca.crt` is that.
    pub fn signer(&self) -> Option<PathBuf> {
        self.authorities.first()?.signer()
    }

    /// CAs whose key is elsewhere.
    pub fn external(&self) -> Vec<&Path> {
        self.authorities.iter().filter(|authority| !authority.key).map(|authority| authority.cert.as_path()).collect()
    }
}

#[cfg(test)]
mod tests;
