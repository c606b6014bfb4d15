//! A restart loses nothing: faults of the runtime, and crashes of the kubelet, at every single call of a pod's life.

use std::sync::Arc;
use std::time::Duration;

use roost::core::model::{ContainerProbes, ProbeResult};
use roost::fakes::pods::{Fault, PodHost, Program};
use serde_json::json;

use crate::life::is_ready;
use crate::world::{World, container, pod, sidecar};

/// A life with every kind of event: starts in order, restarts with back-off, another image, another sandbox,
/// termination. Returns how many kubelets it took, and how often each container was reported as restarted.
pub async fn live(host: &Arc<PodHost>) -> (u32, Vec<(String, i32)>) {
    host.set_program("prepare", Program { ends: Some((Duration::from_secs(1), 0)), ..Program::default() });
    let inits = [container("prepare"), sidecar("proxy")];
    let mut world = World::new(host.clone(), pod(&inits, &[container("web")])).await;
    world.runs("web", 0).await;
    host.exit("web", 3);
    world.runs("web", 1).await;
    host.exit("proxy", 4);
    world.runs("proxy", 1).await;
    host.exit("web", 5);
    world.runs("web", 2).await;
    world.set_image("web", "v2").await;
    world.until("the new image", |host| host.running("web").is_some_and(|record| record.image == "v2")).await;
    host.crash_sandbox();
    world.runs("web", 4).await;
    world.delete(10).await;
    world.is_gone().await;
    let status = host.status().unwrap();
    let containers = [status.init_container_statuses, status.container_statuses].into_iter().flatten().flatten();
    (world.kubelets, containers.map(|c| (c.name, c.restart_count)).collect())
}

/// A kubelet that starts none of the running pods must not weigh their class only by those that it starts.
#[tokio::test(start_paused = true)]
async fn pods_of_an_earlier_kubelet_count_for_the_weight_of_their_class() {
    let host = PodHost::new();
    let others = ["u2", "u3"].map(|uid| {
        let mut other = pod(&[], &[container("web")]);
        (other.metadata.name, other.metadata.uid) = (Some(uid.to_owned()), Some(uid.to_owned()));
        other
    });
    let mut world = World::with(host.clone(), pod(&[], &[container("web")]), others.to_vec(), Vec::new()).await;
    let all = |host: &PodHost| host.weighed().is_some_and(|(pods, all)| all && pods.len() == 3);
    world.until("all pods weigh", all).await;
    host.forget_weights();
    world.rest(90).await;
    assert!(all(&host), "without any change it is looked at again within a minute");
    host.forget_weights();
    world.kill_kubelet();
    world.until("all pods weigh", all).await;
    assert_eq!(world.kubelets, 2);
    world.delete(10).await;
    world.until("two are left", |host| host.weighed().is_some_and(|(pods, all)| all && pods.len() == 2)).await;
}

/// Repeats the life with this fault at each call in turn.
async fn with_a_fault_at_each_call(fault: Fault, kubelets: u32) {
    let (_, restarts) = live(&PodHost::new()).await;
    for number in 0.. {
        let host = PodHost::new();
        host.set_fault(number, fault);
        let lived = live(&host).await;
        let calls = host.calls();
        if calls.len() <= number {
            assert!(number > 60, "the fault was injected into every call");
            return;
        }
        let place = format!("{fault:?} at call {number}, {}", calls[number]);
        assert_eq!(host.sins(), [""; 0], "{place}");
        assert_eq!(lived, (kubelets, restarts.clone()), "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_once_stops_no_pod() {
    with_a_fault_at_each_call(Fault::Fails, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_once_stops_no_pod() {
    with_a_fault_at_each_call(Fault::Hangs, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_answer_is_lost_is_not_made_twice() {
    with_a_fault_at_each_call(Fault::AnswerIsLost, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_dies_before_any_call_is_followed_by_one_that_makes_it() {
    with_a_fault_at_each_call(Fault::DiesBefore, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_dies_amid_any_call_is_followed_by_one_that_cleans_up() {
    with_a_fault_at_each_call(Fault::DiesAmid, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_dies_after_any_call_is_followed_by_one_that_finds_what_was_done() {
    with_a_fault_at_each_call(Fault::DiesAfter, 2).await;
}

/// True if a call to the runtime changes nothing.
fn only_looks(call: &str) -> bool {
    ["List", "Status", "PodSandboxStatus", "ContainerStatus"].iter().any(|look| call.starts_with(look))
}

#[tokio::test(start_paused = true)]
async fn a_new_kubelet_over_a_healthy_pod_only_looks_and_the_pod_stays_ready() {
    let host = PodHost::new();
    let probe = json!({"exec": {"command": ["true"]}});
    let web = json!({"name": "web", "image": "v1", "startupProbe": probe, "readinessProbe": probe});
    let mut world = World::new(host.clone(), pod(&[], &[web])).await;
    world.runs("web", 0).await;
    let good = Some(ProbeResult::Success);
    host.probe("web", ContainerProbes { startup: good, readiness: good, ..ContainerProbes::default() });
    world.until("ready", is_ready).await;
    let before = host.calls().len();
    world.kill_kubelet();
    world.rest(5).await;
    assert_eq!(world.kubelets, 2);
    assert_eq!(host.reported().ready(), ["False", "True"]);
    let after: Vec<_> = host.calls()[before..].iter().filter(|call| !only_looks(call)).cloned().collect();
    assert_eq!(after, [""; 0]);
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_nobody_watched_is_told_by_the_next_kubelet() {
    let host = PodHost::new();
    let mut world = World::new(host.clone(), pod(&[], &[container("web")])).await;
    world.until("ready", is_ready).await;
    world.kill_kubelet();
    host.exit("web", 9);
    world.runs("web", 1).await;
    world.rest(1).await;
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_vanished_while_no_kubelet_ran_is_ended_by_the_next_one() {
    let host = PodHost::new();
    let mut world = World::new(host.clone(), pod(&[], &[container("web")])).await;
    world.until("ready", is_ready).await;
    world.kill_kubelet();
    host.take_happened();
    world.force_delete().await;
    world.is_gone().await;
    assert_eq!(host.take_happened(), ["web#0 was told to end within 2 s", "web#0 ended with 143"]);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_is_down_is_asked_now_and_then_and_the_pod_goes_on_when_it_is_back() {
    let host = PodHost::new();
    let mut world = World::new(host.clone(), pod(&[], &[container("web")])).await;
    world.runs("web", 0).await;
    host.exit("web", 3);
    world.runs("web", 1).await;
    // From now on the kubelet waits until a back-off expires, which happens while the runtime is down.
    host.exit("web", 3);
    world.rest(1).await;
    host.set_down(true);
    let before = host.calls().len();
    world.rest(60).await;
    let asked = host.calls().len() - before;
    assert!((10..300).contains(&asked), "{asked} calls in a minute");
    host.set_down(false);
    world.runs("web", 2).await;
    assert_eq!(host.sins(), [""; 0]);
}
