//! Judges what pods depend on beyond the machine: the Node object, kube-proxy, CNI, the pod network, CoreDNS.

use jiff::{SignedDuration, Timestamp};

use super::report::Report;
use super::{ClusterView, DnsStatus, NodeStatus, NodeView};
use crate::core::model::Version;
use crate::core::network::conflist;

/// How long a kubelet may take after its start to report the present boot.
const REPORTED: SignedDuration = SignedDuration::from_secs(60);
/// How many minor versions a kubelet may be older than the API server.
const KUBELET_LAG: i64 = 3;
/// Conditions that are True on a node with too little of something.
const PRESSURES: [&str; 4] = ["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"];

/// Adds what is wrong around the node.
pub(super) fn judge(status: &NodeStatus, report: &mut Report, now: Timestamp) {
    judge_machine(status, report);
    judge_plugins(status, report);
    if let Some(proxy) = &status.kube_proxy {
        match (&proxy.pod, &proxy.fault) {
            (None, _) => report.add_with(
                "kubeProxy",
                "kube-proxy has no pod on this node, so Services do not work here".to_owned(),
                "see kubectl -n kube-system describe daemonset kube-proxy",
            ),
            (Some(pod), Some(fault)) => report.add_with(
                "kubeProxy",
                format!("kube-proxy on this node ({pod}) is not Ready, so Services do not work here: {fault}"),
                format!("see kubectl logs -n {} --previous", pod.replacen('/', " ", 1)),
            ),
            (Some(_), None) => {}
        }
    }
    let policies = status.cluster.as_ref().and_then(|cluster| cluster.network_policies).unwrap_or_default();
    for probe in &status.network.probes {
        let Some(fault) = &probe.fault else { continue };
        let what = format!("pod {} on node {} cannot be reached at {}: {fault}", probe.pod, probe.node, probe.address);
        if policies > 0 && !status.network.builtin {
            // The CNI may enforce a policy that forbids it.
            report.notes.push(what);
            continue;
        }
        let remedy = "check roost-agent.service on both nodes, the routes (ip route) and firewalls between them";
        report.add_with("network", what, remedy);
    }
    if let Some(dns) = &status.dns {
        judge_dns(report, dns);
    }
    match (&status.cluster, &status.cluster_fault) {
        (Some(cluster), _) => judge_view(status, cluster, report, now),
        (None, Some(fault)) => report.add("cluster", format!("the API cannot be asked about this node: {fault}")),
        (None, None) => {}
    }
}

fn judge_machine(status: &NodeStatus, report: &mut Report) {
    let machine = &status.machine;
    if let Some(address) = machine.address.filter(|_| !machine.has_address) {
        report.add_with(
            "machine",
            format!("no interface of this machine has the node's address {address}"),
            "give it the address again, or set node.address and run `bootstrap apply`",
        );
    }
}

fn judge_plugins(status: &NodeStatus, report: &mut Report) {
    let network = &status.network;
    if !network.missing_plugins.is_empty() {
        report.add_with(
            "network",
            format!(
                "CNI plugins do not exist in {}: {}; pods of this node get no network",
                network.plugin_folders.join(", "),
                network.missing_plugins.join(", ")
            ),
            "install the CNI plugins there (package containernetworking-plugins, or the release of github.com/containernetworking/plugins)",
        );
    }
    match &network.configuration {
        None => report.add_with(
            "network",
            format!("{} has no CNI configuration, so pods of this node get no network", network.folder),
            if network.builtin {
                "roost-agent.service writes it; see journalctl -u roost-agent"
            } else {
                "install a CNI"
            },
        ),
        Some(name) if network.builtin && name != conflist::FILE_NAME => report.add_with(
            "network",
            format!(
                "the CNI configuration {}/{name} wins by its name over {}, the one of the built-in network",
                network.folder,
                conflist::FILE_NAME
            ),
            "remove it, or set network.enabled = false if another CNI is wanted",
        ),
        Some(_) => {
            if let Some(fault) = &network.runtime_fault {
                report.add("network", format!("the network of the container runtime is not ready: {fault}"));
            }
        }
    }
}

fn judge_dns(report: &mut Report, dns: &DnsStatus) {
    let asked = format!("the DNS Service {} does not resolve {} from here", dns.server, dns.name);
    let remedy = "check CoreDNS (kubectl -n kube-system get pods -l k8s-app=kube-dns), kube-proxy and the pod network";
    match (&dns.fault, dns.expected) {
        (Some(fault), _) => report.add_with("dns", format!("{asked}: {fault}"), remedy),
        (None, Some(expected)) if !dns.addresses.contains(&expected) => {
            let told: Vec<String> = dns.addresses.iter().map(ToString::to_string).collect();
            report.add_with("dns", format!("{asked}: it answers {} instead of {expected}", told.join(", ")), remedy);
        }
        (None, _) => {}
    }
}

fn judge_view(status: &NodeStatus, cluster: &ClusterView, report: &mut Report, now: Timestamp) {
    match &cluster.node {
        None => report.add_with(
            "cluster",
            format!("the cluster has no Node {}", status.node),
            "it was deleted: restart the kubelet (systemctl restart kubelet), which registers again",
        ),
        Some(node) if is_another(status, node, now) => {
            let addresses: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
            report.add_with(
                "cluster",
                format!(
                    "Node {} belongs to another machine (machine id {}, boot {}, address {}): two machines have this name",
                    status.node,
                    node.machine_id,
                    node.boot_id,
                    addresses.join(", ")
                ),
                "stop the kubelet of one of them (systemctl disable --now kubelet), give that machine another name, and let it join with it",
            );
        }
        Some(node) => judge_own_node(status, node, report),
    }
    judge_versions(cluster, report);
    if let Some(dns) = &cluster.core_dns
        && dns.ready < dns.wanted
    {
        let faults = dns.pods.iter().filter_map(|pod| Some(format!("{}: {}", pod.pod, pod.fault.as_ref()?)));
        let faults: Vec<String> = faults.collect();
        let what = format!("CoreDNS has {} of {} Ready pods ({})", dns.ready, dns.wanted, faults.join("; "));
        if dns.ready == 0 {
            report.add_with("cluster", what, "see kubectl -n kube-system describe pods -l k8s-app=kube-dns");
        } else {
            report.notes.push(what);
        }
    }
    if let Some(count) = cluster.network_policies.filter(|count| *count > 0 && status.network.builtin) {
        report.notes.push(format!(
            "the cluster has {count} NetworkPolicies, which the built-in pod network does not enforce; see docs/pod-network.md"
        ));
    }
}

/// The machine behind a Node is this one if its machine id is the same, and its boot unless the kubelet had no time to
/// report the present one.
fn is_another(status: &NodeStatus, node: &NodeView, now: Timestamp) -> bool {
    let machine = &status.machine;
    let differs = |a: &str, b: &str| !a.is_empty() && !b.is_empty() && a != b;
    if differs(&machine.machine_id, &node.machine_id) {
        return true;
    }
    let told = machine.kubelet_since.is_some_and(|since| now.duration_since(since) >= REPORTED);
    told && differs(&machine.boot_id, &node.boot_id)
}

fn judge_own_node(status: &NodeStatus, node: &NodeView, report: &mut Report) {
    let name = &status.node;
    if let Some(address) = status.machine.address.filter(|address| {
        !status.machine.external_cloud && !node.addresses.is_empty() && !node.addresses.contains(address)
    }) {
        let told: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
        report.add_with(
            "cluster",
            format!("Node {name} has the address {}, not the {address} of the settings", told.join(", ")),
            "run `bootstrap apply`, or correct node.address",
        );
    }
    for condition in &node.conditions {
        let bad = match condition.kind.as_str() {
            "Ready" => condition.status != "True",
            kind if PRESSURES.contains(&kind) => condition.status == "True",
            _ => false,
        };
        let told = format!("{} is {}: {}: {}", condition.kind, condition.status, condition.reason, condition.message);
        if bad {
            report.add("cluster", format!("Node {name}: {told}"));
        } else if condition.status == "True" && condition.kind != "Ready" {
            // By convention a condition that another program sets is True if something is wrong.
            report.notes.push(format!("Node {name}: {told}"));
        }
    }
    if !node.conditions.iter().any(|condition| condition.kind == "Ready") {
        report.add("cluster", format!("Node {name} has no condition Ready: its kubelet has never reported"));
    }
    if node.unschedulable {
        report.notes.push(format!("Node {name} is cordoned: it gets no new pods; kubectl uncordon {name} ends that"));
    }
}

fn judge_versions(cluster: &ClusterView, report: &mut Report) {
    let (Some(oldest), Some(newest)) = (cluster.api_servers.first(), cluster.api_servers.last()) else { return };
    if newest.minors_ahead_of(*oldest).is_none_or(|minors| minors > 1) {
        report.add_with(
            "cluster",
            format!("API servers run {oldest} and {newest}: they may differ by at most one minor version"),
            "continue the upgrade with `bootstrap upgrade node` on the other control planes",
        );
    }
    let Some(kubelet) = cluster.node.as_ref().and_then(|node| node.kubelet) else { return };
    let lag = |api: &Version| api.minors_ahead_of(kubelet);
    if lag(oldest).is_none_or(|minors| minors < 0) {
        report.add_with(
            "cluster",
            format!("the kubelet runs {kubelet}, newer than an API server ({oldest})"),
            "upgrade the control planes first",
        );
    } else if lag(newest).is_none_or(|minors| minors > KUBELET_LAG) {
        report.add_with(
            "cluster",
            format!("the kubelet runs {kubelet}, more than three minor versions older than an API server ({newest})"),
            "install a newer kubelet on this node",
        );
    }
}
