//! Phases that wait: for the API server, and at the end for the node.

use std::time::Duration;

use super::super::step::Condition;
use super::super::{Facts, PhaseError, Step};
use super::certs::ca_files;
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
        Step::MarkControlPlane { node: name, taint: spec.node.taint_control_plane },
    ])
}

/// The node is Ready, when the cluster itself brings all that takes.
pub fn plan_node(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    if !spec.cluster.network.builtin {
        return Ok(Vec::new());
    }
    let condition = Condition::NodeReady { name: spec.node.name.clone() };
    Ok(vec![Step::WaitFor { condition, within: PATIENCE }])
}
