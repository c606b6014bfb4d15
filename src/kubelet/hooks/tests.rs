//! Hooks on fakes.

use k8s_openapi::api::core::v1::Pod;

use super::*;
use crate::fakes::{FakeChecks, FakeEvents, FakeExec};

struct World {
    hooks: HookRunner,
    exec: Arc<FakeExec>,
    checks: Arc<FakeChecks>,
    events: Arc<FakeEvents>,
}

fn world() -> World {
    let (exec, checks, events) = (Arc::new(FakeExec::default()), Arc::new(FakeChecks::default()), Arc::default());
    let events: Arc<FakeEvents> = events;
    let hooks = HookRunner {
        runtime: exec.clone(),
        checks: checks.clone(),
        events: events.clone(),
        metrics: Arc::default(),
        agent: "kube-lifecycle/1.37",
    };
    World { hooks, exec, checks, events }
}

fn call(handler: serde_json::Value, pod_ip: Option<&str>) -> HookCall {
    let pod: Pod = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {"containers": [{"name": "c"}]}}))
    .expect("a pod");
    HookCall {
        pod: Arc::new(pod),
        container: "c".into(),
        id: "id".into(),
        pod_ip: pod_ip.map(String::from),
        handler: serde_json::from_value(handler).expect("a handler"),
    }
}

#[tokio::test]
async fn a_command_that_fails_says_how() {
    let world = world();
    let exec = call(serde_json::json!({"exec": {"command": ["sh", "-c", "false"]}}), None);
    assert!(world.hooks.run(exec.clone()).await.is_ok());
    world.exec.set(Ok(3));
    let error = world.hooks.run(exec).await.expect_err("exit code 3").to_string();
    assert_eq!(
        error,
        "Exec lifecycle hook ([sh -c false]) for Container \"c\" in Pod \"p_n(u)\" failed - error: \
         command 'sh -c false' exited with 3: output"
    );
}

#[tokio::test]
async fn any_http_answer_is_success() {
    let world = world();
    world.checks.set("http://10.0.0.1:80/stop", Ok(500));
    let get = call(serde_json::json!({"httpGet": {"port": 80, "path": "stop"}}), Some("10.0.0.1"));
    assert!(world.hooks.run(get).await.is_ok());
}

#[tokio::test]
async fn https_answered_in_http_is_tried_again_in_http() {
    let world = world();
    world.checks.set("https://10.0.0.1:80/", Err(CheckError::HttpInsteadOfTls("Get".into())));
    let get = call(serde_json::json!({"httpGet": {"port": 80, "scheme": "HTTPS"}}), Some("10.0.0.1"));
    assert!(world.hooks.run(get.clone()).await.is_err(), "nobody speaks HTTP there either");
    assert!(world.events.take().is_empty());
    world.checks.set("http://10.0.0.1:80/", Ok(200));
    assert!(world.hooks.run(get).await.is_ok());
    assert_eq!(world.hooks.metrics.hook_http_fallbacks.with([]).get(), 1);
    assert_eq!(
        world.events.take(),
        [
            "n/p LifecycleHTTPFallback: request to HTTPS lifecycle hook 10.0.0.1:80 got HTTP response, retry with HTTP succeeded"
        ]
    );
}

#[tokio::test]
async fn a_pod_without_address_cannot_be_asked() {
    let get = call(serde_json::json!({"httpGet": {"port": 80}}), None);
    assert!(world().hooks.run(get).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn sleep_sleeps_and_zero_is_allowed() {
    let began = tokio::time::Instant::now();
    assert!(world().hooks.run(call(serde_json::json!({"sleep": {"seconds": 0}}), None)).await.is_ok());
    assert!(world().hooks.run(call(serde_json::json!({"sleep": {"seconds": 7}}), None)).await.is_ok());
    assert_eq!(began.elapsed().as_secs(), 7);
}

#[tokio::test]
async fn tcp_hooks_always_fail() {
    assert!(world().hooks.run(call(serde_json::json!({"tcpSocket": {"port": 80}}), Some("10.0.0.1"))).await.is_err());
}
