//! Progress events of a run of phases.

use std::time::Duration;

use crate::core::model::StepOutcome;

/// Listens to a run.
pub trait Progress: Send + Sync {
    /// A phase begins: its id, its summary, its place among all (from 1).
    fn phase_begins(&self, id: &str, summary: &str, place: (usize, usize));
    /// A step is being applied; nothing follows for steps that are met.
    fn step_begins(&self, step: &str);
    /// A message of a step that takes long, or something that the user should know.
    fn step_says(&self, _word: &str) {}
    /// A step is done or was found done.
    fn step_ends(&self, phase: &str, step: &str, outcome: StepOutcome);
    /// The phase is done: how many steps it changed.
    fn phase_ends(&self, id: &str, changed: usize, took: Duration);
}
