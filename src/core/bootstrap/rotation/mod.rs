//! CA rotation in a running cluster: the stage of a node, derived from its files.
//!
//! During a rotation there are `ca-former.crt` and `ca-next.crt` beside `ca.crt`, and `ca.crt` contains both
//! certificates: the first one signs, all of them are trusted. No other state is stored.

mod gate;
mod nodes;

use std::path::{Path, PathBuf};

pub use gate::{ControlPlane, Refusal, StageSource, next_stage, source_of_stage};
pub use nodes::{KUBELET_ANNOTATION, KubeletTrust, ROTATION_ANNOTATION, ReportedStage, Stage, is_control_plane};

use super::discovery::CaPin;
use super::pki::KeyPairFiles;
use crate::core::model::short_digest;

/// Stage of a rotation, of one CA or of all CAs of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// No rotation is in progress.
    Settled,
    /// The next CA exists and is not trusted yet.
    Begun,
    /// Both CAs are trusted, the old one signs.
    Prepared,
    /// Both CAs are trusted, the next one signs.
    Switched,
    /// Only the next CA is trusted; files of the old one remain to be removed.
    Finished,
}

/// The files of a CA match no stage: they were not written by these commands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} does not consist of the certificates in the -former.crt and -next.crt files beside it", .0.display())]
pub struct Unclear(pub PathBuf);

/// One CA, as observed on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedAuthority {
    /// Path of its certificate file, e.g. `ca.crt`.
    pub cert: PathBuf,
    /// Content of that file, PEM, the signing certificate first; `None` if it does not exist.
    pub bundle: Option<String>,
    /// Certificate of the previous CA (`-former.crt`), PEM; `None` outside of a rotation.
    pub former: Option<String>,
    /// Certificate of the next CA (`-next.crt`), PEM; `None` outside of a rotation.
    pub next: Option<String>,
    /// True if its private key is on this node.
    pub key: bool,
    /// True if the private key of the next CA exists and does not sign yet.
    pub next_key: bool,
}

/// Path of the previous CA's certificate.
pub fn former(files: &KeyPairFiles) -> PathBuf {
    beside(&files.cert, "former", "crt")
}

/// Paths of the next CA's certificate and key.
pub fn next(files: &KeyPairFiles) -> KeyPairFiles {
    KeyPairFiles { cert: beside(&files.cert, "next", "crt"), key: beside(&files.cert, "next", "key") }
}

fn beside(cert: &Path, which: &str, kind: &str) -> PathBuf {
    let stem = cert.file_stem().unwrap_or_default().to_string_lossy();
    cert.with_file_name(format!("{stem}-{which}.{kind}"))
}

/// Concatenates PEM certificates, each with a final newline.
pub fn join<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    parts.into_iter().map(|part| format!("{}\n", part.trim())).collect()
}

/// Splits a PEM text into its certificates.
pub fn split(bundle: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    bundle.split_inclusive(END).filter(|part| part.ends_with(END)).map(|part| join([part])).collect()
}

/// Ids of the certificates' keys: the first sixteen hex digits of the hashes that tokens are pinned with.
pub fn ids(bundle: &str) -> Vec<String> {
    let pins = CaPin::of_pem(bundle.as_bytes()).unwrap_or_default();
    let id = |pin: &CaPin| pin.to_string().trim_start_matches("sha256:").chars().take(16).collect();
    pins.iter().map(id).collect()
}

/// Sixteen hex digits of SHA-256 over the certificates, in an order that is the same on all nodes.
pub fn digest<'a>(certificates: impl IntoIterator<Item = &'a str>) -> String {
    short_digest(join(certificates))
}

impl ObservedAuthority {
    /// True for the CA of kubelets' serving certificates.
    pub fn is_of_kubelets(&self) -> bool {
        self.cert.file_name().is_some_and(|name| name == "kubelet-serving-ca.crt")
    }

    /// Id of its newest certificate: that of the next CA if there is one, else of the signing one.
    pub fn newest(&self) -> Option<String> {
        ids(self.next.as_deref().or(self.bundle.as_deref())?).into_iter().next()
    }

    /// The file that contains only the signing certificate; `None` if that is its own file.
    pub fn signer(&self) -> Option<PathBuf> {
        let which = match self.standing().ok()? {
            Standing::Prepared => "former",
            Standing::Switched => "next",
            Standing::Settled | Standing::Begun | Standing::Finished => return None,
        };
        Some(beside(&self.cert, which, "crt"))
    }

    /// Derives the stage of this CA.
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

/// All CAs of a node, in an order that is the same on all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// The CAs; the cluster's own (`ca.crt`) is the first.
    pub authorities: Vec<ObservedAuthority>,
    /// Digest of the next CAs that another control plane created, if this node has to receive them.
    pub receive: Option<String>,
}

impl Rotation {
    /// The stage of the node: that of the CA that is furthest behind.
    pub fn standing(&self) -> Result<Standing, Unclear> {
        let all: Vec<Standing> = self.authorities.iter().map(ObservedAuthority::standing).collect::<Result<_, _>>()?;
        // The files of CAs that have finished are removed already.
        let late = all.iter().any(|standing| *standing >= Standing::Switched);
        let unfinished = all.iter().copied().filter(|standing| !(late && *standing == Standing::Settled));
        Ok(unfinished.min().unwrap_or(Standing::Settled))
    }

    /// Digest of the next CAs or, if there are none, of the current ones.
    pub fn digest(&self) -> String {
        let newest = |authority: &'_ ObservedAuthority| authority.next.clone().or_else(|| authority.bundle.clone());
        let newest: Vec<String> = self.authorities.iter().filter_map(newest).collect();
        digest(newest.iter().map(String::as_str))
    }

    /// True when every CA has a next one on this node.
    pub fn has_next(&self) -> bool {
        !self.authorities.is_empty() && self.authorities.iter().all(|authority| authority.next.is_some())
    }

    /// Digest of all trusted CAs and their order; `None` while only one is trusted.
    pub fn trust(&self) -> Option<String> {
        let bundles = self.authorities.iter().filter_map(|authority| authority.bundle.as_deref());
        self.authorities.iter().any(|authority| authority.former.is_some()).then(|| digest(bundles))
    }

    /// The file that contains only the certificate that signs for the cluster; `None` if that is `ca.crt`.
    pub fn signer(&self) -> Option<PathBuf> {
        self.authorities.first()?.signer()
    }

    /// Certificate files of CAs whose key is not on this node.
    pub fn external(&self) -> Vec<&Path> {
        self.authorities.iter().filter(|authority| !authority.key).map(|authority| authority.cert.as_path()).collect()
    }
}

#[cfg(test)]
mod tests;
