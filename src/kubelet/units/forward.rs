//! Forwards container logs of static pods to the journal, so that `journalctl -u static-pod@NAME` shows them.
//!
//! The log files remain authoritative: if a container writes faster than the journal accepts, its log is read later,
//! and after a restart of the kubelet each file is continued where its last entry was written.

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, warn};

use super::processes::UnitProcesses;
use crate::core::logs::parse_line;
use crate::core::manifest::manifest_name;
use crate::core::model::{ContainerId, with_causes};
use crate::core::static_units::{Facts, render_entry, unit_of};
use crate::kubelet::logs::{DirectoryWatch, next_change};
use crate::offload;
use crate::ports::kubelet::{ContainerView, Journal, PodView, Pods};
use crate::supervise::restarting;
use crate::telemetry::panics::Task;

const CHUNK: usize = 16 * 1024;
/// Parts of a line are joined up to this size, which is the journal's own limit of a line.
const MAX_TEXT: usize = 48 * 1024;
/// Delay after a change, so that lines written together are read together.
const SETTLE: Duration = Duration::from_millis(100);
/// Interval of reading without any change, in case inotify missed one.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Delay after a chunk if there is more: keeps one container far below the journal's rate limit of the kubelet's unit.
const PACE: Duration = Duration::from_millis(100);
/// Delay after a container's exit, for lines the runtime has not flushed yet.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The ports of the forwarder.
#[derive(Clone)]
pub struct ForwardPorts {
    /// Looks up the pods.
    pub pods: Arc<dyn Pods>,
    /// Signals that a static pod changed.
    pub changes: watch::Receiver<()>,
    pub journal: Arc<dyn Journal>,
    /// Notifies about changed log files.
    pub logs: Arc<DirectoryWatch>,
    /// Folder of the read positions, one file for each container.
    pub places: PathBuf,
    /// Name of the node, the suffix of static pods' names.
    pub node_name: String,
    /// The processes of the pods' units, to which the lines belong.
    pub processes: UnitProcesses,
}

pub async fn run(ports: &mut ForwardPorts, stop: CancellationToken) {
    let mut followed: HashMap<ContainerId, (CancellationToken, DropGuard)> = HashMap::new();
    loop {
        let views: Vec<_> = ports.pods.list().into_iter().filter(|view| view.is_static).collect();
        let mut there = Vec::new();
        for view in &views {
            for container in &view.containers {
                there.push(container.id.clone());
                if let Some((ended, _)) = followed.get(&container.id) {
                    if !container.running {
                        ended.cancel();
                    }
                    continue;
                }
                // A container that exited before the kubelet started may have unread lines.
                let (ended, cut) = (CancellationToken::new(), stop.child_token());
                if !container.running {
                    ended.cancel();
                }
                let follow = Follow::new(ports, view, container, ended.clone());
                followed.insert(container.id.clone(), (ended, cut.clone().drop_guard()));
                let task = Task::of("log of a static pod", container.id.as_str());
                restarting(task, &cut.clone(), follow, move |follow| {
                    let cut = cut.clone();
                    Box::pin(async move { _ = cut.run_until_cancelled(follow.run()).await })
                });
            }
        }
        // A container whose record was removed writes nothing more; its last lines were read at its exit.
        followed.retain(|id, _| {
            let keep = there.contains(id);
            if !keep {
                let place = ports.places.join(id.as_str());
                #[expect(clippy::disallowed_methods, reason = "on a thread of its own")]
                offload::behind(move || drop(std::fs::remove_file(place)));
            }
            keep
        });
        tokio::select! {
            () = stop.cancelled() => return,
            changed = ports.changes.changed() => if changed.is_err() { return },
        }
    }
}

struct Follow {
    /// Name in the pod's manifest.
    name: String,
    processes: UnitProcesses,
    facts: Facts,
    path: PathBuf,
    place: PathBuf,
    journal: Arc<dyn Journal>,
    logs: Arc<DirectoryWatch>,
    ended: CancellationToken,
}

impl Follow {
    fn new(ports: &ForwardPorts, view: &PodView, container: &ContainerView, ended: CancellationToken) -> Self {
        let pod = view.pod.metadata.name.clone().unwrap_or_default();
        let name = manifest_name(&pod, &ports.node_name);
        Self {
            name: name.to_owned(),
            processes: ports.processes.clone(),
            facts: Facts {
                unit: unit_of(name),
                namespace: view.pod.metadata.namespace.clone().unwrap_or_default(),
                uid: view.pod.metadata.uid.clone().unwrap_or_default(),
                container: container.name.clone(),
                id: container.id.as_str().to_owned(),
                pod,
            },
            path: container.log_path.clone().into(),
            place: ports.places.join(container.id.as_str()),
            journal: Arc::clone(&ports.journal),
            logs: Arc::clone(&ports.logs),
            ended,
        }
    }

    async fn run(&mut self) {
        // Watched before the first read, so that nothing written in between is missed.
        let mut changes = match self.path.parent() {
            Some(folder) => self.logs.subscribe(folder).await.ok(),
            None => None,
        };
        let mut log: Option<Log> = None;
        loop {
            let last = self.ended.is_cancelled();
            if last {
                sleep(LAST_LINES).await;
            }
            match self.forward(&mut log).await {
                Ok(true) => {
                    sleep(PACE).await;
                    continue;
                }
                Ok(false) if last => return,
                Err(error) if last || error.kind() != io::ErrorKind::NotFound => {
                    warn!(error = with_causes(&error), path = %self.path.display(), "log is no longer forwarded to the journal");
                    return;
                }
                Ok(false) | Err(_) => {}
            }
            tokio::select! {
                () = next_change(&mut changes) => sleep(SETTLE).await,
                () = self.ended.cancelled() => {}
                () = sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Forwards at most one chunk; true if there may be more. A slow disk delays only this log: each has at most one
    /// thread.
    async fn forward(&self, log: &mut Option<Log>) -> io::Result<bool> {
        let (known, path, place) = (log.take(), self.path.clone(), self.place.clone());
        let (mut open, read) = off_thread(move || {
            let mut open = known.map_or_else(|| Log::open(&path, &place), Ok)?;
            let read = open.read()?;
            Ok((open, read))
        })
        .await?;
        while let Some(line) = open.next_line() {
            self.write(&mut open, &line).await?;
        }
        let (path, place) = (self.path.clone(), self.place.clone());
        #[expect(clippy::disallowed_methods, reason = "on a thread of its own")]
        let (open, more) = off_thread(move || {
            if read > 0 {
                open.remember();
                return Ok((open, true));
            }
            // Rotated: the old file was read to its end.
            if std::fs::metadata(&path).is_ok_and(|now| now.ino() != open.inode) {
                return Ok((Log::open(&path, &place)?, true));
            }
            Ok((open, false))
        })
        .await?;
        *log = Some(open);
        Ok(more)
    }

    async fn write(&self, log: &mut Log, bytes: &[u8]) -> io::Result<()> {
        let line = match parse_line(bytes) {
            Ok(line) => line,
            Err(error) => {
                debug!(error = with_causes(&error), path = %self.path.display(), "invalid line in a log");
                return Ok(());
            }
        };
        if line.partial && log.text.len().saturating_add(line.text.len()) <= MAX_TEXT {
            log.text.extend_from_slice(line.text);
            return Ok(());
        }
        let mut text = std::mem::take(&mut log.text);
        text.extend_from_slice(line.text);
        if text.is_empty() {
            return Ok(());
        }
        let sender = self.processes.of(&self.name);
        self.journal.write(&render_entry(&self.facts, &line, &text), sender).await
    }
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// An open log file, read up to a position that is stored on disk.
struct Log {
    file: std::fs::File,
    inode: u64,
    /// Position up to which entries were written.
    offset: u64,
    /// Bytes read that are not a whole line yet.
    rest: Vec<u8>,
    /// Parts of a line that continues.
    text: Vec<u8>,
    place: Option<std::fs::File>,
}

impl Log {
    #[expect(clippy::disallowed_methods, reason = "on a thread of its own")]
    fn open(path: &Path, place: &Path) -> io::Result<Self> {
        let mut file = std::fs::File::open(path)?;
        let inode = file.metadata()?.ino();
        let mut options = std::fs::OpenOptions::new();
        let place = options.read(true).write(true).create(true).truncate(false).open(place).ok();
        let mut kept = [0; 16];
        let offset = match place.as_ref().map(|place| place.read_exact_at(&mut kept, 0)) {
            Some(Ok(())) if kept[..8] == inode.to_le_bytes() => {
                u64::from_le_bytes([kept[8], kept[9], kept[10], kept[11], kept[12], kept[13], kept[14], kept[15]])
            }
            _ => 0,
        };
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self { file, inode, offset, rest: Vec::new(), text: Vec::new(), place })
    }

    fn read(&mut self) -> io::Result<usize> {
        let old = self.rest.len();
        self.rest.resize(old.saturating_add(CHUNK), 0);
        let read = self.file.read(self.rest.get_mut(old..).unwrap_or_default())?;
        self.rest.truncate(old.saturating_add(read));
        // A runtime writes lines of at most 16 KiB; a longer one was not written by it.
        if self.rest.len() > MAX_TEXT && !self.rest.contains(&b'\n') {
            self.offset = self.offset.saturating_add(self.rest.len() as u64);
            self.rest.clear();
        }
        Ok(read)
    }

    fn next_line(&mut self) -> Option<Vec<u8>> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let mut line: Vec<u8> = self.rest.drain(..=end).collect();
        line.pop();
        self.offset = self.offset.saturating_add(end as u64).saturating_add(1);
        Some(line)
    }

    /// Stores the position. Without it, a restart of the kubelet would only write lines twice.
    fn remember(&self) {
        if let (Some(place), true) = (&self.place, self.text.is_empty()) {
            let mut bytes = self.inode.to_le_bytes().to_vec();
            bytes.extend(self.offset.to_le_bytes());
            let _ = place.write_all_at(&bytes, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    #[async_trait]
    impl Journal for Lines {
        async fn write(&self, fields: &[(&'static str, &[u8])], sender: Option<i32>) -> io::Result<()> {
            assert_eq!(sender, Some(7), "the process of the unit");
            let text = String::from_utf8_lossy(fields[0].1).into_owned();
            self.0.lock().unwrap().push(text);
            Ok(())
        }
    }

    struct Bench {
        dir: tempfile::TempDir,
        journal: Arc<Lines>,
    }

    impl Bench {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap(), journal: Arc::default() }
        }
        fn path(&self) -> PathBuf {
            self.dir.path().join("0.log")
        }
        fn append(&self, text: &str) {
            let file = std::fs::OpenOptions::new().append(true).create(true).open(self.path());
            file.unwrap().write_all(text.as_bytes()).unwrap();
        }
        fn follow(&self) -> Follow {
            let processes = UnitProcesses::default();
            std::mem::forget(processes.enter("a", 7));
            Follow {
                name: "a".into(),
                processes,
                facts: Facts {
                    unit: "static-pod@a.service".into(),
                    namespace: "n".into(),
                    pod: "a-n1".into(),
                    uid: "u".into(),
                    container: "c".into(),
                    id: "id".into(),
                },
                path: self.path(),
                place: self.dir.path().join("place"),
                journal: Arc::<Lines>::clone(&self.journal),
                logs: Arc::default(),
                ended: CancellationToken::new(),
            }
        }
        async fn forward(&self, log: &mut Option<Log>) -> Vec<String> {
            let follow = self.follow();
            while follow.forward(log).await.unwrap() {}
            std::mem::take(&mut *self.journal.0.lock().unwrap())
        }
    }

    #[tokio::test]
    async fn whole_lines_are_forwarded_once_also_over_a_restart() {
        let bench = Bench::new();
        let mut log = None;
        bench.append("2026-01-01T00:00:01Z stdout F one\nnonsense\n2026-01-01T00:00:02Z stdout F tw");
        assert_eq!(bench.forward(&mut log).await, ["one"]);
        bench.append("o\n");
        assert_eq!(bench.forward(&mut log).await, ["two"]);
        bench.append("2026-01-01T00:00:03Z stderr F three\n");
        assert_eq!(bench.forward(&mut None).await, ["three"], "another kubelet goes on");
    }

    #[tokio::test]
    async fn parts_of_a_line_are_one_entry() {
        let bench = Bench::new();
        bench.append("2026-01-01T00:00:01Z stdout P one,\n2026-01-01T00:00:01Z stdout F two\n");
        assert_eq!(bench.forward(&mut None).await, ["one,two"]);
    }

    #[tokio::test]
    async fn a_rotated_log_is_read_to_its_end_first() {
        let bench = Bench::new();
        let mut log = None;
        bench.append("2026-01-01T00:00:01Z stdout F one\n");
        bench.forward(&mut log).await;
        bench.append("2026-01-01T00:00:02Z stdout F two\n");
        std::fs::rename(bench.path(), bench.dir.path().join("old")).unwrap();
        bench.append("2026-01-01T00:00:03Z stdout F three\n");
        assert_eq!(bench.forward(&mut log).await, ["two", "three"]);
    }
}
