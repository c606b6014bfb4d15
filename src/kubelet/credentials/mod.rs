//! Obtains the kubelet's certificates from the cluster and renews them (docs/contract.md, kubelet 7.1).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::core::bootstrap::rotation::split;
use crate::core::credentials::{Answer, derive_rotation, derive_subject, read_answer, render_request};
use crate::core::model::credentials::CertificateUse;
use crate::core::model::pki::San;
use crate::core::model::{Backoff, with_causes};
use crate::ports::kubelet::{CertificateApi, CredentialFiles, KubeconfigUser};
use crate::ports::node::{ApiError, Pki, PkiError};
use crate::telemetry::Metrics;

/// First and longest interval of polling a pending request: most clusters answer immediately.
const LOOK: Backoff = Backoff { first: Duration::from_millis(20), most: Duration::from_secs(1) };
/// A request that was not decided within this time is replaced by a new one.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// First and longest delay after a failure.
const RETRY: Backoff = Backoff { first: Duration::from_millis(500), most: Duration::from_secs(30) };
/// First and longest delay after a certificate was signed by a CA that is being retired.
const FORMER_RETRY: Backoff = Backoff { first: Duration::from_secs(30), most: Duration::from_secs(30 * 60) };
/// How late a clock change or a suspend is noticed at most: timers do not account for them.
const CLOCK_LOOK: Duration = Duration::from_secs(60);
/// How often the CA of serving certificates is read: CA rotations take days.
const AUTHORITIES_LOOK: Duration = Duration::from_secs(5 * 60);
/// Name of the user in kubeconfigs that we write.
const USER: &str = "default-auth";

/// Why no certificate was obtained.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The request was denied or failed.
    #[error("certificate request {name}: {message}")]
    Refused {
        name: String,
        /// The approver's or signer's text.
        message: String,
    },
    /// The request was neither approved nor denied in time.
    #[error("certificate request {0} was not decided in time")]
    Undecided(String),
    #[error("store the certificate in {path}")]
    Store { path: String, source: std::io::Error },
}

/// Obtains certificates for one node.
#[derive(Clone)]
pub struct Credentials {
    /// Where certificates are stored.
    pub files: Arc<dyn CredentialFiles>,
    /// Generates keys and requests.
    pub pki: Arc<dyn Pki>,
    /// Name of the node.
    pub node_name: String,
    /// Counts renewals that failed, and how long serving certificates were used.
    pub metrics: Arc<Metrics>,
}

/// Whether the credentials in a kubeconfig can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They can be used.
    Good,
    /// The file exists, but its certificate has expired, is not valid yet or cannot be read.
    Stale,
    /// There is no file.
    Missing,
}

/// Certificates signed by the old CA while the cluster trusts two.
#[derive(Debug, Default)]
struct Former {
    /// The trusted CAs, PEM.
    bundle: String,
    /// Number of such certificates since the bundle changed.
    came: u32,
}

impl Credentials {
    /// Delay before renewing a certificate signed by a CA that is being retired, which is any but the first in the
    /// bundle; `None` if it may be used until its regular renewal.
    fn former(&self, pem: &str, kubeconfig: &Path, seen: &mut Former) -> Option<Duration> {
        let bundle = self.files.authorities(kubeconfig)?;
        self.former_of(pem, bundle, false, seen)
    }

    /// The same for this bundle. `alone` is true if only certificates of the first CA are accepted.
    fn former_of(&self, pem: &str, bundle: String, alone: bool, seen: &mut Former) -> Option<Duration> {
        let signed = |authority: &String| {
            self.pki.inspect(pem, None, Some(authority)).is_ok_and(|seen| seen.signed == Some(true))
        };
        let all = split(&bundle);
        let (first, others) = all.split_first()?;
        if signed(first) || !(alone || others.iter().any(signed)) {
            return None;
        }
        if seen.bundle != bundle {
            *seen = Former { bundle, came: 0 };
        }
        // The controller manager may not sign by the new CA yet.
        Some(FORMER_RETRY.after(seen.came))
    }

    /// Checks a kubeconfig without I/O to the server.
    pub fn standing(&self, kubeconfig: &Path) -> Standing {
        match self.files.user_of(kubeconfig) {
            KubeconfigUser::Missing => Standing::Missing,
            KubeconfigUser::Other => Standing::Good,
            KubeconfigUser::Unreadable => Standing::Stale,
            KubeconfigUser::Certificate { pem, .. } => match self.pki.inspect(&pem, None, None) {
                Ok(seen) if seen.is_alive(Timestamp::now()).is_ok() => Standing::Good,
                Ok(_) | Err(_) => Standing::Stale,
            },
        }
    }

    /// Requests a client certificate with bootstrap credentials until there is one, and writes the kubeconfig that uses
    /// it.
    pub async fn bootstrap(&self, api: &dyn CertificateApi, template: &Path, kubeconfig: &Path) {
        let mut retries = RETRY.doubling();
        loop {
            let outcome = match self.obtain(api, CertificateUse::Client, &[]).await {
                Ok(()) => self
                    .files
                    .write_kubeconfig(template, kubeconfig, USER)
                    .map_err(|source| Error::Store { path: kubeconfig.display().to_string(), source }),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => return info!(kubeconfig = %kubeconfig.display(), "client certificate issued"),
                Err(error) => warn!(error = with_causes(&error), "no client certificate yet"),
            }
            sleep(retries.pause()).await;
        }
    }

    /// Renews the client certificate forever; `renewed` is called after each renewal. `changes` signals that the
    /// kubeconfig has other credentials.
    pub async fn rotate_client<T>(
        self,
        api: Arc<dyn CertificateApi>,
        kubeconfig: PathBuf,
        renewed: impl Fn() + Send,
        mut changes: watch::Receiver<T>,
    ) {
        let mut retries = RETRY.doubling();
        let mut of_former = Former::default();
        loop {
            let user = self.files.user_of(&kubeconfig);
            let KubeconfigUser::Certificate { pem, elsewhere } = user else { return };
            let Ok(seen) = self.pki.inspect(&pem, None, None) else { return };
            let former = self.former(&pem, &kubeconfig, &mut of_former);
            let due = derive_rotation(seen.not_before, seen.not_after, rand::random());
            tokio::select! {
                () = sleep_until_due(due, Timestamp::now) => {}
                () = sleep_if(former) => {}
                Ok(()) = changes.changed() => continue,
            }
            let outcome = self.obtain(&*api, CertificateUse::Client, &[]).await;
            let outcome = outcome.and_then(|()| match elsewhere {
                false => Ok(()),
                true => self
                    .files
                    .write_kubeconfig(&kubeconfig, &kubeconfig, USER)
                    .map_err(|source| Error::Store { path: kubeconfig.display().to_string(), source }),
            });
            match outcome {
                Ok(()) => {
                    info!("client certificate renewed");
                    retries.reset();
                    of_former.came = of_former.came.saturating_add(1);
                    renewed();
                }
                Err(error) => {
                    warn!(error = with_causes(&error), "client certificate not renewed yet");
                    self.metrics.certificate_rotation_errors.with([]).inc();
                    sleep(retries.pause()).await;
                }
            }
        }
    }

    /// Maintains a serving certificate for the node's addresses forever. `changes` signals that the kubeconfig has
    /// other credentials.
    pub async fn keep_serving<T>(
        self,
        api: Arc<dyn CertificateApi>,
        kubeconfig: PathBuf,
        mut node: watch::Receiver<Arc<Node>>,
        mut changes: watch::Receiver<T>,
    ) {
        let mut retries = RETRY.doubling();
        let mut of_former = Former::default();
        let mut authorities = None;
        loop {
            let names = serving_names(&node.borrow_and_update());
            if names.is_empty() {
                if node.changed().await.is_err() {
                    return;
                }
                continue;
            }
            if let Some(due) = self.serving_due(&names) {
                let current = self.files.current(CertificateUse::Serving).unwrap_or_default();
                let former = match &authorities {
                    Some(bundle) => self.former_of(&current, String::clone(bundle), true, &mut of_former),
                    None => self.former(&current, &kubeconfig, &mut of_former),
                };
                tokio::select! {
                    () = sleep_until_due(due, Timestamp::now) => {}
                    () = sleep_if(former) => {}
                    others = other_authorities(&*api, &authorities) => {
                        authorities = Some(others);
                        continue;
                    }
                    Ok(()) = changes.changed() => continue,
                    changed = node.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        continue;
                    }
                }
            }
            let before = self.age(CertificateUse::Serving);
            match self.obtain(&*api, CertificateUse::Serving, &names).await {
                Ok(()) => {
                    if let Some(age) = before {
                        self.metrics.server_certificate_age.observe([], age);
                    }
                    info!(?names, "serving certificate issued");
                    retries.reset();
                    of_former.came = of_former.came.saturating_add(1);
                }
                Err(error) => {
                    warn!(error = with_causes(&error), "no serving certificate yet");
                    self.metrics.server_certificate_errors.with([]).inc();
                    sleep(retries.pause()).await;
                }
            }
        }
    }

    /// How old the certificate in use is.
    fn age(&self, use_: CertificateUse) -> Option<Duration> {
        let seen = self.pki.inspect(&self.files.current(use_)?, None, None).ok()?;
        Duration::try_from(Timestamp::now().duration_since(seen.not_before)).ok()
    }

    /// When the serving certificate is to be renewed; `None` when there is no fitting one.
    fn serving_due(&self, names: &[San]) -> Option<Timestamp> {
        let pem = self.files.current(CertificateUse::Serving)?;
        let seen = self.pki.inspect(&pem, Some(&pem), None).ok()?;
        let fits = names.iter().all(|name| seen.sans.contains(name)) && seen.key_matches == Some(true);
        (fits && seen.is_alive(Timestamp::now()).is_ok())
            .then(|| derive_rotation(seen.not_before, seen.not_after, rand::random()))
    }

    /// Requests one certificate and stores it.
    async fn obtain(&self, api: &dyn CertificateApi, use_: CertificateUse, names: &[San]) -> Result<(), Error> {
        let store = |source| Error::Store { path: use_.stem().into(), source };
        let key = match self.files.pending_key(use_).filter(|key| self.pki.public_of(key.reveal()).is_ok()) {
            Some(key) => key,
            None => {
                let key = self.pki.generate_key()?.key;
                self.files.set_pending_key(use_, Some(&key)).map_err(store)?;
                key
            }
        };
        let public = self.pki.public_of(key.reveal())?;
        let csr = self.pki.request(&derive_subject(&self.node_name), names, key.reveal())?;
        let request = render_request(use_, &self.node_name, &csr, &public);
        let name = request.metadata.name.clone().unwrap_or_default();
        match api.create(&request).await {
            Ok(_) => info!(name, "certificate requested"),
            Err(ApiError::AlreadyExists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        match tokio::time::timeout(PATIENCE, self.wait(api, &name)).await {
            Ok(Ok(cert)) => {
                self.files.store(use_, &cert, &key, Timestamp::now()).map_err(store)?;
                self.files.set_pending_key(use_, None).map_err(store)
            }
            Ok(Err(error)) => {
                // The next request must be a new one: a new key gives it a new name.
                if matches!(error, Error::Refused { .. } | Error::Api(ApiError::NotFound(_))) {
                    self.files.set_pending_key(use_, None).map_err(store)?;
                }
                Err(error)
            }
            Err(_) => {
                self.files.set_pending_key(use_, None).map_err(store)?;
                Err(Error::Undecided(name))
            }
        }
    }

    async fn wait(&self, api: &dyn CertificateApi, name: &str) -> Result<String, Error> {
        let mut retries = LOOK.doubling();
        loop {
            match api.get(name).await {
                Ok(request) => match read_answer(&request) {
                    Answer::Issued(cert) => return Ok(cert),
                    Answer::Refused(message) => return Err(Error::Refused { name: name.into(), message }),
                    Answer::Waiting => {}
                },
                Err(ApiError::Unreachable { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            sleep(retries.pause()).await;
        }
    }
}

/// Completes when the cluster's CA of serving certificates differs from this one.
async fn other_authorities(api: &dyn CertificateApi, known: &Option<String>) -> String {
    loop {
        match api.serving_authorities().await {
            Ok(Some(named)) if known.as_ref() != Some(&named) => return named,
            Ok(_) | Err(_) => sleep(AUTHORITIES_LOOK).await,
        }
    }
}

/// Sleeps until the clock reaches that time, even if it jumps there.
async fn sleep_until_due(due: Timestamp, now: impl Fn() -> Timestamp) {
    loop {
        let left = due.duration_since(now());
        match Duration::try_from(left) {
            Ok(left) if !left.is_zero() => sleep(left.min(CLOCK_LOOK)).await,
            Ok(_) | Err(_) => return,
        }
    }
}

/// Sleeps this long, or forever.
async fn sleep_if(pause: Option<Duration>) {
    match pause {
        Some(pause) => sleep(pause).await,
        None => std::future::pending().await,
    }
}

fn serving_names(node: &Node) -> Vec<San> {
    if node.metadata.uid.is_none() {
        return Vec::new();
    }
    let addresses = node.status.iter().flat_map(|s| s.addresses.iter().flatten());
    let mut names: Vec<San> = addresses
        .filter_map(|address| match address.address.parse() {
            Ok(ip) => Some(San::Ip(ip)),
            Err(_) if !address.address.is_empty() => Some(San::Dns(address.address.clone())),
            Err(_) => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests;
