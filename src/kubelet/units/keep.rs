//! The process of a unit `static-pod@NAME.service`: ready while the pod is, and exits when it is not.
//!
//! It exits with success when the pod is no longer Ready, so that systemd stops dependent units and restarts it to wait
//! again. On SIGTERM it makes the kubelet stop the pod and waits for that. It survives restarts of the kubelet.

#![expect(clippy::disallowed_methods, reason = "a process of its own, with nothing else to do")]

use std::io;
use std::path::Path;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use crate::core::static_units::{NO_SUCH_POD, PodState};

/// Interval of connecting to a kubelet that is not running.
const RECONNECT: Duration = Duration::from_millis(500);
/// Connection attempts of a stop; a kubelet that restarts is available by then.
const STOP_TRIES: u32 = 20;
/// Longest stop in seconds that systemd is asked to wait for.
const MAX_STOP: u32 = 3600;

/// Result of the process: the exit code, and a line for the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// 0, or [`NO_SUCH_POD`], or 1.
    pub code: u8,
    /// The line for the journal; may be empty.
    pub text: String,
}

impl End {
    fn quietly() -> Self {
        Self { code: 0, text: String::new() }
    }

    fn because(text: impl Into<String>) -> Self {
        Self { code: 0, text: text.into() }
    }

    fn unknown(name: &str) -> Self {
        Self { code: NO_SUCH_POD, text: format!("no manifest on this node defines a static pod named {name}") }
    }
}

struct Talk {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
}

impl Talk {
    async fn open(socket: &Path, request: &str) -> io::Result<Self> {
        let (read, mut write) = UnixStream::connect(socket).await?.into_split();
        write.write_all(format!("{request}\n").as_bytes()).await?;
        Ok(Self { lines: BufReader::new(read).lines(), write })
    }

    /// The next state; `None` if the kubelet closed the connection.
    async fn next(&mut self) -> Option<PodState> {
        let line = self.lines.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }
}

/// Follows a pod for its unit.
///
/// # Errors
/// The handler of SIGTERM cannot be installed.
pub async fn keep(socket: &Path, name: &str) -> io::Result<End> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut was_ready = false;
    loop {
        let mut talk = match Talk::open(socket, &format!("keep {name}")).await {
            Ok(talk) => talk,
            Err(_) => {
                if !was_ready {
                    status("Waits for the kubelet");
                }
                tokio::select! {
                    () = sleep(RECONNECT) => continue,
                    _ = terminate.recv() => return Ok(stop(socket, name, None).await),
                }
            }
        };
        if let Some(end) = follow(&mut talk, name, &mut was_ready, &mut terminate).await {
            return Ok(match end {
                Followed::Ended(end) => end,
                Followed::Terminated => stop(socket, name, Some(talk)).await,
            });
        }
    }
}

enum Followed {
    Ended(End),
    Terminated,
}

/// Returns when the pod is no longer Ready or the process has to exit; `None` if the kubelet closed the connection.
async fn follow(talk: &mut Talk, name: &str, was_ready: &mut bool, terminate: &mut Signal) -> Option<Followed> {
    loop {
        let state = tokio::select! {
            state = talk.next() => state?,
            _ = terminate.recv() => return Some(Followed::Terminated),
        };
        match state {
            PodState::Ready(text) => {
                status(&text);
                if !*was_ready {
                    *was_ready = true;
                    let _ = sd_notify::notify(&[NotifyState::Ready]);
                }
            }
            PodState::Unknown => return Some(Followed::Ended(End::unknown(name))),
            PodState::Waiting(text) | PodState::Stopping { text, .. } if *was_ready => {
                return Some(Followed::Ended(End::because(text)));
            }
            PodState::Waiting(text) | PodState::Stopping { text, .. } => status(&text),
            // Left from an earlier stop; our request to run the pod is on its way.
            PodState::Stopped => {}
        }
    }
}

/// Makes the kubelet stop the pod and waits until nothing of it runs.
async fn stop(socket: &Path, name: &str, talk: Option<Talk>) -> End {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    status("Stops the pod");
    let mut open = talk;
    if let Some(talk) = &mut open
        && talk.write.write_all(b"stop\n").await.is_err()
    {
        open = None;
    }
    for _ in 0..STOP_TRIES {
        let mut talk = match open.take() {
            Some(talk) => talk,
            None => match Talk::open(socket, &format!("stop {name}")).await {
                Ok(talk) => talk,
                Err(_) => {
                    sleep(RECONNECT).await;
                    continue;
                }
            },
        };
        while let Some(state) = talk.next().await {
            match state {
                PodState::Stopped | PodState::Unknown => return End::quietly(),
                PodState::Stopping { text, grace_seconds } => {
                    status(&text);
                    // As long as the pod's grace period, plus some time for cleaning up.
                    let seconds = u32::try_from(grace_seconds).unwrap_or_default().saturating_add(60).min(MAX_STOP);
                    let _ = sd_notify::notify(&[NotifyState::ExtendTimeoutUsec(seconds.saturating_mul(1_000_000))]);
                }
                PodState::Ready(_) | PodState::Waiting(_) => {}
            }
        }
    }
    End { code: 1, text: "the kubelet does not answer; the pod was left as it is".to_owned() }
}

/// Makes the kubelet read the manifests again.
///
/// # Errors
/// The kubelet does not respond.
pub async fn reload(socket: &Path, name: &str) -> io::Result<End> {
    let mut talk = Talk::open(socket, &format!("reload {name}")).await?;
    Ok(match talk.next().await {
        Some(PodState::Ready(_)) => End::quietly(),
        Some(PodState::Unknown) => End::unknown(name),
        Some(PodState::Waiting(fault)) => End { code: 1, text: fault },
        _ => End { code: 1, text: "the kubelet did not answer".to_owned() },
    })
}

fn status(text: &str) {
    // Without systemd there is nobody to notify.
    let _ = sd_notify::notify(&[NotifyState::Status(text)]);
}
