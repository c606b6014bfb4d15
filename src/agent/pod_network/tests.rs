//! The pod network's loop against an in-memory network.

use std::net::IpAddr;
use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Notify;

use super::*;
use crate::core::network::bridge::BridgeLink;
use crate::core::network::{BridgeChange, ObservedBridge, Route};
use crate::ports::node::ApiError;

#[derive(Default)]
struct FakeNetwork {
    routes: Mutex<Vec<Route>>,
    conflists: Mutex<Vec<Value>>,
    /// How often the rules were set, and whether they exist.
    rulesets: Mutex<(usize, bool)>,
    /// How often forwarding was enabled, and whether it is.
    forwarding: Mutex<(usize, bool)>,
    /// Number of complete checks.
    looks: Mutex<usize>,
    bridge: Mutex<ObservedBridge>,
    bridge_changes: Mutex<Vec<BridgeChange>>,
    /// Something removes the rules whenever they are set.
    fights: bool,
    refuse_once: Mutex<bool>,
    /// Setting a route always fails.
    never_routes: bool,
    events: Mutex<Vec<String>>,
    changed: Notify,
    base_changed: Notify,
}

#[async_trait]
impl PodNetwork for FakeNetwork {
    async fn observe_routes(&self) -> Result<Vec<Route>, PodNetworkError> {
        Ok(self.routes.lock().unwrap().clone())
    }

    async fn apply_route(&self, change: &RouteChange) -> Result<(), PodNetworkError> {
        if std::mem::take(&mut *self.refuse_once.lock().unwrap()) || self.never_routes {
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

    async fn apply_forwarding(&self, _ipv6: bool) -> Result<bool, PodNetworkError> {
        *self.looks.lock().unwrap() += 1;
        let mut state = self.forwarding.lock().unwrap();
        let off = !std::mem::replace(&mut state.1, true);
        state.0 += usize::from(off);
        Ok(off)
    }

    async fn apply_ruleset(&self, _ruleset: &str) -> Result<bool, PodNetworkError> {
        let mut state = self.rulesets.lock().unwrap();
        let missing = !std::mem::replace(&mut state.1, !self.fights);
        state.0 += usize::from(missing);
        if missing {
            // The kernel announces our own changes too, and those of the other program.
            self.base_changed.notify_one();
        }
        Ok(missing)
    }

    async fn observe_bridge(&self) -> Result<ObservedBridge, PodNetworkError> {
        Ok(self.bridge.lock().unwrap().clone())
    }

    async fn apply_bridge(&self, change: &BridgeChange) -> Result<(), PodNetworkError> {
        self.bridge_changes.lock().unwrap().push(change.clone());
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

    async fn changed(&self) -> NetworkChange {
        tokio::select! {
            () = self.changed.notified() => NetworkChange::Routes,
            () = self.base_changed.notified() => NetworkChange::Base,
        }
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
    assert_eq!(*fake.rulesets.lock().unwrap(), (1, true));
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
                its size is /32, but pod CIDRs of this cluster are /24";
    assert_eq!(*fake.events.lock().unwrap(), [told]);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_takes_away_is_put_back_whether_it_is_announced_or_not() {
    let fake = Arc::new(FakeNetwork::default());
    let sender = start(&fake);
    sender.send(nodes(&[("n1", "10.244.0.0/24", "10.0.0.1")])).unwrap();
    tokio::time::sleep(SETTLE * 4).await;
    assert_eq!(*fake.rulesets.lock().unwrap(), (1, true));

    fake.rulesets.lock().unwrap().1 = false;
    fake.base_changed.notify_one();
    tokio::time::sleep(SETTLE * 4).await;
    assert_eq!(*fake.rulesets.lock().unwrap(), (2, true));

    // No notification is sent for these.
    fake.rulesets.lock().unwrap().1 = false;
    fake.forwarding.lock().unwrap().1 = false;
    let link = Some(BridgeLink { up: false, addresses: vec!["10.244.0.1/24".parse().unwrap()] });
    *fake.bridge.lock().unwrap() = ObservedBridge { link, mac: None, ports: vec![("veth1".into(), false)] };
    fake.conflists.lock().unwrap().clear();
    tokio::time::sleep(LOOK * 2).await;
    assert_eq!(*fake.rulesets.lock().unwrap(), (3, true));
    assert_eq!(*fake.forwarding.lock().unwrap(), (2, true));
    assert!(!fake.conflists.lock().unwrap().is_empty(), "written again");
    let restored = [BridgeChange::Up, BridgeChange::Attach("veth1".into())];
    assert_eq!(fake.bridge_changes.lock().unwrap()[..2], restored);
}

#[tokio::test(start_paused = true)]
async fn rules_are_there_before_the_api_is() {
    let fake = Arc::new(FakeNetwork::default());
    let _sender = start(&fake);
    tokio::time::sleep(SETTLE * 4).await;
    fake.rulesets.lock().unwrap().1 = false;
    fake.base_changed.notify_one();
    tokio::time::sleep(SETTLE * 4).await;
    assert_eq!(*fake.rulesets.lock().unwrap(), (2, true));
}

#[tokio::test(start_paused = true)]
async fn somebody_who_fights_and_routes_that_fail_do_not_make_the_agent_spin() {
    let fights = Arc::new(FakeNetwork { fights: true, ..FakeNetwork::default() });
    let _sender = start(&fights);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let looks = *fights.looks.lock().unwrap();
    assert!((60..150).contains(&looks), "{looks} in ten minutes");

    // A route that fails is retried every few seconds, without repeating the rest.
    let fake = Arc::new(FakeNetwork { never_routes: true, ..FakeNetwork::default() });
    let sender = start(&fake);
    sender.send(nodes(&[("n2", "10.244.1.0/24", "10.0.0.2")])).unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let looks = *fake.looks.lock().unwrap();
    assert!((10..15).contains(&looks), "{looks} in ten minutes");
}
