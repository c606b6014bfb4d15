//! Settings of the server, from the kubelet's.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::core::model::KubeletSpec;

/// Settings, from KubeletConfiguration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the Node object.
    pub node_name: String,
    /// Where it listens.
    pub listen: ListenSettings,
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
    /// The node's logs.
    pub system_logs: SystemLogSettings,
    /// Where checkpoints go, `<root>/checkpoints`.
    pub checkpoint_dir: PathBuf,
    /// What is spoken on the secure port.
    pub tls: TlsSettings,
    /// `enableDebugFlagsHandler`: `PUT /debug/flags/v`.
    pub debug_flags: bool,
    /// KubeletConfiguration in force, with apiVersion and kind, for `/configz`.
    pub configz: serde_json::Value,
    /// Flags that were given, sorted, for `/flagz`.
    pub flags: Vec<(String, String)>,
    /// Version of Kubernetes whose contract is kept, e.g. `v1.36.3`.
    pub version: String,
}

/// Addresses of the server's ports.
#[derive(Clone, Debug)]
pub struct ListenSettings {
    /// `address` and `port`.
    pub secure: SocketAddr,
    /// `healthzBindAddress` and `healthzPort`; `None` when the port is 0.
    pub healthz: Option<SocketAddr>,
    /// `address` and `readOnlyPort`; `None` when the port is 0.
    pub read_only: Option<SocketAddr>,
}

/// What of the node's logs is served.
#[derive(Clone, Debug)]
pub struct SystemLogSettings {
    /// `enableSystemLogHandler`: `/logs/`.
    pub enabled: bool,
    /// `enableSystemLogQuery`: `/logs/?query=`.
    pub query: bool,
    /// `/var/log`.
    pub dir: PathBuf,
}

/// What is spoken on the secure port.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// Whether only TLS 1.3 is spoken.
    pub only_13: bool,
    /// IANA names of the TLS 1.2 suites that are offered; empty means all safe ones. TLS 1.3 has no choice.
    pub cipher_suites: Vec<String>,
    /// Numbers of the key exchanges that are offered, in TLS, the best first; none means all of ring's.
    pub curves: Option<Vec<i64>>,
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

impl Settings {
    /// The server's part of the kubelet's settings.
    pub fn from_spec(spec: &KubeletSpec, version: &str) -> Self {
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
            version: version.to_owned(),
        }
    }
}
