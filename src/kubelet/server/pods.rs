//! `/pods` and `/runningpods`.

use std::collections::BTreeMap;

use hyper::StatusCode;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use super::Server;
use super::reply::{Reply, json, text};
use crate::core::model::labels;
use crate::cri;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PodList {
    kind: &'static str,
    api_version: &'static str,
    metadata: serde_json::Map<String, serde_json::Value>,
    items: Vec<Pod>,
}

fn list(items: Vec<Pod>) -> Reply {
    json(&PodList { kind: "PodList", api_version: "v1", metadata: serde_json::Map::new(), items })
}

/// All pods that this node should run, with their status as derived here.
pub fn pods(server: &Server) -> Reply {
    let mut views = server.ports.pods.list();
    views.sort_by(|a, b| {
        let name = |v: &crate::ports::kubelet::PodView| (v.pod.metadata.namespace.clone(), v.pod.metadata.name.clone());
        name(a).cmp(&name(b))
    });
    let with_status = |view: &std::sync::Arc<crate::ports::kubelet::PodView>| {
        let mut pod = Pod::clone(&view.pod);
        pod.status = Some(PodStatus::clone(&view.status));
        pod
    };
    list(views.iter().map(with_status).collect())
}

/// All pods with a running container in the runtime, known to this kubelet or not.
pub async fn running_pods(server: &Server) -> Reply {
    let containers = match server.ports.runtime.list_containers(None).await {
        Ok(containers) => containers,
        Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    let mut pods: BTreeMap<(String, String, String), Vec<Container>> = BTreeMap::new();
    for container in containers.iter().filter(|c| c.state() == cri::ContainerState::ContainerRunning) {
        let label = |name| container.labels.get(name).cloned().unwrap_or_default();
        let key = (label(labels::POD_NAMESPACE), label(labels::POD_NAME), label(labels::POD_UID));
        pods.entry(key).or_default().push(Container {
            name: label(labels::CONTAINER_NAME),
            image: container.image.as_ref().map(|i| i.image.clone()),
            ..Container::default()
        });
    }
    let pod = |((namespace, name, uid), containers)| Pod {
        metadata: ObjectMeta { namespace: Some(namespace), name: Some(name), uid: Some(uid), ..ObjectMeta::default() },
        spec: Some(PodSpec { containers, ..PodSpec::default() }),
        status: Some(PodStatus::default()),
    };
    list(pods.into_iter().map(pod).collect())
}
