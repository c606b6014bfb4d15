//! A served kubelet on loopback: real TLS, stub ports.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hyper::body::Bytes;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStatus, Pod, PodSpec, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::core::model::access::{AccessQuestion, UserInfo};
use crate::core::model::cgroup_sample::{CgroupDetails, MachineShape};
use crate::core::model::usage::{NodeUsage, PodUsage};
use crate::core::model::{ContainerId, ContainerKind, PodKey, PodUid, SandboxId, StreamStdio};
use crate::cri;
use crate::kubelet::server::{
    AuthorizationMode, ListenSettings, Listeners, ServerPorts, Settings, SystemLogSettings, TlsSettings,
};
use crate::ports::kubelet::{
    ContainerAccess, ContainerExec, ContainerView, PodView, Pods, ReviewError, Reviews, Usage, UsageDepth,
};
use crate::ports::node::{RuntimeError, RuntimeQueries};
use crate::telemetry::Metrics;

/// One pod `ns/web` with one container `app`.
#[derive(Default)]
pub struct StubPods(pub Mutex<Vec<Arc<PodView>>>);

impl Pods for StubPods {
    fn by_uid(&self, uid: &PodUid) -> Option<Arc<PodView>> {
        let all = self.0.lock().unwrap();
        all.iter().find(|p| p.pod.metadata.uid.as_deref() == Some(uid.as_str())).cloned()
    }
    fn by_key(&self, key: &PodKey) -> Option<Arc<PodView>> {
        let all = self.0.lock().unwrap();
        all.iter().find(|p| crate::core::model::key_of(&p.pod) == *key).cloned()
    }
    fn list(&self) -> Vec<Arc<PodView>> {
        self.0.lock().unwrap().clone()
    }
}

/// Streaming URLs point to `stream_address`; containers in `running` are running.
#[derive(Default)]
pub struct StubRuntime {
    pub stream_url: Mutex<String>,
    pub running: Mutex<HashSet<String>>,
    pub asked: Mutex<Vec<String>>,
}

#[async_trait]
impl RuntimeQueries for StubRuntime {
    async fn list_sandboxes(&self, _pod: Option<&PodUid>) -> Result<Vec<cri::PodSandbox>, RuntimeError> {
        Ok(Vec::new())
    }

    async fn sandbox_status(&self, id: &SandboxId) -> Result<cri::PodSandboxStatus, RuntimeError> {
        Err(RuntimeError::NotFound { call: "PodSandboxStatus", message: id.to_string() })
    }

    async fn list_containers(&self, _pod: Option<&PodUid>) -> Result<Vec<cri::Container>, RuntimeError> {
        Ok(Vec::new())
    }

    async fn container_status(&self, id: &ContainerId) -> Result<cri::ContainerStatus, RuntimeError> {
        let runs = self.running.lock().unwrap().contains(id.as_str());
        let state = if runs { cri::ContainerState::ContainerRunning } else { cri::ContainerState::ContainerExited };
        Ok(cri::ContainerStatus { id: id.to_string(), state: state.into(), ..Default::default() })
    }
}

#[async_trait]
impl ContainerExec for StubRuntime {
    async fn exec_sync(
        &self,
        _id: &ContainerId,
        command: Vec<String>,
        _timeout: Duration,
    ) -> Result<cri::ExecSyncResponse, RuntimeError> {
        let exit_code = if command[0] == "fail" { 3 } else { 0 };
        Ok(cri::ExecSyncResponse { stdout: command.join("|").into(), stderr: b"!".to_vec(), exit_code })
    }
}

#[async_trait]
impl ContainerAccess for StubRuntime {
    async fn exec_url(
        &self,
        id: &ContainerId,
        command: Vec<String>,
        stdio: StreamStdio,
    ) -> Result<String, RuntimeError> {
        self.asked.lock().unwrap().push(format!("exec {id} {command:?} {stdio:?}"));
        Ok(self.stream_url.lock().unwrap().clone())
    }

    async fn attach_url(&self, id: &ContainerId, stdio: StreamStdio) -> Result<String, RuntimeError> {
        self.asked.lock().unwrap().push(format!("attach {id} {stdio:?}"));
        Ok(self.stream_url.lock().unwrap().clone())
    }

    async fn port_forward_url(&self, id: &SandboxId, ports: Vec<i32>) -> Result<String, RuntimeError> {
        self.asked.lock().unwrap().push(format!("port-forward {id} {ports:?}"));
        Ok(self.stream_url.lock().unwrap().clone())
    }

    async fn checkpoint_container(&self, _id: &ContainerId, _to: &str, _timeout: Duration) -> Result<(), RuntimeError> {
        Err(RuntimeError::Unimplemented { call: "CheckpointContainer" })
    }

    async fn reopen_log(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.asked.lock().unwrap().push(format!("reopen {id}"));
        Ok(())
    }
}

/// Knows tokens by user, and which `user verb subresource` is allowed.
#[derive(Default)]
pub struct StubReviews {
    pub allowed: Mutex<HashSet<String>>,
    /// How long a review takes.
    pub slow: Mutex<Duration>,
    pub token_calls: AtomicUsize,
    pub access_calls: AtomicUsize,
}

#[async_trait]
impl Reviews for StubReviews {
    async fn token(&self, token: &str) -> Result<Option<UserInfo>, ReviewError> {
        self.token_calls.fetch_add(1, Ordering::Relaxed);
        let slow = *self.slow.lock().unwrap();
        tokio::time::sleep(slow).await;
        let name = token.strip_prefix("token-of-").map(str::to_owned);
        Ok(name.map(|name| UserInfo { name, ..UserInfo::default() }))
    }
    async fn access(&self, user: &UserInfo, question: &AccessQuestion) -> Result<bool, ReviewError> {
        self.access_calls.fetch_add(1, Ordering::Relaxed);
        if user.name == "unlucky" {
            return Err(ReviewError { review: "SubjectAccessReview", message: "no API server".into() });
        }
        let asked = format!("{} {} {}", user.name, question.verb, question.subresource);
        Ok(self.allowed.lock().unwrap().contains(&asked))
    }
}

struct StubUsage;

#[async_trait]
impl Usage for StubUsage {
    async fn node(&self, _depth: UsageDepth) -> NodeUsage {
        NodeUsage {
            node_name: "n1".into(),
            system_containers: Vec::new(),
            start_time: Timestamp::UNIX_EPOCH,
            cpu: None,
            memory: None,
            io: None,
            network: None,
            fs: None,
            runtime: None,
            rlimit: None,
            swap: None,
        }
    }
    async fn pods(&self, _depth: UsageDepth) -> Vec<PodUsage> {
        Vec::new()
    }
    async fn pod(&self, _uid: &PodUid) -> Option<PodUsage> {
        None
    }
    async fn machine(&self) -> Option<MachineShape> {
        Some(MachineShape { cores: Some(64), ..MachineShape::default() })
    }
    async fn details(&self) -> Option<CgroupDetails> {
        None
    }
}

/// A CA with its key.
pub struct Ca {
    pub der: CertificateDer<'static>,
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { der: certificate.der().clone(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    pub fn issue(&self, name: &str, group: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, group);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }
}

#[derive(Debug)]
struct FixedCertificate(Arc<rustls::sign::CertifiedKey>);

impl rustls::server::ResolvesServerCert for FixedCertificate {
    fn resolve(&self, _hello: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A kubelet's server, and everything it depends on.
pub struct Fixture {
    pub ca: Ca,
    pub pods: Arc<StubPods>,
    pub runtime: Arc<StubRuntime>,
    pub reviews: Arc<StubReviews>,
    pub directory: tempfile::TempDir,
    pub address: std::net::SocketAddr,
    pub healthz: std::net::SocketAddr,
    pub sick: Arc<Mutex<Option<String>>>,
    stop: CancellationToken,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Fixture {
    pub async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let provider = rustls::crypto::ring::default_provider();
        let ca = Ca::new("cluster");
        let directory = tempfile::tempdir().unwrap();
        let ca_file = directory.path().join("ca.crt");
        std::fs::write(&ca_file, &ca.pem).unwrap();
        let local = "127.0.0.1:0".parse().unwrap();
        let mut settings = Settings {
            node_name: "n1".into(),
            listen: ListenSettings { secure: local, healthz: Some(local), read_only: None },
            client_ca_file: Some(ca_file),
            anonymous: false,
            token_review: Some(Duration::from_secs(120)),
            authorization: AuthorizationMode::Webhook {
                allowed_ttl: Duration::from_secs(300),
                denied_ttl: Duration::from_secs(30),
            },
            debugging_handlers: true,
            system_logs: SystemLogSettings { enabled: true, query: false, dir: directory.path().to_owned() },
            checkpoint_dir: directory.path().join("checkpoints"),
            tls: TlsSettings { only_13: false, cipher_suites: Vec::new(), curves: None },
            debug_flags: true,
            configz: serde_json::json!({"kind": "KubeletConfiguration", "maxPods": 110}),
            flags: vec![("v".into(), "2".into())],
            version: "v1.36.3".into(),
        };
        change(&mut settings);
        let (certificate, key) = ca.issue("system:node:n1", "system:nodes");
        let certified = rustls::sign::CertifiedKey::from_der(vec![certificate], key, &provider).unwrap();
        let (pods, runtime, reviews) =
            (Arc::new(StubPods::default()), Arc::new(StubRuntime::default()), Arc::new(StubReviews::default()));
        let sick = Arc::new(Mutex::new(None));
        let asked = Arc::clone(&sick);
        let ports = ServerPorts {
            log_watch: Arc::default(),
            pods: Arc::clone(&pods) as _,
            runtime: Arc::clone(&runtime) as _,
            usage: Arc::new(StubUsage),
            reviews: Some(Arc::clone(&reviews) as _),
            certificate: Arc::new(FixedCertificate(Arc::new(certified))),
            metrics: Arc::new(Metrics::default()),
            sync_loop: Arc::new(move || asked.lock().unwrap().clone()),
        };
        let listeners = Listeners::bind(&settings).await.unwrap();
        let (address, healthz) = (listeners.secure_address().unwrap(), listeners.healthz_address().unwrap());
        let stop = CancellationToken::new();
        let served = listeners.serve(settings, ports, stop.clone());
        tokio::spawn(async move { served.await.unwrap() });
        Self { ca, pods, runtime, reviews, directory, address, healthz, sick, stop }
    }

    /// Adds `ns/web` with the running container `app`, whose log is at the returned path.
    pub fn add_pod(&self) -> std::path::PathBuf {
        let log = self.directory.path().join("0.log");
        let status = ContainerStatus {
            name: "app".into(),
            container_id: Some("containerd://c1".into()),
            state: Some(ContainerState { running: Some(ContainerStateRunning::default()), ..Default::default() }),
            ..Default::default()
        };
        let view = PodView {
            pod: Arc::new(Pod {
                metadata: ObjectMeta {
                    name: Some("web".into()),
                    namespace: Some("ns".into()),
                    uid: Some("u1".into()),
                    ..Default::default()
                },
                spec: Some(PodSpec {
                    containers: vec![Container { name: "app".into(), tty: Some(true), ..Default::default() }],
                    ..Default::default()
                }),
                status: None,
            }),
            is_static: true,
            mirror_uid: Some("m1".into()),
            status: Arc::new(PodStatus { container_statuses: Some(vec![status]), ..Default::default() }),
            sandbox: Some("s1".into()),
            containers: vec![ContainerView {
                name: "app".into(),
                kind: ContainerKind::Regular,
                id: "c1".into(),
                attempt: 0,
                running: true,
                log_path: log.to_string_lossy().into_owned(),
            }],
            ..PodView::default()
        };
        self.runtime.running.lock().unwrap().insert("c1".into());
        self.pods.0.lock().unwrap().push(Arc::new(view));
        log
    }

    /// Marks the container `c1` as exited, in view and runtime.
    pub fn end_container(&self) {
        self.runtime.running.lock().unwrap().clear();
        let mut pods = self.pods.0.lock().unwrap();
        let mut view = PodView::clone(&pods[0]);
        view.containers[0].running = false;
        pods[0] = Arc::new(view);
    }

    pub fn allow(&self, rules: &[&str]) {
        self.reviews.allowed.lock().unwrap().extend(rules.iter().map(|r| (*r).to_owned()));
    }

    /// A connection after its handshake, offering the given protocols.
    pub async fn connect(
        &self,
        protocols: &[&str],
        client: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.ca.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match client {
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let tcp = TcpStream::connect(self.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap()
    }

    /// Sends a request over a new connection.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        client: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> Response<hyper::body::Incoming> {
        let tls = self.connect(&[], client).await;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        let all: HashMap<&str, &str> = headers.iter().copied().collect();
        for (name, value) in all {
            request = request.header(name, value);
        }
        sender.send_request(request.body(http_body_util::Empty::<Bytes>::new()).unwrap()).await.unwrap()
    }

    /// Sends a GET as `admin`, who has full access through `proxy`; returns status and text.
    pub async fn get(&self, path: &str) -> (u16, String) {
        self.allow(&["admin get proxy", "admin create proxy", "admin get log", "admin get metrics", "admin get stats"]);
        let response = self.send(Method::GET, path, &[("authorization", "Bearer token-of-admin")], None).await;
        read(response).await
    }
}

/// Status and text of a response.
pub async fn read(response: Response<hyper::body::Incoming>) -> (u16, String) {
    use http_body_util::BodyExt;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&bytes).into_owned())
}
