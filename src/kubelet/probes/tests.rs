//! The prober on fakes with a paused clock.

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::*;
use crate::core::model::{ContainerKind, ContainerProbes, HttpAnswer, HttpGet};
use crate::fakes::{FakeChecks, FakeEvents, FakeExec};
use crate::ports::node::{CheckError, Checks};
use crate::telemetry::Metrics;

fn wall() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

struct World {
    prober: Prober,
    checks: Arc<FakeChecks>,
    events: Arc<FakeEvents>,
    metrics: Arc<Metrics>,
    changes: mpsc::Receiver<PodUid>,
    _stop: tokio_util::sync::DropGuard,
}

fn world() -> World {
    let (checks, events) = (Arc::new(FakeChecks::default()), Arc::new(FakeEvents::default()));
    let metrics = Arc::new(Metrics::default());
    let ports = ProbePorts {
        runtime: Arc::new(FakeExec::default()),
        checks: checks.clone(),
        events: events.clone(),
        metrics: metrics.clone(),
        wall,
        agent: "kube-probe/1.37",
    };
    let stop = CancellationToken::new();
    let prober = Prober::start(ports, stop.clone());
    let changes = prober.changes();
    World { prober, checks, events, metrics, changes, _stop: stop.drop_guard() }
}

fn subject(containers: serde_json::Value) -> ProbeSubject {
    let pod: Pod = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {"containers": [containers]}}))
    .expect("a pod");
    ProbeSubject {
        pod: Arc::new(pod),
        pod_ips: vec!["10.0.0.1".into()],
        containers: vec![ProbedContainer {
            name: "c".into(),
            kind: ContainerKind::Regular,
            id: "id".into(),
            started_at: wall(),
            known_started: false,
        }],
        terminating: false,
    }
}

impl World {
    fn results(&self) -> ContainerProbes {
        self.prober.results(&"u".into()).get(&"id".into()).copied().unwrap_or_default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_liveness_probe_is_told_to_the_pod_table_once() {
    let mut world = world();
    world.prober.observe(subject(serde_json::json!({"name": "c", "livenessProbe": {
        "httpGet": {"port": 80, "path": "/h"}, "periodSeconds": 5, "failureThreshold": 2}})));
    world.checks.set("http://10.0.0.1:80/h", Ok(500));
    assert_eq!(world.changes.recv().await, Some("u".into()));
    assert_eq!(world.prober.shared.now().as_secs(), 10);
    assert_eq!(world.results().liveness, Some(ProbeResult::Failure));
    let line = "n/p spec.containers{c} Unhealthy: Liveness probe failed: HTTP probe failed with statuscode: 500";
    assert_eq!(world.events.take(), [line, line]);
    let failed = ["Liveness", "failed", "c", "p", "n", "u"];
    assert_eq!(world.metrics.probes.with(failed).get(), 2);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(world.checks.take_asked().len(), 2, "it rests until there is another container");
    world.prober.forget(&"u".into());
    assert_eq!(world.metrics.probes.with(failed).get(), 0, "counts of gone pods are gone");
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_startup_at_once() {
    let mut world = world();
    let probe = |port: u16, period: u32| serde_json::json!({"tcpSocket": {"port": port}, "periodSeconds": period});
    world.prober.observe(subject(
        serde_json::json!({"name": "c", "startupProbe": probe(1, 3), "readinessProbe": probe(2, 600)}),
    ));
    world.checks.set("tcp://10.0.0.1:1", Ok(200));
    world.checks.set("tcp://10.0.0.1:2", Ok(200));
    world.changes.recv().await;
    world.changes.recv().await;
    assert_eq!(world.prober.shared.now().as_secs(), 3);
    assert_eq!(world.results().readiness, Some(ProbeResult::Success));
}

#[tokio::test(start_paused = true)]
async fn a_redirect_elsewhere_is_a_success_with_a_warning() {
    let mut world = world();
    world.prober.observe(subject(serde_json::json!({"name": "c", "livenessProbe": {"httpGet": {"port": 80}}})));
    world.checks.set("http://10.0.0.1:80/", Ok(302));
    world.changes.recv().await;
    assert_eq!(world.results().liveness, Some(ProbeResult::Success));
    let line =
        "n/p spec.containers{c} ProbeWarning: Liveness probe warning: Probe terminated redirects, Response body: body";
    assert_eq!(world.events.take(), [line]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_cannot_be_made_decides_nothing() {
    let world = world();
    world.prober.observe(subject(serde_json::json!({"name": "c", "livenessProbe": {
        "tcpSocket": {"port": "nope"}, "failureThreshold": 1}})));
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(world.results().liveness, None);
    let events = world.events.take();
    assert!(events[0].contains("Unhealthy: Liveness probe errored and resulted in unknown state: "), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_pod_is_probed_no_more() {
    let world = world();
    world.prober.observe(subject(serde_json::json!({"name": "c", "livenessProbe": {"tcpSocket": {"port": 1}}})));
    world.prober.forget(&"u".into());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.checks.take_asked().is_empty() && world.prober.results(&"u".into()).is_empty());
}

struct Silent;

#[async_trait]
impl Checks for Silent {
    async fn http(&self, _: &HttpGet, _: Option<Duration>) -> Result<HttpAnswer, CheckError> {
        std::future::pending().await
    }
    async fn tcp(&self, _: &str, _: u16, _: Duration) -> Result<(), CheckError> {
        std::future::pending().await
    }
    async fn grpc(&self, _: &str, _: u16, _: &str, _: Duration) -> Result<(), CheckError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn one_probe_that_hangs_holds_up_no_other() {
    let mut world = world();
    let mut ports = world.prober.shared.ports.clone();
    ports.checks = Arc::new(Silent);
    let stop = CancellationToken::new();
    let prober = Prober::start(ports, stop.clone());
    let exec = serde_json::json!({"exec": {"command": ["true"]}});
    prober.observe(subject(serde_json::json!({
        "name": "c", "livenessProbe": {"tcpSocket": {"port": 1}}, "readinessProbe": exec})));
    world.changes = prober.changes();
    assert_eq!(world.changes.recv().await, Some("u".into()));
    assert_eq!(prober.results(&"u".into())[&"id".into()].readiness, Some(ProbeResult::Success));
    stop.cancel();
}
