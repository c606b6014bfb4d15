//! Checks of what the machine is to become: role, name, leftovers of another cluster, the clock.

use super::check::Check;
use super::finding::{Findings, Purpose, Target};
use crate::core::bootstrap::rotation::ids;
use crate::core::model::preflight::MachineState;
use crate::core::model::spec::Spec;

/// Difference of clocks, in seconds, from which certificates that the cluster just issued are not valid yet: its signers
/// date them five minutes back (`pkg/controller/certificates/authority`).
const CLOCK_FATAL: u64 = 300;
/// Difference of clocks, in seconds, that shows a machine without time synchronization.
const CLOCK_WARN: u64 = 10;
/// Longest value of a label, which `kubernetes.io/hostname` has to fit.
const LONGEST_NAME: usize = 63;
/// Host names of machines that were given none.
const NO_NAMES: [&str; 3] = ["localhost", "localhost.localdomain", "localhost4.localdomain4"];

pub(super) fn check(spec: &Spec, target: &Target<'_>, machine: &MachineState, findings: &mut Findings) {
    check_clock(machine, findings);
    if target.purpose == Purpose::Change {
        return;
    }
    check_name(spec, findings);
    match target.purpose {
        Purpose::Init => check_init(spec, machine, findings),
        Purpose::Join => check_join(spec, target, machine, findings),
        Purpose::Change => {}
    }
}

fn check_name(spec: &Spec, findings: &mut Findings) {
    let name = &spec.node.name;
    if NO_NAMES.contains(&name.as_str()) {
        findings.fatal(
            Check::HostName,
            format!("the node's name is {name}, which other machines have too"),
            "give the machine a name (hostnamectl set-hostname NAME), or set node.name",
        );
    }
    if name.len() > LONGEST_NAME {
        findings.fatal(
            Check::HostName,
            format!("the node's name {name} has {} characters", name.len()),
            "its label kubernetes.io/hostname may have 63: give the machine a shorter name, or set node.name",
        );
    }
}

fn check_init(spec: &Spec, machine: &MachineState, findings: &mut Findings) {
    let traces = &machine.traces;
    if traces.joined && traces.kubelet_ca.is_some() && !traces.control_plane {
        findings.fatal(
            Check::Role,
            "this machine is a worker of a cluster",
            "only a machine that is no node can begin a cluster: run `bootstrap reset` first (`bootstrap apply` brings a worker to changed settings)",
        );
    }
    let kubelet_conf = spec.node.paths.kubeconfig("kubelet.conf");
    if let (Some(own), Some(trusted)) = (&traces.ca, &traces.kubelet_ca)
        && are_apart(own, trusted)
    {
        findings.fatal(
            Check::Leftovers,
            format!(
                "{} is of another cluster than {}",
                kubelet_conf.display(),
                spec.node.paths.pki("ca.crt").display()
            ),
            "run `bootstrap reset`, or move away what is not of this cluster",
        );
    }
    if traces.ca.is_none() && traces.etcd_data && spec.cluster.external_etcd.is_none() {
        findings.fatal(
            Check::Leftovers,
            format!(
                "{} has data of another cluster: this machine does not have that cluster's certificates",
                spec.node.paths.etcd_data.display()
            ),
            format!(
                "move it away (or restore the certificates of that cluster to {}, to continue it)",
                spec.node.paths.pki.display()
            ),
        );
    }
    if traces.ca.is_none() && traces.snapshots > 0 {
        findings.warn(
            Check::Leftovers,
            format!("{} has snapshots of another cluster ({})", spec.node.paths.snapshots.display(), traces.snapshots),
            "move them away, so that nobody restores them into this one",
        );
    }
}

fn check_join(spec: &Spec, target: &Target<'_>, machine: &MachineState, findings: &mut Findings) {
    let traces = &machine.traces;
    // A node that joined before continues; whether it is of this cluster is checked by its certificate.
    if traces.kubelet_ca.is_some() {
        return;
    }
    if let (Some(own), Some(cluster)) = (&traces.ca, target.cluster_ca)
        && are_apart(own, cluster)
    {
        findings.fatal(
            Check::Leftovers,
            format!("{} is of another cluster", spec.node.paths.pki("ca.crt").display()),
            "run `bootstrap reset`, or move the certificates of that cluster away",
        );
    }
    if target.control_plane && traces.etcd_data && !traces.shared_keys && spec.cluster.external_etcd.is_none() {
        findings.fatal(
            Check::Leftovers,
            format!("{} has data of another cluster", spec.node.paths.etcd_data.display()),
            "move it away, or run `bootstrap reset`",
        );
    }
}

/// True if two sets of CA certificates have none in common; text without certificates is not judged.
fn are_apart(one: &str, other: &str) -> bool {
    let (one, other) = (ids(one), ids(other));
    !one.is_empty() && !other.is_empty() && !one.iter().any(|id| other.contains(id))
}

fn check_clock(machine: &MachineState, findings: &mut Findings) {
    let Some(ahead) = machine.clock_ahead else { return };
    let seconds = ahead.as_secs().unsigned_abs();
    let place = if ahead.is_negative() { "ahead of" } else { "behind" };
    let problem = format!("this machine's clock is {seconds} s {place} the API server's");
    let remedy = "synchronize the clocks (timedatectl set-ntp true)";
    if seconds > CLOCK_FATAL {
        findings.fatal(Check::Clock, format!("{problem}, so certificates are not valid"), remedy);
    } else if seconds > CLOCK_WARN {
        findings.warn(Check::Clock, problem, remedy);
    }
}
