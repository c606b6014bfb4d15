//! Manifest files as a source: reads all of them at each change, after the files have settled.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::core::manifest::Finding;
use crate::core::manifest::set::StaticSet;
use crate::core::model::time::Moment;
use crate::core::model::{DesiredPod, DesiredSet, PodSource, ReadFile, SourceKind, with_causes};
use crate::offload::LIMIT;
use crate::ports::kubelet::{EventKind, EventTarget, Events, ManifestFiles};
use crate::supervise::caught_call;

/// Quiet time after a change before files are read.
const SETTLE: Duration = Duration::from_millis(50);
/// Files that never settle are read after this all the same.
const SETTLE_MOST: Duration = Duration::from_millis(500);

/// What is wrong with one manifest, for the local status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFault {
    /// The file.
    pub path: PathBuf,
    /// Its faults.
    pub findings: Vec<Finding>,
    /// A pod still runs from the file's last good content.
    pub last_good_runs: bool,
}

impl ManifestFault {
    /// What is wrong and what that means, in one line.
    pub fn text(&self) -> String {
        let findings = self.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let outcome = if self.last_good_runs { "its last good pod keeps running" } else { "nothing runs for it" };
        format!("manifest {} is faulty: {findings}; {outcome}", self.path.display())
    }
}

/// Makes each new fault an event of the node; a fault that went and came back is told again.
pub async fn tell_faults(faults: &mut watch::Receiver<Vec<ManifestFault>>, events: &dyn Events) {
    let mut told: Vec<ManifestFault> = Vec::new();
    while faults.changed().await.is_ok() {
        let now = faults.borrow_and_update().clone();
        for fault in now.iter().filter(|fault| !told.contains(fault)) {
            events.record(EventTarget::Node, EventKind::Warning, "FaultyManifest", fault.text());
        }
        told = now;
    }
}

/// Asks for all files to be read now; answered with the faults there are then.
pub type Reread = oneshot::Sender<Vec<ManifestFault>>;

/// The file source.
pub struct FileSource {
    /// The files; none while a thread reads them.
    pub files: Option<Box<dyn ManifestFiles>>,
    /// Name of the node, which becomes the suffix of the pods' names.
    pub node_name: String,
    /// Slow re-list.
    pub recheck: Duration,
    /// Where the sets go.
    pub desired: mpsc::Sender<DesiredSet>,
    /// Where faults go.
    pub faults: watch::Sender<Vec<ManifestFault>>,
    /// Who wants the files read again.
    pub rereads: mpsc::Receiver<Reread>,
}

/// What one reading gave; the files come back with it.
struct Reading {
    files: Box<dyn ManifestFiles>,
    outcome: std::io::Result<StaticSet>,
    /// The manifests that were taken away meanwhile, some of which may be there again.
    removed: BTreeSet<PathBuf>,
}

impl FileSource {
    /// Runs until `stop`.
    pub async fn run(&mut self, stop: CancellationToken) {
        let mut set = StaticSet::default();
        let mut first = true;
        let mut asked: Option<Reread> = None;
        loop {
            // On a thread of its own, which there is one of: while a dead disk keeps it, the pods stay as they are.
            let (Some(files), known, node_name) = (self.files.take(), set.clone(), self.node_name.clone()) else {
                return;
            };
            let reading = tokio::task::spawn_blocking(move || read(files, &known, &node_name));
            let reading = told_while_it_hangs(reading);
            let Some(Some(reading)) = stop.run_until_cancelled(reading).await else { return };
            self.files = Some(reading.files);
            match reading.outcome {
                Ok(next) => {
                    let changed = !same_pods(&set, &next);
                    tell_faults_of(&self.faults, &next);
                    let again = without_rewritten(&set, &next, &reading.removed);
                    set = next;
                    let rewritten = again.is_some();
                    if let Some(again) = again
                        && self.desired.send(again).await.is_err()
                    {
                        return;
                    }
                    if changed || first || rewritten {
                        first = false;
                        if self.desired.send(desired_set(&set)).await.is_err() {
                            return;
                        }
                    }
                }
                Err(error) => {
                    warn!(error = with_causes(&error), "static pod path cannot be listed; its pods stay as they are")
                }
            }
            if let Some(asked) = asked.take() {
                // Who asked may have gone.
                let _ = asked.send(self.faults.borrow().clone());
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = changed(&mut self.files) => self.settle().await,
                Some(reread) = self.rereads.recv() => asked = Some(reread),
                () = sleep(self.recheck) => {}
            }
        }
    }

    /// Waits until no change has come for a moment.
    async fn settle(&mut self) {
        let latest = Instant::now().later(SETTLE_MOST);
        loop {
            let quiet = Instant::now().later(SETTLE).min(latest);
            if timeout_at(quiet, changed(&mut self.files)).await.is_err() || Instant::now() >= latest {
                sleep_until(quiet.min(latest)).await;
                return;
            }
        }
    }
}

async fn changed(files: &mut Option<Box<dyn ManifestFiles>>) {
    match files {
        Some(files) => files.changed().await,
        None => std::future::pending().await,
    }
}

/// Waits for a reading as long as it takes; `None` at the end of the process.
async fn told_while_it_hangs(mut reading: JoinHandle<Reading>) -> Option<Reading> {
    loop {
        match timeout(LIMIT, &mut reading).await {
            Ok(reading) => return reading.ok(),
            Err(_) => warn!("static pod path does not answer; its pods stay as they are"),
        }
    }
}

/// Reads all files, and keeps the good ones for after a restart.
fn read(mut files: Box<dyn ManifestFiles>, known: &StaticSet, node_name: &str) -> Reading {
    let removed = files.take_removed();
    let outcome = caught_call("manifest files", || {
        files.read().map(|found| {
            let next = known.next(&found, &|path| files.kept(path), node_name);
            keep_good(&*files, &found, &next);
            next
        })
    });
    // The files come back also from a panic.
    Reading { outcome: outcome.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked))), files, removed }
}

fn keep_good(files: &dyn ManifestFiles, found: &[ReadFile], set: &StaticSet) {
    for file in found {
        let sound = set.entries.get(&file.path).is_some_and(|e| e.pod.is_some() && e.faults.is_empty());
        if let (true, Ok(content)) = (sound, &file.content)
            && let Err(error) = files.keep(&file.path, content)
        {
            warn!(path = %file.path.display(), error = with_causes(&error), "good manifest could not be kept for after a restart");
        }
    }
    files.forget_others(&set.entries.keys().map(PathBuf::as_path).collect::<Vec<_>>());
}

fn tell_faults_of(told: &watch::Sender<Vec<ManifestFault>>, set: &StaticSet) {
    let faulty = set.entries.iter().filter(|(_, entry)| !entry.faults.is_empty());
    let faults: Vec<ManifestFault> = faulty
        .map(|(path, entry)| ManifestFault {
            path: path.clone(),
            findings: entry.faults.clone(),
            last_good_runs: entry.pod.is_some(),
        })
        .collect();
    let changed = told.send_if_modified(|old| {
        let changed = *old != faults;
        old.clone_from(&faults);
        changed
    });
    if !changed {
        return;
    }
    for fault in &faults {
        warn!(path = %fault.path.display(), "{}", fault.text());
    }
}

/// Compares pods by identity of their `Arc`, which an unchanged manifest keeps.
fn same_pods(a: &StaticSet, b: &StaticSet) -> bool {
    a.pods().count() == b.pods().count() && a.pods().zip(b.pods()).all(|((_, a), (_, b))| Arc::ptr_eq(a, b))
}

/// What is wanted between two readings, if a manifest was taken away and is there again: not its pod, which has to end and
/// to start again even if the manifest says the same (upstream acts on each of the two events). One that is faulty now keeps
/// its last good pod.
fn without_rewritten(before: &StaticSet, now: &StaticSet, removed: &BTreeSet<PathBuf>) -> Option<DesiredSet> {
    let ran: BTreeSet<*const Pod> = before.pods().map(|(_, pod)| Arc::as_ptr(pod)).collect();
    let rewritten = |path: &Path, pod: &Arc<Pod>| {
        let sound = now.entries.get(path).is_some_and(|entry| entry.faults.is_empty());
        sound && removed.contains(path) && ran.contains(&Arc::as_ptr(pod))
    };
    let all = now.pods().count();
    let others = now.pods().filter(|(path, pod)| !rewritten(path, pod));
    let set = DesiredSet { source: SourceKind::File, pods: others.map(desired_pod).collect() };
    (set.pods.len() < all).then_some(set)
}

fn desired_pod((path, pod): (&Path, &Arc<Pod>)) -> DesiredPod {
    DesiredPod { pod: Arc::clone(pod), source: PodSource::File(path.to_path_buf()) }
}

fn desired_set(set: &StaticSet) -> DesiredSet {
    let pods: Vec<DesiredPod> = set.pods().map(desired_pod).collect();
    info!(pods = pods.len(), "static pods of the manifest files");
    DesiredSet { source: SourceKind::File, pods }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::fs::manifests::ManifestDir;
    use crate::fakes::FakeEvents;

    const MANIFEST: &str =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: x}]}\n---\n";

    #[tokio::test]
    async fn a_manifest_that_is_taken_away_and_written_again_ends_its_pod_between() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("m");
        std::fs::create_dir(&folder).unwrap();
        // As kops and others name them, and one that has no ending.
        let (rewritten, kept) = (folder.join("kube-proxy.manifest"), folder.join("other"));
        std::fs::write(&rewritten, MANIFEST).unwrap();
        std::fs::write(&kept, MANIFEST.replace("name: a", "name: b")).unwrap();
        let (desired, mut sets) = mpsc::channel(8);
        let (_reread, rereads) = mpsc::channel(1);
        let mut source = FileSource {
            files: Some(Box::new(ManifestDir::new(&folder, &top.path().join("kept")))),
            node_name: "n".into(),
            recheck: Duration::from_secs(3600),
            desired,
            faults: watch::channel(Vec::new()).0,
            rereads,
        };
        tokio::spawn(async move { source.run(CancellationToken::new()).await });
        let mut next = async || {
            let set = tokio::time::timeout(Duration::from_secs(60), sets.recv()).await.expect("a set").unwrap();
            set.pods.iter().map(|pod| pod.pod.metadata.name.clone().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(next().await, ["a-n", "b-n"]);
        std::fs::remove_file(&rewritten).unwrap();
        std::fs::write(&rewritten, MANIFEST).unwrap();
        assert_eq!(next().await, ["b-n"]);
        assert_eq!(next().await, ["a-n", "b-n"]);
        // What replaces the file in one move and says the same changes nothing; a faulty one ends nothing.
        std::fs::write(folder.join(".next"), MANIFEST).unwrap();
        std::fs::rename(folder.join(".next"), &rewritten).unwrap();
        std::fs::remove_file(&rewritten).unwrap();
        std::fs::write(&rewritten, "kind: [").unwrap();
        std::fs::remove_file(&kept).unwrap();
        assert_eq!(next().await, ["a-n"]);
    }

    #[tokio::test]
    async fn each_fault_is_one_event_of_the_node() {
        let events = Arc::new(FakeEvents::default());
        let (sender, faults) = watch::channel(Vec::new());
        let fault = |message: &str| ManifestFault {
            path: "/etc/kubernetes/manifests/a.yaml".into(),
            findings: vec![Finding::of("spec.containers", message)],
            last_good_runs: true,
        };
        let (mut faults, told) = (faults, Arc::clone(&events));
        let telling = tokio::spawn(async move { tell_faults(&mut faults, &*told).await });
        let mut seen = Vec::new();
        for set in [vec![fault("is empty")], vec![fault("is empty"), fault("is odd")], vec![], vec![fault("is odd")]] {
            sender.send_replace(set);
            tokio::task::yield_now().await;
            seen.push(events.take());
        }
        let line = |message: &str| {
            format!(
                "node FaultyManifest: manifest /etc/kubernetes/manifests/a.yaml is faulty: spec.containers: {message}; \
                 its last good pod keeps running"
            )
        };
        assert_eq!(seen, [vec![line("is empty")], vec![line("is odd")], vec![], vec![line("is odd")]]);
        drop(sender);
        telling.await.unwrap();
    }
}
