//! A shutdown on fakes with a paused clock.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::PodStatus;

use super::*;
use crate::core::model::{PodKey, PodKill, PodUid};
use crate::fakes::FakeEvents;
use crate::ports::kubelet::PodView;

type Log = Arc<Mutex<Vec<String>>>;

fn note(log: &Log, line: String) {
    log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}

/// Pods that take as many seconds to terminate as their uid says.
struct World {
    views: Vec<Arc<PodView>>,
    log: Log,
    began: Instant,
}

impl Pods for World {
    fn by_uid(&self, _: &PodUid) -> Option<Arc<PodView>> {
        None
    }
    fn by_key(&self, _: &PodKey) -> Option<Arc<PodView>> {
        None
    }
    fn list(&self) -> Vec<Arc<PodView>> {
        self.views.clone()
    }
}

#[async_trait]
impl PodControl for World {
    async fn kill(&self, uid: &PodUid, kill: PodKill) -> bool {
        let at = self.began.elapsed().as_secs();
        note(&self.log, format!("{at} kill {uid} {} {}", kill.reason, kill.grace_seconds.unwrap_or(-1)));
        sleep(Duration::from_secs(uid.as_str().parse().unwrap_or(0))).await;
        true
    }
    async fn remove_dead(&self) {}
    fn wake(&self, _: &PodUid) {}
}

struct Lock(Log, Instant);

impl Drop for Lock {
    fn drop(&mut self) {
        note(&self.0, format!("{} release", self.1.elapsed().as_secs()));
    }
}

struct Record(Log, Instant);

#[async_trait]
impl ShutdownRecord for Record {
    async fn load(&self) -> std::io::Result<ShutdownTimes> {
        Ok(ShutdownTimes::default())
    }
    async fn store(&self, times: ShutdownTimes) -> std::io::Result<()> {
        let what = if times.end.is_some() { "ended" } else { "began" };
        note(&self.0, format!("{} {what}", self.1.elapsed().as_secs()));
        Ok(())
    }
}

struct FakeLogind {
    news: VecDeque<bool>,
    log: Log,
    began: Instant,
}

#[async_trait]
impl ShutdownWatch for FakeLogind {
    async fn allow_delay(&mut self, delay: Duration) -> Result<(), ShutdownError> {
        note(&self.log, format!("allow {}", delay.as_secs()));
        Ok(())
    }
    async fn inhibit(&mut self) -> Result<InhibitLock, ShutdownError> {
        note(&self.log, "lock".into());
        Ok(Box::new(Lock(Arc::clone(&self.log), self.began)))
    }
    async fn next(&mut self) -> Result<bool, ShutdownError> {
        self.news.pop_front().ok_or(ShutdownError { message: "end".into() })
    }
}

fn view(uid: &str, priority: i32, phase: &str) -> Arc<PodView> {
    made(uid, priority, phase, "api", "")
}

fn made(uid: &str, priority: i32, phase: &str, source: &str, component: &str) -> Arc<PodView> {
    let pod = serde_json::json!({
        "metadata": {
            "uid": uid, "labels": {"component": component, "tier": "control-plane"},
            "annotations": {"kubernetes.io/config.source": source}
        },
        "spec": {"containers": [], "priority": priority}
    });
    Arc::new(PodView {
        pod: Arc::new(serde_json::from_value(pod).expect("a pod")),
        is_static: false,
        mirror_uid: None,
        status: Arc::new(PodStatus { phase: Some(phase.into()), ..PodStatus::default() }),
        sandbox: None,
        containers: vec![],
        ..PodView::default()
    })
}

async fn shut_down(news: &[bool]) -> (Vec<String>, bool) {
    shut_down_with(
        news,
        vec![view("3", 0, "Running"), view("100", 0, "Running"), view("2", 100, "Running"), view("1", 0, "Failed")],
    )
    .await
}

async fn shut_down_with(news: &[bool], views: Vec<Arc<PodView>>) -> (Vec<String>, bool) {
    let (log, began) = (Log::default(), Instant::now());
    let world = Arc::new(World { views, log: Arc::clone(&log), began });
    let ports = ShutdownPorts {
        pods: world.clone(),
        control: world,
        events: Arc::new(FakeEvents::default()),
        record: Arc::new(Record(Arc::clone(&log), began)),
        metrics: Arc::default(),
        wall: || Timestamp::UNIX_EPOCH,
    };
    let mut logind = FakeLogind { news: news.iter().copied().collect(), log: Arc::clone(&log), began };
    let turns = [Turn { priority: 0, seconds: 20 }, Turn { priority: 100, seconds: 10 }];
    let (sender, receiver) = watch::channel(false);
    let ended = run(&ports, &turns, &mut logind, &sender, CancellationToken::new()).await;
    assert!(ended.is_err(), "the watch broke");
    let lines = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let state = *receiver.borrow();
    (lines, state)
}

#[tokio::test(start_paused = true)]
async fn pods_end_in_turns_and_the_machine_waits_for_their_statuses() {
    let (log, shutting_down) = shut_down(&[true]).await;
    assert_eq!(
        log,
        [
            "allow 30",
            "lock",
            "0 began",
            "0 kill 3 Terminated 20",
            "0 kill 100 Terminated 20",
            "20 kill 2 Terminated 10",
            "23 ended",
            "23 release"
        ]
    );
    assert!(shutting_down);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_shutdown_takes_a_new_lock() {
    let (log, shutting_down) = shut_down(&[true, false]).await;
    assert_eq!(log.iter().filter(|line| *line == "lock").count(), 2);
    assert!(!shutting_down);
}

#[tokio::test(start_paused = true)]
async fn the_api_server_ends_after_it_was_told_of_all_pods_and_etcd_last() {
    let views = vec![
        made("2", 100, "Running", "file", "etcd"),
        made("3", 100, "Running", "file", "kube-apiserver"),
        view("1", 100, "Running"),
        view("4", 0, "Running"),
    ];
    let (log, _) = shut_down_with(&[true], views).await;
    assert_eq!(
        log[2..],
        [
            "0 began",
            "0 kill 4 Terminated 20",
            "4 kill 1 Terminated 3",
            "6 kill 3 Terminated 4",
            "9 kill 2 Terminated 5",
            "12 ended",
            "12 release"
        ]
    );
}
