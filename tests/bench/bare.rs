//! The floor: the same pod by bare CRI calls. Stop the kubelet first, it ends sandboxes that it does not know.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::Context;
use hyper_util::rt::TokioIo;
use roost::cri::{self, runtime_service_client::RuntimeServiceClient};

use crate::Series;

/// Sandbox + create + start, and stop container + stop sandbox, `count` times.
pub async fn calls(socket: &str, count: usize) -> anyhow::Result<()> {
    let path = socket.to_owned();
    let connect = tower::service_fn(move |_| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let channel = tonic::transport::Endpoint::from_static("http://containerd").connect_with_connector(connect).await?;
    let mut runtime = RuntimeServiceClient::new(channel);
    let mut start_up = Series::new("bare CRI: sandbox + create + start");
    let mut tear_down = Series::new("bare CRI: stop container + stop sandbox");
    for i in 0..count {
        let sandbox = cri::PodSandboxConfig {
            metadata: Some(cri::PodSandboxMetadata {
                name: format!("bare-{i}"),
                uid: format!("bare-{i}-{}", std::process::id()),
                namespace: "bench".into(),
                attempt: 0,
            }),
            log_directory: "/tmp".into(),
            labels: HashMap::from([("roost-bench".to_owned(), "bare".to_owned())]),
            linux: Some(cri::LinuxPodSandboxConfig { cgroup_parent: "roost-bench.slice".into(), ..Default::default() }),
            ..Default::default()
        };
        let container = cri::ContainerConfig {
            metadata: Some(cri::ContainerMetadata { name: "pause".into(), attempt: 0 }),
            image: Some(cri::ImageSpec { image: "registry.k8s.io/pause:3.10.2".into(), ..Default::default() }),
            log_path: format!("bare-{i}.log"),
            linux: Some(cri::LinuxContainerConfig::default()),
            ..Default::default()
        };
        let start = Instant::now();
        let request = cri::RunPodSandboxRequest { config: Some(sandbox.clone()), runtime_handler: String::new() };
        let sandbox_id = runtime.run_pod_sandbox(request).await?.into_inner().pod_sandbox_id;
        let request = cri::CreateContainerRequest {
            pod_sandbox_id: sandbox_id.clone(),
            config: Some(container),
            sandbox_config: Some(sandbox),
        };
        let container_id = runtime.create_container(request).await.context("create")?.into_inner().container_id;
        runtime.start_container(cri::StartContainerRequest { container_id: container_id.clone() }).await?;
        start_up.push(start.elapsed());
        let start = Instant::now();
        runtime.stop_container(cri::StopContainerRequest { container_id, timeout: 5 }).await?;
        runtime.stop_pod_sandbox(cri::StopPodSandboxRequest { pod_sandbox_id: sandbox_id.clone() }).await?;
        tear_down.push(start.elapsed());
        runtime.remove_pod_sandbox(cri::RemovePodSandboxRequest { pod_sandbox_id: sandbox_id }).await?;
    }
    start_up.print();
    tear_down.print();
    Ok(())
}
