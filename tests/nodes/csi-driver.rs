//! A storage driver for the tests of whole nodes: volumes are folders, staging and publishing are bind
//! mounts. A block volume is the node's `/dev/full`: it reads as zeros.
//!
//! `csi-driver NODE ROOT DATA` serves `ROOT/plugins_registry/test.csi.sock` until it is killed; volumes are in `DATA`,
//! and each call is a line of `DATA/calls`. Runs on a node, as root. Upstream's kubelet cannot call it: grpc-go sends a
//! socket's path as `:authority`, which the `h2` crate rejects.
#![allow(clippy::print_stderr)]

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use roost::adapters::csi::proto::csi::node_server::{Node, NodeServer};
use roost::adapters::csi::proto::csi::node_service_capability::{Rpc, Type, rpc};
use roost::adapters::csi::proto::csi::*;
use roost::adapters::csi::proto::registration::registration_server::{Registration, RegistrationServer};
use roost::adapters::csi::proto::registration::{
    InfoRequest, PluginInfo, RegistrationStatus, RegistrationStatusResponse,
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

const NAME: &str = "test.csi";

#[derive(Clone)]
struct Driver {
    node: String,
    data: PathBuf,
}

type Answer<T> = Result<Response<T>, Status>;

fn failed(error: io::Error) -> Status {
    Status::internal(error.to_string())
}

fn run(program: &str, args: &[&Path]) -> Result<(), Status> {
    let done = Command::new(program).args(args).status().map_err(failed)?;
    if done.success() { Ok(()) } else { Err(Status::internal(format!("{program} {args:?}: {done}"))) }
}

fn is_block(capability: Option<&VolumeCapability>) -> bool {
    capability.is_some_and(|c| matches!(c.access_type, Some(volume_capability::AccessType::Block(_))))
}

fn is_mounted(path: &Path) -> bool {
    Command::new("mountpoint").arg("-q").arg(path).status().is_ok_and(|done| done.success())
}

impl Driver {
    fn note(&self, line: &str) -> Result<(), Status> {
        let file = fs::OpenOptions::new().create(true).append(true).open(self.data.join("calls"));
        writeln!(file.map_err(failed)?, "{line}").map_err(failed)
    }

    fn volume(&self, id: &str) -> PathBuf {
        self.data.join("volumes").join(id)
    }

    fn bind(&self, from: &Path, to: &str, read_only: bool) -> Result<(), Status> {
        let to = Path::new(to);
        if from.is_dir() {
            fs::create_dir_all(to).map_err(failed)?;
        } else {
            fs::OpenOptions::new().create(true).append(true).open(to).map_err(failed)?;
        }
        if is_mounted(to) {
            return Ok(());
        }
        let options = Path::new(if read_only { "bind,ro" } else { "bind" });
        run("mount", &[Path::new("-o"), options, from, to])
    }

    fn unbind(&self, path: &str) -> Result<(), Status> {
        let path = Path::new(path);
        if is_mounted(path) { run("umount", &[path]) } else { Ok(()) }
    }
}

#[tonic::async_trait]
impl Registration for Driver {
    async fn get_info(&self, _: Request<InfoRequest>) -> Answer<PluginInfo> {
        let supported_versions = vec!["1.0.0".into()];
        let (r#type, name, endpoint) = ("CSIPlugin".into(), NAME.into(), String::new());
        Ok(Response::new(PluginInfo { r#type, name, endpoint, supported_versions }))
    }

    async fn notify_registration_status(&self, r: Request<RegistrationStatus>) -> Answer<RegistrationStatusResponse> {
        let r = r.into_inner();
        self.note(&format!("registered {} {}", r.plugin_registered, r.error))?;
        Ok(Response::new(RegistrationStatusResponse {}))
    }
}

#[tonic::async_trait]
impl Node for Driver {
    async fn node_stage_volume(&self, r: Request<NodeStageVolumeRequest>) -> Answer<NodeStageVolumeResponse> {
        let r = r.into_inner();
        let device = r.publish_context.get("device").map_or("-", String::as_str);
        self.note(&format!("stage {} {device}", r.volume_id))?;
        if !is_block(r.volume_capability.as_ref()) {
            let volume = self.volume(&r.volume_id);
            fs::create_dir_all(&volume).map_err(failed)?;
            self.bind(&volume, &r.staging_target_path, false)?;
        }
        Ok(Response::new(NodeStageVolumeResponse {}))
    }

    async fn node_unstage_volume(&self, r: Request<NodeUnstageVolumeRequest>) -> Answer<NodeUnstageVolumeResponse> {
        let r = r.into_inner();
        self.unbind(&r.staging_target_path)?;
        self.note(&format!("unstage {}", r.volume_id))?;
        Ok(Response::new(NodeUnstageVolumeResponse {}))
    }

    async fn node_publish_volume(&self, r: Request<NodePublishVolumeRequest>) -> Answer<NodePublishVolumeResponse> {
        let r = r.into_inner();
        let context: HashMap<_, _> = r.volume_context;
        let from = if is_block(r.volume_capability.as_ref()) {
            self.note(&format!("publish block {}", r.volume_id))?;
            PathBuf::from("/dev/full")
        } else if r.staging_target_path.is_empty() {
            let volume = self.volume(&r.volume_id);
            fs::create_dir_all(&volume).map_err(failed)?;
            let pod = context.get("csi.storage.k8s.io/pod.name").map_or("", String::as_str);
            fs::write(volume.join("pod"), format!("{pod}\n")).map_err(failed)?;
            self.note(&format!("publish inline {pod}"))?;
            volume
        } else {
            self.note(&format!("publish {}", r.volume_id))?;
            PathBuf::from(r.staging_target_path)
        };
        self.bind(&from, &r.target_path, r.readonly)?;
        Ok(Response::new(NodePublishVolumeResponse {}))
    }

    async fn node_unpublish_volume(
        &self,
        r: Request<NodeUnpublishVolumeRequest>,
    ) -> Answer<NodeUnpublishVolumeResponse> {
        let r = r.into_inner();
        self.unbind(&r.target_path)?;
        if Path::new(&r.target_path).is_file() {
            fs::remove_file(&r.target_path).map_err(failed)?;
        }
        let inline = r.volume_id.starts_with("csi-");
        if inline {
            // It existed as long as its pod.
            fs::remove_dir_all(self.volume(&r.volume_id)).or_else(gone).map_err(failed)?;
        }
        self.note(&format!("unpublish {}", if inline { "inline" } else { &r.volume_id }))?;
        Ok(Response::new(NodeUnpublishVolumeResponse {}))
    }

    async fn node_get_volume_stats(&self, _: Request<NodeGetVolumeStatsRequest>) -> Answer<NodeGetVolumeStatsResponse> {
        Err(Status::unimplemented("no statistics"))
    }

    async fn node_expand_volume(&self, r: Request<NodeExpandVolumeRequest>) -> Answer<NodeExpandVolumeResponse> {
        let r = r.into_inner();
        let capacity_bytes = r.capacity_range.unwrap_or_default().required_bytes;
        self.note(&format!(
            "expand {} {capacity_bytes} mounted={}",
            r.volume_id,
            is_mounted(Path::new(&r.volume_path))
        ))?;
        Ok(Response::new(NodeExpandVolumeResponse { capacity_bytes }))
    }

    async fn node_get_capabilities(
        &self,
        _: Request<NodeGetCapabilitiesRequest>,
    ) -> Answer<NodeGetCapabilitiesResponse> {
        let able = |what: rpc::Type| NodeServiceCapability { r#type: Some(Type::Rpc(Rpc { r#type: what as i32 })) };
        let capabilities = vec![able(rpc::Type::StageUnstageVolume), able(rpc::Type::ExpandVolume)];
        Ok(Response::new(NodeGetCapabilitiesResponse { capabilities }))
    }

    async fn node_get_info(&self, _: Request<NodeGetInfoRequest>) -> Answer<NodeGetInfoResponse> {
        let segments = HashMap::from([(format!("topology.{NAME}/node"), self.node.clone())]).into_iter().collect();
        Ok(Response::new(NodeGetInfoResponse {
            node_id: format!("id-of-{}", self.node),
            max_volumes_per_node: 7,
            accessible_topology: Some(Topology { segments }),
        }))
    }
}

fn gone(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [node, root, data] = args.as_slice() else { return Err("usage: csi-driver NODE ROOT DATA".into()) };
    fs::create_dir_all(data)?;
    let socket = Path::new(root).join("plugins_registry/test.csi.sock");
    fs::remove_file(&socket).or_else(gone)?;
    let listener = UnixListener::bind(&socket)?;
    let driver = Driver { node: node.clone(), data: data.into() };
    tonic::transport::Server::builder()
        .add_service(RegistrationServer::new(driver.clone()))
        .add_service(NodeServer::new(driver))
        .serve_with_incoming(UnixListenerStream::new(listener))
        .await?;
    Ok(())
}
