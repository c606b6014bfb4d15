//! The board between sources and table, and the process of a unit at its socket.

use std::io;
use std::sync::Mutex;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use tokio::net::UnixListener;

use super::processes::UnitProcesses;
use super::serve::{Desk, serve};
use super::*;
use crate::core::model::{PodKey, PodSource, PodUid};
use crate::core::static_units::NO_SUCH_POD;
use crate::ports::node::UnitError;

/// systemd, notes and pods of a node in memory.
#[derive(Default)]
struct Node {
    calls: Mutex<Vec<String>>,
    running: Mutex<BTreeSet<String>>,
    notes: Mutex<BTreeSet<String>>,
    pods: Mutex<Vec<Arc<PodView>>>,
    refuses: Mutex<bool>,
}

#[async_trait]
impl PodUnits for Node {
    async fn start(&self, unit: &str) -> Result<(), UnitError> {
        if *self.refuses.lock().unwrap() {
            return Err(UnitError::Unavailable { message: "no bus".into() });
        }
        self.running.lock().unwrap().insert(unit.to_owned());
        self.calls.lock().unwrap().push(format!("start {unit}"));
        Ok(())
    }
    async fn stop(&self, unit: &str) -> Result<(), UnitError> {
        self.running.lock().unwrap().remove(unit);
        self.calls.lock().unwrap().push(format!("stop {unit}"));
        Ok(())
    }
    async fn running(&self) -> Result<BTreeSet<String>, UnitError> {
        Ok(self.running.lock().unwrap().clone())
    }
}

impl StopNotes for Node {
    fn all(&self) -> io::Result<BTreeSet<String>> {
        Ok(self.notes.lock().unwrap().clone())
    }
    fn note(&self, name: &str) -> io::Result<()> {
        self.notes.lock().unwrap().insert(name.to_owned());
        Ok(())
    }
    fn drop_note(&self, name: &str) -> io::Result<()> {
        self.notes.lock().unwrap().remove(name);
        Ok(())
    }
}

impl Pods for Node {
    fn by_uid(&self, _: &PodUid) -> Option<Arc<PodView>> {
        None
    }
    fn by_key(&self, _: &PodKey) -> Option<Arc<PodView>> {
        None
    }
    fn list(&self) -> Vec<Arc<PodView>> {
        self.pods.lock().unwrap().clone()
    }
}

fn pod(name: &str) -> Arc<Pod> {
    let mut pod = Pod::default();
    pod.metadata.name = Some(format!("{name}-n1"));
    pod.metadata.namespace = Some("kube-system".to_owned());
    pod.metadata.uid = Some(name.to_owned());
    Arc::new(pod)
}

struct Bench {
    node: Arc<Node>,
    sources: mpsc::Sender<DesiredSet>,
    table: mpsc::Receiver<DesiredSet>,
    wishes: mpsc::Sender<(String, UnitRequest)>,
    changes: watch::Sender<()>,
    reports: watch::Receiver<Reports>,
    stop: CancellationToken,
}

impl Bench {
    fn new(node: &Arc<Node>) -> Self {
        let (sources, incoming) = mpsc::channel(4);
        let (outgoing, table) = mpsc::channel(4);
        let (wish, wishes) = mpsc::channel(4);
        let (changed, changes) = watch::channel(());
        let (report, reports) = watch::channel(Reports::default());
        let ports = BoardPorts {
            incoming,
            outgoing,
            wishes,
            pods: Arc::<Node>::clone(node),
            changes,
            units: Arc::<Node>::clone(node),
            notes: Arc::<Node>::clone(node),
            reports: report,
        };
        let stop = CancellationToken::new();
        let (mut board, stopped) = (Board::new(ports, "n1", BTreeSet::from([SourceKind::File])), stop.clone());
        tokio::spawn(async move { board.run(stopped).await });
        Self { node: Arc::clone(node), sources, table, wishes: wish, changes: changed, reports, stop }
    }

    /// Sends the manifests of these pods; returns the names that the table receives.
    async fn manifests(&mut self, names: &[&str]) -> Vec<String> {
        let pods = names.iter().map(|name| DesiredPod { pod: pod(name), source: PodSource::File("/m".into()) });
        self.sources.send(DesiredSet { source: SourceKind::File, pods: pods.collect() }).await.unwrap();
        self.desired().await
    }

    async fn wish(&mut self, name: &str, wish: UnitRequest) -> Vec<String> {
        self.wishes.send((name.to_owned(), wish)).await.unwrap();
        self.desired().await
    }

    async fn desired(&mut self) -> Vec<String> {
        let set = self.table.recv().await.unwrap();
        set.pods.iter().map(|desired| desired.pod.metadata.uid.clone().unwrap()).collect()
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.node.calls.lock().unwrap())
    }

    /// Sets the state of the pod in the kubelet's view.
    fn see(&self, name: &str, ready: Option<bool>) {
        let mut pods = self.node.pods.lock().unwrap();
        pods.retain(|view| view.pod.metadata.uid.as_deref() != Some(name));
        if let Some(ready) = ready {
            let condition = PodCondition {
                type_: "Ready".into(),
                status: if ready { "True" } else { "False" }.into(),
                ..PodCondition::default()
            };
            pods.push(Arc::new(PodView {
                pod: pod(name),
                is_static: true,
                mirror_uid: None,
                status: Arc::new(PodStatus { conditions: Some(vec![condition]), ..PodStatus::default() }),
                sandbox: None,
                containers: Vec::new(),
                ..PodView::default()
            }));
        }
        drop(pods);
        self.changes.send_replace(());
    }

    async fn until(&mut self, name: &str, wanted: fn(&PodState) -> bool) {
        self.reports.wait_for(|reports| wanted(&reports.state(name))).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn units_come_and_go_with_manifests() {
    let mut bench = Bench::new(&Arc::default());
    assert_eq!(bench.manifests(&["etcd", "web"]).await, ["etcd", "web"]);
    assert_eq!(bench.calls(), ["start static-pod@etcd.service", "start static-pod@web.service"]);
    assert_eq!(bench.manifests(&["etcd"]).await, ["etcd"]);
    assert_eq!(bench.calls(), ["stop static-pod@web.service"]);
    assert_eq!(bench.reports.borrow().state("web"), PodState::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_pod_is_withheld_until_it_is_to_run_again_also_over_a_restart() {
    let node = Arc::<Node>::default();
    let mut bench = Bench::new(&node);
    bench.manifests(&["etcd", "web"]).await;
    bench.see("web", Some(true));
    bench.until("web", |state| matches!(state, PodState::Ready(_))).await;
    assert_eq!(bench.wish("web", UnitRequest::Stop).await, ["etcd"]);
    bench.until("web", |state| matches!(state, PodState::Stopping { .. })).await;
    bench.see("web", None);
    bench.until("web", |state| *state == PodState::Stopped).await;
    bench.calls();

    bench.stop.cancel();
    node.running.lock().unwrap().remove("static-pod@web.service");
    let mut bench = Bench::new(&node);
    assert_eq!(bench.manifests(&["etcd", "web"]).await, ["etcd"]);
    assert_eq!(bench.calls(), ["start static-pod@etcd.service"]);
    assert_eq!(bench.wish("web", UnitRequest::Run).await, ["etcd", "web"]);

    // A manifest that was removed and restored is new.
    assert_eq!(bench.wish("web", UnitRequest::Stop).await, ["etcd"]);
    assert_eq!(bench.manifests(&["etcd"]).await, ["etcd"]);
    bench.calls();
    assert_eq!(bench.manifests(&["etcd", "web"]).await, ["etcd", "web"]);
    assert_eq!(bench.calls(), ["start static-pod@web.service"]);
}

#[tokio::test(start_paused = true)]
async fn systemd_is_asked_again_and_pods_do_not_wait_for_it() {
    let node = Arc::<Node>::default();
    *node.refuses.lock().unwrap() = true;
    let mut bench = Bench::new(&node);
    assert_eq!(bench.manifests(&["web"]).await, ["web"]);
    assert!(!bench.reports.borrow().complete);
    *node.refuses.lock().unwrap() = false;
    bench.reports.wait_for(|reports| reports.complete).await.unwrap();
    assert_eq!(bench.calls(), ["start static-pod@web.service"]);
}

/// Serves the socket, as the kubelet does.
fn listen_at(bench: &Bench, path: &std::path::Path) -> CancellationToken {
    let _ = std::fs::remove_file(path);
    let stop = CancellationToken::new();
    let desk = Desk {
        wishes: bench.wishes.clone(),
        reports: bench.reports.clone(),
        reread: None,
        processes: UnitProcesses::default(),
    };
    tokio::spawn(serve(UnixListener::bind(path).unwrap(), desk, stop.clone()));
    stop
}

#[tokio::test]
async fn a_units_process_ends_when_its_pod_is_not_ready_any_more() {
    let mut bench = Bench::new(&Arc::default());
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let door = listen_at(&bench, &socket);
    bench.manifests(&["web"]).await;
    bench.see("web", Some(true));
    bench.until("web", |state| matches!(state, PodState::Ready(_))).await;
    let path = socket.clone();
    let keeping = tokio::spawn(async move { keep::keep(&path, "web").await.unwrap() });
    tokio::time::sleep(Duration::from_millis(200)).await;
    // The kubelet restarts: its units stay.
    door.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!keeping.is_finished());
    listen_at(&bench, &socket);
    bench.see("web", Some(false));
    let end = keeping.await.unwrap();
    assert_eq!(end.code, 0);
    assert!(end.text.starts_with("Not ready"), "{}", end.text);
    let unknown = keep::keep(&socket, "other").await.unwrap();
    assert_eq!(unknown.code, NO_SUCH_POD);
}

#[tokio::test(start_paused = true)]
async fn the_socket_is_roots_from_its_first_moment_and_who_says_nothing_is_sent_away() {
    use std::os::unix::fs::PermissionsExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut bench = Bench::new(&Arc::default());
    bench.manifests(&["web"]).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = super::serve::listen(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let desk = Desk {
        wishes: bench.wishes.clone(),
        reports: bench.reports.clone(),
        reread: None,
        processes: UnitProcesses::default(),
    };
    tokio::spawn(serve(listener, desk, CancellationToken::new()));
    // More than there are slots: all of them are idle, and all are disconnected.
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(tokio::net::UnixStream::connect(&path).await.unwrap());
    }
    idle[0].write_all(b"keep w").await.unwrap();
    for stream in &mut idle {
        let _ = stream.read(&mut [0; 16]).await;
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or_default(), 0);
    }
    // A unit with the request `keep` stays connected.
    let mut unit = tokio::net::UnixStream::connect(&path).await.unwrap();
    unit.write_all(b"keep web\n").await.unwrap();
    let mut first = [0; 256];
    assert!(unit.read(&mut first).await.unwrap() > 0);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let _ = tokio::time::timeout(Duration::from_secs(60), async {
        while unit.read(&mut first).await.unwrap() > 0 {}
        panic!("the unit was sent away");
    })
    .await;
}
