//! Phase `agent`: the node agent, which maintains the pod network and approves serving certificates.

use super::super::units;
use super::super::{Facts, PhaseError, Step};
use crate::core::model::spec::Spec;

/// The agent of a control plane.
pub fn plan(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    Ok(start(spec, units::render_agent(spec, true)))
}

/// The agent of a worker.
pub fn plan_worker(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    // Not readable for the agent; its unit requires that it exists.
    let mut steps = vec![Step::EnsureDir { path: spec.node.paths.manifests(), mode: 0o700 }];
    steps.extend(start(spec, units::render_agent(spec, false)));
    Ok(steps)
}

fn start(spec: &Spec, content: String) -> Vec<Step> {
    let path = spec.node.paths.units.join(units::AGENT);
    vec![
        // The only folder that the agent's unit may write; it must exist before the unit starts.
        Step::EnsureDir { path: spec.node.paths.cni_conf.clone(), mode: 0o755 },
        Step::WriteUnit { path: path.clone(), content },
        Step::EnableUnit { unit: units::AGENT.to_owned() },
        Step::StartUnit { unit: units::AGENT.to_owned(), configured_by: vec![path] },
    ]
}
