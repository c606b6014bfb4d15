//! A hanging adapter must not stop others: each adapter in turn is blocked, while a lease, checks and other tasks
//! continue.
//!
//! A pipe that nobody else opens simulates a file on a dead disk: opening it never returns.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::apiserver::connect::Connector;
use super::cgroups::{CgroupOptions, PodCgroups};
use super::checks::NetChecks;
use super::fs::pod_files::{LocalPodFiles, STATUS};
use super::fs::user_namespaces::{IdRange, LocalUserNamespaces};
use super::serving::{CertificateFiles, FileCertificate};
use crate::core::model::PodUid;
use crate::core::model::cgroup::{CgroupLimits, CgroupSettings};
use crate::kubelet::node::lease::LeaseKeeper;
use crate::ports::kubelet::{CgroupDriver, Cgroups, NodeApi, PodFiles, UserNamespaces};
use crate::ports::node::{ApiError, Checks};

fn pipe(path: PathBuf) -> PathBuf {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    path
}

/// Opens the pipes from both sides repeatedly, so that blocked threads continue.
struct Release(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Release {
    /// At the latest after `limit`, in case the test itself hangs.
    fn after(limit: Duration, pipes: Vec<PathBuf>) -> Self {
        let now = Arc::new(AtomicBool::new(false));
        let wanted = Arc::clone(&now);
        let thread = std::thread::spawn(move || {
            let begun = std::time::Instant::now();
            while !wanted.load(Ordering::SeqCst) && begun.elapsed() < limit {
                std::thread::sleep(Duration::from_millis(10));
            }
            for _ in 0..20 {
                for pipe in &pipes {
                    // Opening for reading and writing never blocks.
                    let both = std::fs::OpenOptions::new().read(true).write(true).open(pipe);
                    std::thread::sleep(Duration::from_millis(5));
                    drop(both);
                }
            }
        });
        Self(now, Some(thread))
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        self.1.take().map(std::thread::JoinHandle::join);
    }
}

#[derive(Default)]
struct CountedLease(AtomicU32);

#[async_trait]
impl NodeApi for CountedLease {
    async fn get(&self) -> Result<Node, ApiError> {
        Ok(Node::default())
    }
    async fn create(&self, node: &Node) -> Result<Node, ApiError> {
        Ok(node.clone())
    }
    async fn patch(&self, _: &Value) -> Result<Node, ApiError> {
        Ok(Node::default())
    }
    async fn patch_status(&self, _: &Value) -> Result<Node, ApiError> {
        Ok(Node::default())
    }
    async fn get_lease(&self) -> Result<Lease, ApiError> {
        Ok(Lease::default())
    }
    async fn create_lease(&self, lease: &Lease) -> Result<Lease, ApiError> {
        Ok(lease.clone())
    }
    async fn replace_lease(&self, lease: &Lease) -> Result<Lease, ApiError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(lease.clone())
    }
    async fn changed(&self) {
        std::future::pending().await
    }
}

fn pod() -> Pod {
    serde_json::from_value(
        json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {"containers": []}}),
    )
    .unwrap()
}

fn cgroups(mount: &Path) -> PodCgroups {
    std::fs::write(mount.join("cgroup.controllers"), "").unwrap();
    PodCgroups::new(CgroupOptions {
        mount: mount.to_path_buf(),
        root: "/".into(),
        driver: CgroupDriver::Cgroupfs,
        pods: CgroupSettings::default(),
        all_pods: CgroupLimits { memory: Some(1 << 30), ..CgroupLimits::default() },
    })
}

/// Each adapter, with the pipe that will block it.
fn hanging(root: &Path) -> Vec<(&'static str, PathBuf, BoxFuture<'static, ()>)> {
    let files = LocalPodFiles::new(root, &root.join("logs"), &root.join("links"));
    let uid = PodUid::from("u");
    let at = |path: &str| pipe(root.join(path));
    let mut all: Vec<(&'static str, PathBuf, BoxFuture<'static, ()>)> = Vec::new();

    let (own, of) = (files.clone(), uid.clone());
    let read = async move { drop(own.kept_status(&of).await) };
    all.push(("status of a pod", at(&format!("pods/u/{STATUS}")), Box::pin(read)));
    let (own, of) = (files.clone(), PodUid::from("v"));
    let write = async move { drop(own.write_hosts(&of, "").await) };
    all.push(("hosts file", at("pods/v/etc-hosts"), Box::pin(write)));
    let log = at("logs/ns_p_u/c/0.log");
    let path = log.display().to_string();
    all.push(("end of a log", log, Box::pin(async move { drop(files.read_log_tail(&path, 10).await) })));
    let spaces = LocalUserNamespaces::new(&root.join("spaces"), IdRange::default_for(65536));
    all.push(("ids of a pod", at("spaces/pods/u/userns"), Box::pin(async move { drop(spaces.ensure(&uid).await) })));
    let frozen = at("cgroups/kubepods/memory.max");
    let tree = cgroups(&root.join("cgroups"));
    all.push(("cgroup", frozen, Box::pin(async move { drop(tree.ensure(&pod()).await) })));
    let kubeconfig = at("kubelet.conf");
    let path = kubeconfig.clone();
    let connect = async move { drop(Connector::default().connect(&path).await) };
    all.push(("kubeconfig", kubeconfig, Box::pin(connect)));
    let pem = root.join("serving.pem");
    let certificate = FileCertificate::wait_for(CertificateFiles { certificate: pem.clone(), key: pem });
    let serve = async move {
        // A handshake has no certificate yet, and does not wait for one.
        assert!(certificate.current().is_none());
        std::future::pending().await
    };
    all.push(("serving certificate", at("serving.pem"), Box::pin(serve)));
    all
}

#[tokio::test]
async fn while_any_disk_hangs_the_lease_is_renewed_and_checks_are_made() {
    let root = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = CancellationToken::new();
    let lease = Arc::new(CountedLease::default());
    let mut keeper = LeaseKeeper {
        api: Arc::<CountedLease>::clone(&lease),
        node_name: "n".into(),
        node_uid: watch::channel(Some("uid".to_owned())).1,
        seconds: 4,
        suspect: Box::new(|| {}),
    };
    let ends = stop.clone();
    tokio::spawn(async move { keeper.run(ends).await });
    let checks = NetChecks::new("kube-probe/1.37").unwrap();
    let mut releases = Vec::new();
    for (name, pipe, call) in hanging(root.path()) {
        releases.push(Release::after(Duration::from_secs(60), vec![pipe]));
        let call = tokio::spawn(call);
        // It runs, and then others run.
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        checks.tcp("127.0.0.1", port, Duration::from_secs(60)).await.unwrap();
        assert!(!call.is_finished(), "{name}: it kept the thread until it was released, or does not hang at all");
    }
    let before = lease.0.load(Ordering::SeqCst);
    while lease.0.load(Ordering::SeqCst) < before + 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    drop(releases);
}
