//! Addresses of the API servers: watches the EndpointSlice `kubernetes`, and stores the list on disk for the next boot.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::reconnecting::{Events, Reconnecting, WatchError};
use crate::adapters::balancer::KnownServers;
use crate::adapters::fs::atomic::write_if_changed;
use crate::adapters::names::Names;
use crate::core::model::spec::Endpoint;
use crate::core::model::{Backoff, Doubling, with_causes};
use crate::offload::Lanes;
use crate::supervise::restarting;

/// First and longest delay before the watch is restarted.
const RETRY: Backoff = Backoff { first: Duration::from_millis(250), most: Duration::from_secs(10) };

/// Sources of the list.
#[derive(Clone, Debug)]
pub struct ApiServerSources {
    /// Credentials for the watch; the file may be created later.
    pub kubeconfig: PathBuf,
    /// Configured API servers: the node's own, and the one it joined through.
    pub seeds: Vec<Endpoint>,
    /// File that stores the list.
    pub cache: PathBuf,
}

/// Watches as long as the receiver exists.
pub fn watch_api_servers(sources: ApiServerSources) -> watch::Receiver<KnownServers> {
    let (sender, receiver) = watch::channel(KnownServers::default());
    let never = CancellationToken::new();
    restarting("API servers", &never, (sender, sources), |(sender, sources)| {
        Box::pin(async move {
            let (names, files) = (Names::remembering(), Lanes::new("file"));
            let cache = sources.cache.clone();
            let cached = files.run(sources.cache.to_string_lossy(), "read", move || read_cache(&cache));
            let current = cached.await.unwrap_or_default();
            sender.send_if_modified(|known| std::mem::replace(&mut known.current, current.clone()) != current);
            let mut slices = Reconnecting::new(sources.kubeconfig.clone(), watch_slices);
            let mut retries = RETRY.doubling();
            while !sender.is_closed() {
                // The addresses of a name may have changed.
                let fallback = resolve(&names, &sources.seeds).await;
                sender.send_if_modified(|known| std::mem::replace(&mut known.fallback, fallback.clone()) != fallback);
                let outcome = tokio::select! {
                    outcome = follow(&mut slices, sender, (&files, &sources.cache), &mut retries) => outcome,
                    () = sender.closed() => return,
                };
                if let Err(error) = outcome {
                    tracing::debug!(error = with_causes(&error), "the list of API servers cannot be watched yet");
                    tokio::time::sleep(retries.pause()).await;
                }
            }
        })
    });
    receiver
}

fn watch_slices(client: Client) -> Events<Event<EndpointSlice>> {
    let api: Api<EndpointSlice> = Api::namespaced(client, "default");
    watcher::watcher(api, watcher::Config::default().fields("metadata.name=kubernetes")).boxed()
}

/// Publishes the list until the watch is closed.
async fn follow(
    slices: &mut Reconnecting<Event<EndpointSlice>>,
    sender: &watch::Sender<KnownServers>,
    (files, cache): (&Lanes, &Path),
    retries: &mut Doubling,
) -> Result<(), WatchError> {
    while let Some(event) = slices.next().await? {
        match event {
            Event::Init | Event::InitDone | Event::Delete(_) => {}
            Event::InitApply(slice) | Event::Apply(slice) => {
                retries.reset();
                let servers = parse(&slice);
                // An empty list is a temporary fault of the control plane: it was sent by an API server.
                if servers.is_empty() || sender.borrow().current == servers {
                    continue;
                }
                tracing::info!(?servers, "addresses of the API servers changed");
                let (path, kept) = (cache.to_owned(), servers.clone());
                let written = files.io(cache.to_string_lossy(), "write", move || write_cache(&path, &kept));
                if let Err(error) = written.await {
                    tracing::warn!(path = %cache.display(), error = with_causes(&error), "the list of API servers cannot be stored");
                }
                sender.send_modify(|known| known.current = servers);
            }
        }
    }
    Ok(())
}

fn parse(slice: &EndpointSlice) -> Vec<SocketAddr> {
    let port = slice.ports.iter().flatten().find_map(|port| u16::try_from(port.port?).ok());
    let Some(port) = port else { return Vec::new() };
    let addresses = slice.endpoints.iter().flatten().flat_map(|endpoint| &endpoint.addresses);
    let mut servers: Vec<SocketAddr> =
        addresses.filter_map(|address| Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, port))).collect();
    servers.sort();
    servers.dedup();
    servers
}

async fn resolve(names: &Names, seeds: &[Endpoint]) -> Vec<SocketAddr> {
    // Concurrently: a name server that does not respond must not delay the others.
    let answers = seeds.iter().map(async |seed| (seed, names.resolve(&seed.host).await));
    let mut found = Vec::new();
    for (seed, answer) in futures::future::join_all(answers).await {
        match answer {
            Ok(ips) => {
                let addresses = ips.into_iter().map(|ip| SocketAddr::new(ip, seed.port));
                found.extend(addresses.filter(|address| !found.contains(address)).collect::<Vec<_>>());
            }
            Err(error) => tracing::debug!(%seed, error = with_causes(&error), "name not resolved"),
        }
    }
    found
}

/// A cache that cannot be read counts as empty.
#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn read_cache(path: &Path) -> Vec<SocketAddr> {
    std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn write_cache(path: &Path, servers: &[SocketAddr]) -> std::io::Result<()> {
    write_if_changed(path, serde_json::to_string(servers)?.as_bytes(), 0o600).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_from_the_slice_and_from_disk() {
        let slice = serde_json::json!({
            "metadata": { "name": "kubernetes" }, "addressType": "IPv4",
            "endpoints": [{ "addresses": ["10.0.0.2"] }, { "addresses": ["10.0.0.1"] }],
            "ports": [{ "name": "https", "port": 6443 }],
        });
        let servers = parse(&serde_json::from_value(slice).unwrap());
        assert_eq!(servers, ["10.0.0.1:6443".parse().unwrap(), "10.0.0.2:6443".parse().unwrap()]);
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("api-servers.json");
        assert_eq!(read_cache(&cache), []);
        write_cache(&cache, &servers).unwrap();
        assert_eq!(read_cache(&cache), servers);
        std::fs::write(&cache, "{").unwrap();
        assert_eq!(read_cache(&cache), []);
    }
}
