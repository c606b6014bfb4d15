//! Shared by tests of `bootstrap` on an in-memory node; each uses a part of it.

#![allow(clippy::unwrap_used, dead_code)] // a failed assumption ends the test

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use roost::adapters::x509::X509;
use roost::bootstrap::Ports;
use roost::config::cluster::{HostDefaults, Layers, derive_spec};
use roost::core::manifest::parse_manifest;
use roost::core::model::spec::{Component, Spec};
use roost::fakes::members::{FakeEtcd, FakeEtcdClients, FakeHandover};
use roost::fakes::node::{FakeNode, FakeReachability};
use roost::fakes::{FakeChecks, FakePod, FakeRuntime, NoNetwork};

/// The manifest of a component.
pub fn path(component: impl std::fmt::Display) -> String {
    format!("/etc/kubernetes/manifests/{component}.yaml")
}

/// The pods of the manifests; those of `broken` (component, and a text in its manifest) exit repeatedly.
fn pods_of(node: &Arc<FakeNode>, broken: Option<(&'static str, &'static str)>) -> FakeRuntime {
    let node = node.clone();
    let looks: Mutex<BTreeMap<String, u32>> = Mutex::default();
    // Reading a manifest takes longer than all the rest.
    let uids: Mutex<BTreeMap<String, String>> = Mutex::default();
    FakeRuntime::with_pods(move || {
        let pod = |component: Component| {
            let text = node.file(&path(component))?;
            let read =
                || parse_manifest(Path::new(&path(component)), text.as_bytes(), "n1").unwrap().metadata.uid.unwrap();
            let uid = uids.lock().unwrap().entry(text.clone()).or_insert_with(read).clone();
            let running = !broken.is_some_and(|(name, version)| name == component.name() && text.contains(version));
            let mut looks = looks.lock().unwrap();
            let look = looks.entry(uid.clone()).or_default();
            *look += 1;
            Some(FakePod { uid, running, restarts: if running { 0 } else { *look / 3 } })
        };
        Component::REQUIRED.into_iter().filter_map(pod).collect()
    })
}

/// The specification of a node from these settings.
pub fn spec_of(name: &str, address: &str, settings: &[(&str, &str)]) -> Spec {
    let mut layers = Layers::defaults();
    for (setting, value) in settings {
        assert_eq!(layers.add_flag(setting, value), []);
    }
    let program = "/usr/local/bin/bootstrap".into();
    let host = HostDefaults { name: name.to_owned(), address: address.parse().ok(), program };
    derive_spec(&layers, &host).unwrap()
}

/// The ports of an in-memory node, whose pods are those of its manifests; a test replaces the ports that it examines.
pub fn ports_of(node: &Arc<FakeNode>) -> Ports {
    Ports {
        files: node.clone(),
        pki: Arc::new(X509),
        units: node.clone(),
        images: node.clone(),
        pulls: node.clone(),
        runtime: Arc::new(FakeRuntime::with_pods_of(node)),
        network: Arc::new(NoNetwork),
        net: Arc::new(FakeReachability(node.clone())),
        checks: Arc::<FakeChecks>::default(),
        etcd: Arc::new(FakeEtcdClients(Arc::default())),
        handover: Arc::new(FakeHandover::default()),
        now: || Timestamp::from_second(1_800_000_000).unwrap(),
    }
}

/// A control plane with its pods; everything that runs answers.
pub fn ports(node: &Arc<FakeNode>, broken: Option<(&'static str, &'static str)>, etcd: &Arc<FakeEtcd>) -> Ports {
    let checks = FakeChecks::default();
    for url in [
        "http://127.0.0.1:2381/readyz",
        "https://10.0.0.1:6443/readyz",
        "https://10.0.0.2:6443/readyz",
        "https://127.0.0.1:10257/healthz",
        "https://127.0.0.1:10259/readyz",
    ] {
        checks.set(url, Ok(200));
    }
    Ports {
        runtime: Arc::new(pods_of(node, broken)),
        checks: Arc::new(checks),
        etcd: Arc::new(FakeEtcdClients(etcd.clone())),
        ..ports_of(node)
    }
}
