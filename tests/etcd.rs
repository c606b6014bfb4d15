//! Membership and snapshots on real etcd processes (feature `node-tests`).
#![cfg(feature = "node-tests")]
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use roost::adapters::etcd::EtcdClients;
use roost::core::bootstrap::membership::{NextMove, initial_cluster, next_move};
use roost::core::model::Secret;
use roost::ports::bootstrap::{Etcd, EtcdIdentity, MembersError};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(name: &str) -> PathBuf {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/roost/bin");
    std::env::var_os("ROOST_UPSTREAM_BIN").map_or(home, PathBuf::from).join(name)
}

fn free_url() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("https://127.0.0.1:{port}")
}

/// One key pair serves every member and the client.
fn identity(folder: &Path) -> EtcdIdentity {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "etcd-ca");
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "etcd");
    params.subject_alt_names = vec![SanType::IpAddress("127.0.0.1".parse().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &ca).unwrap();
    std::fs::write(folder.join("ca.crt"), ca.pem()).unwrap();
    std::fs::write(folder.join("etcd.crt"), certificate.pem()).unwrap();
    std::fs::write(folder.join("etcd.key"), key.serialize_pem()).unwrap();
    EtcdIdentity { ca: ca.pem(), certificate: certificate.pem(), key: Secret::new(key.serialize_pem()) }
}

fn start(folder: &Path, name: &str, client: &str, peer: &str, cluster: &[(String, String)], state: &str) -> Running {
    let list: Vec<String> = cluster.iter().map(|(name, url)| format!("{name}={url}")).collect();
    let mut command = Command::new(program("etcd"));
    let file = |name: &str| folder.join(name).display().to_string();
    let flags = [
        ("name", name.to_owned()),
        ("data-dir", file(name)),
        ("listen-client-urls", client.to_owned()),
        ("advertise-client-urls", client.to_owned()),
        ("listen-peer-urls", peer.to_owned()),
        ("initial-advertise-peer-urls", peer.to_owned()),
        ("initial-cluster", list.join(",")),
        ("initial-cluster-state", state.to_owned()),
        ("cert-file", file("etcd.crt")),
        ("key-file", file("etcd.key")),
        ("trusted-ca-file", file("ca.crt")),
        ("client-cert-auth", "true".to_owned()),
        ("peer-cert-file", file("etcd.crt")),
        ("peer-key-file", file("etcd.key")),
        ("peer-trusted-ca-file", file("ca.crt")),
        ("peer-client-cert-auth", "true".to_owned()),
    ];
    command.args(flags.map(|(flag, value)| format!("--{flag}={value}")));
    let log = std::fs::File::create(folder.join(format!("{name}.log"))).unwrap();
    Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

async fn eventually<T, F: Future<Output = Result<T, MembersError>>>(attempt: impl Fn() -> F) -> T {
    for _ in 0..150 {
        if let Ok(value) = attempt().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    attempt().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_member_joins_as_a_learner_and_gets_its_vote_and_a_snapshot_is_whole() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let identity = identity(folder.path());
    let (client1, peer1, client2, peer2) = (free_url(), free_url(), free_url(), free_url());
    let _first = start(folder.path(), "n1", &client1, &peer1, &[("n1".into(), peer1.clone())], "new");
    // An endpoint without a listener does not matter while another one answers.
    let members = EtcdClients.connect(vec!["https://127.0.0.1:1".into(), client1.clone()], identity.clone());
    let list = eventually(|| members.list()).await;
    assert_eq!(next_move(&list, "n2", &peer2), NextMove::AddLearner);

    let id = members.add_learner(&peer2).await.unwrap();
    assert!(matches!(members.add_learner("https://127.0.0.1:2").await, Err(MembersError::TooManyLearners)));
    assert!(matches!(members.promote(id).await, Err(MembersError::NotCaughtUp)));
    let list = members.list().await.unwrap();
    assert_eq!(next_move(&list, "n2", &peer2), NextMove::Promote(id));
    assert!(matches!(next_move(&list, "n3", "https://127.0.0.1:3"), NextMove::WaitFor(_)));

    let _second = start(folder.path(), "n2", &client2, &peer2, &initial_cluster(&list, "n2", &peer2), "existing");
    eventually(|| members.promote(id)).await;
    assert_eq!(next_move(&members.list().await.unwrap(), "n2", &peer2), NextMove::Done(id));
    let second = EtcdClients.connect(vec![client2], identity);
    let health = eventually(|| second.health()).await;
    assert!(health.id == id && !health.learner && health.leader != 0, "{health:?}");

    let path = folder.path().join("snapshot.db");
    assert!(members.snapshot(&path).await.unwrap() > 0);
    let checked = Command::new(program("etcdutl")).args(["snapshot", "status"]).arg(&path).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(members.snapshot(&path).await.is_err(), "an older snapshot is never overwritten");

    second.defragment().await.unwrap();
    // etcd refuses to remove a member until the new one has been healthy for some seconds.
    eventually(|| members.remove(id)).await;
    members.remove(id).await.unwrap();
    assert_eq!(members.list().await.unwrap().len(), 1);
}
