//! Writes while an API server and an etcd member fail.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams};
use roost::adapters::apiserver::connect::connect;
use roost::adapters::apiserver::kubeconfig::read_kubeconfig;
use serde_json::json;

use crate::print_figure;

/// Pause between two writes.
const PACE: Duration = Duration::from_millis(20);
/// A write that takes longer counts as refused.
const PATIENCE: Duration = Duration::from_millis(250);

/// Writes for `seconds` as the admin of `kubeconfig` through `server`, and prints the longest time without an
/// acknowledged write.
pub async fn longest_pause(kubeconfig: &str, server: &str, seconds: usize) -> anyhow::Result<()> {
    let mut config = read_kubeconfig(kubeconfig.as_ref())?;
    for cluster in config.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        cluster.server = Some(server.to_owned());
        cluster.tls_server_name = Some("kubernetes".into());
    }
    let mut file = tempfile::NamedTempFile::new()?;
    serde_json::to_writer(&mut file, &config)?;
    let mut maps: Api<ConfigMap> = Api::namespaced(connect(file.path()).await?, "default");
    let parameters = PatchParams::apply("roost-bench").force();
    let begin = Instant::now();
    let (mut last, mut longest, mut number) = (None, Duration::ZERO, 0_u64);
    while begin.elapsed() < Duration::from_secs(seconds as u64) {
        number += 1;
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "failover" }, "data": { "n": number.to_string() } });
        let patch = Patch::Apply(map);
        let write = maps.patch("failover", &parameters, &patch);
        if let Ok(Ok(_)) = tokio::time::timeout(PATIENCE, write).await {
            longest = longest.max(last.map_or(Duration::ZERO, |last: Instant| last.elapsed()));
            last = Some(Instant::now());
        } else {
            // As kubectl does: over a new connection.
            maps = Api::namespaced(connect(file.path()).await?, "default");
        }
        tokio::time::sleep(PACE).await;
    }
    anyhow::ensure!(last.is_some(), "no write was acknowledged");
    print_figure("power cut of 1 of 3 → writes again", &[("p50", longest.as_secs_f64())], "s");
    Ok(())
}
