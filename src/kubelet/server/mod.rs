//! The kubelet's HTTPS server (10250), its plain health port (10248) and the optional read-only port.
//!
//! `kubectl logs`, `exec`, `attach`, `port-forward` and `cp` come here through the API server; metrics-server and
//! Prometheus read statistics here (kubelet-contract section 6). Every request to 10250 is authenticated and authorized
//! before anything else looks at it.

mod access;
mod cache;
mod cadvisor;
mod client_ca;
mod container_logs;
mod debug_flags;
mod dispatch;
mod health;
mod info;
mod listen;
mod node_logs;
mod places;
mod pod_counts;
mod pods;
mod rate;
mod reply;
mod resource;
mod reviews;
mod run;
mod settings;
mod single_flight;
mod stats;
mod streams;

use std::sync::Arc;

use crate::core::model::PodKey;
use crate::core::server::PodRef;
use crate::kubelet::logs::DirectoryWatch;
use crate::offload::Lanes;
use crate::ports::kubelet::{PodView, Pods, Reviews, ServerRuntime, Usage};
use crate::telemetry::Metrics;

pub use client_ca::ClientCaError;
pub use listen::{BindError, Listeners};
pub use settings::{AuthorizationMode, ListenSettings, Settings, SystemLogSettings, TlsSettings};

/// What the server reads from and calls.
#[derive(Clone)]
pub struct ServerPorts {
    /// Looks pods up.
    pub pods: Arc<dyn Pods>,
    /// Streaming URLs, `/run`, `/runningpods`, checkpoints.
    pub runtime: Arc<dyn ServerRuntime>,
    /// Statistics.
    pub usage: Arc<dyn Usage>,
    /// Reviews; `None` when the kubelet runs standalone.
    pub reviews: Option<Arc<dyn Reviews>>,
    /// The serving certificate, chosen at each handshake, so that a renewed one is used at once. A resolver that has
    /// none yet (waiting for its CSR) gives `None`, and the handshake fails.
    pub certificate: Arc<dyn rustls::server::ResolvesServerCert>,
    /// The kubelet's metrics.
    pub metrics: Arc<Metrics>,
    /// `None` while the pod table is alive; else what is wrong (`/healthz/syncloop`).
    pub sync_loop: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// Tells of changed log files.
    pub log_watch: Arc<DirectoryWatch>,
}

/// What all requests share.
struct Server {
    settings: Settings,
    ports: ServerPorts,
    access: access::Access,
    log_watch: Arc<DirectoryWatch>,
    /// The first look at a file that is asked for: while one hangs, no further request takes a thread for it.
    lanes: Lanes,
    started: jiff::Timestamp,
}

impl Server {
    /// The pod of a path; with a uid only that very pod, or the static pod behind that mirror.
    fn find_pod(&self, pod: &PodRef) -> Option<Arc<PodView>> {
        let found = self.ports.pods.by_key(&PodKey::new(&pod.namespace, &pod.name))?;
        let Some(wanted) = &pod.uid else { return Some(found) };
        let own = found.pod.metadata.uid.as_deref() == Some(wanted);
        let mirror = found.mirror_uid.as_ref().is_some_and(|uid| uid.as_str() == wanted);
        (own || mirror).then_some(found)
    }
}

#[cfg(test)]
mod tests;
