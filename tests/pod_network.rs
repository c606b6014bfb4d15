//! The kernel's side of the pod network, in the test's own network namespace (feature `node-tests`, as root).
#![cfg(feature = "node-tests")]
#![allow(clippy::unwrap_used)]

use std::process::Command;

use roost::adapters::network::HostNetwork;
use roost::agent::{PodNetworkSettings, run_pod_network};
use roost::core::network::{NodeNetwork, Route, RouteChange, conflist, masquerade};
use roost::ports::bootstrap::{NodeEvents, PodNetwork};
use roost::ports::node::ApiError;

/// Runs the test of this name again inside a new network namespace; true when this process is the one inside.
fn inside_namespace(test: &str) -> bool {
    if std::env::var_os("ROOST_TEST_NAMESPACE").is_some() {
        return true;
    }
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private", "--"])
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
        sh("ip route add 10.8.0.0/24 via 10.0.0.9");
        tokio::time::timeout(std::time::Duration::from_secs(5), network.changed()).await.unwrap();
        // Routes of other programs are not listed.
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
        for subnet in ["10.1.0.0/16", "10.244.0.0/16"] {
            let ruleset = masquerade::render_ruleset(&[subnet.parse().unwrap()]);
            assert!(network.apply_ruleset(&ruleset).await.unwrap());
            assert!(!network.apply_ruleset(&ruleset).await.unwrap(), "it is there");
        }
        assert!(network.apply_forwarding(false).await.unwrap());
        assert!(!network.apply_forwarding(false).await.unwrap());
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

/// Waits until the script succeeds; gives up after half a minute.
async fn comes_true(script: &str) {
    for _ in 0..300 {
        if Command::new("sh").args(["-ec", script]).output().unwrap().status.success() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{script} has not come true: {}", sh("nft list ruleset; ip address; ip route"));
}

struct NoEvents;

#[async_trait::async_trait]
impl NodeEvents for NoEvents {
    async fn report_refused_range(&self, _: &str, _: &str, _: &str) -> Result<(), ApiError> {
        Ok(())
    }
}

/// What the CNI library records about a pod whose link on the node is `port`.
fn remember_pod(port: &str) {
    let cached = serde_json::json!({ "networkName": "roost", "result": { "interfaces": [
        { "name": "cni0", "mac": "02:00:00:00:ab:01" }, { "name": port }, { "name": "eth0", "sandbox": "/run/netns/p" },
    ] } });
    std::fs::create_dir_all("/var/lib/cni/results").unwrap();
    std::fs::write(format!("/var/lib/cni/results/roost-{port}-eth0"), cached.to_string()).unwrap();
}

#[test]
fn whatever_somebody_takes_away_is_put_back() {
    if !inside_namespace("whatever_somebody_takes_away_is_put_back") {
        return;
    }
    sh("mount -t tmpfs tmpfs /var/lib
        ip link set lo up; ip link add eth0 type bridge; ip link set eth0 up
        ip addr add 10.0.0.1/24 dev eth0; ip addr add fd00::1/64 dev eth0 nodad
        ip link add cni0 address 02:00:00:00:ab:01 type bridge; ip link set cni0 up
        ip addr add 10.244.0.1/24 dev cni0; ip addr add fd01::1/64 dev cni0 nodad
        ip link add veth1 type veth peer name pod1; ip link set veth1 master cni0 up");
    remember_pod("veth1");
    remember_pod("veth-of-a-pod-that-is-gone");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let network = std::sync::Arc::new(host(&folder).monitored().unwrap());
        let of = |name: &str, cidrs: [&str; 2], ips: [&str; 2]| NodeNetwork::parse(name, cidrs, ips);
        let nodes = [
            of("n1", ["10.244.0.0/24", "fd01::/64"], ["10.0.0.1", "fd00::1"]),
            of("n2", ["10.244.1.0/24", "fd01:0:0:1::/64"], ["10.0.0.2", "fd00::2"]),
        ];
        let (_nodes, nodes) = tokio::sync::watch::channel(Some(std::sync::Arc::from(nodes)));
        let settings = PodNetworkSettings {
            node_name: "n1".into(),
            pod_subnets: ["10.244.0.0/16", "fd01::/48"].map(|subnet| subnet.parse().unwrap()).to_vec(),
        };
        tokio::spawn(run_pod_network(settings, nodes, network, std::sync::Arc::new(NoEvents)));
        let file = folder.path().join("net.d").join(conflist::FILE_NAME);
        let file = file.display();
        let sound = format!(
            "for family in ip ip6; do
               nft list table $family roost-pod-network | grep -q masquerade
               ! nft list table $family roost-pod-network | grep -q counter
             done
             grep -q 10.244.0.0/24 {file}; test $(stat -c %a {file}) = 600
             ip route | grep -q '10.244.1.0/24 via 10.0.0.2'; ip -6 route | grep -q 'fd01:0:0:1::/64 via fd00::2'
             test $(cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding | tr -d '\\n') = 11
             ip -o link show cni0 | grep -q ',UP.*02:00:00:00:ab:01'
             ip -o addr show cni0 | grep -q 10.244.0.1/24; ip -o addr show cni0 | grep -q fd01::1/64
             ip -o link show master cni0 | grep -q veth1"
        );
        comes_true(&sound).await;
        for harm in [
            "nft delete table ip roost-pod-network",
            "nft flush ruleset",
            "nft delete table ip6 roost-pod-network",
            "nft flush chain ip roost-pod-network postrouting",
            "nft add rule ip roost-pod-network postrouting counter",
            "printf 'flush ruleset\\ntable inet filter { chain input { type filter hook input priority 0; }; }' | nft -f -",
            "ip route flush proto 82",
            "ip route replace 10.244.1.0/24 via 10.0.0.77",
            "ip -6 route flush proto 82",
            "ip addr flush dev eth0; ip addr add 10.0.0.1/24 dev eth0; ip addr add fd00::1/64 dev eth0 nodad",
            "ip link set eth0 down; ip link set eth0 up; ip addr replace fd00::1/64 dev eth0 nodad",
            "echo 0 > /proc/sys/net/ipv4/ip_forward",
            "echo 0 > /proc/sys/net/ipv6/conf/all/forwarding",
            "ip link del cni0",
            "ip link set cni0 down",
            "ip addr flush dev cni0",
            &format!("rm {file}"),
            &format!("echo '{{}}' > {file}"),
            &format!("chmod 644 {file}"),
            &format!("rm -r $(dirname {file})"),
            // Also in the recreated directory.
            &format!("mv {file} {file}.away"),
        ] {
            sh(harm);
            comes_true(&sound).await;
            // Repeated removals are repaired ever more slowly: this is a single one.
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
        assert!(sh("bridge -d link show dev veth1").contains("hairpin on"));
    });
}
