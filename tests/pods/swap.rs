//! A container that is replaced: what is reported about its pod meanwhile.

use std::time::Duration;

use roost::fakes::pods::{PodHost, Program};

use crate::life::is_ready;
use crate::world::{World, container, pod};

/// Replaces the container by one with another image; returns the reported readiness of the pod.
async fn replaced(program: Program, policy: &str) -> Vec<String> {
    let host = PodHost::new();
    host.set_program("web", program);
    let mut shop = pod(&[], &[container("web")]);
    shop.spec.as_mut().unwrap().restart_policy = Some(policy.to_owned());
    let mut world = World::new(host.clone(), shop).await;
    world.until("ready", is_ready).await;
    world.set_image("web", "v2").await;
    world.until("the new image", |host| host.running("web").is_some_and(|record| record.image == "v2")).await;
    world.rest(5).await;
    assert_eq!(host.status().unwrap().phase.unwrap(), "Running");
    assert_eq!(host.sins(), [""; 0]);
    host.reported().ready()
}

#[tokio::test(start_paused = true)]
async fn a_pod_stays_ready_while_a_container_is_replaced() {
    let program = Program { starts_in: Duration::from_millis(300), ..Program::default() };
    assert_eq!(replaced(program, "Always").await, ["False", "True"]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_new_container_keeps_it_waiting_is_told_to_be_unready() {
    let program = Program { starts_in: Duration::from_secs(5), ..Program::default() };
    assert_eq!(replaced(program, "Always").await, ["False", "True", "False", "True"]);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_takes_its_whole_grace_runs_until_then() {
    let program = Program { heeds: None, ..Program::default() };
    assert_eq!(replaced(program, "Always").await, ["False", "True"]);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_container_does_not_end_a_pod_that_restarts_nothing() {
    let program = Program { starts_in: Duration::from_secs(5), ..Program::default() };
    assert_eq!(replaced(program, "Never").await, ["False", "True", "False", "True"]);
}
