//! Renewal by an in-memory signer, with real keys and files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::SignedDuration;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestStatus,
};
use rcgen::{CertificateSigningRequestParams, Issuer, KeyPair};
use tokio::sync::mpsc;

use super::*;
use crate::adapters::credential_files::CertificateDir;
use crate::adapters::x509::X509;
use crate::core::bootstrap::kubeconfig;
use crate::core::model::pki::{Authority, KeyPairFiles, Leaf, Usage};
use crate::ports::node::KeyPairPem;

/// Signs every request after this many failures of each kind.
struct Signer {
    authority: KeyPairPem,
    requests: Mutex<BTreeMap<String, CertificateSigningRequest>>,
    away: Mutex<u32>,
    denies: Mutex<u32>,
    /// The CA of serving certificates that the cluster publishes.
    named: Option<String>,
}

/// Counts down; true while it was not zero.
fn take(left: &Mutex<u32>) -> bool {
    let mut left = left.lock().unwrap();
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

#[async_trait]
impl CertificateApi for Signer {
    async fn create(&self, request: &CertificateSigningRequest) -> Result<CertificateSigningRequest, ApiError> {
        if take(&self.away) {
            return Err(ApiError::Unreachable { what: "create".into(), message: "away".into() });
        }
        let mut request = request.clone();
        let mut status = CertificateSigningRequestStatus::default();
        if take(&self.denies) {
            status.conditions = Some(vec![CertificateSigningRequestCondition {
                type_: "Denied".into(),
                status: "True".into(),
                message: Some("not today".into()),
                ..CertificateSigningRequestCondition::default()
            }]);
        } else {
            let pem = String::from_utf8(request.spec.request.0.clone()).unwrap();
            let key = KeyPair::from_pem(self.authority.key.reveal()).unwrap();
            let issuer = Issuer::from_ca_cert_pem(&self.authority.public, key).unwrap();
            let signed = CertificateSigningRequestParams::from_pem(&pem).unwrap().signed_by(&issuer).unwrap();
            status.certificate = Some(ByteString(signed.pem().into_bytes()));
        }
        request.status = Some(status);
        self.requests.lock().unwrap().insert(request.metadata.name.clone().unwrap(), request.clone());
        Ok(request)
    }

    async fn get(&self, name: &str) -> Result<CertificateSigningRequest, ApiError> {
        let found = self.requests.lock().unwrap().get(name).cloned();
        found.ok_or_else(|| ApiError::NotFound(name.into()))
    }

    async fn serving_authorities(&self) -> Result<Option<String>, ApiError> {
        Ok(self.named.clone())
    }
}

impl Signer {
    fn of(authority: &KeyPairPem) -> Self {
        Self {
            authority: authority.clone(),
            requests: Mutex::default(),
            away: Mutex::new(0),
            denies: Mutex::new(0),
            named: None,
        }
    }
}

fn other_authority() -> KeyPairPem {
    let files = KeyPairFiles::named("/pki".as_ref(), "ca");
    let wanted = Authority { files, common_name: "test".into(), life: Duration::from_secs(3600) };
    X509.make_authority(&wanted, Timestamp::now()).unwrap()
}

fn is_signed(certificate: &str, by: &KeyPairPem) -> bool {
    X509.inspect(certificate, None, Some(&by.public)).unwrap().signed.unwrap()
}

struct World {
    dir: tempfile::TempDir,
    credentials: Credentials,
    signer: Arc<Signer>,
}

impl World {
    /// A node whose client certificate of one hour expires in `left`.
    fn new(left: SignedDuration, (away, denies): (u32, u32)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hour = Duration::from_secs(3600);
        let authority =
            Authority { files: KeyPairFiles::named(dir.path(), "ca"), common_name: "test".into(), life: hour * 1000 };
        let now = Timestamp::now();
        let authority = X509.make_authority(&authority, now - SignedDuration::from_hours(5)).unwrap();
        let files = CertificateDir { path: dir.path().join("pki") };
        let leaf = Leaf {
            signer: KeyPairFiles::named(dir.path(), "ca"),
            subject: derive_subject("n1"),
            sans: BTreeSet::new(),
            usage: Usage::Client,
            life: hour,
        };
        let made = now - (SignedDuration::from_hours(1) - left);
        let first = X509.issue(&leaf, &authority.public, authority.key.reveal(), made).unwrap();
        files.store(CertificateUse::Client, &first.public, &first.key, made).unwrap();
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: k, cluster: {server: 'https://h:6443'}}]\n\
                    contexts: [{name: c, context: {cluster: k, user: t}}]\nusers: [{name: t, user: {token: secret}}]\n";
        std::fs::write(dir.path().join("bootstrap.conf"), text).unwrap();
        files.write_kubeconfig(&dir.path().join("bootstrap.conf"), &dir.path().join("kubelet.conf"), USER).unwrap();
        let (away, denies) = (Mutex::new(away), Mutex::new(denies));
        let signer = Signer { away, denies, ..Signer::of(&authority) };
        let (files, pki) = (Arc::new(files), Arc::new(X509));
        let credentials = Credentials { files, pki, node_name: "n1".into(), metrics: Arc::default() };
        Self { dir, credentials, signer: Arc::new(signer) }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kubelet.conf")
    }

    /// Certificate and key as the kubeconfig names them.
    fn current(&self) -> String {
        match self.credentials.files.user_of(&self.kubeconfig()) {
            KubeconfigUser::Certificate { pem, .. } => pem,
            other => panic!("{other:?}"),
        }
    }

    /// Sets the CAs that the kubeconfig trusts; the first one signs.
    fn trust(&self, authorities: &[&KeyPairPem]) {
        let bundle: String = authorities.iter().map(|one| one.public.as_str()).collect();
        let text = std::fs::read_to_string(self.kubeconfig()).unwrap();
        std::fs::write(self.kubeconfig(), kubeconfig::point(&text, "https://h:6443", &bundle).unwrap()).unwrap();
    }

    /// Maintains a serving certificate for this long; returns the final one, and the number of requests.
    async fn serve(&self, time: Duration) -> (String, usize) {
        let node = serde_json::json!({
            "metadata": { "uid": "u" },
            "status": { "addresses": [{ "type": "InternalIP", "address": "10.0.0.1" }] },
        });
        let (_node, node) = watch::channel(Arc::new(serde_json::from_value(node).unwrap()));
        let (_changes, changes) = watch::channel(());
        let api: Arc<dyn CertificateApi> = Arc::<Signer>::clone(&self.signer);
        let serving = self.credentials.clone().keep_serving(api, self.kubeconfig(), node, changes);
        assert!(tokio::time::timeout(time, serving).await.is_err(), "it goes on for ever");
        let current = self.credentials.files.current(CertificateUse::Serving).unwrap();
        (current, self.signer.requests.lock().unwrap().len())
    }

    /// Renews until this many certificates were issued.
    async fn rotate(&self, times: usize) {
        let (sender, mut renewed) = mpsc::unbounded_channel();
        let api: Arc<dyn CertificateApi> = Arc::<Signer>::clone(&self.signer);
        let told = move || sender.send(()).unwrap_or_default();
        let (_changes, seen) = watch::channel(());
        let rotation = tokio::spawn(self.credentials.clone().rotate_client(api, self.kubeconfig(), told, seen));
        for _ in 0..times {
            let day = Duration::from_secs(24 * 3600);
            tokio::time::timeout(day, renewed.recv()).await.expect("it is renewed").expect("it goes on for ever");
        }
        rotation.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_near_its_end_is_renewed_although_the_server_is_away_at_first() {
    let world = World::new(SignedDuration::from_secs(30), (3, 0));
    let before = world.current();
    world.rotate(1).await;
    let after = world.current();
    assert_ne!(before, after);
    let seen = X509.inspect(&after, Some(&after), Some(&world.signer.authority.public)).unwrap();
    assert_eq!(seen.key_matches, Some(true), "the new certificate has its own key beside it");
    assert_eq!(world.credentials.standing(&world.kubeconfig()), Standing::Good);
    assert_eq!(world.signer.requests.lock().unwrap().len(), 1, "one key, one request, however often it was tried");
    assert_eq!(world.credentials.metrics.certificate_rotation_errors.with([]).get(), 3);
    assert!(world.credentials.files.pending_key(CertificateUse::Client).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_denied_request_is_made_anew_with_another_key() {
    let world = World::new(SignedDuration::from_secs(30), (0, 2));
    world.rotate(1).await;
    assert_eq!(world.signer.requests.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_young_certificate_is_left_alone() {
    let world = World::new(SignedDuration::from_mins(50), (0, 0));
    let waits = tokio::time::timeout(Duration::from_millis(50), world.rotate(1)).await;
    assert!(waits.is_err() && world.signer.requests.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_young_certificate_of_a_former_authority_is_replaced_until_it_comes_from_the_first() {
    let mut world = World::new(SignedDuration::from_mins(50), (0, 0));
    let (former, next) = (world.signer.authority.clone(), other_authority());
    let is_quiet =
        async |world: &World| tokio::time::timeout(Duration::from_millis(50), world.rotate(1)).await.is_err();
    // An additional trusted CA changes nothing.
    world.trust(&[&former, &next]);
    assert!(is_quiet(&world).await);
    // It signs, or soon will: at first the signer does not use it yet.
    world.trust(&[&next, &former]);
    world.rotate(2).await;
    let signer = |world: &World, by: &KeyPairPem| is_signed(&world.current(), by);
    assert!(signer(&world, &former));
    world.signer = Arc::new(Signer::of(&next));
    world.rotate(1).await;
    assert!(signer(&world, &next));
    assert!(is_quiet(&world).await, "and then it rests");
    // A CA that was never trusted is not an old one.
    world.trust(&[&former]);
    assert!(is_quiet(&world).await);
}

#[tokio::test(start_paused = true)]
async fn a_serving_certificate_of_a_former_authority_is_replaced_too() {
    let mut world = World::new(SignedDuration::from_mins(50), (0, 0));
    let (former, next) = (world.signer.authority.clone(), other_authority());
    let while_ = Duration::from_secs(600);
    world.trust(&[&former, &next]);
    let (serving, asked) = world.serve(while_).await;
    assert!(is_signed(&serving, &former));
    assert_eq!(asked, 1, "it is young, and of the one that signs");
    world.trust(&[&next, &former]);
    let (serving, asked) = world.serve(while_).await;
    assert!(is_signed(&serving, &former) && asked > 1, "the signer is not yet there: {asked}");
    assert!(world.credentials.metrics.server_certificate_age.count([]) > 0);
    world.signer = Arc::new(Signer::of(&next));
    let (serving, asked) = world.serve(while_).await;
    assert!(is_signed(&serving, &next));
    assert_eq!(asked, 1, "and then it rests");
}

#[tokio::test(start_paused = true)]
async fn a_serving_certificate_of_the_clusters_ca_is_replaced_when_kubelets_get_an_authority_of_their_own() {
    let mut world = World::new(SignedDuration::from_mins(50), (0, 0));
    let (ca, own) = (world.signer.authority.clone(), other_authority());
    world.trust(&[&ca]);
    let while_ = Duration::from_secs(1000);
    let (serving, asked) = world.serve(while_).await;
    assert!(is_signed(&serving, &ca) && asked == 1);
    world.signer = Arc::new(Signer { named: Some(own.public.clone()), ..Signer::of(&own) });
    let (serving, asked) = world.serve(while_).await;
    assert!(is_signed(&serving, &own));
    assert_eq!(asked, 1, "and then it rests");
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_over_are_told_apart_and_got_again_by_bootstrap() {
    let world = World::new(-SignedDuration::from_mins(30), (1, 0));
    assert_eq!(world.credentials.standing(&world.kubeconfig()), Standing::Stale);
    let template = world.dir.path().join("bootstrap.conf");
    world.credentials.bootstrap(&*world.signer, &template, &world.kubeconfig()).await;
    assert_eq!(world.credentials.standing(&world.kubeconfig()), Standing::Good);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_is_noticed_soon() {
    let (begun, first) = (tokio::time::Instant::now(), Timestamp::UNIX_EPOCH);
    let set = begun + CLOCK_LOOK * 10;
    let months = |n: i64| SignedDuration::from_hours(n * 30 * 24);
    let clock = || match begun.elapsed() < set - begun {
        true => first,
        false => first + months(9),
    };
    sleep_until_due(first + months(8), clock).await;
    assert!(begun.elapsed() <= CLOCK_LOOK * 11, "after {:?}", begun.elapsed());
}
