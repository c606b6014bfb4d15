//! The channel to the runtime's socket. It connects on first use, and again after the runtime restarted.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tonic::transport::{Channel, Endpoint};

use super::errors;
use crate::cri::image_service_client::ImageServiceClient;
use crate::cri::runtime_service_client::RuntimeServiceClient;
use crate::ports::node::RuntimeError;
use crate::supervise::Panicked;
use crate::telemetry::Metrics;

/// Upstream's limit of a message (`maxMsgSize` of `cri-client`).
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// A CRI runtime and image service behind a unix socket.
#[derive(Clone, Debug)]
pub struct Cri {
    pub(super) channel: Channel,
    pub(super) timeout: Duration,
    /// Calls in progress that change something and take no longer than the runtime needs.
    changes: TaskTracker,
    /// Where calls are counted; none in programs without metrics.
    pub(super) metrics: Option<Arc<Metrics>>,
}

impl Cri {
    /// A client of the socket at `path`; nothing is sent yet. `timeout` is `runtimeRequestTimeout` (2 min by default).
    pub fn new(path: &Path, timeout: Duration) -> Self {
        let changes = TaskTracker::new();
        // Closed from the start, so that it completes whenever no call is in progress.
        changes.close();
        Self { channel: channel(path.to_path_buf()), timeout, changes, metrics: None }
    }

    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = Some(metrics);
        self
    }

    pub(super) fn runtime(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    pub(super) fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    /// A changing call, as a task of its own: it ends with the runtime's response or at its deadline, even if its
    /// caller is dropped. Cancelling it would leave the runtime in the middle of its work.
    pub(super) async fn carry<T, F>(
        &self,
        name: &'static str,
        limit: Option<Duration>,
        call: impl FnOnce(RuntimeServiceClient<Channel>) -> F,
    ) -> Result<T, RuntimeError>
    where
        T: Send + 'static,
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>> + Send + 'static,
    {
        let (cri, call) = (self.clone(), call(self.runtime()));
        answer(name, self.changes.spawn(async move { cri.call(name, limit, call).await })).await
    }

    /// The same for calls that take as long as a container or a command; [`settled`](Self::settled) does not wait for
    /// them.
    pub(super) async fn carry_long<T, F>(
        &self,
        name: &'static str,
        limit: Option<Duration>,
        call: impl FnOnce(RuntimeServiceClient<Channel>) -> F,
    ) -> Result<T, RuntimeError>
    where
        T: Send + 'static,
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>> + Send + 'static,
    {
        let (cri, call) = (self.clone(), call(self.runtime()));
        answer(name, tokio::spawn(async move { cri.call(name, limit, call).await })).await
    }

    /// Returns when the runtime is not in the middle of a change, so that this process may exit.
    pub async fn settled(&self) {
        self.changes.wait().await;
    }

    /// One call with a deadline, at which it is cancelled in the runtime too. It is also cancelled when the future is
    /// dropped: changing calls use [`carry`](Self::carry).
    pub(super) async fn call<T>(
        &self,
        name: &'static str,
        limit: Option<Duration>,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<T, RuntimeError> {
        let began = Instant::now();
        let answer = match limit {
            None => Ok(call.await),
            Some(limit) => tokio::time::timeout(limit, call).await,
        };
        let answer = match answer {
            Ok(answer) => answer.map(tonic::Response::into_inner).map_err(|status| errors::convert(name, &status)),
            Err(_) => Err(RuntimeError::DeadlineExceeded { call: name }),
        };
        if let Some(metrics) = &self.metrics {
            let operation = operation(name);
            metrics.runtime_operations.with([operation]).inc();
            metrics.runtime_operation_duration.observe([operation], began.elapsed());
            if answer.is_err() {
                metrics.runtime_operation_errors.with([operation]).inc();
            }
        }
        answer
    }
}

async fn answer<T>(call: &'static str, task: JoinHandle<Result<T, RuntimeError>>) -> Result<T, RuntimeError> {
    task.await.unwrap_or_else(|error| Err(RuntimeError::Other { call, message: Panicked::from(error).to_string() }))
}

/// The name of a call in upstream's metrics (`pkg/kubelet/kuberuntime/instrumented_services.go`).
fn operation(call: &str) -> &str {
    match call {
        "Attach" => "attach",
        "CheckpointContainer" => "checkpoint_container",
        "ContainerStatus" => "container_status",
        "CreateContainer" => "create_container",
        "Exec" => "exec",
        "ExecSync" => "exec_sync",
        "ImageFsInfo" => "image_fs_info",
        "ImageStatus" => "image_status",
        "ListContainerStats" => "list_container_stats",
        "ListPodSandboxStats" => "list_podsandbox_stats",
        "ListContainers" => "list_containers",
        "ListImages" => "list_images",
        "ListPodSandbox" => "list_podsandbox",
        "PodSandboxStatus" => "podsandbox_status",
        "PortForward" => "port_forward",
        "PullImage" => "pull_image",
        "RemoveContainer" => "remove_container",
        "RemoveImage" => "remove_image",
        "RemovePodSandbox" => "remove_podsandbox",
        "ReopenContainerLog" => "reopen_container_log",
        "RunPodSandbox" => "run_podsandbox",
        "RuntimeConfig" => "runtime_config",
        "StartContainer" => "start_container",
        "Status" => "status",
        "StopContainer" => "stop_container",
        "StopPodSandbox" => "stop_podsandbox",
        "UpdateContainerResources" => "update_container",
        "UpdatePodSandboxResources" => "update_podsandbox",
        "UpdateRuntimeConfig" => "update_runtime_config",
        "Version" => "version",
        other => other,
    }
}

fn channel(path: PathBuf) -> Channel {
    let connector = tower::service_fn(move |_: tonic::codegen::http::Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    // The address is never used: the connector always opens the socket.
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_change_goes_on_when_whoever_asked_for_it_has_left() {
        let cri = Cri::new(Path::new("/nowhere"), Duration::from_secs(60));
        let (go_on, gate) = oneshot::channel::<()>();
        let (done, changed) = oneshot::channel();
        let call = async move {
            let _ = gate.await;
            done.send(()).unwrap();
            Ok(tonic::Response::new(()))
        };
        assert!(cri.carry("StartContainer", None, |_| call).now_or_never().is_none());
        assert!(cri.settled().now_or_never().is_none(), "it is under way");
        go_on.send(()).unwrap();
        cri.settled().await;
        changed.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_ends_at_its_deadline_and_what_takes_long_is_not_waited_for() {
        let cri = Cri::new(Path::new("/nowhere"), Duration::from_secs(60));
        let never = || pending::<Result<tonic::Response<()>, tonic::Status>>();
        let late = cri.carry("RunPodSandbox", Some(Duration::from_secs(60)), |_| never()).await;
        assert!(matches!(late, Err(RuntimeError::DeadlineExceeded { call: "RunPodSandbox" })));
        assert!(cri.carry_long("ExecSync", None, |_| never()).now_or_never().is_none());
        cri.settled().await;
    }
}
