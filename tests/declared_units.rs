//! `bootstrap init` on a system that declares our units itself, as NixOS does.

#![allow(clippy::unwrap_used)] // a failed assumption ends the test
#![cfg(feature = "fakes")]

mod shared;

use std::path::Path;
use std::sync::Arc;

use roost::bootstrap::cis::observe_controls;
use roost::bootstrap::{RunError, RunOptions, run};
use roost::core::bootstrap::cis::{Verdict, judge};
use roost::core::bootstrap::declared_units::for_node;
use roost::core::bootstrap::workflow::{INIT, RESET};
use roost::core::bootstrap::{Facts, phases, units};
use roost::core::model::spec::{Component, Spec};
use roost::core::model::with_causes;
use roost::fakes::Record;
use roost::fakes::node::FakeNode;
use roost::ports::bootstrap::{NodeFiles, Units};
use shared::{ports_of, spec_of};

/// Where NixOS reads additional units.
const UNITS: &str = "/etc/systemd-mutable/system";

fn spec(settings: &[(&str, &str)]) -> Spec {
    let own = [("node.units", "declared"), ("paths.units", UNITS)];
    spec_of("n1", "10.0.0.1", &own.into_iter().chain(settings.iter().copied()).collect::<Vec<_>>())
}

/// A node whose system declares every unit of a control plane except this one.
fn node_without(missing: &str) -> Arc<FakeNode> {
    let node = FakeNode::new();
    let declared = [
        "containerd.service",
        units::KUBELET,
        units::AGENT,
        units::STATIC_POD,
        units::STATIC_PODS,
        units::RENEWAL_SERVICE,
        units::RENEWAL_TIMER,
        units::SNAPSHOT_SERVICE,
        units::SNAPSHOT_TIMER,
        units::DRILL_SERVICE,
        units::DRILL_TIMER,
    ];
    declared.into_iter().filter(|unit| *unit != missing).for_each(|unit| node.declare(unit));
    node
}

async fn init(node: &Arc<FakeNode>) -> Result<usize, RunError> {
    let record = Record::default();
    run(INIT, &spec(&[]), &ports_of(node), &RunOptions::default(), &|facts| facts, &record).await
}

#[tokio::test(start_paused = true)]
async fn no_unit_is_written_and_all_are_started() {
    let node = node_without("");
    init(&node).await.unwrap();
    assert_eq!(node.files_below(UNITS), Vec::<std::path::PathBuf>::new());
    let active = node.active_units();
    for unit in [units::KUBELET, units::AGENT, units::RENEWAL_TIMER, units::SNAPSHOT_TIMER, units::DRILL_TIMER] {
        assert!(active.iter().any(|active| active == unit), "{unit} is not among {active:?}");
    }
    assert_eq!(init(&node).await.unwrap(), 0, "a second run finds nothing to do");
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_is_not_declared_is_named_with_a_remedy() {
    for missing in [units::AGENT, units::KUBELET, units::DRILL_TIMER, units::STATIC_POD] {
        let error = with_causes(&init(&node_without(missing)).await.unwrap_err());
        assert!(error.contains(missing) && error.contains("services.roost"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_disables_nothing() {
    let node = node_without("");
    init(&node).await.unwrap();
    let record = Record::default();
    run(RESET, &spec(&[]), &ports_of(&node), &RunOptions::default(), &|facts| facts, &record).await.unwrap();
    assert!(!node.active_units().iter().any(|unit| unit == units::KUBELET));
    assert_eq!(Units::state(node.as_ref(), units::KUBELET).await.unwrap().file, "enabled");
}

#[tokio::test(start_paused = true)]
async fn the_benchmark_looks_at_the_unit_that_the_system_declares() {
    let node = node_without("");
    init(&node).await.unwrap();
    let unit = Path::new("/etc/systemd/system/kubelet.service");
    let text = b"[Service]\nExecStart=/nix/store/a/bin/kubelet --read-only-port=10255\n";
    let judged = async |mode| {
        node.write(unit, text, mode).unwrap();
        let judged = judge(&observe_controls(&ports_of(&node), &spec(&[]), true).await.unwrap());
        let of = |id| judged.iter().find(|judged| judged.id == id).map(|judged| (judged.ours, judged.why.clone()));
        (of("4.1.1").unwrap(), of("4.2.4").unwrap())
    };
    let ((verdict, why), flag) = judged(0o444).await;
    assert_eq!(verdict, Verdict::FailByChoice, "{why}");
    assert!(why.starts_with("/etc/systemd/system/kubelet.service 0444; "), "{why}");
    assert_eq!(flag, (Verdict::Fail, "--read-only-port=10255".to_owned()));
    let ((verdict, why), _) = judged(0o666).await;
    assert_eq!(verdict, Verdict::Fail, "a unit that others may write is no file of the store: {why}");
}

#[test]
fn services_of_components_are_written_and_enabled_by_the_system() {
    let names = Component::ALL.map(|name| format!("{name}=/bin/true")).join(",");
    let spec = spec(&[("mode", "systemd"), ("components.source", "host"), ("components.binaries", names.as_str())]);
    let steps = phases::control_plane::plan_etcd(&spec, &Facts::at(jiff::Timestamp::UNIX_EPOCH)).unwrap();
    let lines: Vec<String> = for_node(steps, &spec).iter().map(ToString::to_string).collect();
    let expected = [
        "check that the system declares roost-users.service",
        "check that the system declares and enables roost-users.service",
        "write unit /etc/systemd-mutable/system/roost-etcd.service",
        "check that the system declares and enables roost-etcd.service",
    ];
    for line in expected {
        assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
    }
}

#[test]
fn the_agent_takes_its_arguments_from_the_settings() {
    let text = units::render_agent(&spec(&[]), true);
    assert!(text.contains("agent \\\n  --settings=/etc/roost/cluster.toml \\\n  --control-plane\n"), "{text}");
    let words = units::agent_arguments(&spec(&[]), true);
    assert!(words.contains(&"--api-server=10.0.0.1:6443".to_owned()), "{words:?}");
}
