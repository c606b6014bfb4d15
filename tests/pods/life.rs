//! A pod's lifecycle without faults: order of starts, restarts, changed images, termination.

use std::time::Duration;

use k8s_openapi::api::core::v1::PodStatus;
use roost::core::model::{ContainerProbes, ProbeResult};
use roost::fakes::pods::{Fault, PodHost, Program, Run};
use serde_json::json;

use crate::world::{World, container, pod, sidecar};

/// An init container that does its work within a second.
fn does_its_work() -> Program {
    Program { ends: Some((Duration::from_secs(1), 0)), ..Program::default() }
}

fn waits_with(host: &PodHost, name: &str) -> Option<String> {
    let statuses = host.status()?.container_statuses?;
    statuses.into_iter().find(|c| c.name == name)?.state?.waiting?.reason
}

/// Of a container that was restarted repeatedly: its restart counts, and the seconds that it was down before each.
fn pauses(host: &PodHost, name: &str) -> Vec<(i32, i64)> {
    let pause = |status: PodStatus| {
        let container = status.container_statuses?.into_iter().find(|c| c.name == name)?;
        let started = container.state?.running?.started_at?;
        let ended = container.last_state?.terminated?.finished_at?;
        Some((container.restart_count, started.0.duration_since(ended.0).as_secs()))
    };
    let mut pauses: Vec<_> = host.reported().statuses.into_iter().filter_map(pause).collect();
    pauses.dedup();
    pauses
}

pub fn is_ready(host: &PodHost) -> bool {
    host.reported().ready().last().is_some_and(|value| value == "True")
}

#[tokio::test(start_paused = true)]
async fn init_containers_come_first_and_sidecars_stay_until_the_regular_ones_have_ended() {
    let host = PodHost::new();
    host.set_program("prepare", does_its_work());
    let inits = [sidecar("log"), container("prepare"), sidecar("proxy")];
    let mut world = World::new(host.clone(), pod(&inits, &[container("web"), container("store")])).await;
    world.until("ready", is_ready).await;
    let started = ["log#0 started", "prepare#0 started", "prepare#0 ended with 0", "proxy#0 started", "web#0 started"];
    assert_eq!(host.take_happened(), [&started[..], &["store#0 started"]].concat());
    assert_eq!(host.reported().ready(), ["False", "True"]);
    assert_eq!(host.status().unwrap().phase.unwrap(), "Running");

    world.delete(10).await;
    world.is_gone().await;
    let ended = [
        "store#0 was told to end within 10 s",
        "web#0 was told to end within 10 s",
        "store#0 ended with 143",
        "web#0 ended with 143",
        "proxy#0 was told to end within 10 s",
        "proxy#0 ended with 143",
        "log#0 was told to end within 10 s",
        "log#0 ended with 143",
    ];
    assert_eq!(host.take_happened(), ended);
    assert_eq!(host.reported().ready(), ["False", "True", "False"]);
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_cannot_be_removed_is_told_once_and_tried_until_it_can() {
    let host = PodHost::new();
    let mut world = World::new(host.clone(), pod(&[], &[container("web")])).await;
    world.until("ready", is_ready).await;
    host.stick_volumes("dug/file: Operation not permitted");
    world.delete(1).await;
    world.until("tried again and again", |host| host.stuck_removals() >= 5).await;
    assert!(!host.reported().finished);
    let told: Vec<_> = host.events().into_iter().filter(|event| event.starts_with("pod FailedToRemove")).collect();
    let what = "failed to remove the pod's directories or cgroup: dug/file: Operation not permitted";
    assert_eq!(told, [format!("pod FailedToRemovePodDirectories: {what}")]);
    host.unstick();
    world.is_gone().await;
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_init_container_that_fails_holds_the_rest_back_and_is_tried_again() {
    let host = PodHost::new();
    host.set_program("prepare", Program { ends: Some((Duration::from_secs(1), 7)), ..Program::default() });
    let mut world = World::new(host.clone(), pod(&[container("prepare")], &[container("web")])).await;
    world.runs("prepare", 2).await;
    assert_eq!(host.running("web"), None);
    host.set_program("prepare", does_its_work());
    world.until("ready", is_ready).await;
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_ends_is_started_again_at_once_and_then_after_growing_pauses() {
    let host = PodHost::new();
    host.set_program("web", Program { ends: Some((Duration::from_secs(1), 3)), ..Program::default() });
    let mut world = World::new(host.clone(), pod(&[], &[container("web")])).await;
    world.runs("web", 5).await;
    world.until("it waits", |host| waits_with(host, "web").as_deref() == Some("CrashLoopBackOff")).await;
    assert_eq!(pauses(&host, "web"), [(1, 0), (2, 10), (3, 20), (4, 40), (5, 80)]);
    assert!(host.records().len() <= 3, "{:?}", host.records());
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_far_away_delays_no_restart() {
    let host = PodHost::new();
    host.set_program("web", Program { ends: Some((Duration::from_secs(1), 3)), ..Program::default() });
    let mut shop = pod(&[], &[container("web")]);
    shop.spec.as_mut().unwrap().active_deadline_seconds = Some(3600);
    let mut world = World::new(host.clone(), shop).await;
    world.runs("web", 3).await;
    world.until("it waits", |host| waits_with(host, "web").as_deref() == Some("CrashLoopBackOff")).await;
    assert_eq!(pauses(&host, "web"), [(1, 0), (2, 10), (3, 20)]);
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_past_its_deadline_is_ended_and_has_failed() {
    let host = PodHost::new();
    let mut shop = pod(&[], &[container("web")]);
    shop.spec.as_mut().unwrap().active_deadline_seconds = Some(30);
    let mut world = World::new(host.clone(), shop).await;
    world.until("failed", |host| host.status().and_then(|status| status.phase).as_deref() == Some("Failed")).await;
    assert_eq!(host.status().unwrap().reason.as_deref(), Some("DeadlineExceeded"));
    assert_eq!(host.running("web"), None);
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn another_image_replaces_the_container_and_counts_as_a_restart() {
    let host = PodHost::new();
    let mut world = World::new(host.clone(), pod(&[], &[container("web"), container("store")])).await;
    world.until("ready", is_ready).await;
    world.set_image("web", "v2").await;
    world.until("the new image", |host| host.running("web").is_some_and(|record| record.image == "v2")).await;
    assert_eq!(host.running("web").unwrap().attempt, 1);
    assert_eq!(host.running("store").unwrap().attempt, 0);
    world.until("ready", is_ready).await;
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_liveness_probe_ends_the_container_and_starts_another() {
    let host = PodHost::new();
    let probe = json!({"exec": {"command": ["true"]}});
    let web = json!({"name": "web", "image": "v1", "livenessProbe": probe});
    let mut world = World::new(host.clone(), pod(&[], &[web])).await;
    world.runs("web", 0).await;
    host.probe("web", ContainerProbes { liveness: Some(ProbeResult::Failure), ..ContainerProbes::default() });
    world.runs("web", 1).await;
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_container_gets_its_hook_and_its_grace_and_not_more() {
    let host = PodHost::new();
    host.set_program("web", Program { heeds: None, ..Program::default() });
    let web = json!({"name": "web", "image": "v1", "lifecycle": {"preStop": {"exec": {"command": ["bye"]}}}});
    let mut world = World::new(host.clone(), pod(&[], &[web])).await;
    world.until("ready", is_ready).await;
    host.take_happened();
    world.delete(5).await;
    world.is_gone().await;
    assert_eq!(host.take_happened(), ["hook of web", "web#0 was told to end within 5 s", "web#0 ended with 137"]);
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_grace_overtakes_a_longer_one() {
    let host = PodHost::new();
    host.set_program("web", Program { heeds: None, ..Program::default() });
    let mut world = World::new(host.clone(), pod(&[], &[container("web")])).await;
    world.until("ready", is_ready).await;
    let began = tokio::time::Instant::now();
    world.delete(3600).await;
    world.rest(5).await;
    world.delete(2).await;
    world.is_gone().await;
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_post_start_hook_ends_the_container_and_it_is_started_again() {
    let host = PodHost::new();
    host.set_program("web", Program { hook_fails: true, ..Program::default() });
    let web = json!({"name": "web", "image": "v1", "lifecycle": {"postStart": {"exec": {"command": ["hello"]}}}});
    let mut world = World::new(host.clone(), pod(&[], &[web])).await;
    world.until("it ended", |host| host.records().iter().any(|record| record.run == Run::Exited(143))).await;
    host.set_program("web", Program::default());
    world.until("ready", is_ready).await;
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn lost_hints_cost_time_and_nothing_else() {
    let host = PodHost::new();
    host.lose_hints(true);
    host.set_program("prepare", does_its_work());
    let mut world = World::new(host.clone(), pod(&[container("prepare")], &[container("web")])).await;
    world.runs("web", 0).await;
    host.exit("web", 3);
    world.runs("web", 1).await;
    world.delete(10).await;
    world.is_gone().await;
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_removed_is_stepped_over_with_the_next_number() {
    let starts = |host: &PodHost| host.calls().iter().position(|call| call == "StartContainer web#0");
    let rehearsal = PodHost::new();
    World::new(rehearsal.clone(), pod(&[], &[container("web")])).await.runs("web", 0).await;

    let host = PodHost::new();
    host.set_fault(starts(&rehearsal).unwrap(), Fault::Fails);
    let mut world = World::new(host.clone(), pod(&[], &[container("web")])).await;
    world.until("the start fails", |host| starts(host).is_some()).await;
    host.stick("web");
    world.runs("web", 1).await;
    let refused = host.calls().iter().filter(|call| *call == "RemoveContainer web#0").count();
    assert_eq!((refused, host.records()[0].run), (1, Run::Created));
    assert_eq!(host.status().unwrap().container_statuses.unwrap()[0].restart_count, 1);
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_removed_is_tried_again_now_and_then() {
    let host = PodHost::new();
    let mut world = World::new(host.clone(), pod(&[], &[container("web")])).await;
    world.runs("web", 0).await;
    host.stick("web");
    for attempt in 1..4 {
        host.exit("web", 3);
        world.runs("web", attempt).await;
    }
    world.rest(120).await;
    let tries = host.calls().iter().filter(|call| *call == "RemoveContainer web#0").count();
    assert!((5..40).contains(&tries), "{tries} tries");
    host.unstick();
    world.until("it is removed", |host| host.records().iter().all(|record| record.attempt > 0)).await;
    assert_eq!(host.sins(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn starts_and_failed_starts_are_counted() {
    let host = PodHost::new();
    let mut first = World::new(host.clone(), pod(&[], &[container("web")])).await;
    first.runs("web", 0).await;
    let number = host.calls().iter().position(|call| call.starts_with("StartContainer")).unwrap();

    let host = PodHost::new();
    host.set_fault(number, Fault::Fails);
    let mut world = World::new(host.clone(), pod(&[], &[container("web")])).await;
    world.until("it runs at last", |host| host.running("web").is_some()).await;
    let metrics = world.metrics();
    assert_eq!(metrics.started_pods.with([]).get(), 1);
    assert_eq!(metrics.started_containers.with(["container"]).get(), 2);
    assert_eq!(metrics.started_container_errors.with(["container", "RunContainerError"]).get(), 1);
}

/// A node that boots may not have its resolver yet, and gets another one with each network.
#[tokio::test(start_paused = true)]
async fn each_sandbox_gets_the_resolver_that_the_node_has_by_then() {
    let host = PodHost::new();
    host.set_resolv_conf(None);
    let mut early = pod(&[], &[container("web")]);
    early.spec.as_mut().unwrap().dns_policy = Some("Default".into());
    let mut world = World::new(host.clone(), early).await;
    let refused = "pod FailedCreatePodSandBox: Failed to create pod sandbox: open /etc/resolv.conf: ";
    world.until("it is told why", |host| host.events().iter().any(|event| event.starts_with(refused))).await;
    assert!(!host.calls().iter().any(|call| call.starts_with("RunPodSandbox")), "none with an empty resolver");
    host.set_resolv_conf(Some("nameserver 192.0.2.53\n"));
    world.runs("web", 0).await;
    assert_eq!(host.name_servers(), ["192.0.2.53"]);
    host.set_resolv_conf(Some("nameserver 192.0.2.54\n"));
    host.crash_sandbox();
    world.runs("web", 1).await;
    assert_eq!(host.name_servers(), ["192.0.2.54"]);
}

/// Its controller creates another one, which the scheduler assigns to a node with room.
#[tokio::test(start_paused = true)]
async fn a_pod_for_whose_volumes_the_node_has_no_room_is_sent_away() {
    let host = PodHost::new();
    host.attach_no_more();
    let mut world = World::new(host.clone(), pod(&[], &[container("web")])).await;
    world.until("failed", |host| host.status().and_then(|status| status.phase).as_deref() == Some("Failed")).await;
    let status = host.status().unwrap();
    assert_eq!(status.reason.as_deref(), Some("VolumeAttachmentLimitExceeded"));
    let message = status.message.unwrap();
    assert!(message.starts_with("Pod was rejected: Node has reached its volume attachment limit"), "{message}");
    assert!(!host.calls().iter().any(|call| call.starts_with("StartContainer")));
    world.delete(10).await;
    world.is_gone().await;
}

#[tokio::test(start_paused = true)]
async fn a_static_pod_whose_manifest_is_written_again_ends_and_counts_as_restarted() {
    let host = PodHost::new();
    let mut static_pod = pod(&[], &[container("web")]);
    static_pod.metadata.name = Some("web".into());
    let mut api_pod = pod(&[], &[container("other")]);
    api_pod.metadata.name = Some("other".into());
    api_pod.metadata.uid = Some("u2".into());
    let mut world = World::with(host.clone(), api_pod, Vec::new(), vec![static_pod]).await;
    world.runs("web", 0).await;
    world.rewrite_manifests().await;
    world.runs("web", 1).await;
    let happened = host.take_happened();
    let of_web: Vec<_> = happened.iter().filter(|line| line.starts_with("web#")).map(String::as_str).collect();
    assert_eq!(of_web.first(), Some(&"web#0 started"));
    assert!(of_web.contains(&"web#0 ended with 143") && of_web.ends_with(&["web#1 started"]), "{of_web:?}");
    // Removed permanently, nothing is left of it.
    world.drop_manifests().await;
    world.until("the static pod is gone", |host| host.running("web").is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn containers_of_a_finished_pod_go_when_the_disk_is_short_and_its_status_stays() {
    let host = PodHost::new();
    host.set_program("web", Program { ends: Some((Duration::from_secs(1), 3)), ..Program::default() });
    let mut once = pod(&[], &[container("web")]);
    once.spec.as_mut().unwrap().restart_policy = Some("Never".into());
    let mut world = World::new(host.clone(), once).await;
    let has_failed = |host: &PodHost| host.status().is_some_and(|status| status.phase.as_deref() == Some("Failed"));
    world.until("failed", has_failed).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(host.records().len(), 1);
    let told = host.status();
    world.remove_dead().await;
    world.until("the records are gone", |host| host.records().is_empty() && host.sandboxes() == 0).await;
    // Its worker observes it repeatedly, finds nothing, and reports the same.
    tokio::time::sleep(Duration::from_secs(180)).await;
    assert_eq!(host.status(), told);
    assert_eq!((host.records().len(), host.sins()), (0, vec![]));
    world.delete(0).await;
    world.is_gone().await;
}
