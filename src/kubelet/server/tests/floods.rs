//! More connections than there are slots.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::Method;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::fixture::{Fixture, read};

/// Gives up instead of hanging: the duration is not tested here.
const GIVE_UP: Duration = Duration::from_secs(20);

async fn flood(to: std::net::SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut idle = Vec::with_capacity(count);
    for _ in 0..count {
        idle.push(TcpStream::connect(to).await.unwrap());
    }
    idle
}

#[tokio::test]
async fn idle_connections_without_credentials_keep_nobody_out() {
    let fixture = Fixture::start(|_| ()).await;
    fixture.add_pod();
    let mut idle = flood(fixture.address, 1100).await;
    let answer = tokio::time::timeout(GIVE_UP, fixture.get("/configz")).await;
    assert_eq!(answer.expect("an answer in spite of the flood").0, 200);
    // The oldest connection of the flood was evicted.
    assert_eq!(tokio::time::timeout(GIVE_UP, idle[0].read(&mut [0])).await.unwrap().unwrap_or_default(), 0);
    let client = fixture.ca.issue("system:kube-apiserver", "system:masters");
    fixture.allow(&["system:kube-apiserver get metrics"]);
    let sent = tokio::time::timeout(GIVE_UP, fixture.send(Method::GET, "/metrics", &[], Some(client))).await;
    assert_eq!(read(sent.expect("an answer")).await.0, 200);
}

#[tokio::test]
async fn the_health_port_answers_in_a_flood() {
    let fixture = Fixture::start(|_| ()).await;
    let _idle = flood(fixture.healthz, 1100).await;
    let asked = async {
        use tokio::io::AsyncWriteExt;
        let mut tcp = TcpStream::connect(fixture.healthz).await.unwrap();
        tcp.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        tcp.read_to_string(&mut text).await.unwrap();
        text
    };
    let text = tokio::time::timeout(GIVE_UP, asked).await.expect("an answer in spite of the flood");
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
}

#[tokio::test]
async fn a_stream_outlives_a_flood() {
    let fixture = Fixture::start(|_| ()).await;
    let log = fixture.add_pod();
    std::fs::write(&log, "2026-01-01T00:00:00.000000000Z stdout F one\n").unwrap();
    fixture.allow(&["admin get proxy"]);
    let header = [("authorization", "Bearer token-of-admin")];
    let answer = fixture.send(Method::GET, "/containerLogs/ns/web/app?follow=true", &header, None).await;
    let mut body = answer.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one\n");
    let _idle = flood(fixture.address, 1100).await;
    let mut both = std::fs::read_to_string(&log).unwrap();
    both.push_str("2026-01-01T00:00:01.000000000Z stdout F two\n");
    std::fs::write(&log, both).unwrap();
    let next = tokio::time::timeout(GIVE_UP, body.frame()).await.expect("the stream goes on");
    assert_eq!(next.unwrap().unwrap().into_data().unwrap(), "two\n");
}
