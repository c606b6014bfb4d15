//! Container logs as `kubectl logs` requests them.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateWaiting, PodStatus};

use super::fixture::Fixture;
use crate::ports::kubelet::PodView;

const FOLLOW: &str = "/containerLogs/ns/web/app?follow=true";

fn line(text: &str) -> String {
    format!("2024-01-01T00:00:01.123456789Z stdout F {text}\n")
}

fn append(file: &mut File, text: &str) {
    file.write_all(line(text).as_bytes()).unwrap();
}

async fn expect(body: &mut Incoming, wanted: &str) {
    let mut got = String::new();
    while got.len() < wanted.len() {
        let frame = body.frame().await.expect("the stream ended early").unwrap();
        got.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    assert_eq!(got, wanted);
}

#[tokio::test]
async fn options_choose_the_part_of_the_log() {
    let fixture = Fixture::start(|_| ()).await;
    let log = fixture.add_pod();
    std::fs::write(&log, [line("one"), line("two"), line("three")].concat()).unwrap();
    let get = async |options: &str| fixture.get(&format!("/containerLogs/ns/web/app?{options}")).await;
    assert_eq!(get("").await, (200, "one\ntwo\nthree\n".into()));
    assert_eq!(get("tailLines=2").await.1, "two\nthree\n");
    assert_eq!(get("limitBytes=5").await.1, "one\nt");
    assert_eq!(get("tailLines=1&timestamps=true").await.1, "2024-01-01T00:00:01.123456789Z three\n");
    assert_eq!(get("sinceTime=2024-01-01T00:00:02Z").await.1, "");
    assert_eq!(get("tailLines=-1").await, (422, "{\"message\": \"Invalid request.\"}".into()));
    assert_eq!(get("tailLines=x").await.0, 400);
    let previous = "previous terminated container \"app\" in pod \"web\" not found";
    assert_eq!(get("previous=true").await, (400, previous.into()));
}

#[tokio::test]
async fn missing_things_are_named() {
    let fixture = Fixture::start(|_| ()).await;
    fixture.add_pod();
    assert_eq!(fixture.get("/containerLogs/ns/none/app").await, (404, "pod \"none\" does not exist".into()));
    let (status, text) = fixture.get("/containerLogs/ns/web/other").await;
    assert_eq!((status, text.as_str()), (404, "container \"other\" not found in pod \"web\""));
    {
        let mut pods = fixture.pods.0.lock().unwrap();
        let mut view = PodView::clone(&pods[0]);
        let mut status = PodStatus::clone(&view.status);
        let waiting = ContainerStateWaiting { reason: Some("ContainerCreating".into()), message: None };
        status.container_statuses.as_mut().unwrap()[0].state =
            Some(ContainerState { waiting: Some(waiting), ..Default::default() });
        view.status = Arc::new(status);
        pods[0] = Arc::new(view);
    }
    let (status, text) = fixture.get("/containerLogs/ns/web/app").await;
    let wanted = "container \"app\" in pod \"web\" is waiting to start: ContainerCreating";
    assert_eq!((status, text.as_str()), (400, wanted));
}

#[tokio::test]
async fn following_starts_at_once_survives_rotation_and_ends_with_the_container() {
    let fixture = Fixture::start(|_| ()).await;
    let log = fixture.add_pod();
    let mut file = File::create(&log).unwrap();
    fixture.allow(&["admin get proxy"]);
    // Headers are sent although there is nothing to show yet.
    let answer = fixture.send(Method::GET, FOLLOW, &[("authorization", "Bearer token-of-admin")], None).await;
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    append(&mut file, "one");
    expect(&mut body, "one\n").await;

    std::fs::rename(&log, log.with_extension("log.20240101-000000")).unwrap();
    append(&mut file, "written after the rename");
    expect(&mut body, "written after the rename\n").await;
    append(&mut file, "last of the old file");
    let mut file = OpenOptions::new().create(true).append(true).open(&log).unwrap();
    append(&mut file, "first of the new file");
    expect(&mut body, "last of the old file\nfirst of the new file\n").await;

    append(&mut file, "farewell");
    fixture.end_container();
    expect(&mut body, "farewell\n").await;
    assert!(body.frame().await.is_none(), "the stream has to end with the container");
}
