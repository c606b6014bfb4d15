//! The control plane as systemd services on an in-memory node: init, renewal, reset, and conversion from static pods to
//! services and back; and the units, as analyzed by systemd.

#![allow(clippy::unwrap_used)] // a failed assumption ends the test
#![cfg(feature = "fakes")]

mod shared;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use roost::adapters::etcd::HostEtcdFiles;
use roost::bootstrap::upgrade::{ControlPlaneChange, Purpose, upgrade_control_plane};
use roost::bootstrap::{Ports, RunError, RunOptions, run};
use roost::core::bootstrap::services;
use roost::core::bootstrap::workflow::{APPLY_FIRST, APPLY_LAST, INIT, RENEW, RESET, TO_SERVICES, TO_STATIC_PODS};
use roost::core::bootstrap::{Facts, Phase};
use roost::core::model::spec::{Component, Spec};
use roost::fakes::Record;
use roost::fakes::members::{FakeEtcd, FakeEtcdClients, member};
use roost::fakes::node::FakeNode;
use roost::ports::bootstrap::{NodeFiles, Owner};
use shared::{ports_of, spec_of};

const ETCD_USER: Owner = Owner { user: 998, group: 997 };

fn spec_with(mode: &str, programs: &str) -> Spec {
    let settings = [("mode", mode), ("components.source", "host"), ("components.binaries", programs)];
    spec_of("n1", "10.0.0.1", &settings)
}

fn spec(mode: &str) -> Spec {
    let names = Component::REQUIRED.map(|name| format!("{name}=/usr/local/bin/{name}"));
    spec_with(mode, &names.join(","))
}

async fn run_with(
    phases: &[Phase],
    mode: &str,
    node: &Arc<FakeNode>,
    options: &RunOptions,
) -> Result<(usize, String), RunError> {
    let record = Record::default();
    let changed = run(phases, &spec(mode), &ports_of(node), options, &|facts| facts, &record).await?;
    Ok((changed, record.text()))
}

async fn do_all(phases: &[Phase], mode: &str, node: &Arc<FakeNode>) -> Result<(usize, String), RunError> {
    run_with(phases, mode, node, &RunOptions::default()).await
}

fn manifest(component: Component) -> String {
    format!("/etc/kubernetes/manifests/{component}.yaml")
}

fn unit_file(component: Component) -> String {
    format!("/etc/systemd/system/{}", services::unit(component))
}

fn is_service(node: &FakeNode, component: Component) -> bool {
    node.active_units().contains(&services::unit(component))
}

const CLOUD: Component = Component::CloudControllerManager;

#[tokio::test(start_paused = true)]
async fn the_manager_of_a_cloud_goes_the_way_of_the_others() {
    let names = Component::ALL.map(|name| format!("{name}=/usr/local/bin/{name}")).join(",");
    let in_cloud = |mode, provider| {
        let settings = [
            ("mode", mode),
            ("components.source", "host"),
            ("components.binaries", names.as_str()),
            ("cluster.cloud_provider", provider),
        ];
        spec_of("n1", "10.0.0.1", &settings)
    };
    let node = FakeNode::new();
    let etcd = FakeEtcd::with(&[member(1, "n1", "10.0.0.1", false)]);
    let ports = Ports { etcd: Arc::new(FakeEtcdClients(etcd)), ..ports_of(&node) };
    let go = async |phases: &[Phase], spec: Spec| {
        run(phases, &spec, &ports, &RunOptions::default(), &|facts| facts, &Record::default()).await.unwrap()
    };
    go(INIT, in_cloud("systemd", "external")).await;
    assert!(is_service(&node, CLOUD) && node.file(&manifest(CLOUD)).is_none());
    let unit = node.file(&unit_file(CLOUD)).unwrap();
    assert!(
        unit.contains("--kubeconfig=%d/cloud-controller-manager.conf") && unit.contains("CapabilityBoundingSet=\n"),
        "{unit}"
    );
    assert_eq!(go(INIT, in_cloud("systemd", "external")).await, 0);
    go(TO_STATIC_PODS, in_cloud("static-pods", "external")).await;
    assert!(!is_service(&node, CLOUD) && is_pod(&node, CLOUD) && node.file(&unit_file(CLOUD)).is_none());
    go(TO_SERVICES, in_cloud("systemd", "external")).await;
    assert!(is_service(&node, CLOUD) && !is_pod(&node, CLOUD));
    // Its certificate is renewed and loaded like the others'.
    let all = RunOptions { reissue: true, ..RunOptions::default() };
    let record = Record::default();
    run(RENEW, &in_cloud("systemd", "external"), &ports, &all, &|facts| facts, &record).await.unwrap();
    assert!(record.text().contains("start roost-cloud-controller-manager.service"), "{}", record.text());
    // It is removed with its setting.
    go(APPLY_LAST, in_cloud("systemd", "none")).await;
    assert!(!is_service(&node, CLOUD) && node.file(&unit_file(CLOUD)).is_none());
    go(APPLY_FIRST, in_cloud("systemd", "external")).await;
    go(APPLY_LAST, in_cloud("systemd", "external")).await;
    assert!(is_service(&node, CLOUD));
    go(RESET, in_cloud("systemd", "external")).await;
    assert!(!is_service(&node, CLOUD) && node.file(&unit_file(CLOUD)).is_none());
}

fn is_pod(node: &FakeNode, component: Component) -> bool {
    node.sandboxes().iter().any(|sandbox| sandbox.id == component.name())
}

fn assert_none_runs_twice(node: &FakeNode, when: &str) {
    for component in Component::REQUIRED {
        assert!(!(is_service(node, component) && is_pod(node, component)), "{component} runs twice {when}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let node = FakeNode::new();
    let options = RunOptions { dry_run: true, ..RunOptions::default() };
    let (_, plan) = run_with(&INIT[..5], "systemd", &node, &options).await.unwrap();
    insta::assert_snapshot!(plan);
    assert_eq!(node.file(&unit_file(Component::Etcd)), None);
}

#[tokio::test(start_paused = true)]
async fn services_take_the_place_of_manifests_and_a_second_run_finds_nothing_to_do() {
    let node = FakeNode::new();
    do_all(INIT, "systemd", &node).await.unwrap();
    for component in Component::REQUIRED {
        assert!(is_service(&node, component) && !is_pod(&node, component), "{component}");
    }
    assert!(node.belongs_to("/var/lib/etcd".as_ref(), ETCD_USER).unwrap());
    let (changed, rest) = do_all(INIT, "systemd", &node).await.unwrap();
    assert_eq!(changed, 0, "{rest}");
}

#[tokio::test(start_paused = true)]
async fn a_run_cut_short_anywhere_is_continued_by_running_again() {
    for cut in 0.. {
        let node = FakeNode::new();
        node.fail_after(cut);
        let first = do_all(INIT, "systemd", &node).await;
        if node.failure_is_ahead() {
            assert!(cut > 50, "the failure was injected into every change");
            break;
        }
        assert!(first.is_err(), "the failure of change {cut} was passed over");
        do_all(INIT, "systemd", &node).await.unwrap();
        assert!(Component::REQUIRED.into_iter().all(|component| is_service(&node, component)), "cut at change {cut}");
        assert_eq!(do_all(INIT, "systemd", &node).await.unwrap().0, 0, "cut at change {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn init_never_makes_a_second_one_beside_the_first() {
    for (mode, other, word) in
        [("systemd", "static-pods", "convert --to static-pods"), ("static-pods", "systemd", "convert --to systemd")]
    {
        let node = FakeNode::new();
        do_all(INIT, mode, &node).await.unwrap();
        let refusal = do_all(INIT, other, &node).await.unwrap_err();
        let RunError::Plan { source, .. } = refusal else { panic!("{refusal}") };
        assert!(source.to_string().contains(word), "{source}");
        assert_none_runs_twice(&node, "after a refusal");
    }
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_moves_there_and_back_wherever_it_is_cut_short() {
    for (from, phases, to, owner) in [
        ("static-pods", TO_SERVICES, "systemd", ETCD_USER),
        ("systemd", TO_STATIC_PODS, "static-pods", Owner { user: 0, group: 0 }),
    ] {
        for cut in 0.. {
            let node = FakeNode::new();
            do_all(INIT, from, &node).await.unwrap();
            node.write("/var/lib/etcd/member".as_ref(), b"data", 0o600).unwrap();
            let ca = node.file("/etc/kubernetes/pki/ca.crt");
            node.fail_after(cut);
            let first = do_all(phases, to, &node).await;
            assert_none_runs_twice(&node, &format!("on the way to {to}, cut at change {cut}"));
            let whole = node.failure_is_ahead();
            if whole {
                node.fail_after(usize::MAX);
                assert!(cut > 15, "the failure was injected into every change");
            } else {
                assert!(first.is_err(), "the failure of change {cut} was passed over");
                do_all(phases, to, &node).await.unwrap();
            }
            for component in Component::REQUIRED {
                let (service, pod) = (is_service(&node, component), is_pod(&node, component));
                assert_eq!((service, pod), (to == "systemd", to != "systemd"), "{component}, cut at change {cut}");
                let (left, there) = (node.file(&manifest(component)), node.file(&unit_file(component)));
                assert_eq!((left.is_some(), there.is_some()), (pod, service), "{component}, cut at change {cut}");
            }
            assert!(node.belongs_to("/var/lib/etcd".as_ref(), owner).unwrap(), "to {to}, cut at change {cut}");
            assert_eq!(node.file("/var/lib/etcd/member").unwrap(), "data");
            assert_eq!(node.file("/etc/kubernetes/pki/ca.crt"), ca);
            assert_eq!(do_all(phases, to, &node).await.unwrap().0, 0, "to {to}, cut at change {cut}");
            let (changed, rest) = do_all(INIT, to, &node).await.unwrap();
            assert_eq!(changed, 0, "to {to}, cut at change {cut}: {rest}");
            if whole {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn renewal_restarts_each_service_once_and_only_for_what_was_renewed() {
    let node = FakeNode::new();
    do_all(INIT, "systemd", &node).await.unwrap();
    assert_eq!(do_all(RENEW, "systemd", &node).await.unwrap().0, 0);
    let all = RunOptions { reissue: true, ..RunOptions::default() };
    // The settings on the node may not have followed a conversion yet: what runs counts.
    let (_, lines) = run_with(RENEW, "static-pods", &node, &all).await.unwrap();
    for component in Component::REQUIRED {
        let line = format!("start {}", services::unit(component));
        assert_eq!(lines.matches(&line).count(), 1, "{line} is not once in\n{lines}");
        assert_eq!(node.file(&manifest(component)), None);
    }
    let scheduler = "/etc/kubernetes/scheduler.conf";
    let text = node.file(scheduler).unwrap();
    node.write(scheduler.as_ref(), text.as_bytes(), 0o600).unwrap();
    let (changed, lines) = do_all(RENEW, "systemd", &node).await.unwrap();
    assert_eq!(changed, 1, "{lines}");
    assert!(lines.contains("start roost-kube-scheduler.service"), "{lines}");
}

#[tokio::test(start_paused = true)]
async fn reset_leaves_no_unit_and_gives_the_folder_of_the_data_back() {
    let node = FakeNode::new();
    do_all(INIT, "systemd", &node).await.unwrap();
    do_all(RESET, "systemd", &node).await.unwrap();
    assert_eq!(node.active_units(), ["containerd.service"]);
    let mut left = node.list("/etc/systemd/system".as_ref()).unwrap();
    left.retain(|path| node.file(&path.display().to_string()).is_some());
    assert_eq!(left, Vec::<std::path::PathBuf>::new());
    assert!(node.belongs_to("/var/lib/etcd".as_ref(), Owner { user: 0, group: 0 }).unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_of_manifests_leaves_services_alone() {
    let node = FakeNode::new();
    do_all(INIT, "systemd", &node).await.unwrap();
    let change = ControlPlaneChange {
        etcd_files: &HostEtcdFiles,
        timeout: Duration::from_secs(1),
        dry_run: false,
        purpose: Purpose::Version,
        turn: None,
    };
    let outcome = upgrade_control_plane(&ports_of(&node), &spec("systemd"), &change, &Record::default()).await;
    let refusal = outcome.unwrap_err().to_string();
    assert!(refusal.contains("convert --to static-pods"), "{refusal}");
    assert!(Component::REQUIRED.into_iter().all(|component| node.file(&manifest(component)).is_none()));
}

fn all_units(spec: &Spec) -> Vec<(String, String)> {
    let facts = Facts::at(Timestamp::UNIX_EPOCH);
    let unit =
        |component: Component| (services::unit(component), services::render(component, spec, &facts).unwrap().unit);
    Component::ALL
        .into_iter()
        .filter(|component| *component != CLOUD || spec.cluster.runs_cloud_controller())
        .map(unit)
        .chain([(services::USERS.to_owned(), services::render_users(spec))])
        .collect()
}

#[test]
fn the_units_are_these() {
    let texts = all_units(&spec("systemd")).into_iter().map(|(name, text)| format!("## {name}\n{text}"));
    insta::assert_snapshot!(texts.collect::<Vec<_>>().join("\n"));
}

/// systemd's analysis of the units, without loading them.
#[cfg(feature = "node-tests")]
#[test]
fn systemd_accepts_the_units_and_finds_little_to_expose() {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    std::fs::write(&program, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let names = Component::ALL.map(|name| format!("{name}={}", program.display()));
    let mut spec = spec_with("systemd", &names.join(","));
    spec.cluster.external_cloud = true;
    let mut files = Vec::new();
    for (name, text) in all_units(&spec) {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        files.push(path);
    }
    let path = format!("{}:", folder.path().display());
    let mut verify = Command::new("systemd-analyze");
    let said = verify.arg("verify").args(&files).env("SYSTEMD_UNIT_PATH", &path).output().unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let own: Vec<&str> = said.lines().filter(|line| line.contains("roost-") && !line.contains("man ")).collect();
    assert_eq!(own, Vec::<&str>::new());
    for file in files.iter().filter(|file| !file.ends_with(services::USERS)) {
        // In tenths: at most 3.0.
        let arguments = ["security", "--no-pager", "--offline=true", "--threshold=30"];
        let judged = Command::new("systemd-analyze").args(arguments).arg(file).output().unwrap();
        let said = String::from_utf8_lossy(&judged.stdout).into_owned();
        assert!(judged.status.success(), "{}\n{said}", file.display());
    }
}
