//! Checks of the machine before anything is changed: problems, each with its check and a remedy.
//!
//! Facts go in ([`MachineState`]), findings come out; `adapters/preflight` observes.

mod check;
mod cluster;
mod firewall;
mod machine;
mod needs;
mod network;
#[cfg(test)]
mod tests;

pub use check::{Check, Ignored, UnknownCheck};
pub use firewall::parse_chains;
pub use needs::{control_plane_ports, wanted_programs, worker_ports};

use crate::core::model::preflight::MachineState;
use crate::core::model::spec::Spec;

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
    /// `bootstrap init`.
    Init,
    /// `bootstrap join`.
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
struct Findings(Vec<Finding>);

impl Findings {
    fn fatal(&mut self, check: Check, problem: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding { check, fatal: true, problem: problem.into(), remedy: remedy.into() });
    }

    fn warn(&mut self, check: Check, problem: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding { check, fatal: false, problem: problem.into(), remedy: remedy.into() });
    }
}

/// Checks the machine; fatal findings come first.
pub fn check(spec: &Spec, target: &Target<'_>, machine: &MachineState) -> Vec<Finding> {
    let mut findings = Findings::default();
    machine::check(spec, target, machine, &mut findings);
    network::check(spec, target, machine, &mut findings);
    cluster::check(spec, target, machine, &mut findings);
    let mut findings = findings.0;
    findings.sort_by_key(|finding| !finding.fatal);
    findings
}
