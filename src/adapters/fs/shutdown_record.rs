//! Times of the last shutdown, in the file of upstream's kubelet (`nodeshutdown/storage.go`).

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::atomic::write_if_changed;
use crate::offload::Lanes;
use crate::ports::kubelet::{ShutdownRecord, ShutdownTimes};

/// Go's zero time, which means none.
const NONE: &str = "0001-01-01T00:00:00Z";

/// The file `graceful_node_shutdown_state` in the kubelet's root directory.
#[derive(Clone)]
pub struct ShutdownFile {
    path: PathBuf,
    lanes: Lanes,
}

impl ShutdownFile {
    /// The file of the kubelet with this root directory.
    pub fn new(kubelet_root: &Path) -> Self {
        Self {
            path: kubelet_root.join("graceful_node_shutdown_state"),
            lanes: Lanes::new("times of the last shutdown"),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    start_time: String,
    end_time: String,
}

fn render(times: ShutdownTimes) -> io::Result<Vec<u8>> {
    let text = |time: Option<Timestamp>| time.map_or_else(|| NONE.to_owned(), |time| time.to_string());
    let state = State { start_time: text(times.start), end_time: text(times.end) };
    serde_json::to_vec(&state).map_err(io::Error::other)
}

fn parse(text: &[u8]) -> io::Result<ShutdownTimes> {
    let state: State = serde_json::from_slice(text).map_err(io::Error::other)?;
    let time = |text: &str| match text {
        NONE => Ok(None),
        text => text.parse().map(Some).map_err(io::Error::other),
    };
    Ok(ShutdownTimes { start: time(&state.start_time)?, end: time(&state.end_time)? })
}

#[async_trait]
impl ShutdownRecord for ShutdownFile {
    async fn load(&self) -> io::Result<ShutdownTimes> {
        let path = self.path.clone();
        let read = move || {
            #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
            match std::fs::read(path) {
                Ok(text) => parse(&text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ShutdownTimes::default()),
                Err(error) => Err(error),
            }
        };
        self.lanes.io("file", "read", read).await
    }

    async fn store(&self, times: ShutdownTimes) -> io::Result<()> {
        let (path, text) = (self.path.clone(), render(times)?);
        self.lanes.io("file", "write", move || write_if_changed(&path, &text, 0o644).map(|_| ())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn times_are_read_back_and_what_upstream_wrote_is_understood() {
        let root = tempfile::tempdir().unwrap();
        let file = ShutdownFile::new(root.path());
        assert_eq!(file.load().await.unwrap(), ShutdownTimes::default());
        let begun = ShutdownTimes { start: Some(Timestamp::from_second(1_700_000_000).unwrap()), end: None };
        file.store(begun).await.unwrap();
        assert_eq!(file.load().await.unwrap(), begun);
        let upstream = br#"{"startTime":"2026-11-30T16:00:00.123456789Z","endTime":"2026-11-30T17:00:10.5+01:00"}"#;
        let times = parse(upstream).unwrap();
        assert_eq!(times.end.unwrap().duration_since(times.start.unwrap()).as_secs(), 10);
        assert!(parse(b"{}").is_err());
    }
}
