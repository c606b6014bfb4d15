//! What a sandbox needs before it is made: a runtime handler, the node's network and its resolver.

use std::sync::Arc;

use super::pass::{Dropped, Pass};
use crate::core::plan::is_host_network;
use crate::core::render::{NodeContext, parse_resolv_conf, uses_node_resolver};
use crate::cri;

/// The handler of the pod's RuntimeClass; empty for the default one.
pub(super) async fn runtime_handler(pass: &Pass) -> Result<String, String> {
    let class = pass.pod.spec.as_ref().and_then(|s| s.runtime_class_name.as_deref()).filter(|name| !name.is_empty());
    let Some(class) = class else { return Ok(String::new()) };
    match pass.ports.objects.runtime_class(class).await {
        Ok(class) => Ok(class.handler.clone()),
        Err(error) => Err(format!("failed to get sandbox runtime: {error}")),
    }
}

/// The pod's block of ids; none for a pod that shares the host's users.
pub(super) async fn user_namespace(pass: &Pass) -> Result<Option<cri::UserNamespace>, String> {
    if pass.pod.spec.as_ref().and_then(|s| s.host_users) != Some(false) {
        return Ok(None);
    }
    let handler = runtime_handler(pass).await?;
    if !pass.facts.user_namespaces(&handler) {
        return Err(format!("RuntimeClass handler {handler:?} does not support user namespaces"));
    }
    let ids = pass.ports.user_namespaces.ensure(&pass.uid).await;
    ids.map(Some).map_err(|error| format!("user namespace of the pod: {error}"))
}

/// The node with its resolver as it is now; an error when a pod that needs it would get an empty one.
pub(super) async fn with_resolver(pass: &Pass) -> Result<Arc<NodeContext>, String> {
    if !uses_node_resolver(&pass.pod) {
        return Ok(Arc::clone(&pass.node));
    }
    let Some(text) = pass.ports.names.resolv_conf().await.map_err(|error| error.to_string())? else {
        return Ok(Arc::clone(&pass.node));
    };
    let conf = parse_resolv_conf(&text).map_err(|error| error.to_string())?;
    Ok(Arc::new(NodeContext { resolv_conf: Some(conf), ..(*pass.node).clone() }))
}

/// The node with its hosts file as it is now, for pods that get a copy of it.
pub(super) async fn with_hosts(pass: &Pass) -> std::io::Result<Arc<NodeContext>> {
    if !is_host_network(&pass.pod) {
        return Ok(Arc::clone(&pass.node));
    }
    let node_hosts = pass.ports.names.hosts().await?;
    Ok(Arc::new(NodeContext { node_hosts, ..(*pass.node).clone() }))
}

/// A pod of the pod network waits until the runtime has one.
pub(super) async fn wait_for_network(pass: &Pass) -> Result<(), Dropped> {
    if is_host_network(&pass.pod) || pass.facts.network_ready() {
        return Ok(());
    }
    let status = pass.ports.runtime.status().await.map_err(|error| Dropped::Failed(error.to_string()))?;
    pass.facts.learn(&status);
    if pass.facts.network_ready() {
        return Ok(());
    }
    let conditions = status.status.map(|s| s.conditions).unwrap_or_default();
    let why = conditions.into_iter().find(|c| c.r#type == "NetworkReady");
    let why = why.map(|c| format!("NetworkReady={} reason:{} message:{}", c.status, c.reason, c.message));
    let message = format!("network is not ready: container runtime network not ready: {}", why.unwrap_or_default());
    pass.warn("NetworkNotReady", message.clone());
    Err(Dropped::Failed(message))
}
