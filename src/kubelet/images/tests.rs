//! Images on fakes with a paused clock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::*;
use crate::fakes::{FakeEvents, FakeImages, FakeNodeCredentials, FakeRecords, FakeSecrets};
use crate::kubelet::startup::StartupTracker;
use crate::telemetry::Metrics;

struct World {
    images: Images,
    service: Arc<FakeImages>,
    events: Arc<FakeEvents>,
    node: Arc<FakeNodeCredentials>,
    metrics: Arc<Metrics>,
}

thread_local! {
    static NOW: AtomicI64 = const { AtomicI64::new(0) };
}

fn wall() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(NOW.with(|now| now.load(Ordering::Relaxed)))
}

fn pass(seconds: i64) {
    NOW.with(|now| now.fetch_add(seconds, Ordering::Relaxed));
}

fn settings() -> ImageSettings {
    ImageSettings {
        pull_qps: 5,
        pull_burst: 10,
        max_parallel: Some(1),
        minimum_age: Duration::ZERO,
        maximum_age: Duration::ZERO,
        gc_high: 85,
        gc_low: 80,
        verification_policy: String::new(),
        verification_allowlist: Vec::new(),
        credential_config: None,
        credential_bin_dir: None,
    }
}

fn world_with(node: FakeNodeCredentials, plugins: Vec<CredentialPlugin>) -> World {
    let secret = |user: &str, password: &str| {
        let config = serde_json::json!({"auths": {"r.io": {"username": user, "password": password}}}).to_string();
        Arc::new(Secret {
            type_: Some("kubernetes.io/dockerconfigjson".into()),
            data: Some(BTreeMap::from([(".dockerconfigjson".into(), ByteString(config.into_bytes()))])),
            ..serde_json::from_value(serde_json::json!({"metadata": {"namespace": "n", "name": user, "uid": user}}))
                .expect("a secret")
        })
    };
    let objects = BTreeMap::from([("good".into(), secret("good", "open")), ("bad".into(), secret("bad", "wrong"))]);
    let role = |role: &str| BTreeMap::from([("role".to_owned(), role.to_owned())]);
    let accounts = BTreeMap::from([("puller".into(), role("reader")), ("plain".into(), BTreeMap::new())]);
    let objects = FakeSecrets(objects, accounts);
    let metrics = Arc::<Metrics>::default();
    let (service, events, node): (Arc<FakeImages>, Arc<FakeEvents>, _) =
        (Arc::default(), Arc::default(), Arc::new(node));
    let ports = ImagePorts {
        images: service.clone(),
        objects: Arc::new(objects),
        events: events.clone(),
        node: node.clone(),
        records: Arc::new(FakeRecords::default()),
        startup: Arc::new(StartupTracker::new(Arc::default(), wall)),
        metrics: metrics.clone(),
        wall,
    };
    World { images: Images::new(ports, &settings(), plugins), service, events, node, metrics }
}

fn world() -> World {
    world_with(FakeNodeCredentials::default(), Vec::new())
}

fn pod(uid: &str, secrets: &[&str]) -> Arc<Pod> {
    let secrets: Vec<_> = secrets.iter().map(|name| serde_json::json!({"name": name})).collect();
    let pod = serde_json::json!({"metadata": {"name": "p", "namespace": "n", "uid": uid},
        "spec": {"containers": [], "imagePullSecrets": secrets}});
    Arc::new(serde_json::from_value(pod).expect("a pod"))
}

impl World {
    async fn ensure(&self, pod: &Arc<Pod>, image: &str, policy: &str) -> Result<String, (String, String)> {
        let demand =
            ImageDemand { image: image.into(), policy: Some(policy.into()), field_path: "spec.containers{c}".into() };
        let result = self.images.ensure(pod, &demand, None).await;
        // An intent is removed by a task of its own.
        tokio::task::yield_now().await;
        result.map(|found| found.spec.image).map_err(|waiting| (waiting.reason, waiting.message))
    }

    fn reasons(&self) -> Vec<String> {
        let line = |l: String| l.trim_start_matches("n/p spec.containers{c} ").to_owned();
        self.events.take().into_iter().map(line).collect()
    }
}

fn present(id: &str) -> cri::Image {
    cri::Image { id: id.into(), ..cri::Image::default() }
}

#[tokio::test(start_paused = true)]
async fn a_present_image_takes_one_call() {
    let world = world();
    world.service.add("r.io/a:1", present("sha256:a"));
    assert_eq!(world.ensure(&pod("u", &[]), "r.io/a:1", "IfNotPresent").await, Ok("sha256:a".into()));
    assert_eq!(world.service.take(), ["status r.io/a:1"]);
    assert_eq!(world.metrics.image_requests.with(["ifnotpresent", "true", "false"]).get(), 1);
    assert_eq!(
        world.reasons(),
        ["Pulled: Container image \"r.io/a:1\" already present on machine and can be accessed by the pod"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_absent_image_is_pulled_with_upstreams_events() {
    let world = world();
    world.service.publish("r.io/a:latest", &[]);
    world.service.set_delay(Duration::from_millis(1500));
    assert_eq!(world.ensure(&pod("u", &[]), "r.io/a", "Always").await, Ok("sha256:r.io/a:latest".into()));
    assert_eq!(world.metrics.image_requests.with(["always", "unknown", "true"]).get(), 1);
    let pulls = ["N/A", "0-10MB"].map(|size| world.metrics.image_pull.count([size]));
    assert_eq!(pulls[0] + pulls[1], 1);
    assert_eq!(
        world.reasons(),
        [
            "Pulling: Pulling image \"r.io/a\"",
            "Pulled: Successfully pulled image \"r.io/a\" in 1.5s (1.5s including waiting). Image size: 42 bytes."
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_pull_backs_off_and_says_why() {
    let world = world();
    let pod = pod("u", &[]);
    let error = world.ensure(&pod, "r.io/none:1", "IfNotPresent").await;
    assert_eq!(error, Err(("ErrImagePull".into(), "not found".into())));
    assert_eq!(
        world.reasons(),
        [
            "Pulling: Pulling image \"r.io/none:1\"",
            "Failed: Failed to pull image \"r.io/none:1\": not found",
            "Failed: Error: ErrImagePull"
        ]
    );
    pass(9);
    let (reason, message) = world.ensure(&pod, "r.io/none:1", "IfNotPresent").await.expect_err("in back-off");
    assert_eq!(
        (reason.as_str(), message.as_str()),
        ("ImagePullBackOff", "Back-off pulling image \"r.io/none:1\": ErrImagePull: not found")
    );
    assert_eq!(world.reasons(), ["BackOff: Back-off pulling image \"r.io/none:1\"", "Failed: Error: ImagePullBackOff"]);
    pass(1);
    world.service.publish("r.io/none:1", &[]);
    assert!(world.ensure(&pod, "r.io/none:1", "IfNotPresent").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn never_and_odd_names_are_told_apart() {
    let world = world();
    let never = world.ensure(&pod("u", &[]), "r.io/a:1", "Never").await.expect_err("absent");
    assert_eq!(never.0, "ErrImageNeverPull");
    assert_eq!(never.1, "Container image \"r.io/a:1\" is not present with pull policy of Never");
    let odd = world.ensure(&pod("u", &[]), "FAILED_IMAGE", "IfNotPresent").await.expect_err("no name");
    assert_eq!(odd.0, "InvalidImageName");
    assert!(world.reasons().contains(&"Failed: Error: InvalidImageName".to_owned()));
    let host = world.ensure(&pod("u", &[]), "host:/bin/x", "IfNotPresent").await.expect_err("not allowed");
    assert!(host.0 == "InvalidImageName" && host.1.contains("--host-programs"), "{host:?}");
}

#[tokio::test(start_paused = true)]
async fn every_fitting_credential_is_tried() {
    let config = serde_json::json!({"auths": {"r.io": {"username": "node", "password": "node"}}}).to_string();
    let world = world_with(FakeNodeCredentials { config: Some(config), ..Default::default() }, Vec::new());
    world.service.publish("r.io/a:1", &["open"]);
    assert!(world.ensure(&pod("u", &["bad", "missing", "good"]), "r.io/a:1", "IfNotPresent").await.is_ok());
    assert_eq!(
        world.service.take(),
        ["status r.io/a:1", "status r.io/a:1", "pull r.io/a:1 bad", "pull r.io/a:1 good", "status r.io/a:1"]
    );
    let denied = world.ensure(&pod("v", &["bad"]), "r.io/a:1", "Always").await.expect_err("no fitting credential");
    assert_eq!(denied.1, "[denied, denied]", "its own and the node's");
}

#[tokio::test(start_paused = true)]
async fn what_one_pod_pulled_with_a_secret_is_not_for_all() {
    let world = world();
    world.service.publish("r.io/a:1", &["open"]);
    assert!(world.ensure(&pod("u", &["good"]), "r.io/a:1", "IfNotPresent").await.is_ok());
    assert!(world.ensure(&pod("v", &["good"]), "r.io/a:1", "Never").await.is_ok());
    world.service.take();
    let stranger = world.ensure(&pod("w", &[]), "r.io/a:1", "Never").await.expect_err("no credential");
    assert_eq!(stranger.0, "ErrImageNeverPull");
    let stranger = world.ensure(&pod("w", &[]), "r.io/a:1", "IfNotPresent").await.expect_err("no credential");
    assert_eq!(stranger, ("ErrImagePull".into(), "denied".into()));
    world.service.publish("r.io/open:1", &[]);
    assert!(world.ensure(&pod("u", &["good"]), "r.io/open:1", "IfNotPresent").await.is_ok());
    assert!(world.ensure(&pod("w", &[]), "r.io/open:1", "Never").await.is_err(), "it was pulled with a secret anyway");
}

#[tokio::test(start_paused = true)]
async fn two_pods_pull_an_absent_image_once() {
    let world = world();
    world.service.publish("r.io/a:1", &[]);
    world.service.set_delay(Duration::from_secs(3));
    let (one, two) = (pod("u", &[]), pod("v", &[]));
    let (a, b) =
        tokio::join!(world.ensure(&one, "r.io/a:1", "IfNotPresent"), world.ensure(&two, "r.io/a:1", "IfNotPresent"));
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(world.service.take().iter().filter(|call| call.starts_with("pull")).count(), 1);
}

/// A plugin for `r.io` with these token attributes; its credentials are valid for a minute.
fn world_with_plugin(token: serde_json::Value) -> World {
    let version = "credentialprovider.kubelet.k8s.io/v1";
    let answer = serde_json::json!({"kind": "CredentialProviderResponse", "apiVersion": version,
        "cacheKeyType": "Registry", "cacheDuration": "1m",
        "auth": {"r.io": {"username": "plugin", "password": "open"}}});
    let config = serde_json::json!({"kind": "CredentialProviderConfig", "apiVersion": "kubelet.config.k8s.io/v1",
        "providers": [{"name": "x", "matchImages": ["r.io"], "defaultCacheDuration": "0", "apiVersion": version,
            "tokenAttributes": token}]});
    let plugins = crate::core::images::parse_plugins(&config).expect("plugins");
    world_with(FakeNodeCredentials { plugin: Some(answer.to_string()), ..Default::default() }, plugins)
}

/// Registries that authenticate workloads, not nodes: without the account's annotation there are no credentials.
#[tokio::test(start_paused = true)]
async fn a_plugin_with_tokens_is_asked_once_for_an_account_and_what_it_opens_is_for_that_account() {
    let attributes = |cache: &str| {
        serde_json::json!({"serviceAccountTokenAudience": "registry", "cacheType": cache,
            "requireServiceAccount": true, "requiredServiceAccountAnnotationKeys": ["role"]})
    };
    let of = |uid: &str, account: &str| {
        let mut pod = (*pod(uid, &[])).clone();
        pod.spec.as_mut().expect("a spec").service_account_name = Some(account.to_owned());
        Arc::new(pod)
    };
    for (cache, calls) in [("ServiceAccount", 1), ("Token", 2)] {
        let world = world_with_plugin(attributes(cache));
        world.service.publish("r.io/a:1", &["open"]);
        for uid in ["u", "v", "u"] {
            assert!(world.ensure(&of(uid, "puller"), "r.io/a:1", "Always").await.is_ok());
        }
        assert_eq!(*world.node.plugin_calls.lock().expect("a lock"), calls, "{cache}");
        let input = world.node.plugin_input.lock().expect("a lock").clone();
        let input: serde_json::Value = serde_json::from_slice(&input).expect("JSON");
        assert_eq!(input["serviceAccountAnnotations"], serde_json::json!({"role": "reader"}));
        assert!(input["serviceAccountToken"].as_str().expect("a token").starts_with("token of "));
        assert!(world.ensure(&of("w", "puller"), "r.io/a:1", "Never").await.is_ok(), "a pod of the same account");
        for stranger in ["plain", ""] {
            let refused = world.ensure(&of("x", stranger), "r.io/a:1", "Never").await.expect_err("of another account");
            assert_eq!(refused.0, "ErrImageNeverPull");
            assert!(world.ensure(&of("x", stranger), "r.io/a:1", "Always").await.is_err());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_is_asked_once_for_as_long_as_its_answer_holds() {
    let world = world_with_plugin(serde_json::Value::Null);
    for image in ["r.io/a:1", "r.io/b:1"] {
        world.service.publish(image, &["open"]);
        assert!(world.ensure(&pod("u", &[]), image, "Always").await.is_ok());
    }
    pass(60);
    assert!(world.ensure(&pod("u", &[]), "r.io/a:1", "Always").await.is_ok());
    assert_eq!(*world.node.plugin_calls.lock().expect("a lock"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_is_cut_off_leaves_nothing_behind() {
    let world = world();
    world.service.publish("r.io/a:1", &[]);
    world.service.set_delay(Duration::from_secs(100));
    let one = pod("u", &[]);
    let cut = tokio::time::timeout(Duration::from_secs(1), world.ensure(&one, "r.io/a:1", "IfNotPresent")).await;
    assert!(cut.is_err());
    world.service.set_delay(Duration::ZERO);
    assert!(world.ensure(&one, "r.io/a:1", "IfNotPresent").await.is_ok());
}

/// Number of credentials for `r.io/a` in a pull secret with this many registries that the pod names this often, and how
/// often another task of the same thread ran meanwhile.
async fn read_beside(registries: usize, named: usize) -> (usize, usize) {
    let entry = serde_json::json!({"username": "user", "password": "open"});
    let auths: serde_json::Map<_, _> = (1..registries).map(|i| (format!("r{i}.io"), entry.clone())).collect();
    let auths: serde_json::Map<_, _> = auths.into_iter().chain([("r.io".to_owned(), entry)]).collect();
    let config = serde_json::json!({"auths": auths}).to_string().into_bytes();
    let secret = Secret {
        type_: Some("kubernetes.io/dockerconfigjson".into()),
        data: Some(BTreeMap::from([(".dockerconfigjson".into(), ByteString(config))])),
        ..Secret::default()
    };
    let metrics = Arc::<Metrics>::default();
    let ports = ImagePorts {
        images: Arc::<FakeImages>::default(),
        objects: Arc::new(FakeSecrets(BTreeMap::from([("pulls".into(), Arc::new(secret))]), BTreeMap::new())),
        events: Arc::<FakeEvents>::default(),
        node: Arc::new(FakeNodeCredentials::default()),
        records: Arc::new(FakeRecords::default()),
        startup: Arc::new(StartupTracker::new(Arc::default(), wall)),
        metrics: metrics.clone(),
        wall,
    };
    let turns = Arc::new(AtomicI64::new(0));
    let counted = Arc::clone(&turns);
    let other = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    let found = credentials::Credentials::new(Vec::new()).of(&ports, &pod("u", &vec!["pulls"; named]), "r.io/a").await;
    other.abort();
    (found.expect("readable").len(), usize::try_from(turns.load(Ordering::Relaxed)).expect("a count"))
}

#[tokio::test]
async fn a_pull_secret_of_a_megabyte_is_read_beside_the_kubelets_thread() {
    let (found, turns) = read_beside(20_000, 1).await;
    assert_eq!(found, 1);
    assert!(turns > 0, "no other task had its turn");
    assert_eq!(read_beside(10, 1).await, (1, 0), "a small one takes no thread");
}

#[tokio::test]
async fn a_pull_secret_that_is_named_twice_is_read_once() {
    assert_eq!(read_beside(10, 3).await.0, 1);
}
