//! The kubelet's HTTPS server (10250), its plain health port (10248) and the optional read-only port.
//!
//! `kubectl logs`, `exec`, `attach`, `port-forward` and `cp` reach it through the API server; metrics-server and
//! Prometheus read statistics here (docs/contract.md, kubelet 6). Every request to 10250 is authenticated and
//! authorized before anything else is done.

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

/// The ports of the server.
#[derive(Clone)]
pub struct ServerPorts {
    pub pods: Arc<dyn Pods>,
    /// For streaming URLs, `/run`, `/runningpods`, checkpoints.
    pub runtime: Arc<dyn ServerRuntime>,
    pub usage: Arc<dyn Usage>,
    /// TokenReview and SubjectAccessReview; `None` for a standalone kubelet.
    pub reviews: Option<Arc<dyn Reviews>>,
    /// The serving certificate, resolved at each handshake, so that a renewed one is used immediately. Without a
    /// certificate (waiting for its CSR) the resolver returns `None`, and the handshake fails.
    pub certificate: Arc<dyn rustls::server::ResolvesServerCert>,
    pub metrics: Arc<Metrics>,
    /// Returns `None` while the pod table is alive, else what is wrong (`/healthz/syncloop`).
    pub sync_loop: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// Notifies about changed log files.
    pub log_watch: Arc<DirectoryWatch>,
}

/// State shared by all requests.
struct Server {
    settings: Settings,
    ports: ServerPorts,
    access: access::Access,
    log_watch: Arc<DirectoryWatch>,
    /// For the first access to a requested file: while one hangs, later requests for it do not occupy threads.
    lanes: Lanes,
    started: jiff::Timestamp,
}

impl Server {
    /// The pod of a path; with a uid only that pod, or the static pod of that mirror pod.
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
