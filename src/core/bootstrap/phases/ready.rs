//! Phases that wait: for the API server, and at the end for the node.

use std::time::Duration;

use ipnet::IpNet;

use super::super::step::{Condition, ObjectStep};
use super::super::{Facts, PhaseError, Step};
use crate::core::bootstrap::authorities::ca_files;
use crate::core::model::spec::{Endpoint, Spec};

/// How long a first start may take; kubeadm's four minutes.
const PATIENCE: Duration = Duration::from_secs(240);

/// This node's API server says that it is ready.
pub fn plan_api(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let url = format!("{}/readyz", Endpoint::new(spec.node.address, spec.node.api_port).url());
    Ok(vec![Step::WaitFor { condition: Condition::Answers { url, ca: Some(ca_files(spec).cert) }, within: PATIENCE }])
}

/// The node is registered, marked as a control plane.
pub fn plan_mark(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let name = spec.node.name.clone();
    Ok(vec![
        Step::WaitFor { condition: Condition::NodeRegistered { name: name.clone() }, within: PATIENCE },
        Step::Object(ObjectStep::MarkControlPlane { node: name, taint: spec.node.taint_control_plane }),
    ])
}

/// The marks of a cluster's first node, and its pod subnets: the first there are, which the controller manager would
/// give it too, some seconds later. A size of subnets that was set by flag is the controller manager's to know.
pub fn plan_mark_first(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let mut steps = plan_mark(spec, facts)?;
    let flags = spec.cluster.extra_args.get("kube-controller-manager");
    let sized = flags.is_some_and(|flags| flags.keys().any(|name| name.contains("cidr")));
    if spec.cluster.network.builtin && !spec.cluster.pod_subnets.is_empty() && !sized {
        let subnets = spec.cluster.pod_subnets.iter().map(|subnet| first_subnet(*subnet)).collect();
        steps.push(Step::Object(ObjectStep::AssignPodSubnets { node: spec.node.name.clone(), subnets }));
    }
    Ok(steps)
}

/// The first subnet of the sizes that the controller manager gives nodes by default.
fn first_subnet(all: IpNet) -> IpNet {
    let size = if all.addr().is_ipv4() { 24 } else { 64 };
    IpNet::new(all.network(), size.max(all.prefix_len())).unwrap_or(all)
}

/// The node is Ready, when the cluster itself brings all that takes.
pub fn plan_node(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    if !spec.cluster.network.builtin {
        return Ok(Vec::new());
    }
    let condition = Condition::NodeReady { name: spec.node.name.clone() };
    Ok(vec![Step::WaitFor { condition, within: PATIENCE }])
}
