//! Runs a program and reads its output.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::offload;

const LIMIT: Duration = Duration::from_secs(60);
/// Most bytes of a program's output that are read.
const MAX_OUTPUT: u64 = 1 << 20;

/// Standard output of the program, once it has exited successfully. After a minute it is killed.
///
/// # Errors
/// It does not start, finish or succeed; with the beginning of its standard error, if that is piped.
pub async fn answer_of(command: Command, input: &[u8]) -> Result<Vec<u8>, String> {
    match timeout(LIMIT, run(command, input)).await {
        Ok(result) => result,
        Err(_) => Err("no answer within one minute".to_owned()),
    }
}

async fn run(mut command: Command, input: &[u8]) -> Result<Vec<u8>, String> {
    let text = |error: std::io::Error| error.to_string();
    command.stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = offload::spawn(command).await.map_err(text)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program that does not read its input may answer anyway.
            stdin.write_all(input).await.ok();
        }
    };
    let (mut output, mut complaint) = (Vec::new(), String::new());
    let read = async {
        match stdout {
            Some(stdout) => stdout.take(MAX_OUTPUT).read_to_end(&mut output).await.map(drop),
            None => Ok(()),
        }
    };
    let read_complaint = async {
        match stderr {
            Some(stderr) => stderr.take(4096).read_to_string(&mut complaint).await.ok(),
            None => None,
        }
    };
    let ((), read, _) = tokio::join!(write, read, read_complaint);
    read.map_err(text)?;
    let status = child.wait().await.map_err(text)?;
    if status.success() { Ok(output) } else { Err(format!("{status}: {complaint}")) }
}
