//! The API's defaults for pods (`pkg/apis/core/v1/defaults.go`, v1.36.3), for manifests that did not pass an API
//! server.

use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, Pod, PodSecurityContext, PodSpec, Probe, ResourceRequirements, Volume,
};

const VOLUME_MODE: i32 = 0o644;

fn fill<T>(slot: &mut Option<T>, default: impl FnOnce() -> T) {
    if slot.is_none() {
        *slot = Some(default());
    }
}

fn fill_text(slot: &mut Option<String>, default: &str) {
    if slot.as_deref().unwrap_or_default().is_empty() {
        *slot = Some(default.to_string());
    }
}

fn fill_number(slot: &mut Option<i32>, default: i32) {
    if slot.unwrap_or_default() == 0 {
        *slot = Some(default);
    }
}

/// True if an image means the tag `latest`: explicitly, or by having neither tag nor digest.
pub fn means_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    last.rsplit_once(':').is_none_or(|(_, tag)| tag == "latest")
}

/// The pull policy of a container without one.
pub fn default_pull_policy(image: &str) -> &'static str {
    if means_latest(image) { "Always" } else { "IfNotPresent" }
}

/// Fills in every default of the pod.
pub fn apply_defaults(pod: &mut Pod) {
    let spec = pod.spec.get_or_insert_default();
    fill_text(&mut spec.dns_policy, "ClusterFirst");
    fill_text(&mut spec.restart_policy, "Always");
    fill_text(&mut spec.scheduler_name, "default-scheduler");
    fill(&mut spec.security_context, PodSecurityContext::default);
    fill(&mut spec.termination_grace_period_seconds, || 30);
    fill(&mut spec.enable_service_links, || true);
    let host_network = spec.host_network == Some(true);
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        container_defaults(container, host_network);
    }
    for volume in spec.volumes.iter_mut().flatten() {
        volume_defaults(volume);
    }
    pod_level_requests(spec);
    let now_priority = match spec.priority_class_name.as_deref() {
        Some("system-node-critical") => Some(2_000_001_000),
        Some("system-cluster-critical") => Some(2_000_000_000),
        Some(_) | None => None,
    };
    if spec.priority.is_none() {
        spec.priority = now_priority;
    }
}

fn container_defaults(container: &mut Container, host_network: bool) {
    let policy = default_pull_policy(container.image.as_deref().unwrap_or_default());
    fill_text(&mut container.image_pull_policy, policy);
    fill_text(&mut container.termination_message_path, "/dev/termination-log");
    fill_text(&mut container.termination_message_policy, "File");
    for port in container.ports.iter_mut().flatten() {
        fill_text(&mut port.protocol, "TCP");
        if host_network && port.host_port.unwrap_or_default() == 0 {
            port.host_port = Some(port.container_port);
        }
    }
    if let Some(resources) = &mut container.resources {
        requests_from_limits(resources);
    }
    let probes = [&mut container.liveness_probe, &mut container.readiness_probe, &mut container.startup_probe];
    probes.into_iter().flatten().for_each(probe_defaults);
    let hooks = container.lifecycle.iter_mut().flat_map(|l| [&mut l.post_start, &mut l.pre_stop]).flatten();
    for get in hooks.filter_map(|h| h.http_get.as_mut()) {
        fill_text(&mut get.path, "/");
        fill_text(&mut get.scheme, "HTTP");
    }
    for reference in container.env.iter_mut().flatten().filter_map(|e| e.value_from.as_mut()?.field_ref.as_mut()) {
        fill_text(&mut reference.api_version, "v1");
    }
}

fn requests_from_limits(resources: &mut ResourceRequirements) {
    let Some(limits) = &resources.limits else { return };
    let requests = resources.requests.get_or_insert_default();
    for (name, limit) in limits {
        requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
}

fn probe_defaults(probe: &mut Probe) {
    fill_number(&mut probe.timeout_seconds, 1);
    fill_number(&mut probe.period_seconds, 10);
    fill_number(&mut probe.success_threshold, 1);
    fill_number(&mut probe.failure_threshold, 3);
    if let Some(get) = &mut probe.http_get {
        fill_text(&mut get.path, "/");
        fill_text(&mut get.scheme, "HTTP");
    }
    if let Some(grpc) = &mut probe.grpc {
        fill(&mut grpc.service, String::new);
    }
}

fn volume_defaults(volume: &mut Volume) {
    // A volume with only a name is an emptyDir.
    if *volume == (Volume { name: volume.name.clone(), ..Volume::default() }) {
        volume.empty_dir = Some(EmptyDirVolumeSource::default());
    }
    if let Some(image) = &mut volume.image {
        let policy = default_pull_policy(image.reference.as_deref().unwrap_or_default());
        fill_text(&mut image.pull_policy, policy);
    }
    if let Some(host_path) = &mut volume.host_path {
        fill(&mut host_path.type_, String::new);
    }
    if let Some(secret) = &mut volume.secret {
        fill(&mut secret.default_mode, || VOLUME_MODE);
    }
    if let Some(config_map) = &mut volume.config_map {
        fill(&mut config_map.default_mode, || VOLUME_MODE);
    }
    if let Some(downward) = &mut volume.downward_api {
        fill(&mut downward.default_mode, || VOLUME_MODE);
        for reference in downward.items.iter_mut().flatten().filter_map(|i| i.field_ref.as_mut()) {
            fill_text(&mut reference.api_version, "v1");
        }
    }
    if let Some(projected) = &mut volume.projected {
        fill(&mut projected.default_mode, || VOLUME_MODE);
        for source in projected.sources.iter_mut().flatten() {
            if let Some(token) = &mut source.service_account_token {
                fill(&mut token.expiration_seconds, || 3600);
            }
            let items = source.downward_api.iter_mut().flat_map(|d| d.items.iter_mut().flatten());
            for reference in items.filter_map(|i| i.field_ref.as_mut()) {
                fill_text(&mut reference.api_version, "v1");
            }
        }
    }
    if let Some(iscsi) = &mut volume.iscsi {
        fill_text(&mut iscsi.iscsi_interface, "default");
    }
}

/// Pod-level limits become pod-level requests if neither the pod nor any container has requests.
fn pod_level_requests(spec: &mut PodSpec) {
    let stated: Vec<String> = spec
        .containers
        .iter()
        .filter_map(|c| c.resources.as_ref()?.requests.as_ref())
        .flat_map(|r| r.keys().cloned())
        .collect();
    let Some(resources) = &mut spec.resources else { return };
    let Some(limits) = resources.limits.clone() else { return };
    let requests = resources.requests.get_or_insert_default();
    for (name, limit) in limits.into_iter().filter(|(name, _)| !stated.contains(name)) {
        requests.entry(name).or_insert(limit);
    }
}
