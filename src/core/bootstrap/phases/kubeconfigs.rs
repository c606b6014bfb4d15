//! Phase `kubeconfig`: the client configurations of administrators, the kubelet and the controllers.

use std::collections::BTreeSet;

use super::super::authorities::ca_files;
use super::super::kubeconfig::{CLOUD_CONF, SERVING_APPROVER_CONF};
use super::super::pki::{Leaf, Subject, Usage};
use super::super::step::{ClientKubeconfig, FileStep, KubeconfigStep};
use super::super::{Facts, PhaseError, Step, units};
use crate::core::bootstrap::objects::{CLOUD_CONTROLLER, SERVING_APPROVER};
use crate::core::model::spec::{Endpoint, Spec};

/// All kubeconfigs of the first control plane.
pub fn plan(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let all = kubeconfigs(spec);
    plan_some(spec, facts, all)
}

/// The kubeconfigs of an additional control plane: its kubelet gets one by its token, and the emergency credentials
/// (`super-admin.conf`) stay on the first node.
pub fn plan_joining(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let mut all = kubeconfigs(spec);
    all.retain(is_of_joining);
    plan_some(spec, facts, all)
}

/// True for the kubeconfigs that every control plane has.
pub fn is_of_joining(config: &ClientKubeconfig) -> bool {
    !config.path.ends_with("kubelet.conf") && !config.path.ends_with("super-admin.conf")
}

/// The kubeconfigs of an existing control plane: only those it has, except the one that its kubelet renews.
pub fn plan_renewal(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let mut all = kubeconfigs(spec);
    all.retain(|config| facts.super_admin || !config.path.ends_with("super-admin.conf"));
    all.retain(|config| !facts.kubelet_rotates || !config.path.ends_with("kubelet.conf"));
    plan_some(spec, facts, all)
}

/// The kubeconfigs of a control plane whose settings changed. The kubelet's own credentials are not touched.
pub fn plan_settled(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let mut steps = plan_renewal(spec, facts)?;
    let kubelet = spec.node.paths.kubeconfig("kubelet.conf");
    steps.retain(|step| !matches!(step, Step::Kubeconfig(KubeconfigStep::Write(config)) if config.path == kubelet));
    steps.extend(plan_kubelet(spec, facts)?);
    Ok(steps)
}

/// Server and CA in the kubeconfigs of the kubelet and the agent.
pub fn plan_kubelet(spec: &Spec, _facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    Ok(vec![Step::Kubeconfig(KubeconfigStep::Point {
        path: spec.node.paths.kubeconfig("kubelet.conf"),
        server: spec.cluster.node_endpoint().url(),
        ca: ca_files(spec).cert,
        readers: vec![units::KUBELET.to_owned(), units::AGENT.to_owned()],
    })])
}

fn plan_some(spec: &Spec, facts: &Facts, all: Vec<ClientKubeconfig>) -> Result<Vec<Step>, PhaseError> {
    let mut steps = vec![Step::File(FileStep::EnsureDir { path: spec.node.paths.kubernetes.clone(), mode: 0o755 })];
    // With the CA's key elsewhere they were brought along (phase certs).
    if !facts.external_ca() {
        steps.extend(all.into_iter().map(|one| Step::Kubeconfig(KubeconfigStep::Write(one))));
    }
    Ok(steps)
}

/// Every kubeconfig with a certificate made here.
pub fn kubeconfigs(spec: &Spec) -> Vec<ClientKubeconfig> {
    let here = Endpoint::new(spec.node.address, spec.node.api_port).url();
    // Without a shared address of all API servers, administrators of this node use its own.
    let anywhere = if spec.cluster.local_balancer { here.clone() } else { spec.cluster.endpoint.url() };
    let of_node = spec.cluster.node_endpoint().url();
    let config = |file: &str, server: &str, subject| ClientKubeconfig {
        path: spec.node.paths.kubeconfig(file),
        cluster: spec.cluster.name.clone(),
        server: server.to_owned(),
        ca: ca_files(spec),
        leaf: Leaf {
            signer: ca_files(spec),
            subject,
            usage: Usage::Client,
            sans: BTreeSet::new(),
            life: spec.cluster.certs.leaf,
        },
    };
    let mut all = vec![
        config("admin.conf", &anywhere, Subject::in_group("kubernetes-admin", "kubeadm:cluster-admins")),
        config("super-admin.conf", &anywhere, Subject::in_group("kubernetes-super-admin", "system:masters")),
        config("kubelet.conf", &of_node, Subject::in_group(format!("system:node:{}", spec.node.name), "system:nodes")),
        config("controller-manager.conf", &here, Subject::named("system:kube-controller-manager")),
        config("scheduler.conf", &here, Subject::named("system:kube-scheduler")),
        config(SERVING_APPROVER_CONF, &here, Subject::named(SERVING_APPROVER)),
    ];
    if spec.cluster.runs_cloud_controller() {
        all.push(config(CLOUD_CONF, &here, Subject::named(CLOUD_CONTROLLER)));
    }
    all
}
