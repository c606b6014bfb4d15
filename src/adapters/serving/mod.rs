//! The kubelet's serving certificate: configured files, one issued by the cluster, or a self-signed one.
//!
//! The certificate is chosen at each handshake, so that a renewed one is used immediately. Files are reloaded when they
//! changed; they are checked at most every few seconds, and only on new connections.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

mod self_signed;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub use self_signed::ensure_self_signed;

use crate::adapters::x509;
use crate::core::model::with_causes;
use crate::offload;
use crate::telemetry::Metrics;

/// Shortest interval of checking the files' modification times.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A PEM file is missing or has other content.
    #[error("{path}: {message}")]
    Pem {
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Key and certificate do not match, or the key is of an unsupported kind.
    #[error("certificate {path}")]
    Pair { path: PathBuf, source: rustls::Error },
    /// A self-signed certificate cannot be created.
    #[error("create a self-signed certificate")]
    Make(#[source] rcgen::Error),
    /// A file cannot be written.
    #[error("write {path}")]
    Write {
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
}

/// A certificate and its key in two PEM files, or both in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, followed by intermediate certificates.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Serves the content of the files. While they cannot be used or do not respond, the previous certificate, or none.
#[derive(Clone, Debug)]
pub struct FileCertificate {
    files: CertificateFiles,
    provider: Arc<CryptoProvider>,
    held: Arc<Mutex<Held>>,
    /// Where its expiry is shown.
    metrics: Option<Arc<Metrics>>,
}

#[derive(Debug)]
struct Held {
    pair: Option<Arc<CertifiedKey>>,
    read: [Option<SystemTime>; 2],
    looked: Instant,
    /// True while the files are being checked.
    looking: bool,
}

impl FileCertificate {
    /// Reads the files now; an error if they cannot be used.
    pub fn load(files: CertificateFiles) -> Result<Self, Error> {
        let served = Self::wait_for(files);
        let pair = load_pair(&served.files, &served.provider)?;
        served.hold(|held| held.pair = Some(pair));
        Ok(served)
    }

    /// Serves the files once they exist; until then no handshake succeeds.
    pub fn wait_for(files: CertificateFiles) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let read = times(&files);
        let pair = load_pair(&files, &provider).ok();
        let held = Held { pair, read, looked: Instant::now(), looking: false };
        Self { held: Arc::new(Mutex::new(held)), files, provider, metrics: None }
    }

    /// Shows when the certificate expires.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = Some(metrics);
        self.show_expiry();
        self
    }

    fn show_expiry(&self) {
        let Some(metrics) = &self.metrics else { return };
        let pair = self.hold(|held| held.pair.clone());
        let expires_at = pair.and_then(|pair| x509::expires_at(pair.cert.first()?));
        metrics.server_certificate_ttl.with([]).set(expires_at);
    }

    fn hold<T>(&self, with: impl FnOnce(&mut Held) -> T) -> T {
        with(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The current certificate; also for metrics about its expiry. A changed one is used from the next call on: a
    /// handshake does not wait for the disk.
    pub fn current(&self) -> Option<Arc<CertifiedKey>> {
        let due = self.hold(|held| {
            let due = !held.looking && (held.pair.is_none() || held.looked.elapsed() >= LOOK_EVERY);
            held.looking |= due;
            due
        });
        if due {
            let own = self.clone();
            offload::behind(move || own.look());
        }
        self.hold(|held| held.pair.clone())
    }

    fn look(&self) {
        let now = times(&self.files);
        let changed = self.hold(|held| now != held.read);
        let pair = changed.then(|| load_pair(&self.files, &self.provider));
        self.hold(|held| {
            (held.looking, held.looked, held.read) = (false, Instant::now(), now);
            match pair {
                Some(Ok(pair)) => held.pair = Some(pair),
                Some(Err(error)) => {
                    tracing::warn!(error = with_causes(&error), "keeping the previous serving certificate")
                }
                None => {}
            }
        });
        self.show_expiry();
    }
}

impl ResolvesServerCert for FileCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

fn times(files: &CertificateFiles) -> [Option<SystemTime>; 2] {
    [&files.certificate, &files.key].map(|path| std::fs::metadata(path).and_then(|m| m.modified()).ok())
}

fn load_pair(files: &CertificateFiles, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Error> {
    let wrong = |path: &Path, message: String| Error::Pem { path: path.to_owned(), message };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|e| wrong(&files.certificate, e.to_string()))?;
    if chain.is_empty() {
        return Err(wrong(&files.certificate, "no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| wrong(&files.key, e.to_string()))?;
    let pair = CertifiedKey::from_der(chain, key, provider);
    pair.map(Arc::new).map_err(|source| Error::Pair { path: files.certificate.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_signed_certificate_is_made_once_and_files_are_taken_when_they_appear() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["n1".to_owned(), "10.0.0.1".to_owned()];
        let files = CertificateFiles {
            certificate: directory.path().join("kubelet.crt"),
            key: directory.path().join("kubelet.key"),
        };
        let waiting = FileCertificate::wait_for(files.clone());
        assert!(waiting.current().is_none());
        assert!(FileCertificate::load(files.clone()).is_err());

        assert_eq!(ensure_self_signed(directory.path(), "n1", &names).unwrap(), files);
        let made = std::fs::read(&files.certificate).unwrap();
        assert!(waiting.current().is_some());
        let metrics = Arc::new(Metrics::default());
        let ttl = || metrics.server_certificate_ttl.with([]).left(jiff::Timestamp::now());
        assert_eq!(ttl(), f64::INFINITY);
        let waiting = waiting.with_metrics(metrics.clone());
        assert!(waiting.current().is_some() && ttl() > 86400.0 && ttl().is_finite());
        ensure_self_signed(directory.path(), "n1", &names).unwrap();
        assert_eq!(std::fs::read(&files.certificate).unwrap(), made, "a usable certificate is kept");
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);

        std::fs::write(&files.key, "nonsense").unwrap();
        ensure_self_signed(directory.path(), "n1", &names).unwrap();
        FileCertificate::load(files).unwrap();
    }
}
