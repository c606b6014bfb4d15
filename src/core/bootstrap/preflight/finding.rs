//! What the machine is checked for, and what was found.

use super::check::Check;

/// One problem of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check that failed.
    pub check: Check,
    /// True if the run cannot succeed; otherwise the finding is only a warning.
    pub fatal: bool,
    /// The problem, e.g. "swap is enabled (/dev/sda2)".
    pub problem: String,
    /// What the operator can do about it.
    pub remedy: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

/// The command that the checks are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A new cluster: `bootstrap init`.
    Init,
    /// A new node of a cluster: `bootstrap join`.
    Join,
    /// A change of an existing node.
    Change,
}

/// What the machine is to become.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The command that the checks are for.
    pub purpose: Purpose,
    /// True for a control plane.
    pub control_plane: bool,
    /// The CA certificates of the cluster to join, PEM; `None` if there is none or it was not found.
    pub cluster_ca: Option<&'a str>,
}

/// The findings so far.
#[derive(Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn fatal(&mut self, check: Check, problem: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding { check, fatal: true, problem: problem.into(), remedy: remedy.into() });
    }

    pub(super) fn warn(&mut self, check: Check, problem: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding { check, fatal: false, problem: problem.into(), remedy: remedy.into() });
    }
}
