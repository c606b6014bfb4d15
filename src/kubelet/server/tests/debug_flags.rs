//! `/debug/flags/v` over real sockets.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fixture::Fixture;

async fn ask(fixture: &Fixture, method: &str, path: &str, body: &str) -> String {
    fixture.allow(&["admin get proxy", "admin update proxy", "admin create proxy"]);
    let mut tls = fixture.connect(&[], None).await;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer token-of-admin\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    tls.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tls.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_verbosity_is_put_and_all_else_is_answered_as_upstream_does() {
    let fixture = Fixture::start(|_| ()).await;
    for (method, path, body, answer) in [
        ("PUT", "/debug/flags/v", "loud", "failed set klog.logging.verbosity loud"),
        ("PUT", "/debug/flags/v", "-1", "failed set klog.logging.verbosity -1"),
        ("GET", "/debug/flags/v", "", "unsupported http method"),
        ("GET", "/debug/flags/", "", "full flags configurable"),
        ("GET", "/debug/pprof/heap", "", "profiling endpoint is not available"),
    ] {
        let text = ask(&fixture, method, path, body).await;
        assert!(text.contains(answer), "{method} {path}: {text}");
    }
    assert!(ask(&fixture, "PUT", "/debug/flags/v", &"9".repeat(100)).await.starts_with("HTTP/1.1 400"));
    // Whether this process logs anything depends on other tests.
    let put = ask(&fixture, "PUT", "/debug/flags/v", "4").await;
    assert!(put.contains("successfully set klog.logging.verbosity to 4") || put.contains("nothing is logged"), "{put}");
}

#[tokio::test]
async fn a_handler_that_is_switched_off_changes_nothing() {
    let fixture = Fixture::start(|settings| settings.debug_flags = false).await;
    let text = ask(&fixture, "PUT", "/debug/flags/v", "4").await;
    assert!(text.starts_with("HTTP/1.1 405") && text.contains("flags endpoint is disabled."), "{text}");
}
