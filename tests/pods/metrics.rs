//! No family without a recorder: what a driver of pods counts is counted here, and each other family names the place that
//! records it. That some code records each at all is a law of `tests/tidy.rs`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use roost::fakes::pods::{Fault, PodHost, Program};
use roost::telemetry::Metrics;
use roost::telemetry::exposition::Page;
use serde_json::json;

use crate::life::is_ready;
use crate::world::{World, container, pod};

/// Families that the pods of a driver do not reach, by the place of the code that records them.
const ELSEWHERE: &[(&str, &[&str])] = &[
    (
        "src/kubelet/server/pod_counts.rs",
        &[
            "active_pods",
            "desired_pods",
            "ephemeral_containers",
            "in_progress_resizes",
            "mirror_pods",
            "pending_resizes",
            "running_containers",
            "running_pods",
            "volumes",
            "working_pods",
        ],
    ),
    ("src/kubelet/server/stats.rs", &["build_info", "metrics_provider", "node_name"]),
    ("src/kubelet/server/dispatch.rs", &["http_duration", "http_inflight", "http_requests", "websocket_requests"]),
    (
        "src/kubelet/credentials/mod.rs",
        &["certificate_rotation_errors", "server_certificate_age", "server_certificate_errors"],
    ),
    ("src/kubelet/eviction/mod.rs", &["eviction_stats_age", "evictions"]),
    ("src/kubelet/image_gc.rs", &["images_collected"]),
    ("src/kubelet/hooks/mod.rs", &["hook_http_fallbacks"]),
    ("src/kubelet/images", &["image_pull", "image_requests"]),
    (
        "src/kubelet/node/startup.rs",
        &[
            "startup",
            "startup_post_registration",
            "startup_pre_kubelet",
            "startup_pre_registration",
            "startup_registration",
        ],
    ),
    ("src/kubelet/pods/dispatcher/admit.rs", &["infeasible_resizes", "preemptions"]),
    ("src/kubelet/pods/pass/start_container.rs", &["image_volume_errors", "image_volumes_mounted"]),
    ("src/kubelet/pods/pass/start_container.rs", &["image_volumes_requested"]),
    ("src/kubelet/pods/pass/start_counts.rs", &["started_user_namespaced_pod_errors", "started_user_namespaced_pods"]),
    ("src/kubelet/report/mod.rs", &["pod_status_sync"]),
    ("src/kubelet/shutdown/mod.rs", &["shutdown_end", "shutdown_start"]),
    ("src/kubelet/startup.rs", &["first_network_start", "pod_start_sli", "pod_start_total"]),
    (
        "src/adapters/apiserver",
        &[
            "client_certificate_ttl",
            "exec_plugin_ttl",
            "rest_client_duration",
            "rest_client_request_size",
            "rest_client_requests",
            "rest_client_response_size",
            "rest_client_throttled",
        ],
    ),
    ("src/adapters/cgroups", &["cgroup_manager"]),
    ("src/adapters/cri/events.rs", &["event_latency", "event_stream_errors", "event_streams", "pleg_discarded"]),
    ("src/adapters/cri/connect.rs", &["runtime_operation_duration", "runtime_operation_errors", "runtime_operations"]),
    ("src/adapters/csi", &["csi_operations"]),
    ("src/adapters/serving", &["server_certificate_ttl"]),
    ("src/adapters/volumes", &["storage_operation"]),
    ("src/kubelet/wiring", &["cgroup_version", "cri_losing_support", "features", "panics"]),
];

/// The text of a file, or of all files in a folder.
fn text_of(place: &Path) -> String {
    if place.is_file() {
        return std::fs::read_to_string(place).unwrap();
    }
    let entries = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).map(|path| text_of(&path)).collect()
}

/// The families that have counted something.
fn recorded(metrics: &Metrics) -> BTreeSet<&'static str> {
    let mut page = Page::default();
    metrics.print(&mut page);
    let text = page.finish();
    let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    let counted: BTreeSet<&str> =
        samples.filter(|(_, value)| *value != "0").filter_map(|(series, _)| series.split(['{', ' ']).next()).collect();
    let has = |name: &str| counted.contains(name) || counted.contains(format!("{name}_count").as_str());
    Metrics::FAMILIES.iter().filter(|(_, name)| has(name)).map(|(field, _)| *field).collect()
}

/// A pod whose sandbox cannot be made at first, whose container crashes, is resized, sleeps before it ends and is left.
async fn a_life(found: &mut BTreeSet<&'static str>) {
    let host = PodHost::new();
    let rehearsal = PodHost::new();
    World::new(rehearsal.clone(), pod(&[], &[container("web")])).await.until("ready", is_ready).await;
    let first = |what: &str| rehearsal.calls().iter().position(|call| call.starts_with(what)).unwrap();
    host.set_fault(first("RunPodSandbox"), Fault::Fails);
    host.set_program("web", Program { hook_takes: Duration::from_secs(100), ..Program::default() });
    let sleeps = json!({"preStop": {"sleep": {"seconds": 100}}});
    let requests = json!({"requests": {"cpu": "1"}});
    let web = json!({"name": "web", "image": "v1", "lifecycle": sleeps, "resources": requests});
    let mut world = World::new(host.clone(), pod(&[], &[web])).await;
    world.until("ready", is_ready).await;
    host.exit("web", 3);
    world.runs("web", 1).await;
    let cpu = |cpu: &'static str| {
        move |pod: &mut Pod| {
            let container = &mut pod.spec.as_mut().unwrap().containers[0];
            container.resources = serde_json::from_value(json!({"requests": {"cpu": cpu}})).unwrap();
        }
    };
    host.set_refused(Some(("shop", "")));
    world.change(cpu("2")).await;
    world.rest(5).await;
    host.set_refused(None);
    world.change(cpu("500m")).await;
    world.rest(90).await;
    world.delete(2).await;
    world.is_gone().await;
    found.extend(recorded(world.metrics()));
}

/// A pod that is deleted by force while no kubelet runs, and whose volumes stick.
async fn an_orphan(found: &mut BTreeSet<&'static str>) {
    let host = PodHost::new();
    let mut world = World::new(host.clone(), pod(&[], &[container("web")])).await;
    world.until("ready", is_ready).await;
    world.kill_kubelet();
    host.stick_volumes("in use");
    world.force_delete().await;
    world.until("tried", |host| host.stuck_removals() > 0).await;
    world.rest(2).await;
    found.extend(recorded(world.metrics()));
    host.unstick();
    world.is_gone().await;
    found.extend(recorded(world.metrics()));
}

/// A container that cannot be created, and a pod that is rejected.
async fn refusals(found: &mut BTreeSet<&'static str>) {
    let rehearsal = PodHost::new();
    World::new(rehearsal.clone(), pod(&[], &[container("web")])).await.until("ready", is_ready).await;
    let host = PodHost::new();
    let create = rehearsal.calls().iter().position(|call| call.starts_with("CreateContainer")).unwrap();
    host.set_fault(create, Fault::Fails);
    let mut world = World::new(host.clone(), pod(&[], &[container("web")])).await;
    world.until("ready", is_ready).await;
    found.extend(recorded(world.metrics()));
    let host = PodHost::new();
    host.set_refused(Some(("shop", "")));
    let mut world = World::new(host.clone(), pod(&[], &[container("web")])).await;
    world.until("rejected", |host| host.reported().finished).await;
    found.extend(recorded(world.metrics()));
}

/// A manifest that is taken away and written again.
async fn a_static_pod(found: &mut BTreeSet<&'static str>) {
    let host = PodHost::new();
    let manifest: Pod = serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "town", "uid": "m1",
            "annotations": {"kubernetes.io/config.source": "file", "kubernetes.io/config.hash": "m1"}},
        "spec": {"containers": [container("web")], "terminationGracePeriodSeconds": 5}
    }))
    .unwrap();
    let shop = pod(&[], &[container("shop")]);
    let mut world = World::with(host.clone(), shop, Vec::new(), vec![manifest]).await;
    world.runs("web", 0).await;
    host.take_happened();
    world.rewrite_manifests().await;
    world.rest(30).await;
    world.runs("web", 0).await;
    found.extend(recorded(world.metrics()));
}

#[tokio::test(start_paused = true)]
async fn no_family_is_without_a_recorder() {
    let mut found = BTreeSet::new();
    a_life(&mut found).await;
    an_orphan(&mut found).await;
    refusals(&mut found).await;
    a_static_pod(&mut found).await;
    let elsewhere: BTreeSet<&str> = ELSEWHERE.iter().flat_map(|(_, fields)| fields.iter().copied()).collect();
    let all = || Metrics::FAMILIES.iter().map(|(field, _)| *field);
    let missing: Vec<&str> = all().filter(|field| !found.contains(field) && !elsewhere.contains(field)).collect();
    assert!(missing.is_empty(), "nobody records {missing:?}");
    let unknown: Vec<&&str> = elsewhere.iter().filter(|field| !all().any(|known| known == **field)).collect();
    assert!(unknown.is_empty(), "no families: {unknown:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (place, fields) in ELSEWHERE {
        let text = text_of(&root.join(place));
        let silent: Vec<_> = fields.iter().filter(|field| !text.contains(&format!(".{field}"))).collect();
        assert!(silent.is_empty(), "{place} does not record {silent:?}");
    }
}
