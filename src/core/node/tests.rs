//! Settings and machines in, Node objects out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{NodeAddress, NodeStatus};

use super::*;
use crate::config::kubelet::{Flags, load};
use crate::core::model::{KubeletSpec, MachineFacts, Release};

fn spec() -> KubeletSpec {
    let mut flags = Flags { node_name: "n1".into(), node_ip: "10.0.0.1".into(), ..Flags::default() };
    flags.fields.insert("kube-reserved".into(), "cpu=200m,memory=1Gi".into());
    load(&flags).expect("valid")
}

fn machine() -> MachineFacts {
    MachineFacts {
        cpus: 2,
        memory: 8 << 30,
        root_fs: 100 << 30,
        huge_pages: BTreeMap::from([(2 << 20, 64 << 20)]),
        arch: "amd64".into(),
        boot_id: "b".into(),
        ..MachineFacts::default()
    }
}

fn status(health: &Health, old: &NodeStatus, seconds: i64) -> NodeStatus {
    let (spec, machine, runtime) = (spec(), machine(), RuntimeView::default());
    let now = Timestamp::from_second(seconds).expect("a time");
    derive_status(&NodeInputs {
        spec: &spec,
        machine: &machine,
        runtime: &runtime,
        health,
        volumes_in_use: &BTreeSet::from(["kubernetes.io/csi/d^1".to_owned()]),
        old,
        now,
    })
}

#[test]
fn allocatable_is_capacity_less_reservations_and_thresholds() {
    let status = status(&Health::default(), &NodeStatus::default(), 0);
    let (capacity, allocatable) = (status.capacity.expect("capacity"), status.allocatable.expect("allocatable"));
    assert_eq!((capacity["cpu"].0.as_str(), allocatable["cpu"].0.as_str()), ("2", "1800m"));
    let memory = 8 * 1024 * 1024 - 1024 * 1024 - 100 * 1024 - 64 * 1024;
    assert_eq!(allocatable["memory"].0, format!("{memory}Ki"));
    assert_eq!(allocatable["ephemeral-storage"].0, (90u64 << 30).to_string());
    assert_eq!(capacity["hugepages-2Mi"].0, "64Mi");
    assert_eq!(allocatable["pods"].0, "110");
}

#[test]
fn pods_together_get_what_is_not_reserved_and_services_what_is() {
    let mut settings = spec().eviction;
    let machine = MachineFacts { max_pids: 10_000, ..machine() };
    let all = limits_of_all_pods(&machine, &settings);
    assert_eq!((all.memory, all.cpu_shares, all.pids), (Some(7 << 30), Some(1843), Some(-1)));
    settings.system_reserved = BTreeMap::from([("pid".into(), "1k".into()), ("memory".into(), "512Mi".into())]);
    let all = limits_of_all_pods(&machine, &settings);
    assert_eq!((all.memory, all.pids), (Some((7 << 30) - (512 << 20)), Some(9000)));
    assert!(limits_of_services(&settings).is_empty(), "only pods are held to it by default");
    settings.enforce = ["kube-reserved-compressible", "system-reserved"].map(str::to_owned).to_vec();
    settings.kube_reserved_cgroup = "/kube.slice".into();
    settings.system_reserved_cgroup = "/system.slice".into();
    assert_eq!(limits_of_all_pods(&machine, &settings).memory, Some(8 << 30), "pods are not held to it any more");
    let services = limits_of_services(&settings);
    let names: Vec<_> = services.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["/kube.slice", "/system.slice"]);
    assert_eq!((services[0].1.cpu_shares, services[0].1.memory), (Some(204), None));
    assert_eq!((services[1].1.memory, services[1].1.pids), (Some(512 << 20), Some(1000)));
}

/// Kubernetes#125348: the cloud controller may itself need an address of the node.
#[test]
fn a_node_of_a_cloud_has_the_addresses_it_was_given_until_the_cloud_gives_its_own() {
    let addresses = |node_ip: &str, old: &[(&str, &str)]| {
        let mut spec = spec();
        spec.node.external_cloud = true;
        spec.node.ips = node_ip.split(',').filter(|ip| !ip.is_empty()).map(|ip| ip.parse().expect("an IP")).collect();
        let old = old.iter().map(|(type_, address)| NodeAddress { type_: (*type_).into(), address: (*address).into() });
        let old = NodeStatus { addresses: Some(old.collect()), ..NodeStatus::default() };
        let machine = MachineFacts {
            local_addresses: ["127.0.0.1", "198.51.100.7", "2001:db8::7"].map(|ip| ip.parse().expect("an IP")).to_vec(),
            ..machine()
        };
        let node = derive_node(&NodeInputs {
            spec: &spec,
            machine: &machine,
            runtime: &RuntimeView::default(),
            health: &Health::default(),
            volumes_in_use: &BTreeSet::new(),
            old: &old,
            now: Timestamp::UNIX_EPOCH,
        });
        let told = node.metadata.annotations.unwrap_or_default();
        let told = told.get("alpha.kubernetes.io/provided-node-ip").cloned().unwrap_or_default();
        let all = node.status.and_then(|s| s.addresses).unwrap_or_default();
        let all: Vec<_> = all.iter().map(|a| format!("{} {}", a.type_, a.address)).collect();
        (all.join(", "), told, name_to_look_up(&spec).is_some())
    };
    let is = |addresses: &str, told: &str, looked_up| (addresses.to_owned(), told.to_owned(), looked_up);
    let given = "InternalIP 10.0.0.1, Hostname n1";
    assert_eq!(addresses("10.0.0.1", &[]), is(given, "10.0.0.1", false));
    let both = "InternalIP 10.0.0.1, InternalIP fd00::1, Hostname n1";
    assert_eq!(addresses("10.0.0.1,fd00::1", &[]), is(both, "10.0.0.1,fd00::1", false));
    assert_eq!(addresses("::", &[]), is("InternalIP 2001:db8::7, Hostname n1", "", true), "a family only");
    assert_eq!(addresses("", &[]), is("Hostname n1", "", false));
    assert_eq!(addresses("10.0.0.1", &[("ExternalIP", "192.0.2.1")]), is("ExternalIP 192.0.2.1", "10.0.0.1", false));
}

#[test]
fn what_the_machine_is_cannot_be_relabelled() {
    let node = |labels: serde_json::Value, annotations: serde_json::Value| {
        serde_json::from_value(serde_json::json!({"metadata": {"labels": labels, "annotations": annotations}}))
            .expect("a node")
    };
    let ip = "alpha.kubernetes.io/provided-node-ip";
    let (os, arch) = ("kubernetes.io/os", "kubernetes.io/arch");
    let wanted =
        node(serde_json::json!({os: "linux", arch: "amd64", "kubernetes.io/hostname": "n1"}), serde_json::json!({}));
    let patch = |labels, annotations| render_metadata_patch(&node(labels, annotations), &wanted);
    assert_eq!(
        patch(
            serde_json::json!({os: "linux", arch: "amd64", "kubernetes.io/hostname": "other"}),
            serde_json::json!({})
        ),
        None
    );
    let back = serde_json::json!({"metadata": {"labels": {os: "linux", arch: "amd64"}}});
    assert_eq!(patch(serde_json::json!({os: "windows"}), serde_json::json!({"a": "b"})), Some(back));
    let gone = serde_json::json!({"metadata": {"annotations": {ip: null}}});
    let labels = serde_json::json!({os: "linux", arch: "amd64"});
    assert_eq!(patch(labels, serde_json::json!({ip: "10.0.0.9"})), Some(gone), "no cloud any more");
}

#[test]
fn volumes_in_use_are_told_and_taken_back() {
    let old = status(&Health::default(), &NodeStatus::default(), 0);
    assert_eq!(old.volumes_in_use, Some(vec!["kubernetes.io/csi/d^1".to_owned()]));
    let new = NodeStatus { volumes_in_use: Some(Vec::new()), ..old.clone() };
    let patch = render_status_patch(&old, &new, false).expect("a change");
    assert_eq!(patch, serde_json::json!({"status": {"volumesInUse": []}}));
}

#[test]
fn conditions_keep_their_transition_time_and_a_heartbeat_alone_is_sent_only_when_due() {
    let one = status(&Health::default(), &NodeStatus::default(), 100);
    let two = status(&Health::default(), &one, 200);
    let ready = |s: &NodeStatus| s.conditions.as_ref().and_then(|c| c.last().cloned()).expect("a condition");
    assert_eq!((ready(&two).type_.as_str(), ready(&two).status.as_str()), ("Ready", "True"));
    assert_eq!(ready(&one).last_transition_time, ready(&two).last_transition_time);
    assert_eq!(render_status_patch(&one, &two, false), None);
    assert!(render_status_patch(&one, &two, true).is_some());
    let down = Health { faults: vec!["container runtime is down".into()], ..Health::default() };
    let three = status(&down, &two, 300);
    assert_ne!(ready(&three).last_transition_time, ready(&two).last_transition_time);
    let patch = render_status_patch(&two, &three, false).expect("a change");
    assert_eq!(patch["status"].as_object().map(|s| s.len()), Some(1), "{patch}");
}

#[test]
fn the_status_is_that_of_the_version_that_the_kubelet_claims() {
    for (release, version, storage, features) in [
        (Release::all()[0], "v1.35.4", "104857600Ki", None),
        (Release::all()[1], "v1.36.3", "104857600Ki", Some(3)),
        (Release::all()[2], "v1.37.2", "107374182400", Some(3)),
    ] {
        let spec = KubeletSpec { release, ..spec() };
        let status = derive_status(&NodeInputs {
            spec: &spec,
            machine: &machine(),
            runtime: &RuntimeView::default(),
            health: &Health::default(),
            volumes_in_use: &BTreeSet::new(),
            old: &NodeStatus::default(),
            now: Timestamp::UNIX_EPOCH,
        });
        assert_eq!(status.node_info.expect("info").kubelet_version, version);
        assert_eq!(status.capacity.expect("capacity")["ephemeral-storage"].0, storage, "{release:?}");
        assert_eq!(status.allocatable.expect("allocatable")["ephemeral-storage"].0, (90u64 << 30).to_string());
        assert_eq!(status.declared_features.map(|names| names.len()), features, "{release:?}");
    }
}

#[test]
fn local_storage_that_is_not_isolated_is_not_offered() {
    let mut spec = spec();
    spec.node.local_storage = false;
    let resources = derive_resources(&machine(), &spec);
    assert!(!resources.capacity.contains_key("ephemeral-storage"));
    assert!(!resources.allocatable.contains_key("ephemeral-storage"));
    let offered = status(&Health::default(), &NodeStatus::default(), 0);
    let now =
        NodeStatus { capacity: Some(resources.capacity), allocatable: Some(resources.allocatable), ..offered.clone() };
    let patch = render_status_patch(&offered, &now, false).expect("a change");
    assert!(patch["status"]["capacity"]["ephemeral-storage"].is_null(), "{patch}");
    assert!(
        patch["status"]["capacity"].as_object().expect("a map").contains_key("ephemeral-storage"),
        "it is taken away"
    );
}
