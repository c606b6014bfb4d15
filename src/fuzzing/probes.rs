//! HTTP responses of probed containers, and redirects.

use std::cell::RefCell;

use tokio::io::AsyncWriteExt;

use super::input::first_line;
use crate::adapters::checks::http::{build, read, send};
use crate::core::model::HttpGet;

/// Longest body that is kept; invalid bytes become characters of three bytes.
const MAX_BODY: usize = 3 * (10 << 10);

fn request() -> HttpGet {
    HttpGet {
        tls: false,
        host: "10.1.2.3".into(),
        port: 8080,
        target: "/healthz?a=b".into(),
        headers: vec![("User-Agent".into(), "kube-probe/1.37".into())],
        host_header: None,
    }
}

/// First line: a Location; the rest: everything that the server sends. A redirect stays on the host, and the response
/// has a status of three digits and a limited body.
pub(super) fn probe_answer(input: &[u8]) {
    let (location, answer) = first_line(input);
    let get = request();
    if let Some(next) = std::str::from_utf8(location).ok().and_then(|location| get.redirected(location)) {
        assert_eq!(next.host, get.host);
        assert_eq!(next.headers, get.headers);
        assert!(next.target.starts_with('/'), "{:?}", next.target);
        assert!(next.target.len() <= get.target.len() + location.len() + 1);
    }
    thread_local! {
        static RUNTIME: RefCell<tokio::runtime::Runtime> = RefCell::new(
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
        );
    }
    RUNTIME.with_borrow_mut(|runtime| {
        let answer = answer.to_vec();
        let seen = runtime.block_on(async move {
            let (ours, mut theirs) = tokio::io::duplex(64 << 10);
            let serve = async move {
                let _ = theirs.write_all(&answer).await;
                let _ = theirs.shutdown().await;
            };
            let request = build(&get).expect("a request");
            let ask = async { read(send(request, ours).await.ok()?).await.ok() };
            tokio::join!(ask, serve).0
        });
        if let Some(answer) = seen {
            assert!((100..1000).contains(&answer.status));
            assert!(answer.body.len() <= MAX_BODY);
        }
    });
}
