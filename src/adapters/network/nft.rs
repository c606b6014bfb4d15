//! Rulesets through the `nft` program, which every node has that runs kube-proxy in nftables mode.

use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::ports::PodNetworkError;

/// Loads a script as one transaction.
pub(super) async fn apply(program: &Path, script: &str) -> Result<(), PodNetworkError> {
    let failed = |message: String| PodNetworkError::Rules { program: program.display().to_string(), message };
    let mut child = Command::new(program)
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).await.map_err(|error| failed(error.to_string()))?;
    }
    let output = child.wait_with_output().await.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// The list of tables as `nft` prints it.
pub(super) async fn list_tables(program: &Path) -> Result<String, PodNetworkError> {
    let failed = |message: String| PodNetworkError::Rules { program: program.display().to_string(), message };
    let output = Command::new(program).args(["list", "tables"]).kill_on_drop(true).output().await;
    let output = output.map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// Turns IPv4 forwarding on when it is off. The bridge plugin does the same with the node's first pod, but a node
/// without pods forwards too once it answers for a Service.
pub(super) fn enable_forwarding() -> Result<(), PodNetworkError> {
    let path = "/proc/sys/net/ipv4/ip_forward";
    let write = || {
        if std::fs::read_to_string(path)?.trim() == "1" { Ok(()) } else { std::fs::write(path, "1\n") }
    };
    write().map_err(|source| PodNetworkError::File { path: path.to_owned(), source })
}
