//! What became of one step of a plan.

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// It was as wanted.
    Unchanged,
    /// It was done.
    Changed,
    /// It would be done (dry run).
    Planned,
}

impl StepOutcome {
    /// One word for machines and people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
            Self::Planned => "planned",
        }
    }
}
