//! The socket at which the processes of units ask for their pods.
//!
//! One line says what is wanted: `keep NAME`, `stop NAME`, `reload NAME`, or `look NAME HASH` for the state of a certain
//! definition. Answers are JSON lines of [`PodState`]. Who keeps a unit may say `stop` later, and is told every change
//! until it leaves.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Reports, Wish};
use crate::core::static_units::{PodState, is_name};
use crate::kubelet::sources::file::{ManifestFault, Reread};

/// Longest request.
const MAX_LINE: u64 = 400;

/// What connections ask.
#[derive(Clone)]
pub struct Desk {
    /// Wishes for the board.
    pub wishes: mpsc::Sender<(String, Wish)>,
    /// States from the board.
    pub reports: watch::Receiver<Reports>,
    /// Makes the manifests be read again; none without manifest files.
    pub reread: Option<mpsc::Sender<Reread>>,
}

/// Listens at `path`, for root alone. Its folder must belong to root.
///
/// # Errors
/// When the socket cannot be made.
#[expect(clippy::disallowed_methods, reason = "once, before anything runs")]
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves units until `stop`.
pub async fn serve(listener: UnixListener, desk: Desk, stop: CancellationToken) {
    let desk = Arc::new(desk);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (desk, stop) = (Arc::clone(&desk), stop.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        ended = answer(stream, &desk) => if let Err(error) = ended {
                            debug!(%error, "a unit of a static pod left");
                        },
                    }
                });
            }
            Err(error) => {
                warn!(%error, "socket of the units of static pods");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }
}

async fn answer(stream: UnixStream, desk: &Desk) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(MAX_LINE)).lines();
    let request = lines.next_line().await?.unwrap_or_default();
    let mut words = request.split(' ');
    let (Some(verb), Some(name)) = (words.next(), words.next().filter(|name| is_name(name))) else { return Ok(()) };
    let hash = words.next().unwrap_or_default();
    match verb {
        "keep" => wish(desk, name, Wish::Run).await,
        "stop" => wish(desk, name, Wish::Stop).await,
        "reload" => return reload(desk, name, &mut write).await,
        "look" => {
            let state = desk.reports.borrow().state_of(name, hash);
            return tell(&mut write, &state).await;
        }
        _ => return Ok(()),
    }
    let mut reports = desk.reports.clone();
    let mut told = None;
    loop {
        let state = reports.borrow_and_update().state(name);
        if told.as_ref() != Some(&state) {
            tell(&mut write, &state).await?;
            told = Some(state);
        }
        tokio::select! {
            changed = reports.changed() => if changed.is_err() { return Ok(()) },
            line = lines.next_line() => match line? {
                Some(line) if line == "stop" => wish(desk, name, Wish::Stop).await,
                Some(_) => {}
                None => return Ok(()),
            },
        }
    }
}

async fn wish(desk: &Desk, name: &str, wish: Wish) {
    // The board ends only together with everything else.
    let _ = desk.wishes.send((name.to_owned(), wish)).await;
}

async fn tell(write: &mut OwnedWriteHalf, state: &PodState) -> io::Result<()> {
    let mut line = serde_json::to_vec(state)?;
    line.push(b'\n');
    write.write_all(&line).await
}

/// Reads the manifests again and tells what is wrong with the pod's.
async fn reload(desk: &Desk, name: &str, write: &mut OwnedWriteHalf) -> io::Result<()> {
    let path = desk.reports.borrow().path(name);
    let mut faults: Vec<ManifestFault> = Vec::new();
    if let Some(reread) = &desk.reread {
        let (answer, read) = oneshot::channel();
        if reread.send(answer).await.is_ok() {
            faults = read.await.unwrap_or_default();
        }
    }
    let fault = faults.iter().find(|fault| Some(&fault.path) == path.as_ref());
    let state = match fault {
        Some(fault) => PodState::Waiting(fault.text()),
        None if path.is_none() && desk.reread.is_some() => PodState::Unknown,
        None => PodState::Ready("the manifest was read again".to_owned()),
    };
    tell(write, &state).await
}
