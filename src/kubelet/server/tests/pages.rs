//! Endpoints with a single page.

use hyper::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fixture::{Fixture, read};

#[tokio::test]
async fn health_is_plain_on_its_own_port_and_nothing_else_is_there() {
    let fixture = Fixture::start(|_| ()).await;
    let ask = async |path: &str| {
        let mut tcp = tokio::net::TcpStream::connect(fixture.healthz).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        tcp.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        tcp.read_to_string(&mut text).await.unwrap();
        text
    };
    assert!(ask("/healthz").await.starts_with("HTTP/1.1 200 OK"));
    assert!(ask("/pods").await.starts_with("HTTP/1.1 404"));
    *fixture.sick.lock().unwrap() = Some("no answer from the runtime".into());
    let sick = ask("/healthz").await;
    assert!(sick.starts_with("HTTP/1.1 500"), "{sick}");
    assert!(
        sick.contains("[+]ping ok\n[+]log ok\n[-]syncloop failed: reason withheld\nhealthz check failed"),
        "{sick}"
    );
}

#[tokio::test]
async fn pages_have_the_shape_that_clients_expect() {
    let fixture = Fixture::start(|_| ()).await;
    fixture.add_pod();
    let (_, configz) = fixture.get("/configz").await;
    assert_eq!(configz, r#"{"kubeletconfig":{"kind":"KubeletConfiguration","maxPods":110}}"#);
    let (status, pods) = fixture.get("/pods").await;
    let pods: serde_json::Value = serde_json::from_str(&pods).unwrap();
    assert_eq!((status, &pods["kind"], &pods["items"][0]["metadata"]["name"]), (200, &"PodList".into(), &"web".into()));
    let (_, summary) = fixture.get("/stats/summary").await;
    assert_eq!(summary, r#"{"node":{"nodeName":"n1","startTime":"1970-01-01T00:00:00Z"},"pods":[]}"#);
    let (_, metrics) = fixture.get("/metrics").await;
    assert!(metrics.contains(
        "kubelet_http_requests_total{method=\"GET\",path=\"pods\",server_type=\"readwrite\",long_running=\"false\"} 1\n"
    ));
}

#[tokio::test]
async fn methods_and_missing_pods_are_answered_as_upstream_does() {
    let fixture = Fixture::start(|_| ()).await;
    fixture.add_pod();
    assert_eq!(fixture.get("/run/ns/web/app").await.0, 405);
    assert_eq!(fixture.get("/exec/ns/none/app?command=x&output=1").await, (404, "pod does not exist".into()));
    assert_eq!(fixture.get("/exec/ns/web/other-uid/app?command=x&output=1").await.0, 404);
    let (status, text) = fixture.get("/exec/ns/web/app?command=x").await;
    assert_eq!((status, text.as_str()), (400, "you must specify at least 1 of stdin, stdout, stderr"));
    assert_eq!(fixture.get("/exec/ns/web/app?command=x&output=1").await.0, 400, "no upgrade");
    let header = [("authorization", "Bearer token-of-admin")];
    let run = fixture.send(Method::POST, "/run/ns/web/m1/app?cmd=ls%20-l", &header, None).await;
    assert_eq!(read(run).await, (200, "ls|-l!".into()));
    let failed = fixture.send(Method::POST, "/run/ns/web/app?cmd=fail", &header, None).await;
    assert_eq!(read(failed).await, (500, "command 'fail' exited with 3: !".into()));
}

#[tokio::test]
async fn debugging_handlers_can_be_turned_off() {
    let fixture = Fixture::start(|s| s.debugging_handlers = false).await;
    for path in ["/exec/a/b/c", "/attach/a/b/c", "/portForward/a/b", "/containerLogs/a/b/c", "/runningpods/", "/logs/"]
    {
        assert_eq!(fixture.get(path).await.0, 405, "{path}");
    }
    assert_eq!(fixture.get("/pods").await.0, 200);
}

#[tokio::test]
async fn node_logs_stay_inside_their_directory() {
    let outside = tempfile::NamedTempFile::new().unwrap();
    let fixture = Fixture::start(|_| ()).await;
    let root = fixture.directory.path();
    std::fs::write(root.join("boot.log"), "booted\n").unwrap();
    std::fs::create_dir(root.join("pods")).unwrap();
    std::os::unix::fs::symlink(outside.path(), root.join("pods/escape")).unwrap();
    std::os::unix::fs::symlink(root.join("boot.log"), root.join("pods/inside")).unwrap();
    assert_eq!(fixture.get("/logs/boot.log").await, (200, "booted\n".into()));
    assert_eq!(fixture.get("/logs/pods/inside").await, (200, "booted\n".into()));
    for path in ["/logs/pods/escape", "/logs/../../etc/passwd", "/logs/%2e%2e/%2e%2e/etc/passwd", "/logs/none"] {
        assert_eq!(fixture.get(path).await.0, 404, "{path}");
    }
    let (_, listing) = fixture.get("/logs/").await;
    assert!(listing.contains("<a href=\"boot.log\">boot.log</a>\n") && listing.contains("pods/"), "{listing}");
}
