//! Calls to the runtime are never cancelled: calls that were sent are waited for, others are not sent.

use std::sync::Arc;
use std::time::Duration;

use roost::fakes::pods::{PodHost, Program};
use serde_json::{Value, json};

use crate::life::is_ready;
use crate::world::{World, container, pod, sidecar};

/// Duration of the call during which a pod is deleted.
const SLOW: Duration = Duration::from_secs(3);

fn with_hooks(name: &str) -> Value {
    let hook = json!({"exec": {"command": ["hook"]}});
    json!({"name": name, "image": "v1", "lifecycle": {"postStart": hook, "preStop": hook}})
}

async fn world(host: &Arc<PodHost>) -> World {
    host.set_program("prepare", Program { ends: Some((Duration::from_secs(1), 0)), ..Program::default() });
    World::new(host.clone(), pod(&[container("prepare"), sidecar("proxy")], &[with_hooks("web")])).await
}

/// Calls that create something.
fn makes(calls: &[String]) -> Vec<&String> {
    let makes = ["RunPodSandbox", "CreateContainer", "StartContainer"];
    calls.iter().filter(|call| makes.iter().any(|make| call.starts_with(make))).collect()
}

/// The reported terminations of containers, without those of processes that were stopped on request.
fn odd_ends(host: &PodHost) -> Vec<String> {
    let status = host.status().unwrap_or_default();
    let all = [status.init_container_statuses, status.container_statuses].into_iter().flatten().flatten();
    let ends = all.filter_map(|c| Some((c.name, c.state?.terminated?)));
    let odd = ends.filter(|(_, end)| end.reason.as_deref() == Some("StartError"));
    odd.map(|(name, end)| format!("{name}: {end:?}")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_deleted_during_any_call_lets_it_end_and_sends_no_other_start() {
    let rehearsal = PodHost::new();
    world(&rehearsal).await.until("ready", is_ready).await;
    let all = rehearsal.calls().len();
    assert!(makes(&rehearsal.calls()).len() == 7, "{:?}", rehearsal.calls());
    for number in 0..all {
        let host = PodHost::new();
        host.set_slow(number, SLOW);
        let mut world = world(&host).await;
        world.until("the slow call", |host| host.calls().len() > number).await;
        let place = format!("deleted during call {number}, {}", host.calls()[number]);
        let sent = host.calls().len();
        world.delete(10).await;
        world.is_gone().await;
        assert_eq!(host.sins(), [""; 0], "{place}");
        assert_eq!(makes(&host.calls()[sent..]), [""; 0], "{place}");
        assert_eq!(odd_ends(&host), [""; 0], "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_grace_that_is_shortened_during_any_call_of_the_end_calls_nothing_off() {
    let rehearsal = PodHost::new();
    let mut world_before = world(&rehearsal).await;
    world_before.until("ready", is_ready).await;
    let first = rehearsal.calls().len();
    world_before.delete(3600).await;
    world_before.is_gone().await;
    for number in first..rehearsal.calls().len() {
        let host = PodHost::new();
        let mut world = world(&host).await;
        world.until("ready", is_ready).await;
        host.set_slow(number, SLOW);
        world.delete(3600).await;
        // The last calls differ in number from run to run.
        world.until("the slow call", |host| host.calls().len() > number || host.leftovers().is_empty()).await;
        let place = format!("shortened during call {number}, {:?}", host.calls().get(number));
        if !host.reported().finished {
            world.delete(2).await;
        }
        world.is_gone().await;
        assert_eq!(host.sins(), [""; 0], "{place}");
        let hooks = host.take_happened().iter().filter(|what| *what == "hook of web").count();
        assert_eq!(hooks, 2, "{place}: postStart and preStop, once each");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pre_stop_hook_that_outlives_the_grace_goes_on_until_the_container_is_killed() {
    let host = PodHost::new();
    host.set_program("web", Program { heeds: None, hook_takes: Duration::from_secs(12), ..Program::default() });
    let web = json!({"name": "web", "image": "v1", "lifecycle": {"preStop": {"exec": {"command": ["bye"]}}}});
    let mut world = World::new(host.clone(), pod(&[], &[web])).await;
    world.until("ready", is_ready).await;
    host.take_happened();
    world.delete(10).await;
    world.is_gone().await;
    let happened = ["hook of web", "web#0 was told to end within 2 s", "web#0 ended with 137"];
    assert_eq!(host.take_happened(), happened);
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_a_deletion_overtakes_goes_on() {
    let host = PodHost::new();
    host.set_program("web", Program { hook_takes: Duration::from_secs(30), ..Program::default() });
    let mut world = World::new(host.clone(), pod(&[], &[with_hooks("web")])).await;
    world.until("the hook runs", |host| host.take_happened().iter().any(|what| what == "hook of web")).await;
    world.delete(1).await;
    world.is_gone().await;
    assert_eq!(host.sins(), [""; 0]);
}

/// Each stop runs the network plugin once more.
#[tokio::test(start_paused = true)]
async fn each_sandbox_is_stopped_once_and_removed_after_that() {
    let host = PodHost::new();
    let mut world = world(&host).await;
    world.until("ready", is_ready).await;
    // This one exits on its own: nothing has stopped it when it is removed.
    host.crash_sandbox();
    world.runs("web", 1).await;
    world.delete(10).await;
    world.is_gone().await;
    world.rest(90).await;
    let calls = host.calls();
    let about = |call: &str| -> Vec<&str> { calls.iter().filter_map(|made| made.strip_prefix(call)).collect() };
    let (stopped, removed) = (about("StopPodSandbox"), about("RemovePodSandbox"));
    assert_eq!(removed.len(), 2, "{calls:?}");
    assert_eq!(stopped, removed, "{calls:?}");
}
