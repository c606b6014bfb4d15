//! Manifest files as a source: reads all of them after each change, once they have settled.

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
/// Longest time that files may keep changing before they are read anyway.
const SETTLE_MOST: Duration = Duration::from_millis(500);

/// Faults of one manifest, for the local status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFault {
    pub path: PathBuf,
    pub findings: Vec<Finding>,
    /// True if a pod of the file's last valid content still runs.
    pub last_good_runs: bool,
}

impl ManifestFault {
    /// What is wrong and what follows from it, in one line.
    pub fn text(&self) -> String {
        let findings = self.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let outcome = if self.last_good_runs { "its last good pod keeps running" } else { "nothing runs for it" };
        format!("manifest {} is invalid: {findings}; {outcome}", self.path.display())
    }
}

/// Records each new fault as an event of the node; a fault that disappeared and returns is recorded again.
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

/// A request to read all files now; answered with the resulting faults.
pub type Reread = oneshot::Sender<Vec<ManifestFault>>;

pub struct FileSource {
    /// The files; `None` while a thread reads them.
    pub files: Option<Box<dyn ManifestFiles>>,
    /// Name of the node, which becomes the suffix of the pods' names.
    pub node_name: String,
    pub recheck: Duration,
    pub desired: mpsc::Sender<DesiredSet>,
    pub faults: watch::Sender<Vec<ManifestFault>>,
    /// Requests to read the files again.
    pub rereads: mpsc::Receiver<Reread>,
}

/// The result of one reading; returns the files as well.
struct Reading {
    files: Box<dyn ManifestFiles>,
    outcome: std::io::Result<StaticSet>,
    /// Manifests that were removed meanwhile; some of them may exist again.
    removed: BTreeSet<PathBuf>,
}

impl FileSource {
    pub async fn run(&mut self, stop: CancellationToken) {
        let mut set = StaticSet::default();
        let mut first = true;
        let mut asked: Option<Reread> = None;
        loop {
            // On a single thread of its own: while a dead disk blocks it, the pods stay as they are.
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
                // The asker may have given up.
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

    /// Waits until there was no change for a moment.
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

/// Waits for a reading as long as it takes, logging when it hangs; `None` when the process exits.
async fn told_while_it_hangs(mut reading: JoinHandle<Reading>) -> Option<Reading> {
    loop {
        match timeout(LIMIT, &mut reading).await {
            Ok(reading) => return reading.ok(),
            Err(_) => warn!("static pod path does not respond; its pods stay as they are"),
        }
    }
}

/// Reads all files, and stores valid ones for a restart.
fn read(mut files: Box<dyn ManifestFiles>, known: &StaticSet, node_name: &str) -> Reading {
    let removed = files.take_removed();
    let outcome = caught_call("manifest files", || {
        files.read().map(|found| {
            let next = known.next(&found, &|path| files.kept(path), node_name);
            keep_good(&*files, &found, &next);
            next
        })
    });
    // The files are returned even after a panic.
    Reading { outcome: outcome.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked))), files, removed }
}

fn keep_good(files: &dyn ManifestFiles, found: &[ReadFile], set: &StaticSet) {
    for file in found {
        let sound = set.entries.get(&file.path).is_some_and(|e| e.pod.is_some() && e.faults.is_empty());
        if let (true, Ok(content)) = (sound, &file.content)
            && let Err(error) = files.keep(&file.path, content)
        {
            warn!(path = %file.path.display(), error = with_causes(&error), "a valid manifest could not be stored for a restart");
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

/// The set between two readings if a manifest was removed and exists again: without its pod, which has to terminate and
/// start again even if the manifest is equal (upstream acts on each of the two events). A manifest that is invalid now
/// keeps its last valid pod.
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
        // Named as by kops and others, and one without an extension.
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
        // A file that is replaced atomically by an equal one changes nothing; an invalid one stops nothing.
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
                "node FaultyManifest: manifest /etc/kubernetes/manifests/a.yaml is invalid: spec.containers: {message}; \
                 its last good pod keeps running"
            )
        };
        assert_eq!(seen, [vec![line("is empty")], vec![line("is odd")], vec![], vec![line("is odd")]]);
        drop(sender);
        telling.await.unwrap();
    }
}
