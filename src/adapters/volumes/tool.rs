//! Runs a system tool that may take long: mount helpers, file system tools.

use std::ffi::OsStr;
use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::offload;

/// Runs it to completion, or kills it after `patience`.
///
/// # Errors
/// It does not exist, or takes too long. Its own error is in its output.
pub async fn run<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
    patience: Duration,
) -> io::Result<Output> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let run = async { offload::spawn(command).await?.wait_with_output().await };
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{program}: {error}"));
    let late =
        |_| io::Error::new(io::ErrorKind::TimedOut, format!("{program} took more than {} s", patience.as_secs()));
    tokio::time::timeout(patience, run).await.map_err(late)?.map_err(named)
}

/// The failure of a tool with all of its output.
pub fn failure(program: &str, output: &Output) -> io::Error {
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    io::Error::other(format!("{program} failed: {}\nOutput: {}", output.status, said.join("\n").trim()))
}
