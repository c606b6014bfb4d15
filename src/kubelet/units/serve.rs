//! The socket to which the processes of units connect.
//!
//! The first line is the request: `keep NAME`, `stop NAME`, `reload NAME`, or `look NAME HASH` for the state of a
//! certain definition. Responses are JSON lines of [`PodState`]. After `keep` a client may send `stop`, and receives
//! every change until it disconnects.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Mode, fchmod};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::processes::UnitProcesses;
use super::{Reports, UnitRequest};
use crate::core::model::with_causes;
use crate::core::static_units::{PodState, is_name};
use crate::kubelet::sources::file::{ManifestFault, Reread};
use crate::supervise::spawn;

/// Longest request, and everything that a unit may send after it, in bytes.
const MAX_LINE: u64 = 400;
/// Most connections: one for each static pod, and some short ones.
const MAX_CONNECTIONS: usize = 256;
/// How long a peer may take to send its request, or to read a response.
const PATIENCE: Duration = Duration::from_secs(10);
/// Backlog of the socket, as large as std's.
const BACKLOG: u32 = 128;
/// Delay after accepting a connection failed.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Desk {
    /// Sends requests to the board.
    pub wishes: mpsc::Sender<(String, UnitRequest)>,
    /// Receives states from the board.
    pub reports: watch::Receiver<Reports>,
    /// Requests to read the manifests again; `None` without manifest files.
    pub reread: Option<mpsc::Sender<Reread>>,
    /// The processes of units that are connected.
    pub processes: UnitProcesses,
}

/// Listens at `path`, for root only. Its folder must belong to root.
///
/// # Errors
/// The socket cannot be created.
#[expect(clippy::disallowed_methods, reason = "once, before anything runs")]
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixSocket::new_stream()?;
    // The file gets the mode that the socket has when it is bound (unix(7)), so it is never accessible to others.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    socket.bind(path)?;
    socket.listen(BACKLOG)
}

/// Serves units until `stop`.
pub async fn serve(listener: UnixListener, desk: Desk, stop: CancellationToken) {
    let desk = Arc::new(desk);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(error = with_causes(&error), "socket of the units of static pods");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        if !is_ours(&stream) {
            warn!("rejected a user other than root at the socket of static pod units");
            continue;
        }
        // Units without a slot exit, are restarted by systemd, and connect again.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            warn!(MAX_CONNECTIONS, "too many connections at the socket of static pod units");
            continue;
        };
        let (desk, stop) = (Arc::clone(&desk), stop.clone());
        spawn("unit of a static pod", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                ended = answer(stream, &desk) => if let Err(error) = ended {
                    debug!(error = with_causes(&error), "a static pod unit disconnected");
                },
            }
            drop(place);
        });
    }
}

/// True for root, or the user of this process. The file's mode ensures the same, until somebody changes it.
fn is_ours(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| [0, own].contains(&peer.uid()))
}

async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(PATIENCE, step).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn answer(stream: UnixStream, desk: &Desk) -> io::Result<()> {
    let pid = stream.peer_cred()?.pid();
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(MAX_LINE)).lines();
    let request = in_time(lines.next_line()).await?.unwrap_or_default();
    let mut words = request.split(' ');
    let (Some(verb), Some(name)) = (words.next(), words.next().filter(|name| is_name(name))) else { return Ok(()) };
    let hash = words.next().unwrap_or_default();
    let mut connected = None;
    match verb {
        "keep" => {
            connected = pid.map(|pid| desk.processes.enter(name, pid));
            wish(desk, name, UnitRequest::Run).await;
        }
        "stop" => wish(desk, name, UnitRequest::Stop).await,
        "reload" => return reload(desk, name, &mut write).await,
        "look" => {
            let state = desk.reports.borrow().state_of(name, hash);
            return tell(&mut write, &state).await;
        }
        _ => return Ok(()),
    }
    // Until the connection ends.
    let _connected = connected;
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
                Some(line) if line == "stop" => wish(desk, name, UnitRequest::Stop).await,
                Some(_) => {}
                None => return Ok(()),
            },
        }
    }
}

async fn wish(desk: &Desk, name: &str, wish: UnitRequest) {
    // The board only exits together with everything else.
    let _ = desk.wishes.send((name.to_owned(), wish)).await;
}

async fn tell(write: &mut OwnedWriteHalf, state: &PodState) -> io::Result<()> {
    let mut line = serde_json::to_vec(state)?;
    line.push(b'\n');
    in_time(write.write_all(&line)).await
}

/// Reads the manifests again and reports the faults of the pod's.
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
