//! The stages of a pod on the node. They only ever go forward.

use crate::core::model::Observed;

/// Where a pod stands in its life on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Not admitted yet, or another pod of its name still holds the slot.
    Waiting,
    /// Admitted; no container of it has run yet.
    Starting,
    /// A container runs or has run.
    Running,
    /// Its containers are being ended.
    Terminating,
    /// Nothing of it runs; volumes and cgroups are being taken away.
    Terminated {
        /// They are gone.
        cleaned: bool,
    },
    /// Nothing of it is left but records for logs; its name is free.
    Finished {
        /// Everybody has heard of it.
        told: bool,
        /// The records are gone too, or are left to the next look for pods that nobody wants.
        records_removed: bool,
    },
}

/// What decides the next stage.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// It may run.
    pub admitted: bool,
    /// It is to be ended.
    pub ends: bool,
    /// The runtime's records.
    pub observed: &'a Observed,
    /// An action of the pod is under way.
    pub busy: bool,
}

impl Stage {
    /// The stage that the facts allow; at most one ahead for each look.
    pub fn next(self, facts: &Facts<'_>) -> Self {
        let alive = facts.observed.alive().next().is_some() || facts.observed.sandboxes.iter().any(|s| s.ready);
        match self {
            Self::Waiting | Self::Starting | Self::Running if facts.ends => Self::Terminating,
            Self::Waiting if facts.admitted => Self::Starting,
            Self::Starting if facts.observed.containers.iter().any(|c| c.started_at.is_some()) => Self::Running,
            Self::Terminating if !alive && !facts.busy => Self::Terminated { cleaned: false },
            Self::Terminated { cleaned: true } => Self::Finished { told: false, records_removed: false },
            same => same,
        }
    }

    /// Whether nothing of the pod runs any more.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Terminated { .. } | Self::Finished { .. })
    }

    /// Whether the pod is being ended or has ended.
    pub fn ends(self) -> bool {
        self >= Self::Terminating
    }
}
