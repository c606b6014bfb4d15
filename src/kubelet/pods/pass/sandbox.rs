//! Prerequisites of a sandbox: a runtime handler, user ids, the node's network and its resolver.

use std::sync::Arc;

use super::{Dropped, Pass};
use crate::core::plan::is_host_network;
use crate::core::render::{NodeContext, parse_resolv_conf, uses_node_resolver};
use crate::cri;

impl Pass {
    /// The handler of the pod's RuntimeClass; empty for the default one.
    pub(super) async fn runtime_handler(&self) -> Result<String, String> {
        let class =
            self.pod.spec.as_ref().and_then(|s| s.runtime_class_name.as_deref()).filter(|name| !name.is_empty());
        let Some(class) = class else { return Ok(String::new()) };
        match self.shared.ports.objects.runtime_class(class).await {
            Ok(class) => Ok(class.handler.clone()),
            Err(error) => Err(format!("failed to get sandbox runtime: {error}")),
        }
    }

    /// The pod's block of ids; `None` for a pod that shares the host's users.
    pub(super) async fn ensure_user_namespace(&self) -> Result<Option<cri::UserNamespace>, String> {
        if self.pod.spec.as_ref().and_then(|s| s.host_users) != Some(false) {
            return Ok(None);
        }
        let handler = self.runtime_handler().await?;
        if !self.shared.facts.user_namespaces(&handler) {
            return Err(format!("RuntimeClass handler {handler:?} does not support user namespaces"));
        }
        let ids = self.shared.ports.user_namespaces.ensure(&self.uid).await;
        ids.map(Some).map_err(|error| format!("user namespace of the pod: {error}"))
    }

    /// The node's context with its current resolver; an error if a pod that needs it would get an empty one.
    pub(super) async fn with_resolver(&self) -> Result<Arc<NodeContext>, String> {
        if !uses_node_resolver(&self.pod) {
            return Ok(Arc::clone(&self.node));
        }
        let Some(text) = self.shared.ports.names.resolv_conf().await.map_err(|error| error.to_string())? else {
            return Ok(Arc::clone(&self.node));
        };
        let conf = parse_resolv_conf(&text).map_err(|error| error.to_string())?;
        Ok(Arc::new(NodeContext { resolv_conf: Some(conf), ..(*self.node).clone() }))
    }

    /// The node's context with its current hosts file, for pods that get a copy of it.
    pub(super) async fn with_hosts(&self) -> std::io::Result<Arc<NodeContext>> {
        if !is_host_network(&self.pod) {
            return Ok(Arc::clone(&self.node));
        }
        let node_hosts = self.shared.ports.names.hosts().await?;
        Ok(Arc::new(NodeContext { node_hosts, ..(*self.node).clone() }))
    }

    /// A pod in the pod network waits until the runtime has a network.
    pub(super) async fn wait_for_network(&self) -> Result<(), Dropped> {
        if is_host_network(&self.pod) || self.shared.facts.network_ready() {
            return Ok(());
        }
        let status = self.shared.ports.runtime.status().await.map_err(|error| Dropped::Failed(error.to_string()))?;
        self.shared.facts.learn(&status);
        if self.shared.facts.network_ready() {
            return Ok(());
        }
        let conditions = status.status.map(|s| s.conditions).unwrap_or_default();
        let why = conditions.into_iter().find(|c| c.r#type == "NetworkReady");
        let why = why.map(|c| format!("NetworkReady={} reason:{} message:{}", c.status, c.reason, c.message));
        let message = format!("network is not ready: container runtime network not ready: {}", why.unwrap_or_default());
        self.warn("NetworkNotReady", message.clone());
        Err(Dropped::Failed(message))
    }
}
