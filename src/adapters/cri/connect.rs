//! The channel to the runtime's socket. It connects when first used and again after the runtime restarted.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

use super::errors;
use crate::cri::image_service_client::ImageServiceClient;
use crate::cri::runtime_service_client::RuntimeServiceClient;
use crate::ports::RuntimeError;

/// Upstream's bound for one message (`maxMsgSize` of `cri-client`).
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// A CRI runtime and image service behind one unix socket.
#[derive(Clone, Debug)]
pub struct Cri {
    pub(super) channel: Channel,
    /// `runtimeRequestTimeout`.
    pub(super) timeout: Duration,
}

impl Cri {
    /// A client of the socket at `path`; nothing is sent yet. `timeout` is `runtimeRequestTimeout` (2 min by default).
    pub fn new(path: &Path, timeout: Duration) -> Self {
        Self { channel: channel(path.to_path_buf()), timeout }
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

    /// One call with a deadline; when it passes, the call is cancelled at the runtime too.
    pub(super) async fn call<T>(
        &self,
        name: &'static str,
        limit: Option<Duration>,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<T, RuntimeError> {
        let answer = match limit {
            None => call.await,
            Some(limit) => match tokio::time::timeout(limit, call).await {
                Ok(answer) => answer,
                Err(_) => return Err(RuntimeError::DeadlineExceeded { call: name }),
            },
        };
        answer.map(tonic::Response::into_inner).map_err(|status| errors::convert(name, &status))
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
