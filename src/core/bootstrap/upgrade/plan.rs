//! `upgrade plan`: running and target versions, the steps for each node, and failed checks.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::observed::{ObservedCluster, ObservedComponent, ObservedNode};
use super::skew::{Fault, find_faults};
use crate::core::bootstrap::static_pods::SCRATCH_IMAGE;
use crate::core::model::Version;
use crate::core::model::spec::Component;

/// The target of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The cluster's target version.
    pub version: Version,
    /// Target images, by component name.
    pub images: BTreeMap<String, String>,
    /// The newest version that this program supports.
    pub known: Version,
    /// True if the cluster runs its own etcd.
    pub own_etcd: bool,
}

/// A change of one component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Component name, e.g. `kube-apiserver`.
    pub component: String,
    /// The running version or image.
    pub from: String,
    /// The target version or image.
    pub to: String,
}

/// What to do on a node, or in the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Work {
    /// The node; `None` for what the whole cluster shares.
    pub node: Option<String>,
    /// The command to run there.
    pub command: String,
    /// The changes that the command makes.
    pub changes: Vec<Change>,
}

/// What `upgrade plan` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradePlan {
    /// The version to upgrade to.
    pub wanted: Version,
    /// The versions that run now.
    pub cluster: ObservedCluster,
    /// The commands to run, in order.
    pub work: Vec<Work>,
    /// Violated version-skew rules and other failed checks.
    pub faults: Vec<Fault>,
}

impl UpgradePlan {
    /// True if no version-skew rule is violated.
    pub fn is_allowed(&self) -> bool {
        !self.faults.iter().any(Fault::forbids)
    }

    /// The faults that block the upgrade of `node`.
    pub fn obstacles(&self, node: &str, although_ill: bool) -> Vec<&Fault> {
        let control_planes: Vec<&str> =
            self.cluster.nodes.iter().filter(|node| node.control_plane).map(|node| node.name.as_str()).collect();
        let counts = |fault: &&Fault| fault.forbids() || (!although_ill && fault.holds_up(node, &control_planes));
        self.faults.iter().filter(counts).collect()
    }

    /// The plan as `--output json` prints it.
    pub fn to_json(&self) -> Value {
        let fault = |fault: &Fault| json!({ "text": fault.to_string(), "forbids": fault.forbids() });
        json!({
            "wanted": self.wanted,
            "allowed": self.is_allowed(),
            "cluster": self.cluster,
            "work": self.work,
            "faults": self.faults.iter().map(fault).collect::<Vec<_>>(),
        })
    }
}

/// Derives the work that remains, as seen from node `here`.
pub fn derive_plan(cluster: ObservedCluster, wanted: &Wanted, here: &str) -> UpgradePlan {
    let etcd_image = wanted.images.get(Component::Etcd.name()).filter(|_| wanted.own_etcd);
    let wanted_etcd = etcd_image.and_then(|image| Version::of_image(image));
    let faults = find_faults(&cluster, wanted.version, wanted_etcd, wanted.known);
    let mut work = Vec::new();
    // The cluster's version is set on this node if it is a control plane, else on the first one.
    let announced = cluster.configured == Some(wanted.version);
    let is_here = |node: &&ObservedNode| node.control_plane && node.name == here;
    let first = cluster.nodes.iter().find(is_here).or_else(|| cluster.nodes.iter().find(|node| node.control_plane));
    let first = first.filter(|_| !announced);
    let others = cluster.nodes.iter().filter(|node| first.is_none_or(|first| first.name != node.name));
    for node in first.into_iter().chain(others) {
        let changes = changes_of(node, wanted);
        let is_first = first.is_some_and(|first| first.name == node.name);
        if changes.is_empty() && !is_first {
            continue;
        }
        let command = if is_first {
            format!("bootstrap upgrade apply --version {}", wanted.version)
        } else {
            "bootstrap upgrade node".to_owned()
        };
        work.push(Work { node: Some(node.name.clone()), command, changes });
    }
    let shared = shared_changes(&cluster, wanted);
    if !shared.is_empty() {
        let command = "done when the last control plane is upgraded".to_owned();
        work.push(Work { node: None, command, changes: shared });
    }
    UpgradePlan { wanted: wanted.version, cluster, work, faults }
}

fn told(component: &ObservedComponent) -> String {
    component.version.map_or_else(|| component.image.clone(), |version| version.to_string())
}

/// A change from what is observed to an image, or to a version if host programs run.
fn change(component: &str, seen: &ObservedComponent, wanted: &Wanted) -> Option<Change> {
    let image = wanted.images.get(component)?;
    let of_host = seen.image == SCRATCH_IMAGE;
    let own_version = component.starts_with("kube-").then_some(wanted.version);
    let same = if of_host { own_version.is_none() || seen.version == own_version } else { seen.image == *image };
    let to = if of_host { own_version } else { Version::of_image(image) };
    let (from, mut to) = (told(seen), to.map_or_else(|| image.clone(), |version| version.to_string()));
    if from == to {
        to = image.clone();
    }
    (!same).then(|| Change { component: component.to_owned(), from, to })
}

fn changes_of(node: &ObservedNode, wanted: &Wanted) -> Vec<Change> {
    let names =
        wanted.own_etcd.then_some(Component::Etcd).into_iter().chain(Component::CONTROL_PLANE).map(Component::name);
    let mut changes: Vec<Change> = names.filter_map(|name| change(name, node.components.get(name)?, wanted)).collect();
    // The program itself comes with the package; this changes its configuration and restarts it.
    if let Some(kubelet) =
        node.kubelet.filter(|kubelet| wanted.version.minors_ahead_of(*kubelet).is_some_and(|n| n > 0))
    {
        changes.push(Change {
            component: "kubelet".to_owned(),
            from: kubelet.to_string(),
            to: format!("{} (install its package there first)", wanted.version),
        });
    }
    changes
}

fn shared_changes(cluster: &ObservedCluster, wanted: &Wanted) -> Vec<Change> {
    let oldest_proxy = cluster.everywhere("kube-proxy").map(|(_, seen)| seen).min_by_key(|seen| seen.version);
    let proxy = oldest_proxy.and_then(|seen| change("kube-proxy", seen, wanted));
    let dns = cluster.coredns.as_ref().and_then(|seen| change("coredns", seen, wanted));
    proxy.into_iter().chain(dns).collect()
}

/// The plan as a table and lines of text.
pub fn render_text(plan: &UpgradePlan) -> String {
    let version = |version: Option<Version>| version.map_or_else(|| "-".to_owned(), |version| version.to_string());
    let row = |cells: [&str; 7]| {
        let [node, kubelet, api, manager, scheduler, proxy, state] = cells;
        format!("{node:<20} {kubelet:<10} {api:<11} {manager:<11} {scheduler:<10} {proxy:<10} {state}")
    };
    let mut lines = vec![row(["NODE", "KUBELET", "API SERVER", "CONTROLLERS", "SCHEDULER", "KUBE-PROXY", "STATE"])];
    for node in &plan.cluster.nodes {
        let of = |name: &str| node.components.get(name).map_or_else(|| "-".to_owned(), told);
        let [api, manager, scheduler] = Component::CONTROL_PLANE.map(Component::name).map(of);
        let state = if node.ready { "Ready" } else { "not Ready" };
        lines.push(row([&node.name, &version(node.kubelet), &api, &manager, &scheduler, &of("kube-proxy"), state]));
    }
    for member in &plan.cluster.etcd {
        let state = member.fault.as_deref().unwrap_or("ok");
        lines.push(format!("etcd {:<15} {:<10} {state}", member.name, version(member.version)));
    }
    if let Some(coredns) = &plan.cluster.coredns {
        lines.push(format!("coredns              {}", told(coredns)));
    }
    lines.push(String::new());
    lines.push(format!(
        "The cluster is configured for {}; the target version is {}.",
        version(plan.cluster.configured),
        plan.wanted
    ));
    for work in &plan.work {
        let place = work.node.as_ref().map_or_else(|| "in the cluster".to_owned(), |node| format!("on {node}"));
        lines.push(format!("{place}: {}", work.command));
        lines.extend(
            work.changes.iter().map(|change| format!("  {}: {} → {}", change.component, change.from, change.to)),
        );
    }
    if plan.work.is_empty() {
        lines.push("Nothing to do.".to_owned());
    }
    for fault in &plan.faults {
        lines.push(format!("{}: {fault}", if fault.forbids() { "forbidden" } else { "note" }));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::observed::derive_cluster;
    use super::*;

    fn node(name: &str, kubelet: &str, control_plane: bool) -> Value {
        let labels = if control_plane { json!({"node-role.kubernetes.io/control-plane": ""}) } else { json!({}) };
        json!({
            "metadata": { "name": name, "labels": labels },
            "status": {
                "nodeInfo": { "kubeletVersion": kubelet },
                "conditions": [{ "type": "Ready", "status": "True" }],
            },
        })
    }

    fn pod(node: &str, component: &str, tag: &str) -> Value {
        let labels = if component == "kube-proxy" {
            json!({"k8s-app": component})
        } else {
            json!({"tier": "control-plane", "component": component})
        };
        json!({
            "metadata": { "name": format!("{component}-{node}"), "labels": labels },
            "spec": { "nodeName": node, "containers": [{ "image": format!("registry.k8s.io/{component}:{tag}") }] },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
        })
    }

    fn seen(control_planes: &[(&str, &str)]) -> ObservedCluster {
        let mut nodes = vec![node("w1", "v1.35.4", false)];
        let mut pods = vec![pod("w1", "kube-proxy", "v1.35.4")];
        for (name, version) in control_planes {
            nodes.push(node(name, "v1.35.4", true));
            pods.extend(Component::CONTROL_PLANE.map(|component| pod(name, component.name(), version)));
            pods.push(pod(name, "etcd", "3.6.8-0"));
        }
        let config =
            json!({"data": {"ClusterConfiguration": "kind: ClusterConfiguration\nkubernetesVersion: v1.35.4\n"}});
        let coredns = json!({"spec": {"template": {"spec": {"containers": [{"image": "registry.k8s.io/coredns/coredns:v1.13.1"}]}}}});
        derive_cluster(&nodes, &pods, Some(&config), Some(&coredns))
    }

    fn wanted(version: &str) -> Wanted {
        let versioned = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"];
        let versioned = versioned.map(|name| (name.to_owned(), format!("registry.k8s.io/{name}:{version}")));
        let others = [("etcd", "etcd:3.6.8-0"), ("coredns", "coredns/coredns:v1.14.2")];
        let others = others.map(|(name, image)| (name.to_owned(), format!("registry.k8s.io/{image}")));
        Wanted {
            version: version.parse().unwrap(),
            images: versioned.into_iter().chain(others).collect(),
            known: "v1.36.3".parse().unwrap(),
            own_etcd: true,
        }
    }

    #[test]
    fn the_plan_tells_what_to_run_where() {
        let plan = derive_plan(seen(&[("n1", "v1.35.4"), ("n2", "v1.35.4")]), &wanted("v1.36.3"), "n2");
        insta::assert_snapshot!(render_text(&plan));
        assert!(plan.is_allowed());
        assert_eq!(plan.to_json()["work"][0]["command"], "bootstrap upgrade apply --version v1.36.3");
        let commands = |plan: &UpgradePlan| {
            plan.work.iter().map(|work| format!("{:?} {}", work.node, work.changes.len())).collect::<Vec<_>>()
        };
        // Seen from a worker, it begins with the first control plane.
        let plan = derive_plan(seen(&[("n1", "v1.35.4"), ("n2", "v1.35.4")]), &wanted("v1.36.3"), "w1");
        assert_eq!(commands(&plan), ["Some(\"n1\") 4", "Some(\"n2\") 4", "Some(\"w1\") 1", "None 2"]);
        // n1 is upgraded, except for its kubelet.
        let mut half = seen(&[("n1", "v1.36.3"), ("n2", "v1.35.4")]);
        half.configured = "v1.36.3".parse().ok();
        let plan = derive_plan(half, &wanted("v1.36.3"), "n1");
        assert_eq!(commands(&plan), ["Some(\"n1\") 1", "Some(\"n2\") 4", "Some(\"w1\") 1", "None 2"]);
        assert!(plan.work.iter().all(|work| !work.command.contains("apply")));
    }

    #[test]
    fn a_forbidden_step_is_no_plan_to_begin_with() {
        let plan = derive_plan(seen(&[("n1", "v1.34.4")]), &wanted("v1.36.3"), "n1");
        assert!(!plan.is_allowed());
        assert_eq!(plan.obstacles("n1", true).len(), 3);
        assert_eq!(plan.to_json()["allowed"], false);
    }
}
