//! Phases `upload-config`, `bootstrap-token` and `addons`: the objects that turn an API server into a cluster.

use serde_json::Value;

use super::super::objects::{
    Addon, ObjectsSpec, render_addons, render_cluster_info, render_kubelet_authority, render_objects,
    render_revoked_rbac, render_settings,
};
use super::super::static_pods::SCRATCH_IMAGE;
use super::super::step::ObjectStep;
use super::super::{Facts, PhaseError, Step};
use crate::core::model::json::{at, put};
use crate::core::model::spec::{Component, ComponentSource, ProxyMode, Spec};

/// RBAC, configuration ConfigMaps and add-ons of a new cluster.
pub fn plan(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    Ok(as_steps(render_objects(&derive(spec)), facts))
}

/// Applies the objects, then deletes the ones that they replace in an existing cluster.
fn as_steps(objects: Vec<Value>, facts: &Facts) -> Vec<Step> {
    let apply = objects.into_iter().map(|object| Step::Object(ObjectStep::Apply { object, create_only: false }));
    let revoked = if facts.has_component(Component::ApiServer) { render_revoked_rbac() } else { Vec::new() };
    apply.chain(revoked.into_iter().map(|object| Step::Object(ObjectStep::Delete { object }))).collect()
}

/// RBAC and configuration of an existing cluster whose version changed.
pub fn plan_settings(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    Ok(as_steps(render_settings(&derive(spec)), facts))
}

/// kube-proxy and CoreDNS of an existing cluster whose version changed. User changes to the Corefile and the number of
/// replicas are kept.
pub fn plan_addons(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let mut steps = Vec::new();
    for mut object in render_addons(&derive(spec)) {
        let (kind, is_dns) = (at(&object, &["kind"]).clone(), at(&object, &["metadata", "name"]) == "coredns");
        if let Some(replicas) = facts.dns_replicas.filter(|_| is_dns && kind == "Deployment") {
            put(&mut object, &["spec", "replicas"], replicas);
        }
        steps.push(Step::Object(ObjectStep::Apply { create_only: is_dns && kind == "ConfigMap", object }));
    }
    Ok(steps)
}

/// `cluster-info` with the API's URL and CA, readable by nodes that want to join.
pub fn plan_cluster_info(spec: &Spec, facts: &Facts) -> Result<Vec<Step>, PhaseError> {
    let ca = facts.ca.as_deref().ok_or_else(|| PhaseError::NotYet {
        missing: format!("{} does not exist yet", spec.node.paths.pki("ca.crt").display()),
        remedy: "run the phase certs first".to_owned(),
    })?;
    let mut objects = render_cluster_info(&spec.cluster.endpoint.to_string(), ca);
    if let Some(serving) = facts.kubelet_serving().and_then(|serving| serving.bundle.as_deref()) {
        objects.extend(render_kubelet_authority(serving));
    }
    Ok(objects.into_iter().map(|object| Step::Object(ObjectStep::Apply { object, create_only: false })).collect())
}

/// The settings that API objects carry.
pub fn derive(spec: &Spec) -> ObjectsSpec {
    let cluster = &spec.cluster;
    let paths = &spec.node.paths;
    let text = |path: &std::path::Path| path.display().to_string();
    let component = |name: &str| match &cluster.source {
        ComponentSource::Host { programs } if programs.contains_key(name) => {
            Addon { image: SCRATCH_IMAGE.to_owned(), host_binary: programs.get(name).map(|path| text(path)) }
        }
        _ => Addon { image: cluster.image(name).to_owned(), host_binary: None },
    };
    let repository = cluster.image("kube-apiserver").rsplit_once('/').map_or("registry.k8s.io", |(before, _)| before);
    let cgroup_driver = cluster.kubelet.get("cgroupDriver").and_then(|value| value.as_str()).unwrap_or("systemd");
    ObjectsSpec {
        cluster_name: cluster.name.clone(),
        kubernetes_version: cluster.version.clone(),
        control_plane_endpoint: cluster.endpoint.to_string(),
        node_endpoint: cluster.node_endpoint().to_string(),
        service_subnets: cluster.service_subnets.clone(),
        pod_subnets: cluster.pod_subnets.clone(),
        dns_domain: cluster.dns_domain.clone(),
        certificates_directory: text(&paths.pki),
        manifests_directory: text(&paths.manifests()),
        etcd_data_directory: text(&paths.etcd_data),
        external_etcd: cluster.external_etcd.clone(),
        hardening: cluster.hardening,
        image_repository: repository.to_owned(),
        cgroup_driver: cgroup_driver.to_owned(),
        coredns: cluster.network.dns.then(|| component("coredns")),
        kubelet_configuration: cluster.kubelet.clone().into(),
        kube_proxy_mode: cluster.network.proxy.map_or("nftables", ProxyMode::as_str).to_owned(),
        kube_proxy_configuration: cluster.kube_proxy.clone().into(),
        builtin_network: cluster.network.builtin,
        cloud_controller: cluster.runs_cloud_controller(),
        kube_proxy: cluster.network.proxy.map(|_| component("kube-proxy")),
    }
}
