//! What the API says about this node, by the best credentials that the node has.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::network::Target;
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::node_status::ClusterView;
use crate::core::bootstrap::node_status::cluster::{
    derive_api_servers, derive_core_dns, derive_node, derive_others, derive_pods, derive_target,
};
use crate::core::model::spec::Spec;
use crate::core::model::with_causes;
use crate::ports::bootstrap::{ClusterObjects, ClusterObjectsError, ObjectRef};

/// Limit of one request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Other nodes whose pods are reached for.
const MOST_TARGETS: usize = 3;

/// A request, with a limit.
async fn within<T>(request: impl Future<Output = Result<T, ClusterObjectsError>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(outcome) => outcome.map_err(|error| with_causes(&error)),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// What the API says, and pods of other nodes to connect to.
///
/// # Errors
/// No kubeconfig of this node leads to an API server that answers; the text of the last failure.
pub async fn observe(
    ports: &Ports,
    spec: &Spec,
    control_plane: bool,
    now: Timestamp,
) -> Result<(ClusterView, Vec<Target>), String> {
    let names: &[&str] = if control_plane { &["admin.conf", "kubelet.conf"] } else { &["kubelet.conf"] };
    let mut last = "this node has no kubeconfig".to_owned();
    for name in names {
        let path = spec.node.paths.kubeconfig(name);
        if !matches!(ports.files.info(&path), Ok(Some(_))) {
            continue;
        }
        let by = path.display().to_string();
        let outcome = match ports.net.connect(&path).await {
            Ok(objects) => ask(objects.as_ref(), spec, *name == "admin.conf", now).await,
            Err(error) => Err(with_causes(error.as_ref())),
        };
        match outcome {
            Ok((view, targets)) => return Ok((ClusterView { kubeconfig: by, ..view }, targets)),
            Err(fault) => last = format!("{fault} (with {by})"),
        }
    }
    Err(last)
}

async fn ask(
    objects: &dyn ClusterObjects,
    spec: &Spec,
    administrator: bool,
    now: Timestamp,
) -> Result<(ClusterView, Vec<Target>), String> {
    let own = &spec.node.name;
    let pods = ObjectRef::new("v1", "Pod", None, "");
    let node = within(objects.get(&ObjectRef::new("v1", "Node", None, own))).await?;
    let own_pods = within(objects.list(&pods, &format!("spec.nodeName={own}"))).await?;
    let mut view = ClusterView {
        node: node.as_ref().map(derive_node),
        kube_proxy: derive_pods(&own_pods, "kube-proxy", now),
        ..ClusterView::default()
    };
    if !administrator {
        // The node authorizer lets a kubelet read nothing else.
        return Ok((view, Vec::new()));
    }
    let system = within(objects.list(&ObjectRef::new("v1", "Pod", Some("kube-system"), ""), "")).await?;
    let deployment = ObjectRef::new("apps/v1", "Deployment", Some("kube-system"), "coredns");
    let deployment = within(objects.get(&deployment)).await?;
    view.core_dns = deployment.map(|deployment| derive_core_dns(&deployment, &system, now));
    view.api_servers = derive_api_servers(&system);
    let policies = ObjectRef::new("networking.k8s.io/v1", "NetworkPolicy", None, "");
    view.network_policies = within(objects.list(&policies, "")).await.ok().map(|list| list.len());
    let nodes: Vec<Value> = within(objects.list(&ObjectRef::new("v1", "Node", None, ""), "")).await?;
    let mut targets = Vec::new();
    for other in derive_others(&nodes, own).into_iter().take(MOST_TARGETS) {
        let there = within(objects.list(&pods, &format!("spec.nodeName={other},status.phase=Running"))).await?;
        targets.extend(derive_target(&there).map(|(pod, address, port)| (other, pod, address, port)));
    }
    Ok((view, targets))
}
