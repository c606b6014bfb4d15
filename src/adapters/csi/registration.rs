//! Registration sockets: drivers create them in `plugins_registry` and are asked for their name.
//!
//! Like upstream's `pluginmanager`: a new socket is registered, a removed one is unregistered, a failure is reported to
//! the plugin and retried.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use tokio_util::sync::CancellationToken;

use super::driver::{Driver, channel};
use super::drivers::Drivers;
use super::limits::describe;
use super::proto::registration::registration_client::RegistrationClient;
use super::proto::registration::{InfoRequest, PluginInfo, RegistrationStatus};
use crate::core::model::with_causes;
use crate::offload::Lanes;
use crate::ports::kubelet::StorageApi;
use crate::telemetry::Metrics;

/// Delay before a failed registration is retried.
const RETRY: Duration = Duration::from_secs(10);
/// Time limit of a registration call.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Watches the registration directory.
pub struct Registrar {
    directory: PathBuf,
    drivers: Drivers,
    api: Option<Arc<dyn StorageApi>>,
    /// Name of the driver by socket and inode; a new socket under the same name is another one.
    known: BTreeMap<(PathBuf, u64), String>,
    /// True if the CSINode object exists, or there is no API server.
    published: bool,
    lanes: Lanes,
    /// Where calls to drivers are timed.
    metrics: Option<Arc<Metrics>>,
}

impl Registrar {
    /// `root_dir` is `/var/lib/kubelet`. Without an API server, drivers are only known on the node.
    pub fn new(root_dir: &Path, drivers: Drivers, api: Option<Arc<dyn StorageApi>>) -> Self {
        let published = api.is_none();
        let directory = root_dir.join("plugins_registry");
        let (known, lanes) = (BTreeMap::new(), Lanes::new("plugin sockets in"));
        Self { directory, drivers, api, known, published, lanes, metrics: None }
    }

    /// Times the calls to the drivers that come.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Registers new sockets and unregisters removed ones until `stop`. While the directory cannot be watched, it is
    /// listed periodically.
    pub async fn run(&mut self, stop: CancellationToken) {
        let mut events = None;
        let mut told = false;
        loop {
            if events.is_none() {
                events = match self.on_disk("watch", watch).await {
                    Ok(stream) => Some(stream),
                    Err(error) => {
                        if !std::mem::replace(&mut told, true) {
                            tracing::warn!(path = %self.directory.display(), error = with_causes(&error), "plugin sockets cannot be watched");
                        }
                        None
                    }
                };
            }
            let complete = self.look().await && events.is_some();
            let again = async { if complete { std::future::pending().await } else { tokio::time::sleep(RETRY).await } };
            let event = async {
                match &mut events {
                    Some(events) => events.next().await.is_some(),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = again => {}
                lasts = event => if !lasts { events = None },
            }
        }
    }

    async fn on_disk<T: Send + 'static>(&self, call: &'static str, work: fn(&Path) -> io::Result<T>) -> io::Result<T> {
        let directory = self.directory.clone();
        self.lanes.io(self.directory.to_string_lossy(), call, move || work(&directory)).await
    }

    /// Compares the sockets with the known ones; true if all of them are registered.
    pub(super) async fn look(&mut self) -> bool {
        if let (false, Some(api)) = (self.published, &self.api) {
            match api.publish_node().await {
                Ok(()) => self.published = true,
                // The node itself may not be registered yet.
                Err(error) => tracing::debug!(error = with_causes(&error), "no CSINode object yet"),
            }
        }
        let found = match self.on_disk("list", |directory| Ok(sockets(directory))).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "plugin sockets cannot be listed; keeping the known ones");
                return false;
            }
        };
        let gone: Vec<_> = self.known.keys().filter(|key| !found.contains(key)).cloned().collect();
        for key in gone {
            let Some(name) = self.known.remove(&key) else { continue };
            if !self.known.values().any(|other| *other == name) {
                self.forget(&name).await;
            }
        }
        let mut complete = self.published;
        for key in found {
            if !self.known.contains_key(&key) {
                match self.register(&key.0).await {
                    Ok(name) => _ = self.known.insert(key, name),
                    Err(error) => {
                        tracing::warn!(socket = %key.0.display(), error, "plugin not registered");
                        complete = false;
                    }
                }
            }
        }
        complete
    }

    async fn forget(&self, name: &str) {
        tracing::info!(driver = name, "storage driver removed");
        self.drivers.remove(name);
        if let Some(api) = &self.api
            && let Err(error) = api.withdraw_driver(name).await
        {
            tracing::warn!(
                driver = name,
                error = with_causes(&error),
                "driver was not removed from the CSINode object"
            );
        }
    }

    async fn register(&self, socket: &Path) -> Result<String, String> {
        let mut plugin = RegistrationClient::new(channel(socket));
        let ask = tokio::time::timeout(TIMEOUT, plugin.get_info(InfoRequest {}));
        let info =
            ask.await.map_err(|_| "no answer in time".to_owned())?.map_err(|e| e.message().to_owned())?.into_inner();
        let result = self.accept(&info, socket).await;
        let error = result.as_ref().err().cloned().unwrap_or_default();
        let told = RegistrationStatus { plugin_registered: result.is_ok(), error };
        if let Ok(Err(error)) = tokio::time::timeout(TIMEOUT, plugin.notify_registration_status(told)).await {
            tracing::warn!(plugin = info.name, error = error.message(), "plugin was not notified of its registration");
        }
        result.map(|()| info.name)
    }

    async fn accept(&self, info: &PluginInfo, socket: &Path) -> Result<(), String> {
        if info.r#type != "CSIPlugin" {
            return Err(format!(
                "no handler registered for plugin type: {} at socket {}",
                info.r#type,
                socket.display()
            ));
        }
        if !info.supported_versions.iter().any(|v| v.trim_start_matches('v').starts_with("1.")) {
            return Err(format!("none of the versions specified {:?} are supported", info.supported_versions));
        }
        let endpoint = if info.endpoint.is_empty() { socket } else { Path::new(&info.endpoint) };
        let driver = match &self.metrics {
            Some(metrics) => Driver::new(endpoint).counted(&info.name, Arc::clone(metrics)),
            None => Driver::new(endpoint),
        };
        let about = describe(&info.name, &driver).await?;
        if let Some(api) = &self.api {
            api.publish_driver(&about).await.map_err(|e| e.to_string())?;
        }
        self.drivers.insert(&info.name, driver);
        tracing::info!(driver = info.name, endpoint = %endpoint.display(), "storage driver registered");
        Ok(())
    }
}

/// Events of a directory, which is created if missing.
#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn watch(directory: &Path) -> io::Result<EventStream<[u8; 4096]>> {
    fs::create_dir_all(directory)?;
    let inotify = Inotify::init()?;
    let mask = WatchMask::CREATE | WatchMask::DELETE | WatchMask::MOVED_TO | WatchMask::MOVED_FROM;
    inotify.watches().add(directory, mask)?;
    inotify.into_event_stream([0; 4096])
}

/// Sockets in a directory and its subdirectories, except hidden ones.
#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn sockets(directory: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let Ok(meta) = entry.metadata() else { continue };
        if hidden {
            continue;
        }
        if meta.is_dir() {
            found.extend(sockets(&entry.path()));
        } else if meta.file_type().is_socket() {
            found.push((entry.path(), meta.ino()));
        }
    }
    found.sort();
    found
}
