//! Static pods: after their previous instances, and again after they were rejected.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use roost::fakes::pods::{PodHost, Program};
use serde_json::json;

use crate::world::{World, container, pod};

/// A static pod of that uid with one container of that name.
fn manifest(name: &str, uid: &str, containers: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "town", "uid": uid,
            "annotations": {"kubernetes.io/config.source": "file", "kubernetes.io/config.hash": uid}},
        "spec": {"containers": [container(containers)], "terminationGracePeriodSeconds": 20}
    }))
    .unwrap()
}

fn phase(host: &PodHost) -> Option<String> {
    host.status()?.phase
}

#[tokio::test(start_paused = true)]
async fn a_static_pod_waits_until_its_former_self_has_ended_within_its_own_grace() {
    let host = PodHost::new();
    host.set_program("old", Program { heeds: Some(Duration::from_secs(15)), ..Program::default() });
    let shop = pod(&[], &[container("shop")]);
    let mut world = World::with(host.clone(), shop, Vec::new(), vec![manifest("web", "before", "old")]).await;
    world.runs("old", 0).await;
    world.runs("shop", 0).await;
    host.take_happened();
    world.set_statics(vec![manifest("web", "after", "new")]);
    world.kill_kubelet();
    world.runs("new", 0).await;
    let happened = ["old#0 was told to end within 20 s", "old#0 ended with 143", "new#0 started"];
    assert_eq!(host.take_happened(), happened);
}

#[tokio::test(start_paused = true)]
async fn a_static_pod_that_was_refused_runs_once_nothing_is_in_its_way() {
    let host = PodHost::new();
    host.set_refused(Some(("web", "shop")));
    let shop = pod(&[], &[container("shop")]);
    let mut world = World::with(host.clone(), shop, Vec::new(), vec![manifest("web", "u9", "web")]).await;
    // The manifest is added first; the port is taken by another pod before it is retried.
    world.runs("shop", 0).await;
    host.set_refused(Some(("web", "")));
    world.kill_kubelet();
    world.until("refused", |host| phase(host).as_deref() == Some("Failed")).await;
    assert_eq!(host.status().unwrap().reason.as_deref(), Some("NodePorts"));
    world.until("noted", |host| !host.refusals().is_empty()).await;
    assert_eq!(host.refusals()["town/web"], "NodePorts: a port is taken");
    host.set_refused(Some(("web", "shop")));
    world.rest(60).await;
    assert_eq!(host.running("web"), None, "the other pod is still there");
    world.force_delete().await;
    world.runs("web", 0).await;
    assert!(host.refusals().is_empty());
    let told = host.events().into_iter().filter(|event| event.contains("NodePorts")).count();
    assert!((1..=3).contains(&told), "{told} events");
}

#[tokio::test(start_paused = true)]
async fn a_static_pod_that_is_refused_for_long_is_tried_now_and_then() {
    let host = PodHost::new();
    host.set_refused(Some(("web", "")));
    let shop = pod(&[], &[container("shop")]);
    let mut world = World::with(host.clone(), shop, Vec::new(), vec![manifest("web", "u9", "web")]).await;
    world.until("refused", |host| !host.refusals().is_empty()).await;
    world.runs("shop", 0).await;
    let before = host.admissions();
    world.rest(3600).await;
    let tries = host.admissions() - before;
    assert!((10..40).contains(&tries), "{tries} tries in an hour");
    host.set_refused(None);
    world.runs("web", 0).await;
}
