//! The definition of a phase.

use super::{Facts, Step};
use crate::core::model::spec::Spec;

/// Why a phase could not be planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhaseError {
    /// A prerequisite is missing.
    #[error("{missing}; {remedy}")]
    NotYet {
        /// The missing prerequisite, e.g. "/etc/kubernetes/pki/ca.crt does not exist yet".
        missing: String,
        /// What the operator has to do.
        remedy: String,
    },
    /// The settings contradict the state of the node.
    #[error("{0}")]
    Invalid(String),
}

/// One phase: id, summary, and its plan.
#[derive(Clone, Copy)]
pub struct Phase {
    /// Name for `--phase` on the command line.
    pub id: &'static str,
    /// One line for `--help`, `--dry-run` and the progress display.
    pub summary: &'static str,
    /// Derives the steps, in order of execution.
    pub plan: fn(&Spec, &Facts) -> Result<Vec<Step>, PhaseError>,
}
