//! Steps for a node whose system declares the units itself (NixOS): units are checked, never written or enabled.
//!
//! Services of control-plane components are still written here: their flags contain what only the node knows, such as
//! the members of etcd. The system enables them and may extend them by drop-ins.

use std::path::{Path, PathBuf};

use super::Step;
use super::services;
use super::step::{FileStep, UnitStep};
use super::units::{AGENT, JOINED_FILE};
use crate::core::model::spec::{Component, Spec};

/// The steps for this node: unchanged, or adapted to declared units.
pub fn for_node(steps: Vec<Step>, spec: &Spec) -> Vec<Step> {
    if !spec.node.declared_units {
        return steps;
    }
    steps.into_iter().flat_map(|step| declared(step, spec)).collect()
}

fn declared(step: Step, spec: &Spec) -> Option<Step> {
    let units = &spec.node.paths.units;
    match step {
        Step::Unit(UnitStep::Write { path, .. }) if is_declared(&path) => {
            // Settings of single units are the system's too; whether they exist does not show in a unit.
            let unit = unit_of(&path).filter(|_| path.parent() == Some(units))?;
            Some(Step::Unit(UnitStep::Find { unit, enabled: false }))
        }
        Step::File(FileStep::EnsureDir { path, .. }) if path.parent() == Some(units) => None,
        Step::Unit(UnitStep::Enable { unit }) => Some(Step::Unit(UnitStep::Find { unit, enabled: true })),
        Step::Unit(UnitStep::Remove { path }) if is_declared(&path) => None,
        Step::Unit(UnitStep::Start { unit, configured_by }) => {
            let mut configured_by: Vec<PathBuf> =
                configured_by.into_iter().filter(|path| !path.starts_with(units) || !is_declared(path)).collect();
            if unit == AGENT {
                configured_by.push(JOINED_FILE.into());
            }
            Some(Step::Unit(UnitStep::Start { unit, configured_by }))
        }
        other => Some(other),
    }
}

/// `true` for all our units except the components' services.
fn is_declared(path: &Path) -> bool {
    let of_component = |unit: String| Component::ALL.into_iter().any(|component| services::unit(component) == unit);
    !unit_of(path).is_some_and(of_component)
}

fn unit_of(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}
