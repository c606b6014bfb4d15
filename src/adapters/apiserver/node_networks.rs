//! Watches the Node objects for the fields that the pod network needs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::core::{ApiResource, Object};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::reconnecting::{Events, Reconnecting, WatchError};
use crate::core::model::with_causes;
use crate::core::network::NodeNetwork;
use crate::supervise::restarting;

/// The fields of a Node that are used; the others, such as its list of images, are dropped.
type SlimNode = Object<Spec, Status>;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Spec {
    #[serde(rename = "podCIDRs", default)]
    pod_cidrs: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Status {
    #[serde(default)]
    addresses: Vec<Address>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

/// All nodes, sorted by name; `None` until the first list was received.
pub type NodeNetworks = Option<Arc<[NodeNetwork]>>;

/// Watches as long as the receiver exists. The kubeconfig need not exist yet: a joining node gets it when its TLS
/// bootstrap is complete.
pub fn watch_node_networks(kubeconfig: PathBuf) -> watch::Receiver<NodeNetworks> {
    let (sender, receiver) = watch::channel(None);
    let never = CancellationToken::new();
    restarting("node networks", &never, (sender, kubeconfig), |(sender, kubeconfig)| {
        Box::pin(async move {
            let (mut nodes, mut pause) = (Reconnecting::new(kubeconfig.clone(), watch_nodes), Pause::default());
            loop {
                let outcome = tokio::select! {
                    outcome = follow(&mut nodes, sender, &mut pause) => outcome,
                    () = sender.closed() => return,
                };
                if let Err(error) = outcome {
                    tracing::debug!(error = with_causes(&error), "nodes cannot be watched yet");
                    pause.wait().await;
                }
            }
        })
    });
    receiver
}

fn watch_nodes(client: Client) -> Events<Event<SlimNode>> {
    let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Node>(&());
    watcher::watcher(Api::<SlimNode>::all_with(client, &resource), watcher::Config::default()).boxed()
}

/// Publishes the nodes until the watch is closed.
async fn follow(
    watched: &mut Reconnecting<Event<SlimNode>>,
    sender: &watch::Sender<NodeNetworks>,
    pause: &mut Pause,
) -> Result<(), WatchError> {
    let mut nodes = BTreeMap::new();
    let mut listed = false;
    while let Some(event) = watched.next().await? {
        match event {
            Event::Init => {
                nodes.clear();
                listed = false;
            }
            Event::InitApply(node) | Event::Apply(node) => {
                let network = parse(node);
                nodes.insert(network.name.clone(), network);
            }
            Event::Delete(node) => {
                nodes.remove(&parse(node).name);
            }
            Event::InitDone => {
                listed = true;
                pause.reset();
            }
        }
        if listed {
            let current: Arc<[NodeNetwork]> = nodes.values().cloned().collect();
            sender.send_if_modified(|published| {
                let new = published.as_ref() != Some(&current);
                *published = Some(current);
                new
            });
        }
    }
    Ok(())
}

fn parse(node: SlimNode) -> NodeNetwork {
    let status = node.status.unwrap_or_default();
    let internal = status.addresses.iter().filter(|address| address.kind == "InternalIP");
    let parsed = NodeNetwork::parse(
        node.metadata.name.as_deref().unwrap_or_default(),
        node.spec.pod_cidrs.iter().map(String::as_str),
        internal.map(|address| address.address.as_str()),
    );
    NodeNetwork { created: node.metadata.creation_timestamp.map(|time| time.0), ..parsed }
}

/// The delay between two attempts: short for the first two minutes, because a node becomes Ready only when its network
/// is known, and increasing after that.
#[derive(Default)]
struct Pause {
    attempts: u32,
}

impl Pause {
    async fn wait(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
        let pause = match self.attempts {
            0..=480 => Duration::from_millis(250),
            481..=600 => Duration::from_secs(2),
            _ => Duration::from_secs(10),
        };
        tokio::time::sleep(pause).await;
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}
