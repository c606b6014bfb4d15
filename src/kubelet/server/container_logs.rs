//! `/containerLogs`: the endpoint of `kubectl logs`.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::Server;
use super::reply::{Reply, stream, text};
use crate::core::model::{ContainerId, containers_of, uid_of, with_causes};
use crate::core::server::{ContainerRef, LogRequestError, Query, choose_log, parse_log_request};
use crate::kubelet::logs::{Liveness, print_log};
use crate::ports::kubelet::PodView;
use crate::supervise::spawn;

/// Chunks that are buffered for a slow reader.
const PIECES: usize = 4;

pub async fn container_logs(server: &Server, target: &ContainerRef, query: &Query) -> Reply {
    let request = match parse_log_request(query, Timestamp::now()) {
        Ok(request) => request,
        Err(error @ LogRequestError::Invalid) => return text(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        Err(error) => return text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let name = &target.pod.name;
    let Some(pod) = server.find_pod(&target.pod) else {
        return text(StatusCode::NOT_FOUND, format!("pod {name:?} does not exist"));
    };
    if !containers_of(&pod.pod).iter().any(|(_, c)| c.name == target.container) {
        return text(StatusCode::NOT_FOUND, format!("container {:?} not found in pod {name:?}", target.container));
    }
    let container = match choose_log(name, &pod.status, &target.container, request.previous) {
        Ok(container) => container,
        Err(message) => return text(StatusCode::BAD_REQUEST, message),
    };
    let Some(path) = log_path(server, &pod, &container).await else {
        // Upstream answers this with 200 too: the text replaces the log.
        return text(StatusCode::OK, format!("unable to retrieve container logs for containerd://{container}"));
    };
    let file = path.clone();
    #[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
    let open = move || std::fs::File::open(file);
    if let Err(error) = server.lanes.io(path.to_string_lossy(), "open", open).await {
        let message = format!("failed to open log file {:?}: {error}", path.display().to_string());
        return text(StatusCode::BAD_REQUEST, message);
    }
    let follow = request.follow.then(|| {
        let liveness = Liveness {
            pods: Arc::clone(&server.ports.pods),
            runtime: server.ports.runtime.clone(),
            pod: uid_of(&pod.pod),
            container,
        };
        (liveness, Arc::clone(&server.log_watch))
    });
    let (sender, receiver) = mpsc::channel::<Bytes>(PIECES);
    spawn("log request", async move {
        // The response has begun: an error can only be logged, and the stream closed.
        if let Err(error) = print_log(path.clone(), &request, follow, &sender).await {
            tracing::warn!(path = %path.display(), error = with_causes(&error), "log was not read to its end");
        }
    });
    let pieces = tokio_stream::StreamExt::map(ReceiverStream::new(receiver), Ok::<_, io::Error>);
    stream("", pieces)
}

async fn log_path(server: &Server, pod: &PodView, container: &ContainerId) -> Option<PathBuf> {
    let known = pod.containers.iter().find(|c| c.id == *container).map(|c| c.log_path.clone());
    if let Some(path) = known.filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let status = server.ports.runtime.container_status(container).await.ok()?;
    Some(status.log_path).filter(|path| !path.is_empty()).map(PathBuf::from)
}
