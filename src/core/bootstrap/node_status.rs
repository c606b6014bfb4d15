//! State of a node, from what is visible on the node itself: units, API server, static pods, certificates.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::drill::DrillResult;

/// A certificate this close to its expiry is a problem: it should have been renewed at two thirds of its lifetime. For
/// short lifetimes the limit is half of the last third.
const NEAR_END: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Everything that was observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// Name of the node.
    pub node: String,
    /// True where an API server should run.
    pub control_plane: bool,
    /// The units that the node requires.
    pub units: Vec<UnitStatus>,
    /// This node's API server; `None` on a worker.
    pub api: Option<ApiStatus>,
    /// Pods from manifests; `None` when the runtime did not answer.
    pub static_pods: Option<Vec<StaticPodStatus>>,
    /// Manifests that are invalid or have no pod.
    pub manifests: Vec<ManifestStatus>,
    /// Manifest sets whose last switch failed: name and outcome.
    pub manifest_sets: Vec<(String, String)>,
    /// Certificates on the node.
    pub certificates: Vec<CertificateStatus>,
    /// The last restore drill; `None` if there was none.
    pub drill: Option<DrillResult>,
}

/// State of a systemd unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnitStatus {
    /// Full name of the unit, e.g. `kubelet.service`.
    pub unit: String,
    /// `active`, `failed`, `not-found`, …
    pub state: String,
    /// Enabled: starts at boot.
    pub enabled: bool,
}

/// State of an API server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiStatus {
    /// The URL that was requested.
    pub url: String,
    /// True if `/readyz` succeeded.
    pub ready: bool,
}

/// A pod from a manifest, as observed in the runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StaticPodStatus {
    /// The pod as `namespace/name`.
    pub pod: String,
    /// Number of running containers.
    pub running: usize,
    /// Number of containers that the pod has.
    pub containers: usize,
    /// Number of restarts of its containers.
    pub restarts: u32,
}

/// A manifest of a static pod that needs attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ManifestStatus {
    /// Path of the manifest.
    pub path: String,
    /// What is wrong with it, with line and column; empty if it is valid.
    pub faults: Vec<String>,
    /// True if the runtime has a pod of its name. Not set for an invalid manifest, whose previous pod may be running.
    pub has_pod: bool,
    /// Why the kubelet rejects the pod; it retries.
    pub refused: Option<String>,
}

/// State of a certificate on the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertificateStatus {
    /// Path of the file, a certificate or a kubeconfig.
    pub path: String,
    /// When it expires; `None` if it cannot be read.
    pub not_after: Option<Timestamp>,
    /// When it will be renewed; `None` for a CA.
    pub renewed_at: Option<Timestamp>,
    /// Why it cannot be used; `None` if it can.
    pub fault: Option<String>,
}

impl CertificateStatus {
    /// Time before its expiry from which it is reported as a problem.
    fn near_end(&self) -> SignedDuration {
        match (self.renewed_at, self.not_after) {
            (Some(due), Some(end)) => NEAR_END.min(end.duration_since(due).checked_div(2).unwrap_or_default()),
            _ => NEAR_END,
        }
    }
}

impl NodeStatus {
    /// What needs attention, one line each; empty if the node is healthy.
    pub fn problems(&self, now: Timestamp) -> Vec<String> {
        let mut problems = Vec::new();
        for unit in &self.units {
            if unit.state != "active" {
                problems.push(format!("{} is {}; see journalctl -u {}", unit.unit, unit.state, unit.unit));
            } else if !unit.enabled {
                problems.push(format!("{} is not enabled, so it does not start at boot", unit.unit));
            }
        }
        if let Some(api) = self.api.as_ref().filter(|api| !api.ready) {
            problems.push(format!("the API server of this node does not answer at {}", api.url));
        }
        match &self.static_pods {
            None => problems.push("the container runtime does not answer".to_owned()),
            Some(pods) => {
                let stopped = pods.iter().filter(|pod| pod.running < pod.containers || pod.containers == 0);
                problems.extend(stopped.map(|pod| {
                    format!("static pod {}: {} of {} containers are running", pod.pod, pod.running, pod.containers)
                }));
                let idle = self.manifests.iter().filter(|manifest| !manifest.has_pod && manifest.faults.is_empty());
                problems.extend(idle.map(|manifest| match &manifest.refused {
                    None => format!("manifest {} has no pod", manifest.path),
                    Some(why) => {
                        format!("manifest {} has no pod: the kubelet rejects it and will retry: {why}", manifest.path)
                    }
                }));
            }
        }
        for manifest in self.manifests.iter().filter(|manifest| !manifest.faults.is_empty()) {
            problems.push(format!("manifest {} is invalid: {}", manifest.path, manifest.faults.join("; ")));
        }
        problems.extend(self.manifest_sets.iter().map(|(name, what)| format!("manifest set {name}: {what}")));
        for certificate in &self.certificates {
            if let Some(fault) = &certificate.fault {
                problems.push(format!("certificate {}: {fault}", certificate.path));
            } else if let Some(end) =
                certificate.not_after.filter(|end| end.duration_since(now) < certificate.near_end())
            {
                problems.push(format!("certificate {} expires at {end}", certificate.path));
            }
        }
        if let Some((drill, fault)) = self.drill.as_ref().and_then(|drill| Some((drill, drill.fault.as_ref()?))) {
            problems.push(format!("the restore drill at {:.0} failed: {fault}", drill.at));
        }
        problems
    }
}

/// The status as text; problems come last, next to the prompt.
pub fn render_text(status: &NodeStatus, now: Timestamp) -> String {
    let mut lines = vec![format!("node {}{}", status.node, if status.control_plane { " (control plane)" } else { "" })];
    lines.extend(status.units.iter().map(|unit| format!("  {:<44} {}", unit.unit, unit.state)));
    if let Some(api) = &status.api {
        lines.push(format!("  {:<44} {}", api.url, if api.ready { "ready" } else { "does not answer" }));
    }
    for pod in status.static_pods.iter().flatten() {
        lines.push(format!("  {:<44} {}/{} running, {} restarts", pod.pod, pod.running, pod.containers, pod.restarts));
    }
    if let Some(first) = status.certificates.iter().filter_map(|certificate| certificate.not_after).min() {
        let left = match first.duration_since(now) {
            left if left < SignedDuration::from_hours(2) => format!("{} minutes", left.as_mins()),
            left if left < SignedDuration::from_hours(48) => format!("{} hours", left.as_hours()),
            left => format!("{} days", left.as_hours() / 24),
        };
        lines.push(format!("  {} certificates, the first expires in {left}", status.certificates.len()));
    }
    if let Some((drill, contents)) = status.drill.as_ref().and_then(|drill| Some((drill, drill.contents.as_ref()?))) {
        lines.push(format!("  restore drill at {:.0}: passed, {} keys", drill.at, contents.keys));
    }
    let problems = status.problems(now);
    if problems.is_empty() {
        lines.push("no problems".to_owned());
    } else {
        lines.extend(problems.iter().map(|problem| format!("problem: {problem}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn healthy() -> NodeStatus {
        NodeStatus {
            node: "n1".into(),
            control_plane: true,
            units: vec![UnitStatus { unit: "kubelet.service".into(), state: "active".into(), enabled: true }],
            api: Some(ApiStatus { url: "https://10.0.0.1:6443/readyz".into(), ready: true }),
            static_pods: Some(vec![StaticPodStatus {
                pod: "kube-system/etcd-n1".into(),
                running: 1,
                containers: 1,
                restarts: 2,
            }]),
            manifests: Vec::new(),
            manifest_sets: Vec::new(),
            certificates: vec![CertificateStatus {
                path: "/etc/kubernetes/pki/apiserver.crt".into(),
                not_after: Some("2026-12-01T00:00:00Z".parse().unwrap()),
                renewed_at: Some("2026-08-01T00:00:00Z".parse().unwrap()),
                fault: None,
            }],
            drill: None,
        }
    }

    #[test]
    fn a_healthy_node_has_no_problems() {
        assert!(healthy().problems(now()).is_empty());
        assert!(render_text(&healthy(), now()).ends_with("no problems"));
    }

    #[test]
    fn a_short_life_is_no_problem_until_renewal_is_late() {
        let mut status = healthy();
        status.certificates[0].not_after = Some("2026-01-01T00:06:00Z".parse().unwrap());
        status.certificates[0].renewed_at = Some("2026-01-01T00:00:00Z".parse().unwrap());
        let at = |text: &str| status.problems(text.parse().unwrap()).len();
        assert_eq!((at("2026-01-01T00:02:59Z"), at("2026-01-01T00:03:01Z")), (0, 1));
    }

    #[test]
    fn each_fault_is_one_line() {
        let mut sick = healthy();
        sick.units[0].state = "failed".into();
        sick.api = Some(ApiStatus { url: "https://10.0.0.1:6443/readyz".into(), ready: false });
        sick.static_pods =
            Some(vec![StaticPodStatus { pod: "kube-system/etcd-n1".into(), running: 0, containers: 1, restarts: 9 }]);
        let manifest = |name: &str, faults: &[&str]| ManifestStatus {
            path: format!("/etc/kubernetes/manifests/{name}.yaml"),
            faults: faults.iter().map(ToString::to_string).collect(),
            has_pod: false,
            refused: None,
        };
        let refused = Some("OutOfcpu: Node didn't have enough resource: cpu".to_owned());
        sick.manifests = vec![
            manifest("kube-scheduler", &[]),
            ManifestStatus { refused, ..manifest("large", &[]) },
            manifest("web", &["line 3, column 5: kind: is missing"]),
        ];
        sick.manifest_sets = vec![("edge".into(), "rolled back: static pod web is not Ready".into())];
        sick.certificates[0].not_after = Some("2026-01-03T00:00:00Z".parse().unwrap());
        sick.certificates[0].renewed_at = Some("2025-09-01T00:00:00Z".parse().unwrap());
        sick.drill = Some(DrillResult {
            at: now(),
            snapshot: Some("/s/etcd-n1-20260101T000000Z.db".into()),
            contents: None,
            fault: Some("/s/etcd-n1-20260101T000000Z.db is not a complete etcd snapshot".into()),
        });
        insta::assert_snapshot!(sick.problems(now()).join("\n"), @r"
        kubelet.service is failed; see journalctl -u kubelet.service
        the API server of this node does not answer at https://10.0.0.1:6443/readyz
        static pod kube-system/etcd-n1: 0 of 1 containers are running
        manifest /etc/kubernetes/manifests/kube-scheduler.yaml has no pod
        manifest /etc/kubernetes/manifests/large.yaml has no pod: the kubelet rejects it and will retry: OutOfcpu: Node didn't have enough resource: cpu
        manifest /etc/kubernetes/manifests/web.yaml is invalid: line 3, column 5: kind: is missing
        manifest set edge: rolled back: static pod web is not Ready
        certificate /etc/kubernetes/pki/apiserver.crt expires at 2026-01-03T00:00:00Z
        the restore drill at 2026-01-01T00:00:00Z failed: /s/etcd-n1-20260101T000000Z.db is not a complete etcd snapshot
        ");
        sick.static_pods = None;
        assert!(sick.problems(now()).contains(&"the container runtime does not answer".to_owned()));
    }
}
