//! `/logs/`: files below `/var/log`, and the journal of units.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures::TryStreamExt;
use hyper::StatusCode;
use tokio::fs::File;
use tokio::process::Command;
use tokio_util::io::ReaderStream;

use super::Server;
use super::reply::{Reply, stream, text, typed};
use crate::core::model::with_causes;
use crate::core::server::{JournalQuery, Query, parse_journal_query};
use crate::offload;
use crate::supervise::spawn;

/// journalctl is killed after this time.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(30);
const PLAIN: &str = "text/plain; charset=utf-8";

pub async fn node_logs(server: &Server, path: &str, query: &Query) -> Reply {
    if !server.settings.system_logs.enabled {
        return text(StatusCode::METHOD_NOT_ALLOWED, "logs endpoint is disabled.\n");
    }
    if server.settings.system_logs.query {
        match parse_journal_query(query) {
            Err(message) => return text(StatusCode::BAD_REQUEST, format!("{message}\n")),
            Ok(Some(JournalQuery::Units(arguments))) => return journal(&arguments).await,
            Ok(Some(JournalQuery::File(file))) => return file_or_directory(server, &file).await,
            Ok(None) => {}
        }
    }
    file_or_directory(server, path).await
}

async fn file_or_directory(server: &Server, path: &str) -> Reply {
    let missing = || text(StatusCode::NOT_FOUND, "404 page not found\n");
    let (root, wanted) = (server.settings.system_logs.dir.clone(), path.to_owned());
    #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
    let look = move || {
        let found = resolve(&root, &wanted)?;
        std::fs::metadata(&found).map(|metadata| (found, metadata))
    };
    let Ok((found, metadata)) = server.lanes.io(path, "look", look).await else { return missing() };
    if metadata.is_dir() {
        return list(&found).await.unwrap_or_else(|_| missing());
    }
    // A pipe or a device would never end.
    if !metadata.is_file() {
        return missing();
    }
    match File::open(&found).await {
        Ok(file) => stream(PLAIN, ReaderStream::new(file)),
        Err(_) => missing(),
    }
}

/// The real path of a request, if it is inside the log directory: a pod that may write to a directory there can create
/// links, but they are not followed out of it.
#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn resolve(root: &Path, path: &str) -> io::Result<PathBuf> {
    let root = std::fs::canonicalize(root)?;
    let found = std::fs::canonicalize(root.join(path.trim_start_matches('/')))?;
    if found.starts_with(&root) { Ok(found) } else { Err(io::ErrorKind::NotFound.into()) }
}

async fn list(directory: &Path) -> io::Result<Reply> {
    let mut entries = tokio::fs::read_dir(directory).await?;
    let mut names = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        let slash = if entry.file_type().await?.is_dir() { "/" } else { "" };
        names.push(format!("{}{slash}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    let mut page = String::from("<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n");
    for name in names {
        let name = name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;");
        page.push_str(&format!("<a href=\"{name}\">{name}</a>\n"));
    }
    page.push_str("</pre>\n");
    Ok(typed(StatusCode::OK, "text/html; charset=utf-8", page))
}

async fn journal(arguments: &[String]) -> Reply {
    let mut command = Command::new("journalctl");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let spawned = offload::spawn(command).await;
    let (mut child, stdout) = match spawned.map(|mut child| (child.stdout.take(), child)) {
        Ok((Some(stdout), child)) => (child, stdout),
        Ok((None, _)) => return text(StatusCode::INTERNAL_SERVER_ERROR, "\nerror: journal output not available\n"),
        Err(error) => {
            tracing::warn!(error = with_causes(&error), "journalctl was not started");
            return text(StatusCode::INTERNAL_SERVER_ERROR, "\nerror: journal output not available\n");
        }
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    spawn("log query", async move {
        let pieces = ReaderStream::new(stdout).try_for_each(|piece| {
            let sender = sender.clone();
            async move { sender.send(Ok(piece)).await.map_err(|_| io::ErrorKind::BrokenPipe.into()) }
        });
        // The process is always killed afterwards.
        let _ = tokio::time::timeout(JOURNAL_PATIENCE, pieces).await;
        let _ = child.kill().await;
    });
    stream(PLAIN, tokio_stream::wrappers::ReceiverStream::new(receiver))
}
