//! Checks of the machine before anything is changed: problems, each with its check and a remedy.
//!
//! Facts go in ([`MachineState`]), findings come out; `adapters/preflight` observes.

mod check;
mod cluster;
mod finding;
mod firewall;
mod machine;
mod needs;
mod network;
#[cfg(test)]
mod tests;

pub use check::{Check, Ignored, UnknownCheck};
use finding::Findings;
pub use finding::{Finding, Purpose, Target};
pub use firewall::parse_chains;
pub use needs::{control_plane_ports, wanted_programs, worker_ports};

use crate::core::model::preflight::MachineState;
use crate::core::model::spec::Spec;

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
