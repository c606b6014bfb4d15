//! Phase `kubelet-start`: the kubelet's configuration, its unit, and starting it.

use super::super::step::{Content, FileStep, UnitStep};
use super::super::units;
use super::super::{Facts, PhaseError, Step};
use crate::core::bootstrap::objects::{merge, render_control_plane_taint, render_kubelet_configuration, render_yaml};
use crate::core::model::Version;
use crate::core::model::json::put;
use crate::core::model::release::VERSION_FIELD;
use crate::core::model::spec::Spec;

/// The kubelet of a control plane: registers with the taint that repels ordinary pods.
pub fn plan(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let mut steps = Vec::new();
    for (name, content) in units::STATIC_POD_ORDER {
        let path = spec.node.paths.units.join(name);
        steps.extend(
            path.parent().map(|folder| Step::File(FileStep::EnsureDir { path: folder.to_owned(), mode: 0o755 })),
        );
        steps.push(Step::Unit(UnitStep::Write { path, content: content.to_owned() }));
    }
    steps.extend(plan_with(spec, facts, spec.node.taint_control_plane)?);
    Ok(steps)
}

/// The kubelet of a worker.
pub fn plan_worker(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    plan_with(spec, facts, false)
}

/// The version that the kubelet may claim at most: the cluster's; until every API server has that minor version, the
/// oldest one's.
fn claimed_version(spec: &Spec, facts: &Facts) -> String {
    let wanted = spec.cluster.version.parse::<Version>().ok();
    let is_older = |oldest: &Version| wanted.and_then(|wanted| wanted.minors_ahead_of(*oldest)).is_some_and(|n| n > 0);
    let oldest = facts.oldest_api_server.filter(is_older);
    oldest.map_or_else(|| spec.cluster.version.clone(), |oldest| oldest.to_string())
}

fn plan_with(spec: &Spec, facts: &Facts, control_plane_taint: bool) -> Result<Vec<Step>, PhaseError> {
    let paths = &spec.node.paths;
    let mut configuration = render_kubelet_configuration(&super::objects::derive(spec));
    merge(&mut configuration, &spec.node.kubelet.clone().into());
    let mut taints: Vec<serde_json::Value> = spec
        .node
        .taints
        .iter()
        .map(|taint| serde_json::json!({"key": taint.key, "value": taint.value, "effect": taint.effect}))
        .collect();
    if control_plane_taint {
        taints.push(render_control_plane_taint());
    }
    if !taints.is_empty() {
        put(&mut configuration, &["registerWithTaints"], taints);
    }
    let socket = format!("unix://{}", spec.node.runtime_socket.display());
    put(&mut configuration, &["containerRuntimeEndpoint"], socket);
    if configuration.get("resolvConf").is_none()
        && let Some(path) = &facts.resolv_conf
    {
        put(&mut configuration, &["resolvConf"], path.display().to_string());
    }
    put(&mut configuration, &[VERSION_FIELD], claimed_version(spec, facts));
    let unit_file = paths.units.join(units::KUBELET);
    let config_file = paths.kubelet_config();
    let unit = |name: &str, content: String| Step::Unit(UnitStep::Write { path: paths.units.join(name), content });
    Ok(vec![
        Step::File(FileStep::EnsureDir { path: paths.kubelet.clone(), mode: 0o755 }),
        Step::File(FileStep::EnsureDir { path: paths.manifests(), mode: 0o700 }),
        Step::File(FileStep::Write {
            path: config_file.clone(),
            mode: 0o600,
            content: Content::Text(render_yaml(&configuration)),
        }),
        unit(units::STATIC_POD, units::render_static_pod(spec)),
        unit(units::STATIC_PODS, units::render_static_pods()),
        Step::Unit(UnitStep::Write { path: unit_file.clone(), content: units::render_kubelet(spec) }),
        Step::Unit(UnitStep::Enable { unit: units::KUBELET.to_owned() }),
        Step::Unit(UnitStep::Start { unit: units::KUBELET.to_owned(), configured_by: vec![config_file, unit_file] }),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::cluster::{HostDefaults, Layers, derive_spec};

    #[test]
    fn the_kubelet_may_not_claim_more_than_the_oldest_api_server_has() {
        let host = HostDefaults { name: "n1".into(), address: Some([10, 0, 0, 1].into()), program: "/b".into() };
        let mut layers = Layers::defaults();
        assert_eq!(layers.add_flag("cluster.kubernetes_version", "v1.37.2"), []);
        let spec = derive_spec(&layers, &host).unwrap();
        let mut facts = Facts::at(jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(claimed_version(&spec, &facts), spec.cluster.version);
        for (oldest, claimed) in [("v1.36.3", "v1.36.3"), ("v1.37.0", "v1.37.2"), ("v1.38.0", "v1.37.2")] {
            facts.oldest_api_server = oldest.parse().ok();
            assert_eq!(claimed_version(&spec, &facts), claimed);
        }
    }
}
