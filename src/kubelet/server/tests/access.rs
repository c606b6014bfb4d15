//! Authentication and authorization.

use std::sync::atomic::Ordering;

use hyper::Method;

use super::fixture::{Ca, Fixture, read};
use crate::kubelet::server::{AuthorizationMode, Settings};

const METRICS: &str = "/metrics";

#[tokio::test]
async fn a_client_certificate_of_the_ca_names_the_user() {
    let fixture = Fixture::start(|_| ()).await;
    fixture.allow(&["system:kube-apiserver get metrics"]);
    let client = fixture.ca.issue("system:kube-apiserver", "system:masters");
    let (status, _) = read(fixture.send(Method::GET, METRICS, &[], Some(client)).await).await;
    assert_eq!(status, 200);
    let stranger = Ca::new("other").issue("system:kube-apiserver", "system:masters");
    let answer = read(fixture.send(Method::GET, METRICS, &[], Some(stranger)).await).await;
    assert_eq!(answer, (401, "Unauthorized".to_owned()));
}

#[tokio::test]
async fn nobody_comes_in_without_credentials_unless_anonymous_is_on() {
    let fixture = Fixture::start(|_| ()).await;
    assert_eq!(read(fixture.send(Method::GET, METRICS, &[], None).await).await.0, 401);
    let open = Fixture::start(|s| s.anonymous = true).await;
    let (status, body) = read(open.send(Method::GET, METRICS, &[], None).await).await;
    assert_eq!(status, 403);
    assert_eq!(body, "Forbidden (user=system:anonymous, verb=get, resource=nodes, subresource(s)=[metrics])\n");
    let bad = [("authorization", "Bearer nonsense")];
    assert_eq!(read(open.send(Method::GET, METRICS, &bad, None).await).await.0, 401);
}

#[tokio::test]
async fn a_token_says_nothing_where_tokens_are_not_asked_about() {
    let token = [("authorization", "Bearer nonsense")];
    let always = |s: &mut Settings, anonymous| {
        s.anonymous = anonymous;
        s.token_review = None;
        s.authorization = AuthorizationMode::AlwaysAllow;
    };
    let open = Fixture::start(|s| always(s, true)).await;
    assert_eq!(read(open.send(Method::GET, "/configz", &token, None).await).await.0, 200);
    let closed = Fixture::start(|s| always(s, false)).await;
    assert_eq!(read(closed.send(Method::GET, "/configz", &token, None).await).await.0, 401);
    let reviewed = Fixture::start(|s| {
        s.anonymous = true;
        s.token_review = None;
    })
    .await;
    let answer = read(reviewed.send(Method::GET, METRICS, &token, None).await).await;
    assert!(answer.0 == 403 && answer.1.contains("user=system:anonymous"), "{answer:?}");
}

#[tokio::test]
async fn one_allowed_subresource_is_enough_and_answers_are_cached() {
    let fixture = Fixture::start(|_| ()).await;
    fixture.allow(&["fine get pods", "coarse get proxy"]);
    for (user, path, wanted) in [
        ("fine", "/pods", 200),
        ("coarse", "/pods", 200),
        ("fine", "/configz", 403),
        ("coarse", "/configz", 200),
        ("fine", "/nothing", 403),
        ("coarse", "/nothing", 404),
        ("unlucky", "/pods", 500),
    ] {
        let header = format!("Bearer token-of-{user}");
        let answer = read(fixture.send(Method::GET, path, &[("authorization", &header)], None).await).await;
        assert_eq!(answer.0, wanted, "{user} {path}: {}", answer.1);
    }
    let asked = fixture.reviews.access_calls.load(Ordering::Relaxed);
    let header = [("authorization", "Bearer token-of-fine")];
    assert_eq!(read(fixture.send(Method::GET, "/pods", &header, None).await).await.0, 200);
    assert_eq!(fixture.reviews.access_calls.load(Ordering::Relaxed), asked);
    assert_eq!(fixture.reviews.token_calls.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn always_allow_still_wants_a_user() {
    let fixture = Fixture::start(|s| s.authorization = AuthorizationMode::AlwaysAllow).await;
    assert_eq!(read(fixture.send(Method::GET, "/pods", &[], None).await).await.0, 401);
    let header = [("authorization", "Bearer token-of-anybody")];
    assert_eq!(read(fixture.send(Method::GET, "/pods", &header, None).await).await.0, 200);
}
