//! The certificates of a cluster, and whether an existing certificate can be used.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Certificates are valid from this long before they are issued, for clocks that lag (kubeadm's value).
pub const BACKDATE: Duration = Duration::from_secs(5 * 60);

/// Paths of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPairFiles {
    /// PEM certificate, mode 0644.
    pub cert: PathBuf,
    /// PEM key, mode 0600.
    pub key: PathBuf,
}

impl KeyPairFiles {
    /// `NAME.crt` and `NAME.key` in a folder; the name may contain a subfolder.
    pub fn named(folder: &std::path::Path, name: &str) -> Self {
        Self { cert: folder.join(format!("{name}.crt")), key: folder.join(format!("{name}.key")) }
    }
}

/// The subject of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The common name (CN), which is the user name.
    pub common_name: String,
    /// The organizations (O), which are the user's groups.
    pub organizations: Vec<String>,
}

impl Subject {
    /// A subject without organization.
    pub fn named(common_name: impl Into<String>) -> Self {
        Self { common_name: common_name.into(), organizations: Vec::new() }
    }

    /// A user in one group.
    pub fn in_group(common_name: impl Into<String>, group: &str) -> Self {
        Self { common_name: common_name.into(), organizations: vec![group.to_owned()] }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.common_name)?;
        self.organizations.iter().try_for_each(|group| write!(f, " of {group}"))
    }
}

/// The extended key usage of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Authentication of a TLS client.
    Client,
    /// Authentication of a TLS server.
    Server,
    /// Client and server authentication, as etcd needs.
    Both,
}

impl Usage {
    /// True if it may authenticate a client.
    pub fn client(self) -> bool {
        matches!(self, Self::Client | Self::Both)
    }

    /// True if it may authenticate a server.
    pub fn server(self) -> bool {
        matches!(self, Self::Server | Self::Both)
    }
}

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum San {
    /// A DNS name, possibly with a wildcard.
    Dns(String),
    /// An IP address of either family.
    Ip(IpAddr),
}

impl San {
    /// An address if the text is one, else a DNS name.
    pub fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Dns(text.to_owned()), Self::Ip)
    }
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => write!(f, "{address}"),
        }
    }
}

/// A CA that must exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Where its certificate and key are stored.
    pub files: KeyPairFiles,
    /// Its common name, repeated as a DNS name as kubeadm does.
    pub common_name: String,
    /// Lifetime of its certificate.
    pub life: Duration,
}

/// The required content of a leaf certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The CA that signs it.
    pub signer: KeyPairFiles,
    /// Subject that it must have.
    pub subject: Subject,
    /// The required key usage.
    pub usage: Usage,
    /// Names and addresses that it must contain.
    pub sans: BTreeSet<San>,
    /// Lifetime of the certificate.
    pub life: Duration,
}

/// A required leaf certificate and its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Where certificate and key are stored.
    pub files: KeyPairFiles,
    /// Content that it must have.
    pub leaf: Leaf,
}

/// The contents of a certificate on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedCertificate {
    /// CN and O of its subject.
    pub subject: Subject,
    /// Its subject alternative names.
    pub sans: BTreeSet<San>,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// True for a CA.
    pub is_ca: bool,
    /// Whether it is signed by the expected CA; `None` if that CA is not available.
    pub signed: Option<bool>,
    /// Whether the key beside it is its own; `None` if there is no key.
    pub key_matches: Option<bool>,
}

/// Why an existing certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It expired at this time.
    #[error("it expired at {0}")]
    Expired(Timestamp),
    /// It is not valid yet: it was issued by a clock that was ahead, or this clock is behind.
    #[error("it is not valid before {0}; is the clock right?")]
    Early(Timestamp),
    /// Two thirds of its lifetime have passed (leaves only).
    #[error("it is past two thirds of its lifetime; it expires at {0}")]
    Due(Timestamp),
    /// It was signed by another CA than this one.
    #[error("it was not signed by {0}")]
    Signer(String),
    /// The key belongs to another certificate.
    #[error("its key does not match it")]
    Key,
    /// The subject is not the required one.
    #[error("its subject is \"{seen}\" instead of \"{wanted}\"")]
    Subject {
        /// The subject in the certificate.
        seen: String,
        /// The subject that is required.
        wanted: String,
    },
    /// Required names are missing, separated by commas.
    #[error("it lacks {0}")]
    Sans(String),
    /// It is not a CA certificate.
    #[error("it is not a CA certificate")]
    NotAuthority,
}

/// For operators who issue it themselves: subject as openssl prints it, usage, names.
impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.subject.organizations.iter().try_for_each(|group| write!(f, "/O={group}"))?;
        write!(f, "/CN={}, for a ", self.subject.common_name)?;
        f.write_str(match self.usage {
            Usage::Client => "client",
            Usage::Server => "server",
            Usage::Both => "server and client",
        })?;
        let names: Vec<String> = self.sans.iter().map(San::to_string).collect();
        if names.is_empty() { Ok(()) } else { write!(f, " named {}", names.join(", ")) }
    }
}

impl Leaf {
    /// Compares a leaf on disk with the required one. A certificate provided by the user may have additional names.
    pub fn check(&self, seen: &ObservedCertificate, now: Timestamp) -> Result<(), Unfit> {
        seen.is_usable(now, &self.signer.cert)?;
        if seen.subject != self.subject {
            return Err(Unfit::Subject { seen: seen.subject.to_string(), wanted: self.subject.to_string() });
        }
        let missing: Vec<_> = self.sans.difference(&seen.sans).map(San::to_string).collect();
        if !missing.is_empty() {
            return Err(Unfit::Sans(missing.join(", ")));
        }
        seen.is_young(now)
    }
}

impl ObservedCertificate {
    /// `Ok` within its validity.
    pub fn is_alive(&self, now: Timestamp) -> Result<(), Unfit> {
        if now < self.not_before {
            return Err(Unfit::Early(self.not_before));
        }
        if now >= self.not_after {
            return Err(Unfit::Expired(self.not_after));
        }
        Ok(())
    }

    /// `Ok` whatever its content, if it is valid now, signed by that CA, and has its own key.
    pub fn is_usable(&self, now: Timestamp, signer: &Path) -> Result<(), Unfit> {
        self.is_alive(now)?;
        if self.signed == Some(false) {
            return Err(Unfit::Signer(signer.display().to_string()));
        }
        if self.key_matches == Some(false) {
            return Err(Unfit::Key);
        }
        Ok(())
    }

    /// `Ok` before two thirds of its lifetime have passed.
    pub fn is_young(&self, now: Timestamp) -> Result<(), Unfit> {
        match now >= renewal_due(self.not_before, self.not_after) {
            true => Err(Unfit::Due(self.not_after)),
            false => Ok(()),
        }
    }
}

impl Authority {
    /// Checks a CA on disk. Its subject is the user's choice.
    pub fn check(&self, seen: &ObservedCertificate, now: Timestamp) -> Result<(), Unfit> {
        if !seen.is_ca {
            return Err(Unfit::NotAuthority);
        }
        seen.is_alive(now)?;
        match seen.key_matches {
            Some(false) => Err(Unfit::Key),
            Some(true) | None => Ok(()),
        }
    }
}

/// The time when a leaf is renewed: after two thirds of its lifetime.
pub fn renewal_due(not_before: Timestamp, not_after: Timestamp) -> Timestamp {
    let life = not_after.duration_since(not_before);
    let two_thirds = SignedDuration::from_secs((life.as_secs() / 3).saturating_mul(2));
    not_before.checked_add(two_thirds).unwrap_or(not_after)
}

#[cfg(test)]
mod tests;
