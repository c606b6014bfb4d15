//! Pods whose numbers are as large or as small as their type allows run and terminate like others.

use std::time::Duration;

use roost::core::model::{ContainerProbes, ProbeResult};
use roost::fakes::pods::{PodHost, Program};
use serde_json::{Value, json};

use crate::life::is_ready;
use crate::world::{World, container, pod};

/// A container that ignores SIGTERM.
fn ignores_the_signal() -> Program {
    Program { heeds: None, ..Program::default() }
}

/// The pod in its own world, ready.
async fn ready(host: &std::sync::Arc<PodHost>, web: Value, change: impl FnOnce(&mut Value)) -> World {
    let mut shop = serde_json::to_value(pod(&[], &[web])).unwrap();
    change(&mut shop);
    let mut world = World::new(host.clone(), serde_json::from_value(shop).unwrap()).await;
    world.until("ready", is_ready).await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_with_the_longest_grace_ends_when_its_containers_do() {
    let host = PodHost::new();
    let mut world =
        ready(&host, container("web"), |pod| pod["spec"]["terminationGracePeriodSeconds"] = json!(i64::MAX)).await;
    world.delete(i64::MAX).await;
    world.is_gone().await;
    assert!(host.take_happened().contains(&"web#0 ended with 143".to_owned()));
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_longest_grace_can_be_shortened() {
    let host = PodHost::new();
    host.set_program("web", ignores_the_signal());
    let mut world = ready(&host, container("web"), |_| {}).await;
    world.delete(i64::MAX).await;
    world.until("asked", |host| host.calls().iter().any(|call| call.starts_with("StopContainer"))).await;
    world.delete(1).await;
    world.is_gone().await;
    assert!(host.take_happened().contains(&"web#0 ended with 137".to_owned()));
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_negative_grace_is_the_shortest() {
    for grace in [i64::MIN, -1, 0] {
        let host = PodHost::new();
        host.set_program("web", ignores_the_signal());
        let mut world = ready(&host, container("web"), |pod| {
            pod["spec"]["terminationGracePeriodSeconds"] = json!(grace);
        })
        .await;
        world.delete(grace).await;
        world.is_gone().await;
        assert!(host.take_happened().contains(&"web#0 ended with 137".to_owned()), "{grace}");
        assert_eq!(host.sins(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_with_the_longest_grace_ends_the_container_and_starts_another() {
    let host = PodHost::new();
    let probe = json!({
        "exec": {"command": ["true"]}, "terminationGracePeriodSeconds": i64::MAX, "initialDelaySeconds": i32::MAX,
        "periodSeconds": i32::MAX, "timeoutSeconds": i32::MAX, "failureThreshold": i32::MAX,
    });
    let web = json!({"name": "web", "image": "v1", "livenessProbe": probe});
    let mut world = ready(&host, web, |_| {}).await;
    host.probe("web", ContainerProbes { liveness: Some(ProbeResult::Failure), ..ContainerProbes::default() });
    world.runs("web", 1).await;
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_sleeps_for_ever_is_cut_short_with_the_grace() {
    let host = PodHost::new();
    host.set_program("web", Program { hook_takes: Duration::MAX, ..ignores_the_signal() });
    let hook = json!({"preStop": {"sleep": {"seconds": i64::MAX}}});
    let mut world = ready(&host, json!({"name": "web", "image": "v1", "lifecycle": hook}), |_| {}).await;
    world.delete(i64::MAX).await;
    world.until("the hook", |host| host.take_happened().contains(&"hook of web".to_owned())).await;
    world.rest(5).await;
    assert!(host.running("web").is_some());
    world.delete(3).await;
    world.is_gone().await;
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_longest_deadline_never_comes() {
    let host = PodHost::new();
    let mut world = ready(&host, container("web"), |pod| pod["spec"]["activeDeadlineSeconds"] = json!(i64::MAX)).await;
    host.exit("web", 3);
    world.runs("web", 1).await;
    assert_eq!(host.status().unwrap().phase.unwrap(), "Running");
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_negative_deadline_has_passed() {
    let host = PodHost::new();
    let mut shop = pod(&[], &[container("web")]);
    shop.spec.as_mut().unwrap().active_deadline_seconds = Some(i64::MIN);
    let mut world = World::new(host.clone(), shop).await;
    world.until("failed", |host| host.status().and_then(|status| status.phase).as_deref() == Some("Failed")).await;
    assert_eq!(host.status().unwrap().reason.as_deref(), Some("DeadlineExceeded"));
    assert_eq!(host.sins(), [""; 0]);
}
