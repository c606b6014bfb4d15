//! Phase `agent`: the node agent, which maintains the pod network and approves serving certificates.

use super::super::step::{FileStep, UnitStep};
use super::super::units;
use super::super::{Facts, PhaseError, Step};
use crate::core::model::spec::Spec;

/// The agent of a control plane.
pub fn plan(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    Ok(start(spec, units::render_agent(spec, true)))
}

/// The agent of a worker.
pub fn plan_worker(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    // Closed to the agent, and so there before it.
    let mut steps = vec![Step::File(FileStep::EnsureDir { path: spec.node.paths.manifests(), mode: 0o700 })];
    steps.extend(start(spec, units::render_agent(spec, false)));
    Ok(steps)
}

fn start(spec: &Spec, content: String) -> Vec<Step> {
    let path = spec.node.paths.units.join(units::AGENT);
    vec![
        // The agent may write nothing but this folder, so it must be there before.
        Step::File(FileStep::EnsureDir { path: spec.node.paths.cni_conf.clone(), mode: 0o755 }),
        Step::Unit(UnitStep::Write { path: path.clone(), content }),
        Step::Unit(UnitStep::Enable { unit: units::AGENT.to_owned() }),
        Step::Unit(UnitStep::Start { unit: units::AGENT.to_owned(), configured_by: vec![path] }),
    ]
}
