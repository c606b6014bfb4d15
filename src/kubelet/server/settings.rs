//! Settings of the server, derived from the kubelet's.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::core::model::KubeletSpec;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the Node object.
    pub node_name: String,
    pub listen: ListenSettings,
    /// `authentication.x509.clientCAFile`, reloaded when it changes.
    pub client_ca_file: Option<PathBuf>,
    pub anonymous: bool,
    /// `authentication.webhook.enabled` and `.cacheTTL`: bearer tokens are verified by TokenReview.
    pub token_review: Option<Duration>,
    pub authorization: AuthorizationMode,
    /// `enableDebuggingHandlers`: exec, attach, port-forward, logs and the like.
    pub debugging_handlers: bool,
    pub system_logs: SystemLogSettings,
    /// Directory of checkpoints, `<root>/checkpoints`.
    pub checkpoint_dir: PathBuf,
    /// TLS settings of the secure port.
    pub tls: TlsSettings,
    pub debug_flags: bool,
    /// The KubeletConfiguration in force, with apiVersion and kind, for `/configz`.
    pub configz: serde_json::Value,
    /// Command-line flags, sorted, for `/flagz`.
    pub flags: Vec<(String, String)>,
    /// The Kubernetes version that this kubelet claims, e.g. `v1.37.2`.
    pub version: String,
}

/// Addresses of the server's ports.
#[derive(Clone, Debug)]
pub struct ListenSettings {
    pub secure: SocketAddr,
    /// `healthzBindAddress` and `healthzPort`; `None` if the port is 0.
    pub healthz: Option<SocketAddr>,
    /// `address` and `readOnlyPort`; `None` if the port is 0.
    pub read_only: Option<SocketAddr>,
}

/// Which of the node's logs are served.
#[derive(Clone, Debug)]
pub struct SystemLogSettings {
    pub enabled: bool,
    pub query: bool,
    pub dir: PathBuf,
}

/// TLS settings of the secure port.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// True if only TLS 1.3 is accepted.
    pub only_13: bool,
    /// IANA names of the offered TLS 1.2 suites; empty for all safe ones. TLS 1.3 has no choice.
    pub cipher_suites: Vec<String>,
    /// TLS numbers of the offered key exchanges, the preferred ones first; `None` for all of ring's.
    pub curves: Option<Vec<i64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationMode {
    /// Every authenticated user may do everything.
    AlwaysAllow,
    Webhook {
        allowed_ttl: Duration,
        denied_ttl: Duration,
    },
}

impl Settings {
    /// The server's part of the kubelet's settings.
    pub fn from_spec(spec: &KubeletSpec) -> Self {
        let server = &spec.server;
        let some_port = |address, port| (port != 0).then(|| SocketAddr::new(address, port));
        Self {
            node_name: spec.node_name.clone(),
            listen: ListenSettings {
                secure: SocketAddr::new(server.address, server.port),
                healthz: some_port(server.healthz_address, server.healthz_port),
                read_only: some_port(server.address, server.read_only_port),
            },
            client_ca_file: server.client_ca.clone(),
            anonymous: server.anonymous,
            token_review: server.token_webhook.then_some(server.token_cache),
            authorization: match server.authorization_mode.as_str() {
                "AlwaysAllow" => AuthorizationMode::AlwaysAllow,
                _ => AuthorizationMode::Webhook { allowed_ttl: server.allow_cache, denied_ttl: server.deny_cache },
            },
            debugging_handlers: server.debugging,
            system_logs: SystemLogSettings {
                enabled: server.system_log_handler,
                query: server.system_log_query,
                dir: PathBuf::from("/var/log"),
            },
            checkpoint_dir: spec.dirs.root.join("checkpoints"),
            tls: TlsSettings {
                only_13: server.min_tls == "VersionTLS13",
                cipher_suites: server.cipher_suites.clone(),
                curves: server.curves.clone(),
            },
            debug_flags: server.debug_flags,
            configz: spec.effective.clone(),
            flags: spec.flags.clone(),
            version: spec.release.version.to_owned(),
        }
    }
}
