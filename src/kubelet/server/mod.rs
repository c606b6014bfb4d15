//! The kubelet's HTTPS server (10250), its plain health port (10248) and the optional read-only port.
//!
//! `kubectl logs`, `exec`, `attach`, `port-forward` and `cp` come here through the API server; metrics-server and
//! Prometheus read statistics here (kubelet-contract section 6). Every request to 10250 is authenticated and authorized
//! before anything else looks at it.

mod access;
mod cache;
mod client_ca;
mod container_logs;
mod dispatch;
mod health;
mod info;
mod listen;
mod node_logs;
mod pods;
mod reply;
mod run;
mod stats;
mod streams;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;


use crate::core::model::PodKey;
use crate::core::server::PodRef;
use crate::kubelet::logs::DirectoryWatch;
use crate::ports::{PodView, Pods, Reviews, Runtime, Usage};
use crate::telemetry::Metrics;

pub use client_ca::ClientCaError;
pub use listen::{BindError, Listeners};

/// Settings, from KubeletConfiguration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the Node object.
    pub node_name: String,
    /// `address` and `port`.
    pub listen: SocketAddr,
    /// `healthzBindAddress` and `healthzPort`; `None` when the port is 0.
    pub healthz: Option<SocketAddr>,
    /// `address` and `readOnlyPort`; `None` when the port is 0.
    pub read_only: Option<SocketAddr>,
    /// `authentication.x509.clientCAFile`, read again when it changes.
    pub client_ca_file: Option<PathBuf>,
    /// `authentication.anonymous.enabled`.
    pub anonymous: bool,
    /// `authentication.webhook.enabled` and `.cacheTTL`: bearer tokens are asked for with TokenReview.
    pub token_review: Option<Duration>,
    /// `authorization.mode`.
    pub authorization: AuthorizationMode,
    /// `enableDebuggingHandlers`: exec, attach, port-forward, logs and the like.
    pub debugging_handlers: bool,
    /// `enableSystemLogHandler`: `/logs/`.
    pub system_logs: bool,
    /// `enableSystemLogQuery`: `/logs/?query=`.
    pub system_log_query: bool,
    /// `/var/log`.
    pub log_dir: PathBuf,
    /// Where checkpoints go, `<root>/checkpoints`.
    pub checkpoint_dir: PathBuf,
    /// KubeletConfiguration in force, with apiVersion and kind, for `/configz`.
    pub configz: serde_json::Value,
    /// Flags in force, sorted, for `/flagz`.
    pub flags: Vec<(String, String)>,
    /// Version of Kubernetes whose contract is kept, e.g. `v1.36.3`.
    pub version: String,
}

/// `authorization.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationMode {
    /// Everybody who is authenticated may do everything.
    AlwaysAllow,
    /// SubjectAccessReview.
    Webhook {
        /// `authorization.webhook.cacheAuthorizedTTL`.
        allowed_ttl: Duration,
        /// `authorization.webhook.cacheUnauthorizedTTL`.
        denied_ttl: Duration,
    },
}

/// What the server reads from and calls.
#[derive(Clone)]
pub struct ServerPorts {
    /// Looks pods up.
    pub pods: Arc<dyn Pods>,
    /// Streaming URLs, `/run`, `/runningpods`, checkpoints.
    pub runtime: Arc<dyn Runtime>,
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
}

/// What all requests share.
struct Server {
    settings: Settings,
    ports: ServerPorts,
    access: access::Access,
    log_watch: Arc<DirectoryWatch>,
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
