//! Collects the state of the node for `bootstrap status`, from the node itself and, if one answers, from an API server. A
//! failure of one source does not stop the others.

mod cluster;
mod etcd;
mod network;
mod static_pods;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::certificates::observe_certificates;
use super::cluster_identity::{identify, read_origins};
use super::error::StepError;
use super::etcd::last_drill;
use super::kept;
use super::manifest_sets::observe_results;
use super::observe::observe_facts;
use super::ports::Ports;
use super::read_text::read_text;
use super::steps::is_enabled;
use crate::core::bootstrap::kubeconfig;
use crate::core::bootstrap::node_status::{
    ApiStatus, CertificateStatus, DiskStatus, MachineStatus, ManifestSetStatus, NodeStatus, ProxyStatus, Role,
    SnapshotsStatus, UnitStatus,
};
use crate::core::bootstrap::phases::kubelet_join::BOOTSTRAP_CONF;
use crate::core::bootstrap::services::{self, place};
use crate::core::bootstrap::snapshots::{ClusterIdentity, taken_at};
use crate::core::bootstrap::units;
use crate::core::model::HttpGet;
use crate::core::model::spec::{Component, ControlPlaneMode, Endpoint, Spec};
use crate::ports::bootstrap::{FileError, NodeProbes, StaticPodStates};

/// Units that every node has.
const UNITS: [&str; 3] = ["containerd.service", units::KUBELET, units::AGENT];
/// Limit of one question to the machine's own servers.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is asked besides the ports of the phases.
pub struct StatusPorts<'a> {
    /// The ports of the phases.
    pub ports: &'a Ports,
    /// The machine and what can be reached from it.
    pub probes: &'a dyn NodeProbes,
    /// The kubelet's word on its static pods.
    pub states: &'a dyn StaticPodStates,
}

/// Observes the node.
///
/// # Errors
/// A file of the node cannot be read, or systemd does not answer.
pub async fn observe(all: &StatusPorts<'_>, spec: &Spec) -> Result<NodeStatus, StepError> {
    let StatusPorts { ports, probes, states } = *all;
    let now = (ports.now)();
    let role = observe_role(ports, spec)?;
    let mut status = NodeStatus { node: spec.node.name.clone(), role, ..NodeStatus::default() };
    status.cluster_version.clone_from(&spec.cluster.version);
    if matches!(role, Role::None | Role::Joining) {
        return Ok(status);
    }
    let control_plane = role == Role::ControlPlane;
    status.control_plane = control_plane;
    (status.units, status.failed_jobs) = observe_units(ports, spec, control_plane).await?;
    status.machine = observe_machine(ports, probes, spec).await?;
    let pods = static_pods::observe_pods(ports).await.ok();
    let mut proxy = None;
    if let Some((pods, runtime_proxy)) = pods {
        (status.static_pods, proxy) = (Some(pods), runtime_proxy);
    }
    let kubelet_runs = status.machine.kubelet_since.is_some();
    let ask = kubelet_runs.then_some(states);
    status.manifests =
        static_pods::observe_manifests(ports, ask, spec, status.static_pods.as_deref().unwrap_or_default()).await?;
    status.manifest_sets = observe_sets(ports)?;
    status.certificates = observe_all_certificates(ports, spec, control_plane, now)?;
    if control_plane && spec.cluster.external_etcd.is_none() {
        let cluster = identify(ports, spec).await?;
        status.drill = last_drill(ports, spec, &cluster)?;
        status.snapshots = Some(observe_snapshots(ports, spec, &cluster)?);
    }
    status.disks = observe_disks(probes, spec, control_plane);
    let view = async {
        match cluster::observe(ports, spec, control_plane, now).await {
            Ok((view, targets)) => (Some(view), None, network::probe(ports, targets).await),
            Err(fault) => (None, Some(fault), Vec::new()),
        }
    };
    let (view, (api, endpoint), etcd, mut network, dns) = futures::join!(
        view,
        observe_apis(ports, spec, control_plane),
        async { if control_plane { Some(etcd::observe(ports, spec).await) } else { None } },
        network::observe(ports, probes, spec),
        network::observe_dns(probes, spec),
    );
    (status.cluster, status.cluster_fault, network.probes) = view;
    (status.api, status.endpoint, status.etcd) = (api, endpoint, etcd);
    (status.network, status.dns) = (network, dns);
    status.kube_proxy = spec.cluster.network.proxy.map(|_| match &status.cluster {
        Some(view) => {
            let faulty = view.kube_proxy.iter().find(|pod| pod.fault.is_some());
            let pod = faulty.or_else(|| view.kube_proxy.first());
            pod.map_or_else(ProxyStatus::default, |pod| ProxyStatus {
                pod: Some(pod.pod.clone()),
                fault: pod.fault.clone(),
            })
        }
        None => proxy.unwrap_or_default(),
    });
    Ok(status)
}

fn observe_role(ports: &Ports, spec: &Spec) -> Result<Role, FileError> {
    let paths = &spec.node.paths;
    Ok(if ports.files.info(&paths.pki("apiserver.crt"))?.is_some() {
        Role::ControlPlane
    } else if ports.files.info(&paths.kubeconfig("kubelet.conf"))?.is_some() {
        Role::Worker
    } else if ports.files.info(&paths.kubeconfig(BOOTSTRAP_CONF))?.is_some() || kept::has_joined(ports.files.as_ref())?
    {
        Role::Joining
    } else {
        Role::None
    })
}

/// The units that have to be active, and services of timers that failed at their last run.
async fn observe_units(
    ports: &Ports,
    spec: &Spec,
    control_plane: bool,
) -> Result<(Vec<UnitStatus>, Vec<String>), StepError> {
    let mut wanted: Vec<String> = UNITS.map(str::to_owned).into();
    let mut jobs = Vec::new();
    if control_plane {
        let facts = observe_facts(ports, spec, false).await?;
        let own = spec
            .cluster
            .own_components()
            .filter(|component| place(*component, spec, &facts) == ControlPlaneMode::Systemd);
        let cloud = facts.services.get(&Component::CloudControllerManager).copied();
        wanted.extend(own.chain(cloud).map(services::unit));
        if spec.cluster.certs.renewal {
            wanted.push(units::RENEWAL_TIMER.to_owned());
            jobs.push(units::RENEWAL_SERVICE);
        }
        if let Some(snapshots) = spec.cluster.snapshots.as_ref().filter(|_| spec.cluster.external_etcd.is_none()) {
            wanted.push(units::SNAPSHOT_TIMER.to_owned());
            jobs.push(units::SNAPSHOT_SERVICE);
            wanted.extend(snapshots.drills.as_ref().map(|_| units::DRILL_TIMER.to_owned()));
        }
    }
    let mut units = Vec::new();
    for unit in wanted {
        let state = ports.units.state(&unit).await?;
        let seen = if state.load == "loaded" { state.active.clone() } else { state.load.clone() };
        units.push(UnitStatus { unit, state: seen, enabled: is_enabled(&state) });
    }
    let mut failed = Vec::new();
    for job in jobs {
        if ports.units.state(job).await?.active == "failed" {
            failed.push(job.to_owned());
        }
    }
    Ok((units, failed))
}

async fn observe_machine(ports: &Ports, probes: &dyn NodeProbes, spec: &Spec) -> Result<MachineStatus, StepError> {
    let (machine_id, boot_id) = probes.identity();
    let kubelet = ports.units.state(units::KUBELET).await?;
    let since = kubelet.active_since.filter(|_| kubelet.is_active());
    Ok(MachineStatus {
        machine_id,
        boot_id,
        address: Some(spec.node.address),
        has_address: probes.has_address(spec.node.address),
        external_cloud: spec.cluster.external_cloud,
        kubelet_since: since.and_then(|since| Timestamp::try_from(since).ok()),
    })
}

fn observe_sets(ports: &Ports) -> Result<Vec<ManifestSetStatus>, FileError> {
    let results = observe_results(ports.files.as_ref())?;
    let unwell = results.into_iter().filter(|(_, result)| result.outcome != "applied");
    Ok(unwell
        .map(|(name, result)| ManifestSetStatus {
            name,
            outcome: match result.outcome.as_str() {
                "switching" => "a switch was interrupted; apply the set again".to_owned(),
                outcome => format!("{outcome} at {}: {}", result.at, result.reason),
            },
        })
        .collect())
}

/// The certificates of the control plane (on workers only those that are not damaged) and those of the kubelet.
fn observe_all_certificates(
    ports: &Ports,
    spec: &Spec,
    control_plane: bool,
    now: Timestamp,
) -> Result<Vec<CertificateStatus>, FileError> {
    let reports = observe_certificates(ports.files.as_ref(), ports.pki.as_ref(), spec, now)?;
    let reports = reports.into_iter().filter(|report| control_plane || report.fault.is_none());
    let mut all: Vec<CertificateStatus> = reports
        .map(|report| CertificateStatus {
            path: report.path.display().to_string(),
            not_after: report.not_after,
            renewed_at: report.renewed_at,
            fault: report.fault,
            remedy: match (report.authority, report.renewed_here) {
                (true, _) => {
                    Some("restore it from the backup of the PKI, or replace it with `bootstrap certs rotate-ca`")
                }
                (false, true) => Some("run `bootstrap certs renew`"),
                (false, false) => None,
            },
        })
        .collect();
    let kubelet = read_text(ports.files.as_ref(), &spec.node.paths.kubeconfig("kubelet.conf"))?;
    let client = kubelet.and_then(|text| kubeconfig::parse(&text)?.client_certificate_path);
    let serving = spec.node.paths.kubelet.join("pki/kubelet-server-current.pem");
    let again = "join again: `bootstrap token create --print-join-command` on a control plane prints the command";
    for (path, remedy) in [
        (client, Some(again)),
        (Some(serving), Some("see journalctl -u kubelet, and kubectl get csr on a control plane")),
    ] {
        let Some(path) = path else { continue };
        let Some(text) = read_text(ports.files.as_ref(), &path)? else { continue };
        let path = path.display().to_string();
        all.push(match ports.pki.inspect(&text, None, None) {
            Ok(seen) => {
                let expired = seen.not_after < now;
                // The kubelet renews between seven and nine tenths of the lifetime.
                let life = seen.not_after.duration_since(seen.not_before);
                let latest = seen.not_after.checked_sub(life.checked_div(10).unwrap_or_default());
                CertificateStatus {
                    path,
                    not_after: Some(seen.not_after),
                    renewed_at: latest.ok(),
                    fault: expired.then(|| format!("it expired at {}", seen.not_after)),
                    remedy,
                }
            }
            Err(error) => {
                CertificateStatus { path, not_after: None, renewed_at: None, fault: Some(error.to_string()), remedy }
            }
        });
    }
    Ok(all)
}

/// This node's snapshots, by their cluster.
fn observe_snapshots(ports: &Ports, spec: &Spec, cluster: &ClusterIdentity) -> Result<SnapshotsStatus, FileError> {
    let folder = &spec.node.paths.snapshots;
    let (own, others) = read_origins(ports, spec)?.split(&ports.files.list(folder)?, &spec.node.name, cluster);
    Ok(SnapshotsStatus {
        folder: folder.display().to_string(),
        scheduled: spec.cluster.snapshots.is_some(),
        count: own.len(),
        newest: own.last().map(|path| path.display().to_string()),
        newest_at: own.last().and_then(|path| taken_at(path)),
        of_other_clusters: others.len(),
    })
}

/// File systems that the node writes to, each once.
fn observe_disks(probes: &dyn NodeProbes, spec: &Spec, control_plane: bool) -> Vec<DiskStatus> {
    let paths = &spec.node.paths;
    let mut folders = vec![paths.kubelet.clone(), "/var/lib/containerd".into(), "/var/log".into()];
    if control_plane && spec.cluster.external_etcd.is_none() {
        folders.extend([paths.etcd_data.clone(), paths.snapshots.clone()]);
    }
    let mut seen = BTreeSet::new();
    let disks = folders.iter().filter_map(|folder| probes.space(folder));
    disks.filter(|disk| seen.insert((disk.capacity, disk.available, disk.inodes, disk.inodes_free))).collect()
}

/// This node's API server, and the one that its kubelet uses.
async fn observe_apis(ports: &Ports, spec: &Spec, control_plane: bool) -> (Option<ApiStatus>, Option<ApiStatus>) {
    let paths = &spec.node.paths;
    let ca = ports.files.read(&paths.pki("ca.crt")).ok().flatten();
    let own = async {
        if !control_plane {
            return None;
        }
        let url = format!("{}/readyz", Endpoint::new(spec.node.address, spec.node.api_port).url());
        let ready = ports.net.answers(&url, ca.as_deref()).await;
        let answers_at = if ready { None } else { answering(ports, spec).await };
        Some(ApiStatus { url, ready, answers_at })
    };
    let endpoint = async {
        let text = read_text(ports.files.as_ref(), &paths.kubeconfig("kubelet.conf")).ok()??;
        let kubelet = kubeconfig::parse(&text)?;
        let url = format!("{}/readyz", kubelet.server.trim_end_matches('/'));
        let ready = ports.net.answers(&url, kubelet.ca.as_deref().or(ca.as_deref())).await;
        Some(ApiStatus { url, ready, answers_at: None })
    };
    futures::join!(own, endpoint)
}

/// Where this node's API server answers if its certificate is not verified: at the node's address, or only at the
/// loopback.
async fn answering(ports: &Ports, spec: &Spec) -> Option<String> {
    for host in [spec.node.address, spec.node.loopback()].map(|address| address.to_string()) {
        let get = HttpGet {
            tls: true,
            host,
            port: spec.node.api_port,
            target: "/readyz".to_owned(),
            headers: Vec::new(),
            host_header: None,
        };
        if ports.checks.http(&get, Some(PATIENCE)).await.is_ok_and(|answer| answer.status == 200) {
            return Some(get.url());
        }
    }
    None
}
