//! Behaviour of cluster.toml.

use std::path::{Path, PathBuf};

use super::schema::SETTINGS;
use super::{HostDefaults, Layers, derive_spec};
use crate::core::model::spec::{ComponentSource, Spec};

fn host() -> HostDefaults {
    HostDefaults {
        name: "N1".into(),
        address: Some([192, 0, 2, 11].into()),
        program: PathBuf::from("/usr/bin/bootstrap"),
    }
}

fn spec(text: &str) -> Result<Spec, Vec<String>> {
    let mut layers = Layers::defaults();
    let mut faults = layers.add_file(Path::new("cluster.toml"), text);
    let derived = derive_spec(&layers, &host());
    match derived {
        Ok(spec) if faults.is_empty() => Ok(spec),
        Ok(_) => Err(faults.iter().map(ToString::to_string).collect()),
        Err(more) => {
            faults.extend(more);
            Err(faults.iter().map(ToString::to_string).collect())
        }
    }
}

#[test]
fn every_default_parses_and_together_they_are_a_valid_cluster() {
    let layers = Layers::defaults();
    for setting in SETTINGS.iter().filter(|s| !s.default.is_empty()) {
        assert!(layers.value(setting.name).is_some(), "{}", setting.name);
    }
    let spec = spec("").expect("a valid cluster");
    assert_eq!(spec.node.name, "n1");
    assert_eq!(spec.cluster.endpoint.to_string(), "192.0.2.11:6443");
    assert_eq!(spec.cluster.node_endpoint().to_string(), "127.0.0.1:6444");
    assert_eq!(spec.cluster.image("kube-apiserver"), "registry.k8s.io/kube-apiserver:v1.36.3");
    assert_eq!(spec.cluster.image("coredns"), "registry.k8s.io/coredns/coredns:v1.14.2");
    assert_eq!(spec.node.programs.kubelet, Path::new("/usr/bin/kubelet"));
}

#[test]
fn all_faults_are_reported_at_once_with_line_and_column() {
    let text =
        "[network]\npod_cdir = \"10.0.0.0/8\"\nservice_cidr = \"10.96.0.1/12\"\nproxy = 3\n\n[nod]\nname = \"x\"\n";
    assert_eq!(
        spec(text).expect_err("four faults"),
        [
            "cluster.toml:2:1: network.pod_cdir: unknown setting; did you mean network.pod_cidr?",
            "cluster.toml:4:9: network.proxy: has to be a string",
            "cluster.toml:6:2: nod: unknown setting",
            "cluster.toml:3:1: network.service_cidr: \"10.96.0.1/12\" has host bits set; the network is 10.96.0.0/12",
        ]
    );
}

#[test]
fn overlapping_networks_are_refused() {
    let faults = spec("[network]\npod_cidr = \"10.100.0.0/16\"\n").expect_err("an overlap");
    assert_eq!(
        faults,
        ["cluster.toml:2:1: network.pod_cidr: 10.100.0.0/16 overlaps network.service_cidr 10.96.0.0/12"]
    );
    let faults = spec("[network]\npod_cidr = \"192.0.2.0/24\"\n").expect_err("the node inside");
    assert!(faults[0].contains("contains the address of the node"), "{faults:?}");
}

#[test]
fn text_that_is_no_toml_says_where() {
    let faults = spec("[network\n").expect_err("no toml");
    assert!(faults[0].starts_with("cluster.toml:1:"), "{faults:?}");
}

#[test]
fn flag_wins_over_environment_over_file_over_default() {
    let mut layers = Layers::defaults();
    assert!(layers.add_file(Path::new("c.toml"), "[cluster]\nname = \"file\"\n").is_empty());
    let name = |layers: &Layers| derive_spec(layers, &host()).expect("valid").cluster.name;
    assert_eq!(name(&layers), "file");
    assert!(layers.add_environment(&|key| (key == "ROOST_CLUSTER_NAME").then(|| "env".into())).is_empty());
    assert_eq!(name(&layers), "env");
    assert!(layers.add_flag("cluster.name", "flag").is_empty());
    assert_eq!(name(&layers), "flag");
    assert!(layers.print().contains("name = \"flag\" # from the command line"), "{}", layers.print());
}

#[test]
fn what_is_printed_gives_the_same_cluster() {
    let text = "[components]\nsource = \"host\"\n[components.binaries]\netcd = \"/e\"\nkube-apiserver = \"/a\"\n\
                kube-controller-manager = \"/c\"\nkube-scheduler = \"/s\"\n[kubelet]\nfailCgroupV1 = false\n\
                [args.kube-apiserver]\nv = \"4\"\n[node]\nlabels = { a = \"b\" }\ntaints = [\"k=v:NoExecute\"]\n";
    let first = spec(text).expect("valid");
    assert!(matches!(&first.cluster.source, ComponentSource::Host { programs } if programs.len() == 4));
    assert_eq!(first.cluster.kubelet["failCgroupV1"], false);
    let mut layers = Layers::defaults();
    assert!(layers.add_file(Path::new("c.toml"), text).is_empty());
    assert_eq!(spec(&layers.print()).expect("valid"), first);
}

#[test]
fn faults_of_single_settings_are_clear() {
    for (text, words) in [
        ("mode = \"docker\"", "is not one of: static-pods, systemd"),
        ("mode = \"systemd\"", "systemd services run programs of the host"),
        ("mode = \"systemd\"\n[node]\napi_port = 443", "has to be at least 1024"),
        ("[cluster]\nkubernetes_version = \"1.36\"", "not a version like v1.37.2"),
        (
            "[cluster]\nkubernetes_version = \"v1.34.9\"",
            "v1.34.9 is not supported; this release of Roost supports v1.35 to v1.37",
        ),
        ("[cluster]\nkubernetes_version = \"v1.38.0\"", "v1.38.0 is not supported"),
        (
            "[cluster]\nkubernetes_version = \"v1.37.2\"\n[args.kube-controller-manager]\nconcurrent-service-syncs = \"1\"",
            "v1.37 removed this flag",
        ),
        (
            "[cluster]\nkubernetes_version = \"v1.37.2\"\n[args.kube-apiserver]\nfeature-gates = \"GangScheduling=true\"",
            "GangScheduling: unknown feature gate: removed in v1.37",
        ),
        (
            "[cluster]\nkubernetes_version = \"v1.37.2\"\n[kubelet.featureGates]\nSidecarContainers = true",
            "unknown feature gate: removed in v1.37",
        ),
        ("[kubelet]\nkubernetesVersion = \"v1.36.0\"", "it follows cluster.kubernetes_version"),
        ("[cluster]\nendpoint = \"a b\"", "not an endpoint"),
        ("[cluster]\nbalancer = \"yes\"", "is not one of: on, off, auto"),
        ("[node]\nname = \"N_1\"", "not a node name"),
        ("[node]\napi_port = 70000", "70000 is not a port"),
        ("[node]\ntaints = [\"x\"]", "not a taint like"),
        ("[certs]\nleaf = \"soon\"", "not a duration"),
        ("[components]\nsource = \"archive\"", "at least one archive"),
        ("[components]\nsource = \"host\"", "etcd has to be named"),
        ("[paths]\npki = \"pki\"", "absolute path"),
        ("[network]\npod_cidr = [\"10.1.0.0/16\", \"10.2.0.0/16\"]", "second network of its address family"),
    ] {
        let faults = spec(text).expect_err(text);
        assert!(faults.iter().any(|fault| fault.contains(words)), "{text}: {faults:?}");
    }
}
