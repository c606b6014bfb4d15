//! A panic never stops the kubelet's work for all pods: at every call of a port, in a pod's worker and in its passes.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use roost::fakes::pods::{PodHost, Run};
use serde_json::json;

use crate::restart::live;
use crate::world::{World, container, pod};

/// Distance between the panicking calls of a run: coprime to the number of calls in a round.
const STRIDE: usize = 7;

/// A pod of that name and uid with one container of that name.
fn named(name: &str, uid: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "town", "uid": uid, "generation": 1},
        "spec": {"containers": [container(name)], "terminationGracePeriodSeconds": 10}
    }))
    .unwrap()
}

fn calls(host: &PodHost, call: &str) -> usize {
    host.calls().iter().filter(|made| *made == call).count()
}

#[tokio::test(start_paused = true)]
async fn a_panic_at_any_call_of_a_port_loses_nothing_and_ends_no_kubelet() {
    let rehearsal = PodHost::new();
    let (_, restarts) = live(&rehearsal).await;
    let all = rehearsal.touches();
    assert!(all > 300, "{all} calls of ports");
    for number in (0..all).step_by(STRIDE) {
        let host = PodHost::new();
        host.set_panic(number);
        let lived = live(&host).await;
        assert_eq!(host.sins(), [""; 0], "panic at call {number} of a port");
        assert_eq!(lived, (1, restarts.clone()), "panic at call {number} of a port");
    }
}

/// The worker of `web` panics at each observation from now on; another pod, from the API or a manifest, keeps working.
async fn others_go_on(host: &Arc<PodHost>, world: &mut World) {
    world.runs("web", 0).await;
    world.runs("other", 0).await;
    host.set_panics_about(Some("u1"));
    host.exit("web", 3);
    world.rest(1).await;
    for attempt in 1..4 {
        host.exit("other", 3);
        world.runs("other", attempt).await;
    }
    let web: Vec<_> = host.records().into_iter().filter(|record| record.name == "web").collect();
    assert_eq!((web.len(), web[0].run), (1, Run::Exited(3)), "its containers are left alone");
    let told = host.events().into_iter().filter(|event| event.starts_with("pod FailedSync: internal error: ")).count();
    assert!((2..20).contains(&told), "{told} workers panicked");
    host.set_panics_about(None);
    world.runs("web", 1).await;
    assert_eq!(world.kubelets, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_worker_panics_always_holds_up_no_other_and_recovers() {
    let host = PodHost::new();
    let mut world =
        World::with(host.clone(), pod(&[], &[container("web")]), vec![named("other", "u2")], Vec::new()).await;
    others_go_on(&host, &mut world).await;
}

#[tokio::test(start_paused = true)]
async fn neither_does_it_hold_up_a_static_pod() {
    let host = PodHost::new();
    let mut world =
        World::with(host.clone(), pod(&[], &[container("web")]), Vec::new(), vec![named("other", "u2")]).await;
    others_go_on(&host, &mut world).await;
}

#[tokio::test(start_paused = true)]
async fn a_static_pod_whose_worker_panics_always_recovers() {
    let host = PodHost::new();
    let statics = vec![named("web", "u1")];
    let mut world = World::with(host.clone(), named("other", "u2"), Vec::new(), statics).await;
    others_go_on(&host, &mut world).await;
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_panics_always_is_tried_again_after_growing_pauses() {
    let host = PodHost::new();
    host.set_panics_about(Some("web#0"));
    let mut world =
        World::with(host.clone(), pod(&[], &[container("web")]), vec![named("other", "u2")], Vec::new()).await;
    world.runs("other", 0).await;
    world.rest(120).await;
    let tries = host.events().iter().filter(|event| event.starts_with("pod FailedSync: internal error: ")).count();
    assert!((5..40).contains(&tries), "{tries} passes in two minutes");
    assert_eq!(calls(&host, "RunPodSandbox"), 2, "one sandbox for each pod");
    host.set_panics_about(None);
    world.runs("web", 0).await;
    assert_eq!(world.kubelets, 1);
}

#[tokio::test(start_paused = true)]
async fn an_order_to_end_a_pod_outlives_its_worker() {
    let host = PodHost::new();
    let mut world = World::new(host.clone(), pod(&[], &[container("web"), container("store")])).await;
    world.runs("web", 0).await;
    world.runs("store", 0).await;
    host.set_panics_about(Some("u1"));
    host.exit("store", 3);
    world.until("its worker panics", |host| host.events().iter().any(|event| event.contains("internal error"))).await;
    world.delete(10).await;
    world.rest(5).await;
    assert!(host.running("web").is_some(), "its containers are left alone");
    host.set_panics_about(None);
    world.is_gone().await;
    assert_eq!(host.sins(), [""; 0]);
}
