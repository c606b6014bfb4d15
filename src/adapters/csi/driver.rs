//! Calls to one storage driver over its socket.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

use super::proto::csi::node_client::NodeClient;
use super::proto::csi::node_service_capability::{Type, rpc};
use super::proto::csi::{
    NodeExpandVolumeRequest, NodeGetCapabilitiesRequest, NodeGetInfoRequest, NodeGetInfoResponse,
    NodePublishVolumeRequest, NodeStageVolumeRequest, NodeUnpublishVolumeRequest, NodeUnstageVolumeRequest,
};
use crate::telemetry::Metrics;

/// Upstream's time limit of a call (`csiTimeout`).
const TIMEOUT: Duration = Duration::from_secs(120);

/// Capabilities of a driver on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Volumes are staged once per node before they are published to pods.
    pub stages: bool,
    /// The driver applies the pod's fsGroup itself.
    pub applies_group: bool,
    /// Volumes are grown by a call on the node.
    pub grows: bool,
    /// It distinguishes one writer per node from a single writer.
    pub single_writer_modes: bool,
}

#[derive(Clone, Debug)]
pub struct Driver {
    channel: Channel,
    /// Name of the driver, and where its calls are timed.
    counts: Option<(Arc<str>, Arc<Metrics>)>,
}

/// A channel to a unix socket; it connects on first use, and again after the driver restarted.
pub(super) fn channel(socket: &Path) -> Channel {
    let socket: PathBuf = socket.to_path_buf();
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    // A placeholder address: the connector opens the socket.
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector)
}

/// A status code as Go's grpc names it.
fn code_name(code: Code) -> String {
    match code {
        Code::Ok => "OK".into(),
        Code::Cancelled => "Canceled".into(),
        other => format!("{other:?}"),
    }
}

impl Driver {
    /// The driver behind a socket; nothing is sent yet.
    pub fn new(socket: &Path) -> Self {
        Self { channel: channel(socket), counts: None }
    }

    /// Times the calls of a driver of that name.
    #[must_use]
    pub fn counted(mut self, name: &str, metrics: Arc<Metrics>) -> Self {
        self.counts = Some((name.into(), metrics));
        self
    }

    /// One call with a deadline.
    async fn call<T>(
        &self,
        method: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Status> {
        let began = Instant::now();
        let answer = match tokio::time::timeout(TIMEOUT, call).await {
            Ok(answer) => answer.map(Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded("the driver gave no answer in time")),
        };
        if let Some((name, metrics)) = &self.counts {
            let (method, code) =
                (format!("/csi.v1.Node/{method}"), answer.as_ref().err().map_or(Code::Ok, Status::code));
            metrics.csi_operations.observe([name, &method, &code_name(code), "false"], began.elapsed());
        }
        answer
    }

    fn node(&self) -> NodeClient<Channel> {
        NodeClient::new(self.channel.clone())
    }

    /// The driver's description of the node.
    pub async fn info(&self) -> Result<NodeGetInfoResponse, Status> {
        self.call("NodeGetInfo", self.node().node_get_info(NodeGetInfoRequest {})).await
    }

    pub async fn abilities(&self) -> Result<Abilities, Status> {
        let answer =
            self.call("NodeGetCapabilities", self.node().node_get_capabilities(NodeGetCapabilitiesRequest {})).await?;
        let mut abilities = Abilities::default();
        for Type::Rpc(found) in answer.capabilities.into_iter().filter_map(|c| c.r#type) {
            match found.r#type() {
                rpc::Type::StageUnstageVolume => abilities.stages = true,
                rpc::Type::VolumeMountGroup => abilities.applies_group = true,
                rpc::Type::ExpandVolume => abilities.grows = true,
                rpc::Type::SingleNodeMultiWriter => abilities.single_writer_modes = true,
                _ => {}
            }
        }
        Ok(abilities)
    }

    /// Stages a volume on the node. Idempotent.
    pub async fn stage(&self, request: NodeStageVolumeRequest) -> Result<(), Status> {
        self.call("NodeStageVolume", self.node().node_stage_volume(request)).await.map(drop)
    }

    /// Undoes [`Driver::stage`] for a volume. Idempotent.
    pub async fn unstage(&self, volume_id: String, staging_target_path: String) -> Result<(), Status> {
        let request = NodeUnstageVolumeRequest { volume_id, staging_target_path };
        self.call("NodeUnstageVolume", self.node().node_unstage_volume(request)).await.map(drop)
    }

    /// Publishes a volume at a path of a pod. Idempotent.
    pub async fn publish(&self, request: NodePublishVolumeRequest) -> Result<(), Status> {
        self.call("NodePublishVolume", self.node().node_publish_volume(request)).await.map(drop)
    }

    /// Grows a published volume to its size in the storage system. Idempotent.
    pub async fn expand(&self, request: NodeExpandVolumeRequest) -> Result<(), Status> {
        self.call("NodeExpandVolume", self.node().node_expand_volume(request)).await.map(drop)
    }

    /// Undoes [`Driver::publish`] for a volume. Idempotent.
    pub async fn unpublish(&self, volume_id: String, target_path: String) -> Result<(), Status> {
        let request = NodeUnpublishVolumeRequest { volume_id, target_path };
        self.call("NodeUnpublishVolume", self.node().node_unpublish_volume(request)).await.map(drop)
    }
}
