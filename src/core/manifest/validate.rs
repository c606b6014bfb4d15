//! The API server's validation of new pods, as far as authors of manifests are likely to violate it
//! (`pkg/apis/core/validation/validation.go`).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Probe, ResourceRequirements, Volume};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Finding;
use super::names::{is_dns_label, is_dns_subdomain, is_label_value, is_port_name, is_qualified_name};
use crate::core::model::Amount;
use crate::core::model::words::unknown_words;

/// Validates a defaulted pod; no findings means it is valid.
pub fn validate_pod(pod: &Pod) -> Vec<Finding> {
    let mut out = Findings(Vec::new());
    metadata(pod, &mut out);
    match &pod.spec {
        Some(spec) => self::spec(spec, &mut out),
        None => out.add("spec", "is missing"),
    }
    for word in unknown_words(pod) {
        out.add(word.field.as_str(), word.message());
    }
    out.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Finding::of(field, message));
    }
}

fn metadata(pod: &Pod, out: &mut Findings) {
    let meta = &pod.metadata;
    let name = meta.name.as_deref().unwrap_or_default();
    if !is_dns_subdomain(name) {
        out.add("metadata.name", format!("{name:?} is not a name: want lower-case letters, digits, '-' and '.'"));
    }
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    if !is_dns_label(namespace) {
        out.add("metadata.namespace", format!("{namespace:?} is not a namespace name"));
    }
    for (key, value) in meta.labels.iter().flatten() {
        if !is_qualified_name(key) || !is_label_value(value) {
            out.add("metadata.labels", format!("{key}={value} is not a label"));
        }
    }
    for key in meta.annotations.iter().flatten().map(|(key, _)| key) {
        if !is_qualified_name(&key.to_lowercase()) {
            out.add("metadata.annotations", format!("{key:?} is not an annotation key"));
        }
    }
    // The uid becomes the name of a directory and a cgroup.
    if let Some(uid) = &meta.uid
        && (uid.len() > 64 || !uid.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
    {
        out.add("metadata.uid", "want at most 64 letters, digits and '-'");
    }
}

fn spec(spec: &PodSpec, out: &mut Findings) {
    if spec.termination_grace_period_seconds.is_some_and(|s| s < 0) {
        out.add("spec.terminationGracePeriodSeconds", "must not be negative");
    }
    if spec.active_deadline_seconds.is_some_and(|s| s < 1) {
        out.add("spec.activeDeadlineSeconds", "must be at least 1");
    }
    if let Some(hostname) = &spec.hostname
        && !is_dns_label(hostname)
    {
        out.add("spec.hostname", format!("{hostname:?} is not a host name"));
    }
    if spec.ephemeral_containers.as_ref().is_some_and(|c| !c.is_empty()) {
        out.add("spec.ephemeralContainers", "cannot be set at creation");
    }
    let volumes = volumes(spec, out);
    if spec.containers.is_empty() {
        out.add("spec.containers", "a pod needs at least one container");
    }
    let mut names = BTreeSet::new();
    let mut host_ports = BTreeSet::new();
    let host_network = spec.host_network == Some(true);
    let init = spec.init_containers.iter().flatten().enumerate().map(|(i, c)| (format!("spec.initContainers[{i}]"), c));
    let regular = spec.containers.iter().enumerate().map(|(i, c)| (format!("spec.containers[{i}]"), c));
    for (at, c) in init.chain(regular) {
        let is_init = at.starts_with("spec.init");
        if !names.insert(c.name.clone()) {
            out.add(format!("{at}.name"), format!("there is another container named {:?}", c.name));
        }
        container(&at, c, out);
        container_kind(&at, c, is_init, out);
        mounts(&at, c, &volumes, out);
        ports(&at, c, host_network, (!is_init).then_some(&mut host_ports), out);
    }
}

fn volumes(spec: &PodSpec, out: &mut Findings) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (i, volume) in spec.volumes.iter().flatten().enumerate() {
        let at = format!("spec.volumes[{i}]");
        if !is_dns_label(&volume.name) {
            out.add(format!("{at}.name"), format!("{:?} is not a volume name", volume.name));
        }
        if !names.insert(volume.name.clone()) {
            out.add(format!("{at}.name"), format!("there is another volume named {:?}", volume.name));
        }
        match sources_of(volume) {
            1 => {}
            0 => out.add(at.clone(), "has no known volume type"),
            _ => out.add(at.clone(), "has more than one volume type"),
        }
        if let Some(host_path) = &volume.host_path
            && (host_path.path.is_empty() || host_path.path.split('/').any(|part| part == ".."))
        {
            out.add(format!("{at}.hostPath.path"), "must be set and hold no '..'");
        }
        if let Some(limit) = volume.empty_dir.as_ref().and_then(|e| e.size_limit.as_ref())
            && Amount::parse(&limit.0).is_none()
        {
            out.add(format!("{at}.emptyDir.sizeLimit"), format!("{:?} is not a quantity", limit.0));
        }
    }
    names
}

/// Number of sources of a volume: each is a key of its JSON besides the name.
fn sources_of(volume: &Volume) -> usize {
    let value = serde_json::to_value(volume).unwrap_or_default();
    value.as_object().map_or(0, |map| map.keys().filter(|key| *key != "name").count())
}

fn container(at: &str, c: &Container, out: &mut Findings) {
    if !is_dns_label(&c.name) {
        out.add(format!("{at}.name"), format!("{:?} is not a container name", c.name));
    }
    let image = c.image.as_deref().unwrap_or_default();
    if image.is_empty() || image.trim() != image {
        out.add(format!("{at}.image"), if image.is_empty() { "is missing" } else { "has spaces around it" });
    }
    for (i, variable) in c.env.iter().flatten().enumerate() {
        if variable.name.is_empty() || variable.name.contains('=') {
            out.add(format!("{at}.env[{i}].name"), format!("{:?} is not a variable name", variable.name));
        }
        if variable.value_from.is_some() && variable.value.as_deref().is_some_and(|v| !v.is_empty()) {
            out.add(format!("{at}.env[{i}]"), "has both value and valueFrom");
        }
    }
    if let Some(resources) = &c.resources {
        self::resources(&format!("{at}.resources"), resources, out);
    }
    let probes = [
        ("livenessProbe", &c.liveness_probe),
        ("readinessProbe", &c.readiness_probe),
        ("startupProbe", &c.startup_probe),
    ];
    for (name, probe) in probes.into_iter().filter_map(|(name, probe)| Some((name, probe.as_ref()?))) {
        self::probe(&format!("{at}.{name}"), name, probe, out);
    }
    if let Some(security) = &c.security_context
        && security.privileged == Some(true)
        && security.allow_privilege_escalation == Some(false)
    {
        out.add(format!("{at}.securityContext"), "cannot be privileged without allowPrivilegeEscalation");
    }
}

fn container_kind(at: &str, c: &Container, is_init: bool, out: &mut Findings) {
    let sidecar = c.restart_policy.as_deref() == Some("Always");
    if is_init && !sidecar {
        for (name, set) in [
            ("lifecycle", c.lifecycle.is_some()),
            ("livenessProbe", c.liveness_probe.is_some()),
            ("readinessProbe", c.readiness_probe.is_some()),
            ("startupProbe", c.startup_probe.is_some()),
        ] {
            if set {
                out.add(format!("{at}.{name}"), "is only for init containers with restartPolicy Always");
            }
        }
    }
}

fn resources(at: &str, resources: &ResourceRequirements, out: &mut Findings) {
    for (list, values) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        for (name, quantity) in values.iter().flatten() {
            match Amount::parse(&quantity.0) {
                None => out.add(format!("{at}.{list}.{name}"), format!("{:?} is not a quantity", quantity.0)),
                Some(amount) if amount < Amount::default() => {
                    out.add(format!("{at}.{list}.{name}"), "must not be negative")
                }
                Some(_) => {}
            }
        }
    }
    for (name, request) in resources.requests.iter().flatten() {
        let limit = resources.limits.as_ref().and_then(|l| l.get(name)).and_then(|q| Amount::parse(&q.0));
        if let (Some(limit), Some(request)) = (limit, Amount::parse(&request.0))
            && request > limit
        {
            out.add(format!("{at}.requests.{name}"), "must not be more than the limit");
        }
    }
}

fn probe(at: &str, name: &str, probe: &Probe, out: &mut Findings) {
    let handlers = [probe.exec.is_some(), probe.http_get.is_some(), probe.tcp_socket.is_some(), probe.grpc.is_some()];
    match handlers.iter().filter(|set| **set).count() {
        1 => {}
        0 => out.add(at, "needs one of exec, httpGet, tcpSocket, grpc"),
        _ => out.add(at, "has more than one of exec, httpGet, tcpSocket, grpc"),
    }
    let numbers = [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ];
    for (field, value) in numbers {
        if value.is_some_and(|v| v < 0) {
            out.add(format!("{at}.{field}"), "must not be negative");
        }
    }
    if name != "readinessProbe" && probe.success_threshold.is_some_and(|n| n != 1) {
        out.add(format!("{at}.successThreshold"), "must be 1");
    }
    let ports = [probe.http_get.as_ref().map(|g| &g.port), probe.tcp_socket.as_ref().map(|t| &t.port)];
    for port in ports.into_iter().flatten() {
        let sound = match port {
            IntOrString::Int(port) => (1..=65535).contains(port),
            IntOrString::String(name) => is_port_name(name),
        };
        if !sound {
            out.add(at, "the port must be 1 to 65535 or a port name");
        }
    }
}

fn mounts(at: &str, c: &Container, volumes: &BTreeSet<String>, out: &mut Findings) {
    let mut paths = BTreeSet::new();
    for (i, mount) in c.volume_mounts.iter().flatten().enumerate() {
        let at = format!("{at}.volumeMounts[{i}]");
        if !volumes.contains(&mount.name) {
            out.add(format!("{at}.name"), format!("there is no volume named {:?}", mount.name));
        }
        if mount.mount_path.is_empty() || !paths.insert(mount.mount_path.clone()) {
            out.add(format!("{at}.mountPath"), "must be set and unique in the container");
        }
        for (field, path) in [("subPath", &mount.sub_path), ("subPathExpr", &mount.sub_path_expr)] {
            let path = path.as_deref().unwrap_or_default();
            if path.starts_with('/') || path.split('/').any(|part| part == "..") {
                out.add(format!("{at}.{field}"), "must be relative and hold no '..'");
            }
        }
    }
}

fn ports(at: &str, c: &Container, host_network: bool, taken: Option<&mut BTreeSet<String>>, out: &mut Findings) {
    let mut taken = taken;
    for (i, port) in c.ports.iter().flatten().enumerate() {
        let at = format!("{at}.ports[{i}]");
        let in_range = |port: i32| (1..=65535).contains(&port);
        if !in_range(port.container_port) {
            out.add(format!("{at}.containerPort"), "must be 1 to 65535");
        }
        if let Some(name) = &port.name
            && !is_port_name(name)
        {
            out.add(format!("{at}.name"), format!("{name:?} is not a port name"));
        }
        let Some(host_port) = port.host_port.filter(|p| *p != 0) else { continue };
        if !in_range(host_port) {
            out.add(format!("{at}.hostPort"), "must be 1 to 65535");
        }
        if host_network && host_port != port.container_port {
            out.add(format!("{at}.hostPort"), "must be the containerPort in the host's network");
        }
        let protocol = port.protocol.as_deref().unwrap_or_default();
        let key = format!("{protocol}/{}/{host_port}", port.host_ip.as_deref().unwrap_or_default());
        if taken.as_mut().is_some_and(|taken| !taken.insert(key)) {
            out.add(format!("{at}.hostPort"), format!("{host_port} is used twice"));
        }
    }
}
