//! A bare control plane for tests: etcd, kube-apiserver and kube-controller-manager as processes on loopback.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use roost::adapters::apiserver::connect::connect;
use tempfile::TempDir;

/// The running processes; dropping this value stops them, the API server before its etcd.
pub struct ControlPlane {
    processes: Vec<Child>,
    folder: TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
    /// `127.0.0.1:port` of the API server.
    pub endpoint: String,
}

/// Folder of the upstream programs: `ROOST_UPSTREAM_BIN`, or the cache of `make upstream`.
pub fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("ROOST_UPSTREAM_BIN")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/roost/bin"));
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: run tests/upstream/build {name}", path.display());
    path
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl ControlPlane {
    /// Starts everything and waits until the API server is ready.
    pub async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "kubernetes");
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let endpoint = format!("127.0.0.1:{}", free_port());
        let mut this = Self { processes: Vec::new(), folder: TempDir::new().unwrap(), ca, endpoint };
        this.lay_down_files();
        this.start_processes().await;
        this
    }

    /// Path of the control plane's file of that name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The CA certificate in PEM.
    pub fn ca(&self) -> String {
        fs::read_to_string(self.path("ca.crt")).unwrap()
    }

    /// Writes a kubeconfig for a user of these groups, and returns its path.
    pub fn kubeconfig(&self, user: &str, groups: &[&str]) -> PathBuf {
        let name = user.replace(':', "-");
        self.issue(&name, user, groups, &[]);
        let file = |suffix: &str| self.path(&format!("{name}.{suffix}"));
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": {
                "server": format!("https://{}", self.endpoint), "certificate-authority": self.path("ca.crt") } }],
            "users": [{ "name": "c", "user": { "client-certificate": file("crt"), "client-key": file("key") } }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "c" } }],
        });
        fs::write(file("conf"), config.to_string()).unwrap();
        file("conf")
    }

    fn issue(&self, name: &str, common_name: &str, organizations: &[&str], sans: &[SanType]) {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        for organization in organizations {
            params.distinguished_name.push(DnType::OrganizationName, *organization);
        }
        params.subject_alt_names = sans.to_vec();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        fs::write(self.path(&format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn lay_down_files(&self) {
        fs::write(self.path("ca.crt"), self.ca.pem()).unwrap();
        fs::write(self.path("ca.key"), self.ca.key().serialize_pem()).unwrap();
        let local = SanType::IpAddress("127.0.0.1".parse().unwrap());
        self.issue("apiserver", "kube-apiserver", &[], &[local]);
        let service_accounts = KeyPair::generate().unwrap();
        fs::write(self.path("sa.key"), service_accounts.serialize_pem()).unwrap();
        fs::write(self.path("sa.pub"), service_accounts.public_key_pem()).unwrap();
    }

    async fn start_processes(&mut self) {
        let etcd = format!("http://127.0.0.1:{}", free_port());
        let peer = format!("http://127.0.0.1:{}", free_port());
        self.run(
            "etcd",
            &[
                ("data-dir", self.path("etcd").display().to_string()),
                ("listen-client-urls", etcd.clone()),
                ("advertise-client-urls", etcd.clone()),
                ("listen-peer-urls", peer.clone()),
                ("initial-advertise-peer-urls", peer.clone()),
                ("initial-cluster", format!("default={peer}")),
                ("unsafe-no-fsync", "true".into()),
            ],
        );
        let file = |name: &str| self.path(name).display().to_string();
        let apiserver = [
            ("etcd-servers", etcd),
            ("bind-address", "127.0.0.1".into()),
            ("advertise-address", "127.0.0.1".into()),
            ("secure-port", self.endpoint.rsplit(':').next().unwrap().into()),
            ("allow-privileged", "true".into()),
            ("authorization-mode", "Node,RBAC".into()),
            ("enable-admission-plugins", "NodeRestriction".into()),
            ("enable-bootstrap-token-auth", "true".into()),
            ("client-ca-file", file("ca.crt")),
            ("tls-cert-file", file("apiserver.crt")),
            ("tls-private-key-file", file("apiserver.key")),
            ("service-account-issuer", "https://kubernetes.default.svc".into()),
            ("service-account-key-file", file("sa.pub")),
            ("service-account-signing-key-file", file("sa.key")),
            ("service-cluster-ip-range", "10.96.0.0/12".into()),
        ];
        self.run("kube-apiserver", &apiserver);
        self.wait_ready().await;
        let kubeconfig = self.kubeconfig("system:kube-controller-manager", &[]);
        let file = |name: &str| self.path(name).display().to_string();
        let manager = [
            ("kubeconfig", kubeconfig.display().to_string()),
            ("bind-address", "127.0.0.1".into()),
            ("secure-port", free_port().to_string()),
            ("controllers", "*,bootstrapsigner,tokencleaner".into()),
            ("leader-elect", "false".into()),
            ("use-service-account-credentials", "true".into()),
            ("cluster-signing-cert-file", file("ca.crt")),
            ("cluster-signing-key-file", file("ca.key")),
            ("root-ca-file", file("ca.crt")),
            ("service-account-private-key-file", file("sa.key")),
            ("allocate-node-cidrs", "true".into()),
            ("cluster-cidr", "10.244.0.0/16".into()),
        ];
        self.run("kube-controller-manager", &manager);
    }

    fn run(&mut self, name: &str, flags: &[(&str, String)]) {
        let log = fs::File::create(self.path(&format!("{name}.log"))).unwrap();
        let mut command = Command::new(program(name));
        command.args(flags.iter().map(|(flag, value)| format!("--{flag}={value}")));
        let child = command.stdout(Stdio::null()).stderr(log).current_dir(self.folder.path()).spawn().unwrap();
        self.processes.push(child);
    }

    async fn wait_ready(&self) {
        let client = connect(&self.kubeconfig("admin", &["system:masters"])).await.unwrap();
        for _ in 0..300 {
            let request = hyper::Request::get("/readyz").body(Vec::new()).unwrap();
            if client.request_text(request).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let log = fs::read_to_string(self.path("kube-apiserver.log")).unwrap_or_default();
        panic!("the API server did not become ready:\n{}", log.lines().rev().take(30).collect::<Vec<_>>().join("\n"));
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        for mut process in self.processes.drain(..).rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
