//! Judges a node by what was observed on the machine itself; [`judge_cluster`] by what the API says.

use jiff::{SignedDuration, Timestamp};

use super::judge_cluster;
use super::report::Report;
use super::{ApiStatus, CertificateStatus, DiskStatus, EtcdStatus, ManifestStatus, NodeStatus, Role};
use crate::core::bootstrap::units::AGENT;

/// A certificate this close to its expiry is a problem: it should have been renewed at two thirds of its lifetime. For
/// short lifetimes the limit is half of the last third.
const NEAR_END: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A file system with less than a twentieth free is full, but not one that has this many bytes left.
const ROOMY: u64 = 5 << 30;
/// Part of a file system, or of its inodes, below which it is full.
const FULL: u64 = 20;

/// The only problem of a machine that is no node.
pub const NO_NODE: &str = "this machine is no node of a cluster";

impl CertificateStatus {
    /// Time before its expiry from which it is reported as a problem.
    fn near_end(&self) -> SignedDuration {
        match (self.renewed_at, self.not_after) {
            (Some(due), Some(end)) => NEAR_END.min(end.duration_since(due).checked_div(2).unwrap_or_default()),
            _ => NEAR_END,
        }
    }
}

impl DiskStatus {
    /// True if programs soon cannot write any more.
    fn is_full(&self) -> bool {
        let limit = (self.capacity / FULL).min(ROOMY);
        self.available < limit || (self.inodes > 0 && self.inodes_free < self.inodes / FULL)
    }
}

impl NodeStatus {
    /// What needs attention, and what an operator should know.
    pub fn judge(&self, now: Timestamp) -> Report {
        let mut report = Report::default();
        match self.role {
            Role::None => report.add_with(
                "role",
                NO_NODE.to_owned(),
                "create a cluster with `bootstrap init`, or join one with the command that `bootstrap token create --print-join-command` prints on a control plane",
            ),
            Role::Joining => report.add_with(
                "role",
                "this machine began to join a cluster and did not finish".to_owned(),
                "run `bootstrap join` again with a valid token, or `bootstrap reset`",
            ),
            Role::ControlPlane | Role::Worker => self.judge_node(&mut report, now),
        }
        report
    }

    fn judge_node(&self, report: &mut Report, now: Timestamp) {
        self.judge_units(report);
        if let Some(api) = self.api.as_ref().filter(|api| !api.ready) {
            judge_api(report, api);
        }
        if let Some(endpoint) = self.endpoint.as_ref().filter(|endpoint| !endpoint.ready) {
            let of_agent = self.units.iter().any(|unit| unit.unit == AGENT && unit.state != "active");
            let remedy = if of_agent {
                format!("start {AGENT}, which balances connections to the API servers")
            } else {
                "check the API servers on the control planes and the network to them; `bootstrap apply` corrects an address that has changed".to_owned()
            };
            report.add_with(
                "endpoint",
                format!("the API does not answer at {}, where the kubelet of this node reaches it", endpoint.url),
                remedy,
            );
        }
        self.judge_pods(report);
        for set in &self.manifest_sets {
            report.add("manifestSets", format!("manifest set {}: {}", set.name, set.outcome));
        }
        self.judge_certificates(report, now);
        if let Some(etcd) = &self.etcd {
            judge_etcd(report, etcd);
        }
        if let Some((drill, fault)) = self.drill.as_ref().and_then(|drill| Some((drill, drill.fault.as_ref()?))) {
            report.add("drill", format!("the restore drill at {:.0} failed: {fault}", drill.at));
        }
        if let Some(snapshots) = &self.snapshots {
            let folder = &snapshots.folder;
            if snapshots.scheduled && snapshots.count == 0 {
                report
                    .notes
                    .push(format!("{folder} has no snapshot of this cluster yet; `bootstrap etcd snapshot` takes one"));
            }
            if snapshots.of_other_clusters > 0 {
                report.notes.push(format!(
                    "{folder} has {} snapshots of another cluster, which are left alone; remove them when nobody needs them",
                    snapshots.of_other_clusters
                ));
            }
        }
        for disk in self.disks.iter().filter(|disk| disk.is_full()) {
            let mib = disk.available >> 20;
            report.add_with(
                "disks",
                format!(
                    "the file system of {} is full: {mib} of {} MiB and {} of {} inodes are free",
                    disk.path,
                    disk.capacity >> 20,
                    disk.inodes_free,
                    disk.inodes
                ),
                "free space or enlarge it; until then pods are evicted and writes fail",
            );
        }
        judge_cluster::judge(self, report, now);
    }

    fn judge_units(&self, report: &mut Report) {
        for unit in &self.units {
            let name = &unit.unit;
            match unit.state.as_str() {
                "active" if unit.enabled => {}
                "active" => report.add("units", format!("{name} is not enabled, so it does not start at boot")),
                "not-found" => {
                    report.add_with("units", format!("{name} does not exist"), "restore it with `bootstrap apply`");
                }
                state => report.add_with("units", format!("{name} is {state}"), format!("see journalctl -u {name}")),
            }
        }
        for unit in &self.failed_jobs {
            report.notes.push(format!("{unit} failed at its last run; see journalctl -u {unit}"));
        }
    }

    fn judge_pods(&self, report: &mut Report) {
        let explained = |pod: &str| {
            self.manifests.iter().any(|manifest| manifest.not_ready.is_some() && manifest.pod.as_deref() == Some(pod))
        };
        match &self.static_pods {
            None => report.add_with(
                "staticPods",
                "the container runtime does not answer".to_owned(),
                "see journalctl -u containerd",
            ),
            Some(pods) => {
                let stopped = pods.iter().filter(|pod| pod.running < pod.containers || pod.containers == 0);
                for pod in stopped.filter(|pod| !explained(&pod.pod)) {
                    let (name, running, all) = (&pod.pod, pod.running, pod.containers);
                    report.add("staticPods", format!("static pod {name}: {running} of {all} containers are running"));
                }
            }
        }
        for manifest in &self.manifests {
            judge_manifest(report, manifest, self.static_pods.is_some());
        }
    }

    fn judge_certificates(&self, report: &mut Report, now: Timestamp) {
        for certificate in &self.certificates {
            let path = &certificate.path;
            let message = match (&certificate.fault, certificate.not_after) {
                (Some(fault), _) => format!("certificate {path}: {fault}"),
                (None, Some(end)) if end.duration_since(now) < certificate.near_end() => {
                    format!("certificate {path} expires at {end}")
                }
                (None, _) => continue,
            };
            match certificate.remedy {
                Some(remedy) => report.add_with("certificates", message, remedy),
                None => report.add("certificates", message),
            }
        }
    }
}

fn judge_api(report: &mut Report, api: &ApiStatus) {
    let what = format!("the API server of this node does not answer at {}", api.url);
    match &api.answers_at {
        None => report.add("api", what),
        Some(other) => report.add_with(
            "api",
            format!("{what}, but at {other}: the node's address in the settings is not the one it listens on"),
            "correct node.address, then run `bootstrap apply`",
        ),
    }
}

fn judge_manifest(report: &mut Report, manifest: &ManifestStatus, runtime_answers: bool) {
    let path = &manifest.path;
    if !manifest.faults.is_empty() {
        report.add("manifests", format!("manifest {path} is invalid: {}", manifest.faults.join("; ")));
        return;
    }
    let name = manifest.pod.as_deref().unwrap_or_default();
    let see = manifest.unit.as_ref().map_or_else(String::new, |unit| format!("see journalctl -u {unit}"));
    match (&manifest.refused, &manifest.not_ready) {
        (Some(why), _) if !manifest.has_pod && runtime_answers => {
            report
                .add("manifests", format!("manifest {path} has no pod: the kubelet rejects it and will retry: {why}"));
        }
        (_, Some(why)) => report.add_with("manifests", format!("static pod {name} ({path}): {why}"), see),
        _ if !manifest.has_pod && runtime_answers => {
            report.add("manifests", format!("manifest {path} has no pod"));
        }
        _ => {}
    }
}

fn judge_etcd(report: &mut Report, etcd: &EtcdStatus) {
    if let Some(fault) = &etcd.fault {
        report.add("etcd", format!("the members of etcd cannot be asked: {fault}"));
        return;
    }
    let voters: Vec<_> = etcd.members.iter().filter(|member| !member.learner).collect();
    let working = voters.iter().filter(|member| member.has_leader).count();
    let faults = |of: &str| {
        let named =
            etcd.members.iter().filter_map(|member| Some(format!("{}: {}", member.name, member.fault.as_ref()?)));
        named.collect::<Vec<_>>().join(of)
    };
    if working.saturating_mul(2) <= voters.len() {
        let unsure = if etcd.listed { "" } else { " that this node knows of" };
        let what = format!(
            "etcd has lost its quorum: {working} of {} voting members{unsure} work ({}), so nothing in the cluster can change",
            voters.len(),
            faults("; ")
        );
        let remedy = if etcd.external {
            "start its other members again"
        } else if voters.len() == 1 {
            "see journalctl -u static-pod@etcd (roost-etcd where it is a service), and start the members on other nodes, if there are any; with its data lost, `bootstrap etcd restore` brings back a snapshot"
        } else {
            "start the other members again; if they are permanently lost, `bootstrap etcd recover` on one control plane makes it the only member"
        };
        report.add_with("etcd", what, remedy);
        return;
    }
    for member in &etcd.members {
        let Some(fault) = &member.fault else {
            if member.db_quota > 0 && member.db_size >= (member.db_quota / 10).saturating_mul(9) {
                report.add_with(
                    "etcd",
                    format!(
                        "the database of etcd member {} has {} of {} bytes",
                        member.name, member.db_size, member.db_quota
                    ),
                    "run `bootstrap etcd defragment --compact`",
                );
            }
            continue;
        };
        let remedy = match (etcd.external, member.has_leader) {
            (true, _) => "see its own log".to_owned(),
            (false, true) => "run `bootstrap etcd defragment --compact` if it is out of space".to_owned(),
            (false, false) => format!(
                "start it again; if its machine is permanently gone, run `bootstrap etcd remove {}`",
                member.name
            ),
        };
        report.add_with("etcd", format!("etcd member {}: {fault}", member.name), remedy);
    }
}
