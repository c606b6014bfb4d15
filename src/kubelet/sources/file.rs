//! Manifest files as a source: reads all of them at each change, after the files have settled.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::core::manifest::Finding;
use crate::core::manifest::set::StaticSet;
use crate::core::model::{DesiredPod, DesiredSet, PodSource, ReadFile, SourceKind};
use crate::ports::ManifestFiles;

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

/// The file source.
pub struct FileSource {
    /// The files.
    pub files: Box<dyn ManifestFiles>,
    /// Name of the node, which becomes the suffix of the pods' names.
    pub node_name: String,
    /// Slow re-list.
    pub recheck: Duration,
    /// Where the sets go.
    pub desired: mpsc::Sender<DesiredSet>,
    /// Where faults go.
    pub faults: watch::Sender<Vec<ManifestFault>>,
}

impl FileSource {
    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut set = StaticSet::default();
        let mut first = true;
        loop {
            match self.files.read() {
                Ok(files) => {
                    let next = set.next(&files, &|path| self.files.kept(path), &self.node_name);
                    self.keep_good(&files, &next);
                    let changed = !same_pods(&set, &next);
                    self.tell_faults(&next);
                    set = next;
                    if changed || first {
                        first = false;
                        if self.desired.send(desired_set(&set)).await.is_err() {
                            return;
                        }
                    }
                }
                Err(error) => warn!(%error, "static pod path cannot be listed; its pods stay as they are"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.files.changed() => self.settle().await,
                () = sleep(self.recheck) => {}
            }
        }
    }

    /// Waits until no change has come for a moment.
    async fn settle(&mut self) {
        let latest = Instant::now() + SETTLE_MOST;
        loop {
            let quiet = (Instant::now() + SETTLE).min(latest);
            if timeout_at(quiet, self.files.changed()).await.is_err() || Instant::now() >= latest {
                sleep_until(quiet.min(latest)).await;
                return;
            }
        }
    }

    fn keep_good(&self, files: &[ReadFile], set: &StaticSet) {
        for file in files {
            let sound = set.entries.get(&file.path).is_some_and(|e| e.pod.is_some() && e.faults.is_empty());
            if let (true, Ok(content)) = (sound, &file.content)
                && let Err(error) = self.files.keep(&file.path, content)
            {
                warn!(path = %file.path.display(), %error, "good manifest could not be kept for after a restart");
            }
        }
        self.files.forget_others(&set.entries.keys().map(PathBuf::as_path).collect::<Vec<_>>());
    }

    fn tell_faults(&self, set: &StaticSet) {
        let faulty = set.entries.iter().filter(|(_, entry)| !entry.faults.is_empty());
        let faults: Vec<ManifestFault> = faulty
            .map(|(path, entry)| ManifestFault {
                path: path.clone(),
                findings: entry.faults.clone(),
                last_good_runs: entry.pod.is_some(),
            })
            .collect();
        let changed = self.faults.send_if_modified(|old| {
            let changed = *old != faults;
            old.clone_from(&faults);
            changed
        });
        if !changed {
            return;
        }
        for fault in &faults {
            let findings = fault.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            let path = fault.path.display();
            if fault.last_good_runs {
                warn!(%path, %findings, "manifest is faulty; its last good pod keeps running");
            } else {
                warn!(%path, %findings, "manifest is faulty; nothing runs for it");
            }
        }
    }
}

/// Compares pods by identity of their `Arc`, which an unchanged manifest keeps.
fn same_pods(a: &StaticSet, b: &StaticSet) -> bool {
    a.pods().count() == b.pods().count() && a.pods().zip(b.pods()).all(|((_, a), (_, b))| Arc::ptr_eq(a, b))
}

fn desired_set(set: &StaticSet) -> DesiredSet {
    let pods =
        set.pods().map(|(path, pod)| DesiredPod { pod: pod.clone(), source: PodSource::File(path.to_path_buf()) });
    let pods: Vec<DesiredPod> = pods.collect();
    info!(pods = pods.len(), "static pods of the manifest files");
    DesiredSet { source: SourceKind::File, pods }
}
