//! How many reviews unauthenticated callers can cause.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::Method;

use super::fixture::{Fixture, read};
use crate::kubelet::server::cache::MAX_ENTRIES;

async fn status(fixture: &Fixture, method: Method, path: &str, token: &str) -> u16 {
    let header = format!("Bearer {token}");
    read(fixture.send(method, path, &[("authorization", &header)], None).await).await.0
}

fn token_calls(fixture: &Fixture) -> usize {
    fixture.reviews.token_calls.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn random_tokens_cost_few_reviews_and_known_callers_nothing() {
    let fixture = Fixture::start(|_| ()).await;
    fixture.allow(&["prometheus get metrics", "system:kube-apiserver get metrics"]);
    assert_eq!(status(&fixture, Method::GET, "/metrics", "token-of-prometheus").await, 200);
    let mut seen = std::collections::BTreeMap::<u16, usize>::new();
    for n in 0..300 {
        *seen.entry(status(&fixture, Method::GET, "/metrics", &format!("random-{n}")).await).or_default() += 1;
    }
    // The burst of the source, and no more while the clock is paused.
    assert_eq!(token_calls(&fixture), 10, "{seen:?}");
    assert_eq!(seen, [(401, 9), (429, 291)].into());
    // A token that is known to be invalid is not reviewed again.
    assert_eq!(status(&fixture, Method::GET, "/metrics", "random-0").await, 401);
    assert_eq!(status(&fixture, Method::GET, "/metrics", "token-of-prometheus").await, 200);
    let client = fixture.ca.issue("system:kube-apiserver", "system:masters");
    assert_eq!(read(fixture.send(Method::GET, "/metrics", &[], Some(client)).await).await.0, 200);
    assert_eq!(token_calls(&fixture), 10);
    // Known once, it does not wait for others when it has to be reviewed again.
    tokio::time::advance(Duration::from_secs(121)).await;
    for n in 0..20 {
        status(&fixture, Method::GET, "/metrics", &format!("again-{n}")).await;
    }
    assert_eq!(status(&fixture, Method::GET, "/metrics", "again-20").await, 429);
    assert_eq!(status(&fixture, Method::GET, "/metrics", "token-of-prometheus").await, 200);
}

#[tokio::test(start_paused = true)]
async fn strangers_cannot_flush_what_is_known() {
    let fixture = Fixture::start(|settings| settings.token_review = Some(Duration::from_secs(24 * 3600))).await;
    fixture.allow(&["prometheus get metrics"]);
    assert_eq!(status(&fixture, Method::GET, "/metrics", "token-of-prometheus").await, 200);
    for n in 0..MAX_ENTRIES + 10 {
        // At the rate that a patient caller gets.
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(status(&fixture, Method::GET, "/metrics", &format!("random-{n}")).await, 401);
    }
    let before = token_calls(&fixture);
    assert_eq!(status(&fixture, Method::GET, "/metrics", "token-of-prometheus").await, 200);
    assert_eq!(token_calls(&fixture), before);
}

#[tokio::test(start_paused = true)]
async fn one_token_is_one_review_however_many_ask_at_once() {
    let fixture = Fixture::start(|_| ()).await;
    fixture.allow(&["prometheus get metrics"]);
    *fixture.reviews.slow.lock().unwrap() = Duration::from_secs(5);
    let asked = (0..20).map(|_| status(&fixture, Method::GET, "/metrics", "token-of-prometheus"));
    assert_eq!(futures::future::join_all(asked).await, [200; 20]);
    assert_eq!(token_calls(&fixture), 1);
    // A review that times out is not an approval (upstream answers 401 too).
    *fixture.reviews.slow.lock().unwrap() = Duration::from_secs(3600);
    assert_eq!(status(&fixture, Method::GET, "/metrics", "token-of-late").await, 401);
}

#[tokio::test(start_paused = true)]
async fn many_tokens_of_one_user_cost_few_access_reviews() {
    let fixture = Fixture::start(|_| ()).await;
    fixture.allow(&["system:kube-apiserver get proxy"]);
    let access_calls = || fixture.reviews.access_calls.load(Ordering::Relaxed);
    let paths = ["/metrics", "/stats/summary", "/logs/", "/pods", "/configz", "/statusz", "/exec/a/b/c"];
    let mut seen = std::collections::BTreeSet::new();
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
        for path in paths {
            seen.insert(status(&fixture, method.clone(), path, "token-of-tenant").await);
        }
    }
    let first = access_calls();
    // Nothing is reviewed twice, and nothing beyond the user's share while the clock is paused.
    assert!(first <= 54, "{first}");
    for path in paths {
        status(&fixture, Method::GET, path, "token-of-tenant").await;
    }
    assert_eq!(access_calls(), first);
    assert_eq!(seen, [403].into());
}
