//! Static pods: manifest written → container running, manifest removed → container gone. Runs on the node.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::Series;

/// In the command line of the measured container, which runs until it is stopped: no other process on the node sleeps
/// that long.
const MARK: &str = "8640017";
const MANIFEST: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"bench-static"},"spec":{"hostNetwork":true,
"terminationGracePeriodSeconds":5,"containers":[{"name":"sleep","image":"registry.k8s.io/e2e-test-images/busybox:1.37.0-1",
"command":["sh","-c","trap exit TERM; sleep 8640017 & wait"]}]}}"#;

fn running() -> anyhow::Result<bool> {
    for process in std::fs::read_dir("/proc")?.flatten() {
        if !process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        if command.starts_with(b"sleep\0") && command.windows(MARK.len()).any(|w| w == MARK.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn wait(wanted: bool) -> anyhow::Result<()> {
    let start = Instant::now();
    while running()? != wanted {
        anyhow::ensure!(start.elapsed() < Duration::from_secs(60), "no change of the static pod within a minute");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    Ok(())
}

/// `count` rounds in the manifest folder.
pub async fn drop_and_remove(folder: &str, count: usize) -> anyhow::Result<()> {
    let (path, hidden) = (Path::new(folder).join("bench-static.json"), Path::new(folder).join(".bench-static.json"));
    let mut started = Series::new("manifest written → container running");
    let mut removed = Series::new("manifest removed → container gone");
    for _ in 0..count {
        std::fs::write(&hidden, MANIFEST).with_context(|| hidden.display().to_string())?;
        let start = Instant::now();
        std::fs::rename(&hidden, &path)?;
        wait(true).await?;
        started.push(start.elapsed());
        tokio::time::sleep(Duration::from_millis(500)).await;
        let start = Instant::now();
        std::fs::remove_file(&path)?;
        wait(false).await?;
        removed.push(start.elapsed());
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
    started.print();
    removed.print();
    Ok(())
}
