//! The kernel's side of the pod network, in a network namespace of the test's own (feature `node-tests`, as root).
#![cfg(feature = "node-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

use roost::adapters::network::HostNetwork;
use roost::core::network::{Route, RouteChange, conflist, masquerade};
use roost::ports::PodNetwork;

/// Runs the test of this name again inside a new network namespace; true when this process is the one inside.
fn inside_namespace(test: &str) -> bool {
    if std::env::var_os("ROOST_TEST_NAMESPACE").is_some() {
        return true;
    }
    let status = Command::new("unshare")
        .args(["--net", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("ROOST_TEST_NAMESPACE", "1")
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed inside its namespace");
    false
}

fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn route(destination: &str, gateway: &str) -> Route {
    Route { destination: destination.parse().unwrap(), gateway: gateway.parse().unwrap() }
}

fn host(folder: &tempfile::TempDir) -> HostNetwork {
    HostNetwork::connect("nft".into(), folder.path().join("net.d")).unwrap()
}

#[test]
fn routes_are_set_replaced_seen_and_removed() {
    if !inside_namespace("routes_are_set_replaced_seen_and_removed") {
        return;
    }
    sh("ip link add eth0 mtu 1400 type bridge; ip link set eth0 up; ip addr add 10.0.0.1/24 dev eth0;
        ip addr add fd00::1/64 dev eth0 nodad; ip route add 10.9.0.0/24 via 10.0.0.9");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let network = host(&folder);
        let first = route("10.244.1.0/24", "10.0.0.2");
        let six = route("fd01:1::/64", "fd00::2");
        for wanted in [&first, &six, &first] {
            network.apply_route(&RouteChange::Set(wanted.clone())).await.unwrap();
        }
        tokio::time::timeout(std::time::Duration::from_secs(5), network.changed()).await.unwrap();
        // Routes of others are not ours to see.
        assert_eq!(network.observe_routes().await.unwrap(), [first.clone(), six.clone()]);
        let moved = route("10.244.1.0/24", "10.0.0.3");
        network.apply_route(&RouteChange::Set(moved.clone())).await.unwrap();
        assert_eq!(network.observe_routes().await.unwrap(), [moved.clone(), six.clone()]);
        network.apply_route(&RouteChange::Remove(moved.clone())).await.unwrap();
        network.apply_route(&RouteChange::Remove(moved)).await.unwrap();
        network.apply_route(&RouteChange::Remove(six)).await.unwrap();
        assert_eq!(network.observe_routes().await.unwrap(), []);
        let error = network.apply_route(&RouteChange::Set(route("10.244.1.0/24", "192.168.7.7"))).await.unwrap_err();
        assert!(error.to_string().contains("10.244.1.0/24 via 192.168.7.7"), "{error}");

        assert_eq!(network.observe_mtu("10.0.0.1".parse().unwrap()).await.unwrap(), Some(1400));
        assert_eq!(network.observe_mtu("10.0.0.77".parse().unwrap()).await.unwrap(), None);
    });
    assert!(sh("ip route").contains("10.9.0.0/24 via 10.0.0.9"));
}

#[test]
fn the_ruleset_is_replaced_whole_and_removed_without_a_trace() {
    if !inside_namespace("the_ruleset_is_replaced_whole_and_removed_without_a_trace") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let network = host(&folder);
        for subnet in ["10.1.0.0/16", "10.244.0.0/16", "10.244.0.0/16"] {
            network.apply_ruleset(&masquerade::render_ruleset(&[subnet.parse().unwrap()])).await.unwrap();
        }
        let rules = sh("nft list ruleset");
        assert_eq!(rules.matches("masquerade").count(), 1, "{rules}");
        assert!(rules.contains("10.244.0.0/16") && !rules.contains("10.1.0.0"), "{rules}");
        network.apply_ruleset(&masquerade::render_removal()).await.unwrap();
        assert_eq!(sh("nft list ruleset").trim(), "");
        assert!(network.apply_ruleset("nonsense").await.is_err());

        let wanted = conflist::render_conflist(&["10.244.1.0/24".parse().unwrap()], Some(1400));
        assert!(network.apply_conflist(&wanted).await.unwrap());
        assert!(!network.apply_conflist(&wanted).await.unwrap());
        let file = folder.path().join("net.d").join(conflist::FILE_NAME);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "CIS 1.1.9");
    });
    assert_eq!(sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "1");
}
