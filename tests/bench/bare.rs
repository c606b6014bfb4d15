//! The floor: the same pod by bare CRI calls. Stop the kubelet first, it removes sandboxes that it does not know.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::Context;
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt};
use hyper_util::rt::TokioIo;
use roost::cri::{self, runtime_service_client::RuntimeServiceClient};
use tonic::transport::Channel;

use crate::{Series, print_figure};

/// Pod number `i`, and its container.
fn configs(i: usize) -> (cri::PodSandboxConfig, cri::ContainerConfig) {
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
    (sandbox, container)
}

async fn connect(socket: &str) -> anyhow::Result<RuntimeServiceClient<Channel>> {
    let path = socket.to_owned();
    let connect = tower::service_fn(move |_| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let channel = tonic::transport::Endpoint::from_static("http://containerd").connect_with_connector(connect).await?;
    Ok(RuntimeServiceClient::new(channel))
}

/// Sandbox + create + start, and stop container + stop sandbox, `count` times.
pub async fn calls(socket: &str, count: usize) -> anyhow::Result<()> {
    let mut runtime = connect(socket).await?;
    let mut start_up = Series::new("bare CRI: sandbox + create + start");
    let mut tear_down = Series::new("bare CRI: stop container + stop sandbox");
    for i in 0..count {
        let (sandbox, container) = configs(i);
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

/// Sandbox + create + start of `count` pods on the node's network, all at once; returns how many of these failed.
pub async fn flood(socket: &str, count: usize) -> anyhow::Result<()> {
    let runtime = connect(socket).await?;
    let begin = Instant::now();
    let started = join_all((0..count).map(|i| start_on_host(runtime.clone(), i))).await;
    print_figure(&format!("bare CRI: {count} pods at once"), &[("p50", begin.elapsed().as_secs_f64())], "s");
    let failed: Vec<_> = started.iter().filter_map(|started| started.as_ref().err()).collect();
    failed.iter().take(3).for_each(|error| eprintln!("{error:#}"));
    print_figure(&format!("bare CRI: {count} pods at once: failed starts"), &[("p50", failed.len() as f64)], "");
    remove_all(runtime).await
}

async fn start_on_host(mut runtime: RuntimeServiceClient<Channel>, i: usize) -> anyhow::Result<()> {
    let (mut sandbox, container) = configs(i);
    let network = cri::NamespaceMode::Node as i32;
    let namespace_options = Some(cri::NamespaceOption { network, ..Default::default() });
    let context = cri::LinuxSandboxSecurityContext { namespace_options, ..Default::default() };
    sandbox.linux.get_or_insert_default().security_context = Some(context);
    let request = cri::RunPodSandboxRequest { config: Some(sandbox.clone()), runtime_handler: String::new() };
    let pod_sandbox_id = runtime.run_pod_sandbox(request).await.context("sandbox")?.into_inner().pod_sandbox_id;
    let request =
        cri::CreateContainerRequest { pod_sandbox_id, config: Some(container), sandbox_config: Some(sandbox) };
    let container_id = runtime.create_container(request).await.context("create")?.into_inner().container_id;
    runtime.start_container(cri::StartContainerRequest { container_id }).await.context("start")?;
    Ok(())
}

/// Removes everything with our label, some at a time.
async fn remove_all(runtime: RuntimeServiceClient<Channel>) -> anyhow::Result<()> {
    let label_selector = HashMap::from([("roost-bench".to_owned(), "bare".to_owned())]);
    let filter = Some(cri::PodSandboxFilter { label_selector, ..Default::default() });
    let request = cri::ListPodSandboxRequest { filter };
    let left = runtime.clone().list_pod_sandbox(request).await?.into_inner().items;
    let removals = left.into_iter().map(|sandbox| {
        let mut runtime = runtime.clone();
        async move {
            let pod_sandbox_id = sandbox.id;
            runtime.stop_pod_sandbox(cri::StopPodSandboxRequest { pod_sandbox_id: pod_sandbox_id.clone() }).await?;
            runtime.remove_pod_sandbox(cri::RemovePodSandboxRequest { pod_sandbox_id }).await
        }
    });
    futures::stream::iter(removals).buffer_unordered(8).try_collect::<Vec<_>>().await?;
    Ok(())
}
