//! Checks of what the pod network and Services need: CNI plugins and configurations, nftables, firewalls, the kernel.

use super::check::Check;
use super::finding::{Findings, Purpose, Target};
use crate::core::model::preflight::{Chain, MachineState, ObservedRules, ObservedRuntime};
use crate::core::model::spec::{ProxyMode, Spec};
use crate::core::network::cni::is_configuration;
use crate::core::network::conflist::FILE_NAME;

/// kube-proxy's table in nftables mode.
const PROXY_TABLE: &str = "kube-proxy";
/// A chain that kube-proxy has in iptables mode.
const PROXY_CHAIN: &str = "KUBE-SERVICES";

pub(super) fn check(spec: &Spec, target: &Target<'_>, machine: &MachineState, findings: &mut Findings) {
    if spec.cluster.network.builtin {
        check_plugins(machine, findings);
    } else if !machine.ip_forward {
        // The agent enables it where the pod network is ours.
        findings.warn(
            Check::Forwarding,
            "net.ipv4.ip_forward is off",
            "enable it (sysctl -w net.ipv4.ip_forward=1, and a file in /etc/sysctl.d), or pods cannot reach other nodes",
        );
    }
    check_configurations(spec, target, machine, findings);
    check_rules(spec, machine, findings);
    for module in &machine.missing_modules {
        findings.warn(
            Check::Modules,
            format!("kernel module {module} is not loaded"),
            format!("load it (modprobe {module}) if pods have no network"),
        );
    }
}

fn check_plugins(machine: &MachineState, findings: &mut Findings) {
    if machine.missing_plugins.is_empty() {
        return;
    }
    let folders: Vec<String> = machine.plugin_folders.iter().map(|folder| folder.display().to_string()).collect();
    findings.fatal(
        Check::CniPlugins,
        format!(
            "the runtime finds no CNI plugin {} in {}",
            machine.missing_plugins.join(", "),
            if folders.is_empty() { "/opt/cni/bin".to_owned() } else { folders.join(", ") }
        ),
        "install them there (https://github.com/containernetworking/plugins; Debian's containernetworking-plugins has them in /usr/lib/cni, for bin_dir in /etc/containerd/config.toml), or set network.enabled = false and install a pod network of your own",
    );
}

fn check_configurations(spec: &Spec, target: &Target<'_>, machine: &MachineState, findings: &mut Findings) {
    let folder = spec.node.paths.cni_conf.display();
    if let ObservedRuntime::Answers(runtime) = &machine.runtime
        && let Some(seen) = runtime.network_folder.as_ref().filter(|seen| **seen != spec.node.paths.cni_conf)
        && spec.cluster.network.builtin
    {
        findings.fatal(
            Check::CniConfiguration,
            format!("{} reads CNI configurations from {}, not from {folder}", runtime.program, seen.display()),
            "set paths.cni_conf to that folder, or conf_dir in /etc/containerd/config.toml",
        );
    }
    // The pods of a node that runs have a network; a file that the user added there wins on purpose.
    if target.purpose == Purpose::Change || machine.traces.kubelet_ca.is_some() {
        return;
    }
    let files = || machine.traces.networks.iter().filter(|name| is_configuration(name));
    if spec.cluster.network.builtin {
        for file in files().filter(|name| name.as_str() < FILE_NAME) {
            findings.fatal(
                Check::CniConfiguration,
                format!("{folder}/{file} comes before {FILE_NAME} by name, so the runtime would use it for all pods"),
                "remove it, or set network.enabled = false if it is the pod network that you want",
            );
        }
    } else if files().any(|name| name == FILE_NAME) {
        findings.warn(
            Check::CniConfiguration,
            format!("{folder}/{FILE_NAME} is left from an earlier cluster, but network.enabled is false"),
            "remove it, or pods get their network from it",
        );
    }
}

fn check_rules(spec: &Spec, machine: &MachineState, findings: &mut Findings) {
    let proxy = spec.cluster.network.proxy;
    let chains = match &machine.rules {
        ObservedRules::NotAsked => return,
        ObservedRules::Chains(chains) => chains,
        ObservedRules::Fails(reason) => {
            // The agent, which needs it, has a search path of its own where the system declares its unit.
            let needed = spec.cluster.network.builtin && !spec.node.declared_units;
            let problem = format!("nft does not run ({reason})");
            let remedy = "install nftables (apt install nftables); the pod network and kube-proxy need it, and nf_tables in the kernel";
            match needed {
                true => findings.fatal(Check::Nft, problem, remedy),
                false => findings.warn(Check::Nft, problem, remedy),
            }
            return;
        }
    };
    for Chain { table, name, .. } in chains.iter().filter(|chain| chain.drops_forwarded) {
        let pods: Vec<String> = spec.cluster.pod_subnets.iter().map(ToString::to_string).collect();
        findings.warn(
            Check::Firewall,
            format!("chain {name} of nftables table {table} drops forwarded packets that no rule accepts"),
            format!(
                "accept those from and to pods ({}) in it, or pods cannot reach other nodes and Services",
                if pods.is_empty() { "of this cluster".to_owned() } else { pods.join(", ") }
            ),
        );
    }
    if machine.kubelet_active || machine.traces.kubelet_ca.is_some() {
        return;
    }
    let leftover = chains.iter().find(|chain| match proxy {
        Some(ProxyMode::Nftables) => chain.name == PROXY_CHAIN,
        Some(ProxyMode::Iptables) => chain.table.ends_with(&format!(" {PROXY_TABLE}")),
        None => chain.name == PROXY_CHAIN || chain.table.ends_with(&format!(" {PROXY_TABLE}")),
    });
    if let Some(Chain { table, name, .. }) = leftover {
        findings.warn(
            Check::Leftovers,
            format!("the kernel has rules of a kube-proxy in another mode (chain {name} of table {table})"),
            "restart this machine, or Services of the earlier cluster still catch packets",
        );
    }
}
