//! Rulesets through the `nft` program, which every node with kube-proxy in nftables mode has.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::offload;
use crate::ports::bootstrap::PodNetworkError;

/// The kernel's setting for forwarding.
pub(super) const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
pub(super) const FORWARDING_6: &str = "/proc/sys/net/ipv6/conf/all/forwarding";
/// Time limit of the program; it waits for the kernel's lock on the rulesets, which another one may hold.
const PATIENCE: Duration = Duration::from_secs(30);

/// Kills the program when it takes too long, by dropping the call.
async fn in_time<T>(
    program: &Path,
    call: impl Future<Output = Result<T, PodNetworkError>>,
) -> Result<T, PodNetworkError> {
    let late = || PodNetworkError::Rules {
        program: program.display().to_string(),
        message: format!("did not finish within {} s", PATIENCE.as_secs()),
    };
    tokio::time::timeout(PATIENCE, call).await.map_err(|_| late())?
}

/// Loads a script as one transaction.
pub(super) async fn apply(program: &Path, script: &str) -> Result<(), PodNetworkError> {
    in_time(program, run_script(program, script)).await
}

async fn run_script(program: &Path, script: &str) -> Result<(), PodNetworkError> {
    let failed = |message: String| PodNetworkError::Rules { program: program.display().to_string(), message };
    let mut command = Command::new(program);
    command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = offload::spawn(command).await.map_err(|error| failed(error.to_string()))?;
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
    output_of(program, &["list", "tables"]).await
}

/// All chains with their hooks and policies, without their rules, as `nft` prints them.
pub async fn list_chains(program: &Path) -> Result<String, PodNetworkError> {
    output_of(program, &["list", "chains"]).await
}

/// The content of the tables of this name in both families, as `nft` prints it; empty for a missing table.
pub(super) async fn list_named(program: &Path, name: &str) -> Result<String, PodNetworkError> {
    let mut listing = String::new();
    for table in list_tables(program).await?.lines() {
        if let ["table", family, found] = table.split(' ').collect::<Vec<_>>()[..]
            && found == name
        {
            listing += &output_of(program, &["list", "table", family, name]).await?;
        }
    }
    Ok(listing)
}

async fn output_of(program: &Path, arguments: &[&str]) -> Result<String, PodNetworkError> {
    let failed = |message: String| PodNetworkError::Rules { program: program.display().to_string(), message };
    let list = async {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        let child = offload::spawn(command).await.map_err(|error| failed(error.to_string()))?;
        child.wait_with_output().await.map_err(|error| failed(error.to_string()))
    };
    let output = in_time(program, list).await?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// Enables forwarding if it is disabled; true if it was. The bridge plugin does the same with the node's first pod, but
/// a node without pods must forward too once it serves a Service.
#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
pub(super) fn enable_forwarding(switch: &'static str) -> Result<bool, PodNetworkError> {
    let write = || {
        let off = std::fs::read_to_string(switch)?.trim() != "1";
        if off {
            std::fs::write(switch, "1\n")?;
        }
        Ok(off)
    };
    write().map_err(|source| PodNetworkError::File { path: switch.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_program_that_hangs_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("nft");
        std::fs::write(&program, "#!/bin/sh\nexec sleep 3600\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        for error in [apply(&program, "").await.unwrap_err(), list_tables(&program).await.unwrap_err()] {
            assert!(error.to_string().contains("did not finish within 30 s"), "{error}");
        }
    }
}
