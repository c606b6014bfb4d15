//! Pods through the API server.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use roost::adapters::apiserver::connect::connect;
use serde_json::json;

use crate::{Series, print_figure};

const LABEL: &str = "roost-bench=pod";
const LIMIT: Duration = Duration::from_secs(900);

fn pod(node: &str, name: &str) -> anyhow::Result<Pod> {
    Ok(serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "roost-bench": "pod" } },
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 5,
            "enableServiceLinks": false,
            "containers": [{ "name": "pause", "image": "registry.k8s.io/pause:3.10.2" }]
        }
    }))?)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
    conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
}

/// A client of the cluster that `KUBECONFIG` names.
async fn client() -> anyhow::Result<Client> {
    let path = std::env::var_os("KUBECONFIG").context("KUBECONFIG is not set")?;
    Ok(connect(Path::new(&path)).await?)
}

async fn api() -> anyhow::Result<Api<Pod>> {
    Ok(Api::namespaced(client().await?, "default"))
}

/// Waits until `names` are all ready (or all gone) from `version` on.
async fn wait(pods: &Api<Pod>, version: &str, names: &BTreeSet<String>, gone: bool) -> anyhow::Result<()> {
    let mut open = names.clone();
    let work = async {
        let watch = pods.watch(&WatchParams::default().labels(LABEL).timeout(LIMIT.as_secs() as u32), version).await?;
        let mut watch = std::pin::pin!(watch);
        while let Some(event) = watch.try_next().await? {
            let done = match &event {
                WatchEvent::Added(p) | WatchEvent::Modified(p) if !gone && is_ready(p) => p.metadata.name.clone(),
                WatchEvent::Deleted(p) if gone => p.metadata.name.clone(),
                _ => None,
            };
            if let Some(name) = done {
                open.remove(&name);
            }
            if open.is_empty() {
                return Ok(());
            }
        }
        anyhow::bail!("the watch ended early")
    };
    tokio::time::timeout(LIMIT, work).await.context("pods did not get there in a quarter of an hour")?
}

async fn version(pods: &Api<Pod>) -> anyhow::Result<String> {
    let list = pods.list_metadata(&ListParams::default().limit(1)).await?;
    list.metadata.resource_version.context("a list without version")
}

/// Create → Ready and delete → gone, one pod after another.
pub async fn sequential(node: &str, count: usize) -> anyhow::Result<()> {
    let pods = api().await?;
    let mut ready = Series::new("pod create → Ready");
    let mut removed = Series::new("pod delete → gone");
    for i in 0..count {
        let name = format!("bench-{i}");
        let names = BTreeSet::from([name.clone()]);
        let before = version(&pods).await?;
        let start = Instant::now();
        let waiting = wait(&pods, &before, &names, false);
        let creating =
            async { pods.create(&PostParams::default(), &pod(node, &name)?).await.map_err(anyhow::Error::from) };
        tokio::try_join!(waiting, creating)?;
        ready.push(start.elapsed());
        let before = version(&pods).await?;
        let start = Instant::now();
        let waiting = wait(&pods, &before, &names, true);
        let deleting = async { pods.delete(&name, &DeleteParams::default()).await.map_err(anyhow::Error::from) };
        tokio::try_join!(waiting, deleting)?;
        removed.push(start.elapsed());
    }
    ready.print();
    removed.print();
    Ok(())
}

/// The API's own part of create → Ready: creates a pod for a node that does not exist, writes its status, and waits
/// until a watch reports it.
pub async fn bare_api(count: usize) -> anyhow::Result<()> {
    let pods = api().await?;
    let mut told = Series::new("bare API: create + status → watched");
    let ready = json!({ "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] } });
    for i in 0..count {
        let name = format!("bench-api-{i}");
        let names = BTreeSet::from([name.clone()]);
        let before = version(&pods).await?;
        let start = Instant::now();
        let waiting = wait(&pods, &before, &names, false);
        let writing = async {
            pods.create(&PostParams::default(), &pod("nobody", &name)?).await?;
            pods.patch_status(&name, &PatchParams::default(), &Patch::Strategic(&ready)).await?;
            Ok(())
        };
        tokio::try_join!(waiting, writing)?;
        told.push(start.elapsed());
        pods.delete(&name, &DeleteParams::default().grace_period(0)).await?;
    }
    told.print();
    Ok(())
}

async fn create_many(pods: &Api<Pod>, node: &str, count: usize, host: bool) -> anyhow::Result<BTreeSet<String>> {
    let have = pods.list_metadata(&ListParams::default().labels(LABEL)).await?.items.len();
    let names: BTreeSet<String> = (have..have + count).map(|i| format!("bench-{i}")).collect();
    let before = version(pods).await?;
    let waiting = wait(pods, &before, &names, false);
    let creating = async {
        let work = names.iter().map(|name| async move {
            let mut pod = pod(node, name)?;
            pod.spec.as_mut().context("spec")?.host_network = host.then_some(true);
            pods.create(&PostParams::default(), &pod).await.map_err(anyhow::Error::from)
        });
        futures::stream::iter(work).buffer_unordered(10).try_collect::<Vec<_>>().await
    };
    tokio::try_join!(waiting, creating)?;
    Ok(names)
}

async fn delete_many(pods: &Api<Pod>, names: &BTreeSet<String>) -> anyhow::Result<()> {
    let before = version(pods).await?;
    let waiting = wait(pods, &before, names, true);
    let deleting = async {
        let work = names.iter().map(|name| async move { pods.delete(name, &DeleteParams::default()).await });
        futures::stream::iter(work).buffer_unordered(10).try_collect::<Vec<_>>().await.map_err(anyhow::Error::from)
    };
    tokio::try_join!(waiting, deleting)?;
    Ok(())
}

/// Many pods at once → all Ready, then all deleted → all gone.
pub async fn burst(node: &str, count: usize) -> anyhow::Result<()> {
    let pods = api().await?;
    let start = Instant::now();
    let names = create_many(&pods, node, count, false).await?;
    print_figure(&format!("{count} pods at once → all Ready"), &[("p50", start.elapsed().as_secs_f64())], "s");
    let start = Instant::now();
    delete_many(&pods, &names).await?;
    print_figure(&format!("{count} pods deleted → all gone"), &[("p50", start.elapsed().as_secs_f64())], "s");
    Ok(())
}

/// True if a container failed to start because of the runtime.
fn start_errors(pod: &Pod) -> usize {
    let containers = pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten());
    let states = containers.flat_map(|c| [&c.state, &c.last_state]).flatten();
    let ends = states.filter_map(|state| state.terminated.as_ref()?.reason.as_deref());
    ends.filter(|reason| *reason == "StartError").count()
}

/// More pods at once than a node has addresses, on the node's network → all Ready; returns how many starts failed. The
/// pods stay.
pub async fn flood(node: &str, count: usize) -> anyhow::Result<()> {
    let pods = api().await?;
    let start = Instant::now();
    create_many(&pods, node, count, true).await?;
    print_figure(&format!("{count} pods at once → all Ready"), &[("p50", start.elapsed().as_secs_f64())], "s");
    let all = pods.list(&ListParams::default().labels(LABEL)).await?;
    let failed: usize = all.iter().map(start_errors).sum();
    print_figure(&format!("{count} pods at once: StartErrors"), &[("p50", failed as f64)], "");
    Ok(())
}

/// Creates pods and leaves them running.
pub async fn fill(node: &str, count: usize) -> anyhow::Result<()> {
    create_many(&api().await?, node, count, false).await.map(drop)
}

/// Deletes what `fill` left.
pub async fn clear() -> anyhow::Result<()> {
    let pods = api().await?;
    let left = pods.list_metadata(&ListParams::default().labels(LABEL)).await?;
    let names: BTreeSet<String> = left.items.into_iter().filter_map(|p| p.metadata.name).collect();
    if names.is_empty() { Ok(()) } else { delete_many(&pods, &names).await }
}

/// configMap changed → the new content is in the pod's file, as seen by the pod itself, which then exits.
pub async fn config_map(node: &str, rounds: usize) -> anyhow::Result<()> {
    let pods = api().await?;
    let maps: Api<ConfigMap> = Api::namespaced(client().await?, "default");
    let mut seen = Series::new("configMap change → file changed");
    for round in 0..rounds {
        let name = format!("bench-map-{round}");
        let map: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": name }, "data": { "key": "old" } }))?;
        maps.create(&PostParams::default(), &map).await?;
        let mut watcher = pod(node, &name)?;
        let spec = watcher.spec.as_mut().context("spec")?;
        spec.restart_policy = Some("Never".into());
        spec.containers[0] = serde_json::from_value(json!({
            "name": "watch", "image": "registry.k8s.io/e2e-test-images/busybox:1.37.0-1",
            "command": ["sh", "-c", "until grep -q new /map/key; do sleep 0.02; done"],
            "volumeMounts": [{ "name": "map", "mountPath": "/map" }]
        }))?;
        spec.volumes = Some(vec![serde_json::from_value(json!({ "name": "map", "configMap": { "name": name } }))?]);
        let before = version(&pods).await?;
        let names = BTreeSet::from([name.clone()]);
        tokio::try_join!(wait(&pods, &before, &names, false), async {
            pods.create(&PostParams::default(), &watcher).await.map_err(anyhow::Error::from)
        })?;
        let start = Instant::now();
        let patch = Patch::Merge(json!({ "data": { "key": "new" } }));
        maps.patch(&name, &PatchParams::default(), &patch).await?;
        loop {
            let phase = pods.get_status(&name).await?.status.and_then(|s| s.phase);
            if phase.as_deref() == Some("Succeeded") {
                break;
            }
            anyhow::ensure!(start.elapsed() < LIMIT, "the file did not change in a quarter of an hour");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        seen.push(start.elapsed());
        pods.delete(&name, &DeleteParams::default().grace_period(0)).await?;
        maps.delete(&name, &DeleteParams::default()).await?;
    }
    seen.print();
    Ok(())
}
