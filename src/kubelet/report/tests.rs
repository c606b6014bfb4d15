//! Statuses are sent as minimal patches, edits by others are reverted, and the final deletion follows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::core::model::labels::{CONFIG_HASH, CONFIG_MIRROR};
use crate::ports::kubelet::PodChange;

/// An API server that stores pods in the view and rejects the first requests.
struct FakeApi {
    view: Arc<ApiPodView>,
    failures: AtomicUsize,
    patches: Mutex<Vec<Value>>,
    deleted: Mutex<Vec<String>>,
}

#[async_trait]
impl PodApi for FakeApi {
    async fn get(&self, key: &PodKey) -> Result<Pod, ApiError> {
        Err(ApiError::NotFound(key.to_string()))
    }
    async fn create(&self, pod: &Pod) -> Result<Pod, ApiError> {
        Ok(pod.clone())
    }
    async fn patch_status(&self, key: &PodKey, patch: &Value) -> Result<Pod, ApiError> {
        if self.failures.load(Ordering::SeqCst) > 0 {
            self.failures.fetch_sub(1, Ordering::SeqCst);
            return Err(ApiError::Unreachable { what: key.to_string(), message: "down".into() });
        }
        self.patches.lock().unwrap().push(patch.clone());
        let mut pod = (*self.view.by_key(key).unwrap()).clone();
        let status = pod.status.get_or_insert_default();
        let text = |name: &str| patch["status"][name].as_str().map(String::from);
        status.phase = text("phase").or(status.phase.take());
        status.pod_ip = text("podIP").or(status.pod_ip.take());
        status.observed_generation = patch["status"]["observedGeneration"].as_i64().or(status.observed_generation);
        let version: u64 = pod.metadata.resource_version.as_deref().unwrap_or("1").parse().unwrap();
        pod.metadata.resource_version = Some((version + 1).to_string());
        self.view.apply(PodChange::Applied(Box::new(pod.clone())));
        Ok(pod)
    }
    async fn delete_now(&self, _: &PodKey, uid: &str) -> Result<(), ApiError> {
        self.deleted.lock().unwrap().push(uid.into());
        Ok(())
    }
}

fn pod(uid: &str) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.name = Some("p".into());
    pod.metadata.namespace = Some("d".into());
    pod.metadata.uid = Some(uid.into());
    pod.metadata.resource_version = Some("1".into());
    pod
}

fn phase(phase: &str) -> Arc<PodStatus> {
    Arc::new(PodStatus { phase: Some(phase.into()), ..PodStatus::default() })
}

fn start(failures: usize) -> (Reporter, Arc<FakeApi>, CancellationToken) {
    let view = Arc::new(ApiPodView::default());
    view.apply(PodChange::Listed(vec![pod("u")]));
    let api = Arc::new(FakeApi {
        view: view.clone(),
        failures: failures.into(),
        patches: Mutex::default(),
        deleted: Mutex::default(),
    });
    let reporter = Reporter::new(api.clone(), view, Arc::default());
    let stop = CancellationToken::new();
    tokio::spawn(reporter.clone().run(stop.clone(), Duration::from_secs(1)));
    (reporter, api, stop)
}

async fn eventually(what: impl Fn() -> bool) {
    tokio::time::timeout(Duration::from_secs(600), async {
        while !what() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("it happens");
}

#[tokio::test(start_paused = true)]
async fn sends_again_after_a_failure_and_repairs_foreign_edits() {
    let (reporter, api, _stop) = start(2);
    let pod = Arc::new(pod("u"));
    reporter.publish(&pod, false, &phase("Running"));
    eventually(|| api.patches.lock().unwrap().len() == 1).await;
    eventually(|| reporter.shared.metrics.pod_status_sync.count([]) == 1).await;
    let mut edited = (*pod).clone();
    edited.status = Some(PodStatus { phase: Some("Pending".into()), ..PodStatus::default() });
    edited.metadata.resource_version = Some("9".into());
    api.view.apply(PodChange::Applied(Box::new(edited)));
    eventually(|| api.patches.lock().unwrap().len() == 2).await;
    assert_eq!(api.patches.lock().unwrap()[1]["status"]["phase"], "Running");
    assert_eq!(reporter.shared.metrics.pod_status_sync.count([]), 1, "the kubelet's own status did not change");
}

#[tokio::test(start_paused = true)]
async fn deletes_only_what_is_finished_and_was_asked_to_go_and_only_after_its_last_status() {
    let (reporter, api, _stop) = start(0);
    let pod = Arc::new(pod("u"));
    reporter.publish(&pod, false, &phase("Succeeded"));
    reporter.finished(&pod, false);
    eventually(|| api.patches.lock().unwrap().len() == 1).await;
    sleep(Duration::from_secs(1)).await;
    assert!(api.deleted.lock().unwrap().is_empty(), "nobody asked");
    let mut asked = (*api.view.by_key(&key_of(&pod)).unwrap()).clone();
    asked.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
    asked.metadata.resource_version = Some("9".into());
    api.view.apply(PodChange::Applied(Box::new(asked)));
    eventually(|| *api.deleted.lock().unwrap() == ["u"]).await;
}

#[tokio::test(start_paused = true)]
async fn leaves_another_pod_of_the_same_name_alone() {
    let (reporter, api, _stop) = start(0);
    reporter.publish(&Arc::new(pod("other")), false, &phase("Running"));
    sleep(Duration::from_secs(300)).await;
    assert!(api.patches.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_terminal_phase_written_into_a_mirror_is_overwritten_and_one_of_a_pod_is_not() {
    for (is_static, phases) in [(true, vec!["Running", "Running"]), (false, vec!["Running"])] {
        let (reporter, api, _stop) = start(0);
        let (mut own, mut shown) = (pod("u"), pod("u"));
        if is_static {
            own.metadata.annotations = Some([(CONFIG_HASH.to_owned(), "hash".to_owned())].into());
            shown.metadata.annotations = Some([(CONFIG_MIRROR.to_owned(), "hash".to_owned())].into());
        }
        shown.metadata.resource_version = Some("2".into());
        api.view.apply(PodChange::Applied(Box::new(shown.clone())));
        reporter.publish(&Arc::new(own), is_static, &phase("Running"));
        eventually(|| api.patches.lock().unwrap().len() == 1).await;
        shown.status = Some((*phase("Failed")).clone());
        shown.metadata.resource_version = Some("9".into());
        api.view.apply(PodChange::Applied(Box::new(shown)));
        sleep(Duration::from_secs(300)).await;
        let sent: Vec<_> = api.patches.lock().unwrap().iter().map(|p| p["status"]["phase"].clone()).collect();
        assert_eq!(sent, phases, "static: {is_static}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_mirror_pod_has_no_observed_generation() {
    let (reporter, api, _stop) = start(0);
    let annotated = |name: &str, pod: &mut Pod| {
        pod.metadata.annotations = Some([(name.to_owned(), "hash".to_owned())].into());
    };
    let (mut manifest, mut mirror) = (pod("static"), pod("u"));
    annotated(CONFIG_HASH, &mut manifest);
    annotated(CONFIG_MIRROR, &mut mirror);
    mirror.metadata.generation = Some(1);
    mirror.metadata.resource_version = Some("2".into());
    api.view.apply(PodChange::Applied(Box::new(mirror)));
    reporter.publish(&Arc::new(manifest), true, &phase("Running"));
    eventually(|| api.patches.lock().unwrap().len() == 1).await;
    assert_eq!(api.patches.lock().unwrap()[0]["status"], serde_json::json!({"phase": "Running"}));
}

fn with_ip(phase: &str, ip: &str) -> Arc<PodStatus> {
    Arc::new(PodStatus { phase: Some(phase.into()), pod_ip: Some(ip.into()), ..PodStatus::default() })
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_goes_with_the_next_step() {
    let (reporter, api, stop) = start(0);
    let pod = Arc::new(pod("u"));
    reporter.publish(&pod, false, &phase("Pending"));
    eventually(|| api.patches.lock().unwrap().len() == 1).await;
    reporter.publish(&pod, false, &with_ip("Pending", "10.0.0.1"));
    sleep(GATHER / 2).await;
    assert_eq!(api.patches.lock().unwrap().len(), 1, "an address alone waits");
    reporter.publish(&pod, false, &with_ip("Running", "10.0.0.1"));
    sleep(GATHER / 4).await;
    let patches = api.patches.lock().unwrap().clone();
    assert_eq!(patches.len(), 2, "a phase does not");
    assert_eq!(patches[1]["status"]["podIP"], "10.0.0.1");
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn what_is_gathered_is_sent_in_time_and_before_the_end() {
    let (reporter, api, stop) = start(0);
    let pod = Arc::new(pod("u"));
    reporter.publish(&pod, false, &phase("Pending"));
    eventually(|| api.patches.lock().unwrap().len() == 1).await;
    reporter.publish(&pod, false, &with_ip("Pending", "10.0.0.1"));
    sleep(GATHER * 2).await;
    assert_eq!(api.patches.lock().unwrap().len(), 2);
    reporter.publish(&pod, false, &with_ip("Pending", "10.0.0.2"));
    stop.cancel();
    sleep(GATHER / 2).await;
    assert_eq!(api.patches.lock().unwrap().last().unwrap()["status"]["podIP"], "10.0.0.2");
}
