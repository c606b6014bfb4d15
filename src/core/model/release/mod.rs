//! What depends on the minor version of Kubernetes: one table, which everything else asks.
//!
//! A cluster has one minor version; a kubelet claims one for as long as its process runs. Whatever differs between the
//! versions that this program supports is a value of [`Release`]; nothing else compares a version with a number. Only the
//! rules of skew compare versions, and they compare two that run.

mod claim;
mod gates;
mod record;
mod table;

use super::Version;

pub use claim::{Claim, ClaimError, Known, decide};
pub use gates::{GateState, Stage};
pub use record::Release;

/// A field of our own in a kubelet's configuration file, which the bootstrapper writes on each node: the version that the
/// kubelet may claim at most. It is no part of the effective configuration, and upstream's kubelet ignores it.
pub const VERSION_FIELD: &str = "kubernetesVersion";

impl Release {
    /// The newest minor version that this program supports.
    pub fn newest() -> &'static Self {
        &table::V1_37
    }

    /// The oldest minor version that this program supports.
    pub fn oldest() -> &'static Self {
        &table::V1_35
    }

    /// All of them, oldest first.
    pub fn all() -> [&'static Self; 3] {
        [&table::V1_35, &table::V1_36, &table::V1_37]
    }

    /// The minor version to which a version belongs; `None` if it is not supported.
    pub fn of(version: Version) -> Option<&'static Self> {
        Self::all().into_iter().find(|release| version.major == 1 && version.minor == release.minor)
    }

    /// The newest minor version that is not newer than `version`; `None` if all are newer.
    pub fn up_to(version: Version) -> Option<&'static Self> {
        let reached = |release: &&'static Self| (version.major, version.minor) >= (1, release.minor);
        Self::all().into_iter().rev().find(reached)
    }

    /// The minor version as it is written, e.g. `v1.37`.
    pub fn name(&self) -> String {
        format!("v1.{}", self.minor)
    }

    /// The supported minor versions, e.g. `v1.35 to v1.37`.
    pub fn range() -> String {
        format!("{} to {}", Self::oldest().name(), Self::newest().name())
    }

    /// The minor version before this one, as settings name it, e.g. `1.36`.
    pub fn previous(&self) -> String {
        format!("1.{}", self.minor.saturating_sub(1))
    }

    /// State of a feature gate; `None` if this version has no gate of this name.
    pub fn gate(&self, name: &str) -> Option<GateState> {
        gates::state(name, self.column)
    }

    /// All feature gates of this version, by name.
    pub fn gates(&self) -> impl Iterator<Item = (&'static str, GateState)> + use<> {
        gates::of_column(self.column)
    }

    /// True if an older version had a gate of this name and this one has none any more: the feature is permanent.
    pub fn has_outlived(&self, name: &str) -> bool {
        let older = Self::all().into_iter().filter(|release| release.minor < self.minor);
        self.gate(name).is_none() && older.into_iter().any(|release| release.gate(name).is_some())
    }

    /// What is known of a feature gate that this version does not have.
    pub fn why_no_gate(&self, name: &str) -> String {
        let has = |release: &&&Self| release.gate(name).is_some();
        let all = Self::all();
        let (older, newer) =
            (all.iter().rev().filter(|r| r.minor < self.minor), all.iter().filter(|r| r.minor > self.minor));
        match (older.clone().find(has), newer.clone().find(has)) {
            (Some(last), _) => format!("unknown feature gate: removed in v1.{}", last.minor.saturating_add(1)),
            (None, Some(first)) => format!("unknown feature gate: it comes with {}", first.name()),
            (None, None) => "unknown feature gate".to_owned(),
        }
    }

    /// The minor version that removed this flag of a component; `None` if this version still has it, as far as is known.
    /// `flag` is without dashes.
    pub fn removal_of(&self, component: &str, flag: &str) -> Option<String> {
        let removed = table::REMOVED_FLAGS.iter().find(|removed| removed.is(component, flag))?;
        (self.minor >= removed.minor).then(|| format!("v1.{}", removed.minor))
    }
}

#[cfg(test)]
mod tests;
