//! Phases `etcd` and `control-plane`: the manifests that the kubelet runs without any API server.

use super::super::static_pods::{self, CONTROL_PLANE, ETCD};
use super::super::step::Content;
use super::super::{Facts, PhaseError, Step};
use crate::core::model::Secret;
use crate::core::model::spec::Spec;

/// etcd's folder and manifest; nothing with an external etcd.
pub fn plan_etcd(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    if spec.cluster.external_etcd.is_some() {
        return Ok(Vec::new());
    }
    let mut steps = vec![Step::EnsureDir { path: spec.node.paths.etcd_data.clone(), mode: 0o700 }];
    steps.extend(manifests(spec, facts, &[ETCD])?);
    Ok(steps)
}

/// API server, controller manager and scheduler.
pub fn plan_control_plane(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    manifests(spec, facts, &CONTROL_PLANE)
}

fn manifests(spec: &Spec, facts: &Facts, components: &[&str]) -> Result<Vec<Step>, PhaseError> {
    let folder = spec.node.paths.manifests();
    let mut steps = vec![Step::EnsureDir { path: folder.clone(), mode: 0o700 }];
    for component in components {
        let manifest =
            static_pods::render(component, spec, facts).map_err(|error| PhaseError::Invalid(error.to_string()))?;
        // Extra flags may hold a secret, so the content stays out of what is printed.
        let content = Content::Secret(Secret::new(manifest));
        steps.push(Step::WriteFile { path: folder.join(format!("{component}.yaml")), mode: 0o600, content });
    }
    Ok(steps)
}
