//! The outcome of one step of a plan.

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// Its state was already as wanted.
    Unchanged,
    /// The step was applied.
    Changed,
    /// The step would be applied (dry run).
    Planned,
}

impl StepOutcome {
    /// The outcome as one word, for output and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
            Self::Planned => "planned",
        }
    }
}
