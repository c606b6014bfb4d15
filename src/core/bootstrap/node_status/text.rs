//! Prints the state of a node for people, and as one JSON document.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{NodeStatus, Report, Role};
use crate::core::model::json::put;

/// The status as text; problems come last, next to the prompt.
pub fn render(status: &NodeStatus, report: &Report, now: Timestamp) -> String {
    let role = match status.role {
        Role::ControlPlane => " (control plane)",
        Role::Worker => "",
        Role::Joining | Role::None => " (no node)",
    };
    let mut lines = vec![format!("node {}{role}", status.node)];
    let mut row = |name: &str, state: &str| lines.push(format!("  {name:<44} {state}"));
    for unit in &status.units {
        row(&unit.unit, &unit.state);
    }
    for api in status.api.iter().chain(&status.endpoint) {
        row(&api.url, if api.ready { "ready" } else { "does not answer" });
    }
    for pod in status.static_pods.iter().flatten() {
        row(&pod.pod, &format!("{}/{} running, {} restarts", pod.running, pod.containers, pod.restarts));
    }
    if let Some(proxy) = status.kube_proxy.as_ref().and_then(|proxy| Some((proxy.pod.as_ref()?, &proxy.fault))) {
        row(proxy.0, if proxy.1.is_none() { "Ready" } else { "not Ready" });
    }
    for member in status.etcd.iter().flat_map(|etcd| &etcd.members) {
        row(&format!("etcd member {}", member.name), if member.fault.is_none() { "healthy" } else { "unhealthy" });
    }
    if let Some(dns) = &status.dns {
        row(&format!("DNS at {}", dns.server), if dns.fault.is_none() { "answers" } else { "does not answer" });
    }
    for probe in &status.network.probes {
        let state = if probe.fault.is_none() { "reached" } else { "not reached" };
        row(&format!("pod network to {}", probe.node), state);
    }
    if let Some(node) = status.cluster.as_ref().and_then(|cluster| cluster.node.as_ref()) {
        let ready = node.conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True");
        let version = node.kubelet.map_or_else(String::new, |version| format!(", kubelet {version}"));
        row("Node", &format!("{}{version}", if ready { "Ready" } else { "not Ready" }));
    }
    if let Some(first) = status.certificates.iter().filter_map(|certificate| certificate.not_after).min() {
        let left = match first.duration_since(now) {
            left if left.is_negative() => "has expired".to_owned(),
            left if left < SignedDuration::from_hours(2) => format!("expires in {} minutes", left.as_mins()),
            left if left < SignedDuration::from_hours(48) => format!("expires in {} hours", left.as_hours()),
            left => format!("expires in {} days", left.as_hours() / 24),
        };
        lines.push(format!("  {} certificates, the first {left}", status.certificates.len()));
    }
    if let Some((snapshots, newest)) = status.snapshots.as_ref().and_then(|all| Some((all, all.newest_at?))) {
        lines.push(format!("  {} snapshots of etcd, the newest of {newest:.0}", snapshots.count));
    }
    if let Some((drill, contents)) = status.drill.as_ref().and_then(|drill| Some((drill, drill.contents.as_ref()?))) {
        lines.push(format!("  restore drill at {:.0}: passed, {} keys", drill.at, contents.keys));
    }
    lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    if report.problems.is_empty() {
        lines.push("no problems".to_owned());
    } else {
        lines.extend(report.problems.iter().map(|problem| format!("problem: {problem}")));
    }
    lines.join("\n")
}

/// The status as JSON; docs/status.md describes it.
pub fn document(status: &NodeStatus, report: &Report, now: Timestamp) -> Value {
    let mut document = json!(status);
    put(&mut document, &["at"], json!(now));
    put(&mut document, &["healthy"], json!(report.problems.is_empty()));
    put(&mut document, &["problems"], json!(report.problems));
    put(&mut document, &["notes"], json!(report.notes));
    document
}
