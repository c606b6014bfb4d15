//! Sends a container's log to a reader, and follows it while the container runs.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;

use super::tail::tail_offset;
use super::watch::{Changes, DirectoryWatch, next_change};
use crate::core::logs::{Flow, Printer};
use crate::core::model::{ContainerId, PodUid, with_causes};
use crate::core::server::LogRequest;
use crate::cri;
use crate::ports::kubelet::Pods;
use crate::ports::node::{RuntimeError, RuntimeQueries};

const CHUNK: usize = 32 * 1024;
/// A follower reads at least this often, even without inotify events.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Delay after an event without new data: the runtime has closed the file and is about to report the container's exit.
const LOOK_SOON: Duration = Duration::from_millis(100);
/// Every so many checks the runtime itself is asked, in case the kubelet's view is late.
const ASK_RUNTIME_EVERY: u32 = 10;

/// Determines whether the container that writes a log is running.
pub struct Liveness {
    pub pods: Arc<dyn Pods>,
    /// Asked if the view says that it is not running.
    pub runtime: Arc<dyn RuntimeQueries>,
    pub pod: PodUid,
    pub container: ContainerId,
}

impl Liveness {
    async fn runs(&self, ask_runtime: bool) -> bool {
        let seen = self.pods.by_uid(&self.pod);
        let running = seen.is_some_and(|pod| pod.containers.iter().any(|c| c.id == self.container && c.running));
        if running && !ask_runtime {
            return true;
        }
        match self.runtime.container_status(&self.container).await {
            Ok(status) => status.state() == cri::ContainerState::ContainerRunning,
            // Containers keep running while the runtime is unreachable.
            Err(RuntimeError::Unavailable { .. } | RuntimeError::DeadlineExceeded { .. }) => true,
            Err(_) => false,
        }
    }
}

/// Sends the log at `path` according to the request; with `follow` until the container exits or the reader disconnects.
pub async fn print_log(
    path: PathBuf,
    request: &LogRequest,
    follow: Option<(Liveness, Arc<DirectoryWatch>)>,
    out: &mpsc::Sender<Bytes>,
) -> io::Result<()> {
    let path = tokio::fs::canonicalize(&path).await?;
    let mut reader = Reader::open(&path, request, follow.is_some()).await?;
    let Some((liveness, hub)) = follow else {
        reader.read_to_end(out).await?;
        return reader.finish(out).await;
    };
    // Watched before the first read, so that nothing written in between is missed.
    let mut changes = watch_parent(&hub, &path).await;
    let mut looks: u32 = 0;
    let mut after_event = false;
    loop {
        // Checked before reading, so that everything the container wrote before its exit is read below.
        let runs = liveness.runs(looks % ASK_RUNTIME_EVERY == ASK_RUNTIME_EVERY - 1).await;
        let (flow, read) = reader.read_to_end(out).await?;
        if flow == Flow::Done || out.is_closed() {
            return Ok(());
        }
        if reader.reopen_if_rotated(&path, out).await? {
            continue;
        }
        if !runs {
            return reader.finish(out).await;
        }
        let pause = if after_event && read == 0 { LOOK_SOON } else { LOOK_AGAIN };
        tokio::select! {
            // Both waits are cancel safe; a change that happens meanwhile is reported by the next call.
            () = next_change(&mut changes) => after_event = true,
            () = tokio::time::sleep(pause) => {
                after_event = false;
                looks = looks.wrapping_add(1);
            }
            () = out.closed() => return Ok(()),
        }
    }
}

async fn watch_parent(hub: &Arc<DirectoryWatch>, path: &Path) -> Option<Changes> {
    let parent = path.parent()?;
    match hub.subscribe(parent).await {
        Ok(changes) => Some(changes),
        Err(error) => {
            tracing::warn!(path = %parent.display(), error = with_causes(&error), "cannot watch a log's directory; looking each second instead");
            None
        }
    }
}

struct Reader {
    file: File,
    inode: u64,
    printer: Printer,
    chunk: Vec<u8>,
    /// Bytes that remain to be read; unlimited when following.
    left: u64,
}

impl Reader {
    /// Opens the log at the position where printing begins. Without `follow` it ends at the current end of the file:
    /// lines written meanwhile would exceed `tailLines`, and with a fast writer it would never end.
    async fn open(path: &Path, request: &LogRequest, follow: bool) -> io::Result<Self> {
        let mut file = File::open(path).await?;
        let metadata = file.metadata().await?;
        let (size, inode) = (metadata.len(), metadata.ino());
        let mut start = 0;
        if let Some(lines) = request.tail_lines {
            let std_file = file.try_clone().await?.into_std().await;
            let found = crate::supervise::blocking("log request", move || tail_offset(&std_file, size, lines)).await;
            start = found.map_err(io::Error::other)??;
            file.seek(io::SeekFrom::Start(start)).await?;
        }
        let left = if follow { u64::MAX } else { size.saturating_sub(start) };
        Ok(Self { file, inode, printer: Printer::new(request.filter.clone()), chunk: vec![0; CHUNK], left })
    }

    /// Prints what is available; also returns the number of bytes read.
    async fn read_to_end(&mut self, out: &mpsc::Sender<Bytes>) -> io::Result<(Flow, usize)> {
        let mut total = 0;
        loop {
            let room = usize::try_from(self.left).unwrap_or(CHUNK).min(CHUNK);
            let read = (&mut self.file).take(room as u64).read(&mut self.chunk).await?;
            if read == 0 {
                return Ok((Flow::More, total));
            }
            total = total.saturating_add(read);
            self.left = self.left.saturating_sub(read as u64);
            let mut printed = Vec::new();
            let flow = self.printer.push(self.chunk.get(..read).unwrap_or_default(), &mut printed);
            if !printed.is_empty() && out.send(printed.into()).await.is_err() {
                return Ok((Flow::Done, total));
            }
            if flow == Flow::Done {
                return Ok((Flow::Done, total));
            }
        }
    }

    /// Prints a last line that has no line feed.
    async fn finish(&mut self, out: &mpsc::Sender<Bytes>) -> io::Result<()> {
        let mut printed = Vec::new();
        self.printer.finish(&mut printed);
        if !printed.is_empty() {
            // The reader may have disconnected.
            let _ = out.send(printed.into()).await;
        }
        Ok(())
    }

    /// If the path refers to another file now: reads the old one to its end and continues with the new one.
    async fn reopen_if_rotated(&mut self, path: &Path, out: &mpsc::Sender<Bytes>) -> io::Result<bool> {
        // Between the rename and the runtime's reopening there is no file of that name, and the old one still grows.
        let there = match tokio::fs::metadata(path).await {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if there.ino() == self.inode {
            return Ok(false);
        }
        self.read_to_end(out).await?;
        self.file = match File::open(path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        self.inode = self.file.metadata().await?.ino();
        self.printer.restart_line();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// What a request prints of a log that is appended to after it was opened.
    async fn printed_while_it_grows(tail_lines: Option<u64>, follow: bool) -> String {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        log.write_all(b"2024-01-01T00:00:01Z stdout F one\n2024-01-01T00:00:02Z stdout F two\n").unwrap();
        let request = LogRequest { tail_lines, ..LogRequest::default() };
        let mut reader = Reader::open(log.path(), &request, follow).await.unwrap();
        log.write_all(b"2024-01-01T00:00:03Z stdout F three\n").unwrap();
        let (out, mut printed) = mpsc::channel(8);
        reader.read_to_end(&out).await.unwrap();
        drop(out);
        let mut all = Vec::new();
        while let Some(bytes) = printed.recv().await {
            all.extend_from_slice(&bytes);
        }
        String::from_utf8(all).unwrap()
    }

    #[tokio::test]
    async fn a_tail_has_no_more_lines_than_asked_for_though_the_container_writes_on() {
        assert_eq!(printed_while_it_grows(Some(1), false).await, "two\n");
        assert_eq!(printed_while_it_grows(None, false).await, "one\ntwo\n");
    }

    #[tokio::test]
    async fn a_follower_gets_what_is_written_meanwhile() {
        assert_eq!(printed_while_it_grows(Some(1), true).await, "two\nthree\n");
    }
}
