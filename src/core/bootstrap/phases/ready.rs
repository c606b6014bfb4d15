//! Phases that wait for the API server, and finally for the node.

use std::time::Duration;

use ipnet::IpNet;

use super::super::step::{Condition, ObjectStep};
use super::super::{Facts, PhaseError, Step};
use crate::core::bootstrap::authorities::ca_files;
use crate::core::model::spec::{Component, Endpoint, Spec};

/// Time for a first start: four minutes, as in kubeadm.
const PATIENCE: Duration = Duration::from_secs(240);

/// Waits until this node's API server reports ready.
pub fn plan_api(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let url = format!("{}/readyz", Endpoint::new(spec.node.address, spec.node.api_port).url());
    Ok(vec![Step::WaitFor { condition: Condition::Answers { url, ca: Some(ca_files(spec).cert) }, within: PATIENCE }])
}

/// Waits until the node is registered, and marks it as a control plane.
pub fn plan_mark(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let name = spec.node.name.clone();
    Ok(vec![
        Step::WaitFor { condition: Condition::NodeRegistered { name: name.clone() }, within: PATIENCE },
        Step::Object(ObjectStep::MarkControlPlane { node: name, taint: spec.node.taint_control_plane }),
    ])
}

/// Marks a cluster's first node and assigns its pod subnets: the first ones, which the controller manager would assign
/// as well, some seconds later. If the size of subnets is set by flag, this is left to the controller manager.
pub fn plan_mark_first(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let mut steps = plan_mark(spec, facts)?;
    let flags = spec.cluster.extra_args.get(Component::ControllerManager.name());
    let sized = flags.is_some_and(|flags| flags.keys().any(|name| name.contains("cidr")));
    if spec.cluster.network.builtin && !spec.cluster.pod_subnets.is_empty() && !sized {
        let subnets = spec.cluster.pod_subnets.iter().map(|subnet| first_subnet(*subnet)).collect();
        steps.push(Step::Object(ObjectStep::AssignPodSubnets { node: spec.node.name.clone(), subnets }));
    }
    Ok(steps)
}

/// The first subnet of the size that the controller manager assigns by default.
fn first_subnet(all: IpNet) -> IpNet {
    let size = if all.addr().is_ipv4() { 24 } else { 64 };
    IpNet::new(all.network(), size.max(all.prefix_len())).unwrap_or(all)
}

/// Waits until the node is Ready, if the cluster itself provides everything that takes.
pub fn plan_node(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    if !spec.cluster.network.builtin {
        return Ok(Vec::new());
    }
    let condition = Condition::NodeReady { name: spec.node.name.clone() };
    Ok(vec![Step::WaitFor { condition, within: PATIENCE }])
}
