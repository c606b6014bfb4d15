//! Progress events of a run of phases.

use std::time::Duration;

use crate::core::model::StepOutcome;

/// Receives the events of a run.
pub trait Progress: Send + Sync {
    /// A phase begins: its id, its summary, its position among all (from 1).
    fn phase_begins(&self, id: &str, summary: &str, place: (usize, usize));
    /// A step is being applied; not called for steps that are met.
    fn step_begins(&self, step: &str);
    /// A message of a step that takes long, or that the user should know.
    fn step_says(&self, _word: &str) {}
    /// A step was applied, or was already met.
    fn step_ends(&self, phase: &str, step: &str, outcome: StepOutcome);
    /// The phase is complete; `changed` is the number of applied steps.
    fn phase_ends(&self, id: &str, changed: usize, took: Duration);
}
