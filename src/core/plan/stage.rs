//! The stages of a pod on the node. They only advance.

use crate::core::model::Observed;

/// The stage of a pod's life on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Not admitted yet, or another pod of its name still exists.
    Waiting,
    /// Admitted; none of its containers has run yet.
    Starting,
    /// A container runs or has run.
    Running,
    /// Its containers are being killed.
    Terminating,
    /// Nothing of it runs; volumes and cgroups are being removed.
    Terminated {
        /// True once volumes and cgroups are removed.
        cleaned: bool,
    },
    /// Only records for logs are left; its name is free.
    Finished {
        /// True once the final status is published.
        told: bool,
        /// True once the records are removed too, or left to the periodic cleanup of orphans.
        records_removed: bool,
    },
}

/// Input of the next stage.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Admission accepted the pod.
    pub admitted: bool,
    /// The pod has to terminate.
    pub ends: bool,
    /// The pod's sandboxes and containers in the runtime.
    pub observed: &'a Observed,
    /// An action of the pod is being executed.
    pub busy: bool,
}

impl Stage {
    /// The next stage according to the facts; it advances by at most one per call.
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

    /// True if nothing of the pod runs any more.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Terminated { .. } | Self::Finished { .. })
    }

    /// True if the pod terminates or has terminated.
    pub fn ends(self) -> bool {
        self >= Self::Terminating
    }
}
