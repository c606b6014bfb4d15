//! The walk over all keys of cluster.toml: each changes a plan, a preflight finding, or the settings of a node.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::schema::{Kind, SETTINGS, Setting};
use super::{HostDefaults, Layers, derive_spec};
use crate::core::bootstrap::static_pods::render;
use crate::core::bootstrap::workflow::{INIT, JOIN, RENEW};
use crate::core::bootstrap::{Facts, preflight, units};
use crate::core::model::spec::{Component, Spec};

/// Other settings that are required for this one to be valid.
fn base(name: &str) -> &'static str {
    const HOST: &str = "[components]\nsource = \"host\"\n[components.binaries]\netcd = \"/e\"\nkube-apiserver = \"/a\"\n\
                        kube-controller-manager = \"/c\"\nkube-scheduler = \"/s\"\n";
    const ETCD: &str =
        "[etcd]\nendpoints = [\"https://192.0.2.9:2379\"]\nca = \"/ca\"\ncertificate = \"/c\"\nkey = \"/k\"\n";
    match name {
        "components.archives" => "[components]\nsource = \"archive\"\narchives = [\"/a\"]\n",
        "components.binaries" | "mode" => HOST,
        "etcd.endpoints" | "etcd.ca" | "etcd.certificate" | "etcd.key" => ETCD,
        _ => "",
    }
}

/// A valid value that is not the default, as written in the environment.
fn sample(setting: &Setting) -> &'static str {
    match setting.name {
        "mode" => "systemd",
        "args" => "[kube-apiserver]\nv = \"4\"",
        "kubelet" | "node.kubelet" => "maxPods = 7",
        "kube_proxy" => "[conntrack]\nmaxPerCore = 0",
        "cluster.kubernetes_version" => "v1.36.2",
        "cluster.endpoint" => "k8s.example.org:6443",
        "cluster.balancer" => "off",
        "cluster.cloud_provider" => "external",
        "network.pod_cidr" => "10.9.0.0/16",
        "network.service_cidr" => "10.8.0.0/16",
        "network.proxy" => "iptables",
        "node.address" => "192.0.2.77",
        "node.api_port" => "7443",
        "node.taints" => "a=b:NoSchedule",
        "node.units" => "declared",
        "components.source" => "archive",
        "components.binaries" => "etcd=/other,kube-apiserver=/a,kube-controller-manager=/c,kube-scheduler=/s",
        "components.images" => "etcd=example.org/etcd:1",
        "certs.leaf" | "certs.ca" => "100h",
        "etcd.endpoints" => "https://192.0.2.8:2379",
        "etcd.snapshots" | "etcd.drills" => "hourly",
        "etcd.snapshots_kept" => "3",
        "audit.policy" => "none",
        "audit.log" => "/var/log/other/audit.log",
        _ => match setting.kind {
            Kind::Bool if setting.default == "true" => "false",
            Kind::Bool => "true",
            Kind::TextMap => "a=b",
            Kind::Text | Kind::Texts => "/sample",
            Kind::Number | Kind::TextMaps | Kind::Free => panic!("{} needs a sample", setting.name),
        },
    }
}

/// Everything that is planned, written and checked with these settings.
fn everything(spec: &Spec) -> String {
    let facts = Facts::at(Timestamp::UNIX_EPOCH);
    let phases = INIT.iter().chain(JOIN).chain(RENEW);
    let plans: String = phases.map(|phase| format!("{}: {:?}\n", phase.id, (phase.plan)(spec, &facts))).collect();
    let checks = format!("{:?}{:?}", preflight::control_plane_ports(spec), preflight::wanted_programs(spec, true));
    let pods: String =
        Component::REQUIRED.into_iter().map(|component| format!("{:?}\n", render(component, spec, &facts))).collect();
    let units = units::render_snapshot_service(spec, 1) + &units::render_drill_service(spec);
    plans + &checks + &pods + &units
}

fn derived(name: &str, text: &str, value: Option<&str>) -> Spec {
    let host = HostDefaults {
        name: "n1".into(),
        address: Some([192, 0, 2, 11].into()),
        program: PathBuf::from("/usr/bin/bootstrap"),
    };
    let mut layers = Layers::defaults();
    assert!(layers.add_file(Path::new("cluster.toml"), text).is_empty(), "{name}");
    if let Some(value) = value {
        assert_eq!(layers.add_flag(name, value), [], "{name}");
    }
    // The source `archive` requires an archive.
    if name == "components.source" {
        assert_eq!(layers.add_flag("components.archives", "/a"), []);
    }
    derive_spec(&layers, &host).unwrap_or_else(|faults| panic!("{name}: {faults:?}"))
}

#[test]
fn every_key_changes_what_is_planned() {
    let silent = SETTINGS.iter().filter(|setting| {
        let name = if setting.name == "node.name" { "n7" } else { sample(setting) };
        let value = if setting.name == "network.dns_domain" { "other.local" } else { name };
        let text = base(setting.name);
        everything(&derived(setting.name, text, None)) == everything(&derived(setting.name, text, Some(value)))
    });
    let silent: Vec<&str> = silent.map(|setting| setting.name).collect();
    assert!(silent.is_empty(), "set to valid values, and nothing comes of it: {silent:?}");
}

#[test]
fn names_that_nobody_knows_and_values_that_no_kubelet_takes_are_refused_in_tables_that_are_passed_on() {
    for (text, words) in [
        ("[args.kube-apisever]\nv = \"4\"", "args: unknown component \"kube-apisever\""),
        ("[components.images]\nkubelet = \"a\"", "components.images: unknown component \"kubelet\""),
        ("[components.binaries]\netcdd = \"/a\"", "components.binaries: unknown component \"etcdd\""),
        ("[kubelet]\nmaxPod = 3", "kubelet: unknown field \"maxPod\""),
        ("[kubelet]\nmaxPods = \"3\"", "kubelet: maxPods: want a whole number"),
        ("[kubelet]\nmaxPods = -3", "kubelet: maxPods: must be at least 0"),
        ("[kubelet]\ncpuManagerPolicy = \"static\"", "kubelet: cpuManagerPolicy: \"static\" is not supported"),
        ("[kubelet.systemReserved]\nmemory = \"1GB\"", "kubelet: systemReserved: memory: want a quantity"),
        ("[kubelet.featureGates]\nNoSuchGate = true", "kubelet: featureGates.NoSuchGate: unknown feature gate"),
    ] {
        let mut layers = Layers::defaults();
        assert!(layers.add_file(Path::new("cluster.toml"), text).is_empty(), "{text}");
        let host =
            HostDefaults { name: "n1".into(), address: Some([192, 0, 2, 11].into()), program: PathBuf::from("/b") };
        let faults: Vec<String> =
            derive_spec(&layers, &host).expect_err(text).iter().map(ToString::to_string).collect();
        assert!(faults.iter().any(|fault| fault.contains(words)), "{text}: {faults:?}");
    }
}
