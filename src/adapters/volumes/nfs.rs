//! Mounts NFS exports with the system's own mount helper, which resolves names and negotiates versions.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::offload;

/// How long a server may take to answer before the mount is given up and tried again later.
const PATIENCE: Duration = Duration::from_secs(120);

/// Mounts `server:path` at `target`.
pub async fn mount(server: &str, path: &str, options: &[String], read_only: bool, target: &Path) -> io::Result<()> {
    let server =
        if server.contains(':') && !server.starts_with('[') { format!("[{server}]") } else { server.to_owned() };
    let mut all: Vec<&str> = options.iter().map(String::as_str).collect();
    if read_only {
        all.push("ro");
    }
    let mut command = Command::new("mount");
    command.args(["-t", "nfs"]);
    if !all.is_empty() {
        command.args(["-o", &all.join(",")]);
    }
    command.arg("--").arg(format!("{server}:{path}")).arg(target).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let run = async { offload::spawn(command).await?.wait_with_output().await };
    let output = tokio::time::timeout(PATIENCE, run).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("mount failed: {}\nOutput: {}", output.status, said.trim())))
}
