//! Phases `kubelet-bootstrap` and `kubelet-wait-bootstrap`: a kubeconfig with the token, by which the kubelet obtains
//! its own client certificate, and its removal afterwards.

use std::time::Duration;

use serde_json::json;

use super::super::step::{Condition, Content, FileStep};
use super::super::{Facts, PhaseError, Step};
use crate::core::bootstrap::objects::render_yaml;
use crate::core::model::Secret;
use crate::core::model::spec::Spec;

/// File name of the kubeconfig that holds the token.
pub const BOOTSTRAP_CONF: &str = "bootstrap-kubelet.conf";

/// Time for the cluster to sign the kubelet's certificate and to register the node.
const PATIENCE: Duration = Duration::from_secs(120);

/// The CA's certificate, and the token's kubeconfig unless the kubelet already has its own.
pub fn plan(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let paths = &spec.node.paths;
    let joining = facts.joining.as_ref().ok_or_else(|| PhaseError::NotYet {
        missing: "the cluster has not been discovered yet".to_owned(),
        remedy: "pass the endpoint, --token and --ca-hash".to_owned(),
    })?;
    let mut steps = vec![
        Step::File(FileStep::EnsureDir { path: paths.kubernetes.clone(), mode: 0o755 }),
        Step::File(FileStep::EnsureDir { path: paths.pki.clone(), mode: 0o755 }),
        Step::File(FileStep::Write {
            path: paths.pki("ca.crt"),
            mode: 0o644,
            content: Content::Text(joining.ca.clone()),
        }),
    ];
    if facts.kubelet_credentials {
        return Ok(steps);
    }
    let token = joining.token.as_ref().ok_or_else(|| PhaseError::NotYet {
        missing: "this node has neither a certificate nor a token to request one".to_owned(),
        remedy: "pass --token; `bootstrap token create --print-join-command` on a control plane creates one".to_owned(),
    })?;
    steps.push(Step::File(FileStep::Write {
        path: paths.kubeconfig(BOOTSTRAP_CONF),
        mode: 0o600,
        content: Content::Secret(Secret::new(render_bootstrap_kubeconfig(spec, &joining.ca, token.reveal()))),
    }));
    Ok(steps)
}

/// Waits for the kubelet's own kubeconfig and its Node, then deletes the token from the disk.
pub fn plan_wait(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let paths = &spec.node.paths;
    let wait = |condition| Step::WaitFor { condition, within: PATIENCE };
    Ok(vec![
        wait(Condition::KubeletCredentials {
            path: paths.kubeconfig("kubelet.conf"),
            bootstrap: paths.kubeconfig(BOOTSTRAP_CONF),
            node: spec.node.name.clone(),
            denied: facts.joining.iter().flat_map(|joining| joining.denied.clone()).collect(),
        }),
        wait(Condition::NodeRegistered { name: spec.node.name.clone() }),
        Step::File(FileStep::Remove { path: paths.kubeconfig(BOOTSTRAP_CONF) }),
    ])
}

fn render_bootstrap_kubeconfig(spec: &Spec, ca: &str, token: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let name = &spec.cluster.name;
    let user = "tls-bootstrap-token-user";
    let context = format!("{user}@{name}");
    render_yaml(&json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": name,
            "cluster": { "certificate-authority-data": STANDARD.encode(ca), "server": spec.cluster.node_endpoint().url() },
        }],
        "contexts": [{ "name": context, "context": { "cluster": name, "user": user } }],
        "current-context": context,
        "users": [{ "name": user, "user": { "token": token } }],
    }))
}
