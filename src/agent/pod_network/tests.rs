//! The pod network loop against a network in memory.

use std::net::IpAddr;
use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Notify;

use super::*;
use crate::core::network::Route;
use crate::ports::ApiError;

#[derive(Default)]
struct FakeNetwork {
    routes: Mutex<Vec<Route>>,
    conflists: Mutex<Vec<Value>>,
    rulesets: Mutex<usize>,
    refuse_once: Mutex<bool>,
    events: Mutex<Vec<String>>,
    changed: Notify,
}

#[async_trait]
impl PodNetwork for FakeNetwork {
    async fn observe_routes(&self) -> Result<Vec<Route>, PodNetworkError> {
        Ok(self.routes.lock().unwrap().clone())
    }

    async fn apply_route(&self, change: &RouteChange) -> Result<(), PodNetworkError> {
        if std::mem::take(&mut *self.refuse_once.lock().unwrap()) {
            return Err(PodNetworkError::Rules { program: "fake".into(), message: "refused".into() });
        }
        let mut routes = self.routes.lock().unwrap();
        match change {
            RouteChange::Remove(route) => routes.retain(|kept| kept != route),
            RouteChange::Set(route) => {
                routes.retain(|kept| kept.destination != route.destination);
                routes.push(route.clone());
            }
        }
        Ok(())
    }

    async fn observe_mtu(&self, _address: IpAddr) -> Result<Option<u32>, PodNetworkError> {
        Ok(Some(1500))
    }

    async fn apply_ruleset(&self, _ruleset: &str) -> Result<(), PodNetworkError> {
        *self.rulesets.lock().unwrap() += 1;
        Ok(())
    }

    async fn apply_conflist(&self, conflist: &Value) -> Result<bool, PodNetworkError> {
        self.conflists.lock().unwrap().push(conflist.clone());
        Ok(true)
    }

    async fn observe_traces(&self) -> Result<Vec<String>, PodNetworkError> {
        Ok(Vec::new())
    }

    async fn remove_traces(&self) -> Result<(), PodNetworkError> {
        Ok(())
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[async_trait]
impl NodeEvents for FakeNetwork {
    async fn report_refused_range(&self, node: &str, _cidr: &str, message: &str) -> Result<(), ApiError> {
        self.events.lock().unwrap().push(format!("{node}: {message}"));
        Ok(())
    }
}

fn nodes(list: &[(&str, &str, &str)]) -> Option<Arc<[NodeNetwork]>> {
    Some(list.iter().map(|(name, cidr, address)| NodeNetwork::parse(name, [*cidr], [*address])).collect())
}

fn start(fake: &Arc<FakeNetwork>) -> watch::Sender<Option<Arc<[NodeNetwork]>>> {
    let (sender, receiver) = watch::channel(None);
    let settings = PodNetworkSettings { node_name: "n1".into(), pod_subnets: vec!["10.244.0.0/16".parse().unwrap()] };
    tokio::spawn(run_pod_network(settings, receiver, fake.clone(), fake.clone()));
    sender
}

fn gateways(fake: &FakeNetwork) -> Vec<String> {
    fake.routes.lock().unwrap().iter().map(|route| route.gateway.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_cni_configuration_is_written_once_the_own_node_has_a_cidr() {
    let fake = Arc::new(FakeNetwork::default());
    let sender = start(&fake);
    sender.send(Some(Arc::from([NodeNetwork::parse("n1", [], ["10.0.0.1"])]))).unwrap();
    tokio::time::sleep(SETTLE * 2).await;
    assert!(fake.conflists.lock().unwrap().is_empty());
    sender.send(nodes(&[("n1", "10.244.0.0/24", "10.0.0.1")])).unwrap();
    tokio::time::sleep(SETTLE * 2).await;
    assert_eq!(fake.conflists.lock().unwrap().len(), 1);
    assert_eq!(*fake.rulesets.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_route_is_tried_again_and_a_lost_one_comes_back() {
    let fake = Arc::new(FakeNetwork::default());
    *fake.refuse_once.lock().unwrap() = true;
    let sender = start(&fake);
    sender.send(nodes(&[("n2", "10.244.1.0/24", "10.0.0.2")])).unwrap();
    tokio::time::sleep(SETTLE).await;
    assert!(gateways(&fake).is_empty());
    tokio::time::sleep(RETRY).await;
    assert_eq!(gateways(&fake), ["10.0.0.2"]);

    fake.routes.lock().unwrap().clear();
    fake.changed.notify_one();
    tokio::time::sleep(SETTLE * 2).await;
    assert_eq!(gateways(&fake), ["10.0.0.2"]);

    sender.send(nodes(&[])).unwrap();
    tokio::time::sleep(SETTLE).await;
    assert!(gateways(&fake).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refused_range_is_told_once_at_its_node_and_gets_no_route() {
    let fake = Arc::new(FakeNetwork::default());
    let sender = start(&fake);
    let honest = ("n2", "10.244.1.0/24", "10.0.0.2");
    for address in ["10.0.0.9", "10.0.0.10", "10.0.0.9"] {
        sender.send(nodes(&[honest, ("n3", "10.244.1.5/32", address)])).unwrap();
        tokio::time::sleep(SETTLE * 2).await;
        assert_eq!(gateways(&fake), ["10.0.0.2"]);
    }
    let told = "n3: No other node sends traffic to pod CIDR 10.244.1.5/32 of this node: \
                its size is /32, and pod CIDRs of this cluster are /24";
    assert_eq!(*fake.events.lock().unwrap(), [told]);
}
