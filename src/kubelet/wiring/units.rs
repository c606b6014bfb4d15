//! Units of static pods: connects systemd, the journal and files in `/run`.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::error::Error;
use crate::adapters::fs::stop_notes::NoteFiles;
use crate::adapters::systemd::{NativeJournal, StaticPodUnits};
use crate::core::model::{DesiredSet, KubeletSpec, SourceKind};
use crate::core::static_units::{RUN_DIR, SOCKET};
use crate::kubelet::logs::DirectoryWatch;
use crate::kubelet::pods::PodTable;
use crate::kubelet::sources::file::Reread;
use crate::kubelet::units::forward::{self, ForwardPorts};
use crate::kubelet::units::processes::UnitProcesses;
use crate::kubelet::units::serve::{Desk, listen, serve};
use crate::kubelet::units::{Board, BoardPorts, Reports};
use crate::supervise::{restarting, vital};

/// After this time the kubelet reports ready even if its units have not been requested, in case manifests or systemd
/// are slow.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Starts the board, its socket and the forwarding of logs; returns the channel for sources, and the states of pods.
pub fn start(
    spec: &KubeletSpec,
    table: &PodTable,
    logs: &Arc<DirectoryWatch>,
    outgoing: mpsc::Sender<DesiredSet>,
    sources: BTreeSet<SourceKind>,
    reread: Option<mpsc::Sender<Reread>>,
    stop: &CancellationToken,
) -> Result<(mpsc::Sender<DesiredSet>, watch::Receiver<Reports>), Error> {
    let stopped = make_folder("stopped")?;
    let places = make_folder("logs")?;
    let socket = PathBuf::from(SOCKET);
    let listener = listen(&socket).map_err(|source| Error::Folder { path: socket, source })?;
    let (desired, incoming) = mpsc::channel(4);
    let (wish, wishes) = mpsc::channel(16);
    let (reports, states) = watch::channel(Reports::default());
    let ports = BoardPorts {
        incoming,
        outgoing,
        wishes,
        pods: Arc::clone(&table.pods),
        changes: table.table.static_changes(),
        units: Arc::new(StaticPodUnits),
        notes: Arc::new(NoteFiles::new(stopped)),
        reports,
    };
    let (board, ends) = (Board::new(ports, &spec.node_name, sources), stop.clone());
    restarting("units of static pods", stop, board, move |board| Box::pin(board.run(ends.clone())));
    let processes = UnitProcesses::default();
    let desk = Desk { wishes: wish, reports: states.clone(), reread, processes: processes.clone() };
    vital("socket of static pods", stop, serve(listener, desk, stop.clone()));
    let journal =
        NativeJournal::open().map_err(|e| Error::Part { what: "a socket for the journal", source: e.into() })?;
    let ports = ForwardPorts {
        pods: Arc::clone(&table.pods),
        changes: table.table.static_changes(),
        journal: Arc::new(journal),
        logs: Arc::clone(logs),
        places,
        node_name: spec.node_name.clone(),
        processes,
    };
    let ends = stop.clone();
    restarting("logs of static pods", stop, ports, move |ports| Box::pin(forward::run(ports, ends.clone())));
    Ok((desired, states))
}

/// A folder for root only, in the folder of the units.
#[expect(clippy::disallowed_methods, reason = "once, before anything runs")]
fn make_folder(name: &str) -> Result<PathBuf, Error> {
    let path = Path::new(RUN_DIR).join(name);
    let failed = |source| Error::Folder { path: path.clone(), source };
    std::fs::create_dir_all(&path).map_err(failed)?;
    std::fs::set_permissions(RUN_DIR, Permissions::from_mode(0o700)).map_err(failed)?;
    Ok(path)
}

/// Waits until the units were requested to start: units ordered after the kubelet then wait for them.
pub async fn wait_for_start(reports: Option<watch::Receiver<Reports>>) {
    let Some(mut reports) = reports else { return };
    if timeout(START_LIMIT, reports.wait_for(|reports| reports.complete)).await.is_err() {
        warn!("units of static pods were not started in time; continuing without them");
    }
}
