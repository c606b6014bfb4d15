//! Which certificates a cluster has, and whether one that is there will do.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A certificate is valid from this long before its making, for clocks that lag (kubeadm's value).
pub const BACKDATE: Duration = Duration::from_secs(5 * 60);

/// A certificate and its key on disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPairFiles {
    /// PEM certificate, mode 0644.
    pub cert: PathBuf,
    /// PEM key, mode 0600.
    pub key: PathBuf,
}

impl KeyPairFiles {
    /// `NAME.crt` and `NAME.key` in a folder; the name may hold a sub-folder.
    pub fn named(folder: &std::path::Path, name: &str) -> Self {
        Self { cert: folder.join(format!("{name}.crt")), key: folder.join(format!("{name}.key")) }
    }
}

/// Who a certificate speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// CN.
    pub common_name: String,
    /// O, the groups of a user.
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

/// What a leaf may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// TLS client.
    Client,
    /// TLS server.
    Server,
    /// Both, as etcd needs.
    Both,
}

impl Usage {
    /// May it be a client?
    pub fn client(self) -> bool {
        matches!(self, Self::Client | Self::Both)
    }

    /// May it be a server?
    pub fn server(self) -> bool {
        matches!(self, Self::Server | Self::Both)
    }
}

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum San {
    /// A DNS name.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl San {
    /// An address if it reads as one, else a DNS name.
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

/// A CA that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Where it is kept.
    pub files: KeyPairFiles,
    /// CN, repeated as a DNS name as kubeadm does.
    pub common_name: String,
    /// How long it lives.
    pub life: Duration,
}

/// A leaf that is wanted: its content, without the place it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The CA that signs it.
    pub signer: KeyPairFiles,
    /// Its subject.
    pub subject: Subject,
    /// What it may be used for.
    pub usage: Usage,
    /// Names and addresses it serves.
    pub sans: BTreeSet<San>,
    /// How long it lives.
    pub life: Duration,
}

/// A leaf and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Where it is kept.
    pub files: KeyPairFiles,
    /// What it says.
    pub leaf: Leaf,
}

/// What a certificate on disk says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedCertificate {
    /// CN and O of the subject.
    pub subject: Subject,
    /// Subject alternative names.
    pub sans: BTreeSet<San>,
    /// Start of its lifetime.
    pub not_before: Timestamp,
    /// Expiry.
    pub not_after: Timestamp,
    /// True for a CA.
    pub is_ca: bool,
    /// Whether the signer's key made its signature; `None` when there was no signer to ask.
    pub signed: Option<bool>,
    /// Whether the key beside it is its own; `None` when there is no key.
    pub key_matches: Option<bool>,
}

/// Why a certificate that is there will not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Its life is over.
    #[error("it expired at {0}")]
    Expired(Timestamp),
    /// Its life has not begun: it was made while a clock was ahead, or this one is behind.
    #[error("it is not valid before {0}; is the clock right?")]
    Early(Timestamp),
    /// Two thirds of its lifetime are over (leaves only).
    #[error("it is past two thirds of its lifetime; it expires at {0}")]
    Due(Timestamp),
    /// Another CA signed it.
    #[error("it was not signed by {0}")]
    Signer(String),
    /// The key is another certificate's.
    #[error("its key does not match it")]
    Key,
    /// Subject differs.
    #[error("its subject is \"{seen}\" instead of \"{wanted}\"")]
    Subject {
        /// The subject found.
        seen: String,
        /// The one that is wanted.
        wanted: String,
    },
    /// Names are missing.
    #[error("it lacks {0}")]
    Sans(String),
    /// It is no CA.
    #[error("it is not a CA certificate")]
    NotAuthority,
}

/// For whoever makes it: subject as openssl writes it, use, names.
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
    /// Checks a leaf on disk against what is wanted. A certificate of the user's own with more names is fit.
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
    /// Its life has begun and is not over.
    pub fn is_alive(&self, now: Timestamp) -> Result<(), Unfit> {
        if now < self.not_before {
            return Err(Unfit::Early(self.not_before));
        }
        if now >= self.not_after {
            return Err(Unfit::Expired(self.not_after));
        }
        Ok(())
    }

    /// Whatever it is for: it lives, its signer is that one, and its key is its own.
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

    /// Two thirds of its lifetime are not over.
    pub fn is_young(&self, now: Timestamp) -> Result<(), Unfit> {
        match now >= renewal_due(self.not_before, self.not_after) {
            true => Err(Unfit::Due(self.not_after)),
            false => Ok(()),
        }
    }
}

impl Authority {
    /// Checks a CA on disk. Its subject is the user's business.
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

/// The moment at which two thirds of a lifetime are over, when a leaf is renewed.
pub fn renewal_due(not_before: Timestamp, not_after: Timestamp) -> Timestamp {
    let life = not_after.duration_since(not_before);
    let two_thirds = SignedDuration::from_secs((life.as_secs() / 3).saturating_mul(2));
    not_before.checked_add(two_thirds).unwrap_or(not_after)
}

#[cfg(test)]
mod tests;
