//! Collects the state of the node for `bootstrap status`, without the API server. A failure of one source does not stop
//! the others.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Pod;

use super::certificates::observe_certificates;
use super::error::StepError;
use super::etcd::last_drill;
use super::manifest_sets::observe_results;
use super::observe::observe_facts;
use super::ports::Ports;
use super::steps::is_enabled;
use crate::core::bootstrap::node_status::{
    ApiStatus, CertificateStatus, ManifestStatus, NodeStatus, StaticPodStatus, UnitStatus,
};
use crate::core::bootstrap::services::{self, place};
use crate::core::bootstrap::units;
use crate::core::manifest::set::StaticSet;
use crate::core::model::labels::{CONFIG_SOURCE, POD_NAME, POD_NAMESPACE, RESTART_COUNT};
use crate::core::model::spec::{Component, ControlPlaneMode, Endpoint, Spec};
use crate::core::model::{ReadFile, is_manifest_name, key_of, refusal_file};
use crate::cri;
use crate::ports::bootstrap::FileError;
use crate::ports::node::RuntimeError;

/// Units that every node has.
const UNITS: [&str; 3] = ["containerd.service", units::KUBELET, units::AGENT];

pub async fn observe(ports: &Ports, spec: &Spec) -> Result<NodeStatus, StepError> {
    let paths = &spec.node.paths;
    let control_plane = ports.files.info(&paths.pki("apiserver.crt"))?.is_some();
    let mut wanted: Vec<String> = UNITS.map(str::to_owned).into();
    if control_plane {
        let facts = observe_facts(ports, spec, false).await?;
        let own = Component::REQUIRED
            .into_iter()
            .filter(|component| *component != Component::Etcd || spec.cluster.external_etcd.is_none());
        let own = own.filter(|component| place(*component, spec, &facts) == ControlPlaneMode::Systemd);
        let cloud = facts.services.get(&Component::CloudControllerManager).copied();
        wanted.extend(own.chain(cloud).map(services::unit));
    }
    let mut units = Vec::new();
    for unit in wanted {
        let state = ports.units.state(&unit).await?;
        let seen = if state.load == "loaded" { state.active.clone() } else { state.load.clone() };
        units.push(UnitStatus { unit, state: seen, enabled: is_enabled(&state) });
    }
    let api = if control_plane {
        let url = format!("{}/readyz", Endpoint::new(spec.node.address, spec.node.api_port).url());
        let ca = ports.files.read(&paths.pki("ca.crt"))?;
        Some(ApiStatus { ready: ports.net.answers(&url, ca.as_deref()).await, url })
    } else {
        None
    };
    let static_pods = observe_static_pods(ports).await.ok();
    let manifests = observe_manifests(ports, spec, static_pods.as_deref().unwrap_or_default())?;
    let certificates = observe_certificates(ports.files.as_ref(), ports.pki.as_ref(), spec, (ports.now)())?;
    let certificates = certificates.into_iter().filter(|report| control_plane || report.fault.is_none());
    Ok(NodeStatus {
        node: spec.node.name.clone(),
        control_plane,
        units,
        api,
        static_pods,
        manifests,
        manifest_sets: observe_sets(ports)?,
        certificates: certificates
            .map(|report| CertificateStatus {
                path: report.path.display().to_string(),
                not_after: report.not_after,
                renewed_at: report.renewed_at,
                fault: report.fault,
            })
            .collect(),
        drill: last_drill(ports, spec)?,
    })
}

fn observe_sets(ports: &Ports) -> Result<Vec<(String, String)>, FileError> {
    let results = observe_results(ports.files.as_ref())?;
    let unwell = results.into_iter().filter(|(_, result)| result.outcome != "applied");
    Ok(unwell
        .map(|(name, result)| {
            let what = match result.outcome.as_str() {
                "switching" => "a switch was interrupted; apply the set again".to_owned(),
                outcome => format!("{outcome} at {}: {}", result.at, result.reason),
            };
            (name, what)
        })
        .collect())
}

/// Pods from manifests with a running sandbox, and their newest containers.
async fn observe_static_pods(ports: &Ports) -> Result<Vec<StaticPodStatus>, RuntimeError> {
    let sandboxes = ports.runtime.list_sandboxes(None).await?;
    let containers = ports.runtime.list_containers(None).await?;
    let ready = cri::PodSandboxState::SandboxReady as i32;
    let from_file =
        |sandbox: &cri::PodSandbox| sandbox.annotations.get(CONFIG_SOURCE).is_some_and(|source| source == "file");
    let mut pods: Vec<StaticPodStatus> = sandboxes
        .iter()
        .filter(|sandbox| sandbox.state == ready && from_file(sandbox))
        .map(|sandbox| summarize(sandbox, &containers))
        .collect();
    pods.sort_by(|a, b| a.pod.cmp(&b.pod));
    Ok(pods)
}

fn summarize(sandbox: &cri::PodSandbox, containers: &[cri::Container]) -> StaticPodStatus {
    let label = |name: &str| sandbox.labels.get(name).cloned().unwrap_or_default();
    let restarts = |container: &cri::Container| -> u32 {
        container.annotations.get(RESTART_COUNT).and_then(|count| count.parse().ok()).unwrap_or_default()
    };
    let own = containers.iter().filter(|container| container.pod_sandbox_id == sandbox.id);
    let mut newest: BTreeMap<String, &cri::Container> = BTreeMap::new();
    for container in own {
        let name = container.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default();
        let slot = newest.entry(name).or_insert(container);
        if container.created_at > slot.created_at {
            *slot = container;
        }
    }
    let running = cri::ContainerState::ContainerRunning as i32;
    StaticPodStatus {
        pod: format!("{}/{}", label(POD_NAMESPACE), label(POD_NAME)),
        running: newest.values().filter(|container| container.state == running).count(),
        containers: newest.len(),
        restarts: newest.values().fold(0, |sum, container| restarts(container).saturating_add(sum)),
    }
}

/// Manifests with a fault, read as the kubelet reads them, and those whose pod the runtime does not have.
fn observe_manifests(ports: &Ports, spec: &Spec, pods: &[StaticPodStatus]) -> Result<Vec<ManifestStatus>, FileError> {
    let folder = spec.node.paths.manifests();
    let mut files = Vec::new();
    for name in ports.files.list(&folder)? {
        let path: PathBuf = folder.join(name);
        if path.file_name().is_some_and(|name| is_manifest_name(&name.to_string_lossy())) {
            let content = match ports.files.read(&path) {
                Ok(text) => Ok(text.unwrap_or_default().into_bytes()),
                Err(error) => Err(error.source.to_string()),
            };
            files.push(ReadFile { path, content });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let set = StaticSet::default().next(&files, &|_| None, &spec.node.name);
    let runs = |wanted: &Pod| pods.iter().any(|pod| pod.pod == key_of(wanted).to_string());
    Ok(set
        .entries
        .iter()
        .map(|(path, entry)| ManifestStatus {
            path: path.display().to_string(),
            faults: entry.faults.iter().map(ToString::to_string).collect(),
            has_pod: entry.pod.as_ref().is_some_and(|pod| runs(pod)),
            // An unreadable note is no reason to leave out the rest of the report.
            refused: entry
                .pod
                .as_ref()
                .and_then(|pod| ports.files.read(&refusal_file(&spec.node.paths.kubelet, &key_of(pod))).ok().flatten()),
        })
        .filter(|manifest| !manifest.has_pod || !manifest.faults.is_empty())
        .collect())
}
