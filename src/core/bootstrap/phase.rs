//! What a phase is.

use super::{Facts, Step};
use crate::core::model::spec::Spec;

/// Why a phase has no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhaseError {
    /// Something must be there first.
    #[error("{missing}; {remedy}")]
    NotYet {
        /// What is missing.
        missing: String,
        /// What to do.
        remedy: String,
    },
    /// The settings cannot be met.
    #[error("{0}")]
    Invalid(String),
}

/// One phase: a name, a line for people, and its plan.
#[derive(Clone, Copy)]
pub struct Phase {
    /// Name for `--phase`.
    pub id: &'static str,
    /// One line for `--help`, `--dry-run` and the progress display.
    pub summary: &'static str,
    /// The steps that make it so, in order.
    pub plan: fn(&Spec, &Facts) -> Result<Vec<Step>, PhaseError>,
}
