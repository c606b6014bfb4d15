//! Static pods and kube-proxy as the runtime shows them, and the manifests with what the kubelet says of their pods.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::node_status::{ManifestStatus, ProxyStatus, StaticPodStatus};
use crate::core::manifest::manifest_name;
use crate::core::manifest::set::StaticSet;
use crate::core::model::labels::{CONFIG_HASH, CONFIG_SOURCE, POD_NAME, POD_NAMESPACE, RESTART_COUNT};
use crate::core::model::spec::Spec;
use crate::core::model::{ReadFile, is_manifest_name, key_of, refusal_file};
use crate::core::static_units::{PodState, unit_of};
use crate::cri;
use crate::ports::bootstrap::{FileError, StaticPodStates};
use crate::ports::node::RuntimeError;

/// How long the kubelet may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(3);

/// Pods from manifests with a running sandbox, and kube-proxy's pod; with their newest containers.
pub async fn observe_pods(ports: &Ports) -> Result<(Vec<StaticPodStatus>, Option<ProxyStatus>), RuntimeError> {
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
    let proxies = sandboxes.iter().filter(|sandbox| {
        let label = |name: &str| sandbox.labels.get(name).map(String::as_str);
        label("k8s-app") == Some("kube-proxy") && label(POD_NAMESPACE) == Some("kube-system")
    });
    let proxy = proxies.max_by_key(|sandbox| (sandbox.state == ready, sandbox.created_at)).map(|sandbox| {
        let seen = summarize(sandbox, &containers);
        let stopped = seen.running < seen.containers || seen.containers == 0 || sandbox.state != ready;
        let fault = stopped.then(|| {
            format!("{} of {} containers are running, {} restarts", seen.running, seen.containers, seen.restarts)
        });
        ProxyStatus { pod: Some(seen.pod), fault }
    });
    Ok((pods, proxy))
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

/// Manifests with a fault, read as the kubelet reads them, those whose pod the runtime does not have, and those whose
/// pod is not Ready according to the kubelet, if there is one to ask.
pub async fn observe_manifests(
    ports: &Ports,
    states: Option<&dyn StaticPodStates>,
    spec: &Spec,
    pods: &[StaticPodStatus],
) -> Result<Vec<ManifestStatus>, FileError> {
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
    let mut manifests = Vec::new();
    for (path, entry) in &set.entries {
        let mut manifest = ManifestStatus {
            path: path.display().to_string(),
            faults: entry.faults.iter().map(ToString::to_string).collect(),
            ..ManifestStatus::default()
        };
        if let Some(pod) = &entry.pod {
            let key = key_of(pod);
            let wanted = key.to_string();
            manifest.has_pod = pods.iter().any(|pod| pod.pod == wanted);
            // An unreadable note is no reason to leave out the rest of the report.
            manifest.refused = ports.files.read(&refusal_file(&spec.node.paths.kubelet, &key)).ok().flatten();
            manifest.pod = Some(wanted);
            if let Some(states) = states {
                let full = pod.metadata.name.as_deref().unwrap_or_default();
                let name = manifest_name(full, &spec.node.name);
                manifest.unit = Some(unit_of(name));
                match why_not_ready(states, name, pod).await {
                    Readiness::Completed => continue,
                    Readiness::NotReady(why) => manifest.not_ready = Some(why),
                    Readiness::Ready | Readiness::Untold => {}
                }
            }
        }
        if !manifest.has_pod || !manifest.faults.is_empty() || manifest.not_ready.is_some() {
            manifests.push(manifest);
        }
    }
    Ok(manifests)
}

/// What the kubelet says of a static pod.
enum Readiness {
    Ready,
    /// It has finished and is not restarted.
    Completed,
    NotReady(String),
    /// The kubelet did not answer, which is reported with its unit.
    Untold,
}

async fn why_not_ready(states: &dyn StaticPodStates, name: &str, pod: &Pod) -> Readiness {
    let hash = pod.metadata.annotations.as_ref().and_then(|notes| notes.get(CONFIG_HASH)).map_or("", String::as_str);
    match tokio::time::timeout(PATIENCE, states.state(name, hash)).await {
        Ok(Ok(PodState::Ready(_))) => Readiness::Ready,
        Ok(Ok(PodState::Waiting(text))) if text.contains("PodCompleted") => Readiness::Completed,
        Ok(Ok(PodState::Waiting(text) | PodState::Stopping { text, .. })) => Readiness::NotReady(text),
        Ok(Ok(PodState::Stopped)) => {
            Readiness::NotReady(format!("it was stopped through its unit; systemctl start {} starts it", unit_of(name)))
        }
        Ok(Ok(PodState::Unknown)) => Readiness::NotReady("the kubelet has not picked it up".to_owned()),
        Ok(Err(_)) | Err(_) => Readiness::Untold,
    }
}
