//! Events about Nodes, with the credentials of a kubeconfig.

use std::path::PathBuf;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Api;
use kube::api::PostParams;

use super::connect::connect;
use super::session::ask;
use crate::core::model::{short_digest, with_causes};
use crate::ports::bootstrap::NodeEvents;
use crate::ports::node::ApiError;

/// Namespace of events about cluster-wide objects (client-go's `recorder`).
const NAMESPACE: &str = "default";

/// Creates a client for each event: they are rare.
#[derive(Clone, Debug)]
pub struct KubeconfigNodeEvents {
    kubeconfig: PathBuf,
    reporter: String,
}

impl KubeconfigNodeEvents {
    /// Events reported by the node `reporter`.
    pub fn new(kubeconfig: PathBuf, reporter: &str) -> Self {
        Self { kubeconfig, reporter: reporter.to_owned() }
    }
}

#[async_trait]
impl NodeEvents for KubeconfigNodeEvents {
    async fn report_refused_range(&self, node: &str, cidr: &str, message: &str) -> Result<(), ApiError> {
        let event = render_event(node, cidr, message, &self.reporter, Timestamp::now());
        let what = || format!("event about node {node}");
        let unreachable =
            |error: super::connect::Error| ApiError::Unreachable { what: what(), message: with_causes(&error) };
        let client = connect(&self.kubeconfig).await.map_err(unreachable)?;
        let events: Api<Event> = Api::namespaced(client, NAMESPACE);
        match ask(what, events.create(&PostParams::default(), &event)).await {
            // Another node has already reported it.
            Err(ApiError::AlreadyExists(_)) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }
}

fn render_event(node: &str, cidr: &str, message: &str, reporter: &str, now: Timestamp) -> Event {
    Event {
        metadata: ObjectMeta {
            // The same name for all nodes that report it.
            name: Some(format!("{node}.{}", short_digest(format!("pod-cidr {cidr}")))),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(node.to_owned()),
            // As the kubelet does: `kubectl describe node` searches for events with the name in this field.
            uid: Some(node.to_owned()),
            ..ObjectReference::default()
        },
        type_: Some("Warning".to_owned()),
        reason: Some("PodCIDRRefused".to_owned()),
        message: Some(message.to_owned()),
        source: Some(EventSource { component: Some("roost-agent".to_owned()), host: Some(reporter.to_owned()) }),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_nodes_tell_a_refusal_under_one_name() {
        let event = |cidr: &str, reporter: &str| render_event("n6", cidr, "no", reporter, Timestamp::UNIX_EPOCH);
        let name = |event: &Event| event.metadata.name.clone().unwrap();
        assert_eq!(name(&event("10.0.0.0/8", "n1")), name(&event("10.0.0.0/8", "n2")));
        assert_ne!(name(&event("10.0.0.0/8", "n1")), name(&event("10.0.0.0/9", "n1")));
        assert_eq!(event("10.0.0.0/8", "n1").involved_object.kind.as_deref(), Some("Node"));
    }
}
