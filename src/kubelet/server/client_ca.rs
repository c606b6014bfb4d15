//! Client certificates: requested but not required, and verified per request against a CA file that may change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::DigitallySignedStruct;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::time::Instant;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::core::model::access::UserInfo;
use crate::core::model::with_causes;
use crate::offload;

/// Shortest interval of checking the file's modification time.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Accepts every certificate in the handshake, whose signature proves that the client has the key.
///
/// Verification happens per request, so that an unauthenticated client gets a 401 instead of a broken connection, and a
/// certificate that expired or whose CA was removed is rejected on an existing connection too.
#[derive(Debug)]
pub struct AskForCertificate(pub Arc<CryptoProvider>);

impl ClientCertVerifier for AskForCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }
    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        _end: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The CA file cannot be used; the previously loaded CAs stay in force until it can be read.
#[derive(Debug, thiserror::Error)]
#[error("client CA file {path}: {message}")]
pub struct ClientCaError {
    path: PathBuf,
    message: String,
}

/// The CAs that may sign client certificates.
#[derive(Clone)]
pub struct ClientCa {
    path: PathBuf,
    provider: Arc<CryptoProvider>,
    loaded: Arc<Mutex<Loaded>>,
}

struct Loaded {
    verifier: Arc<dyn ClientCertVerifier>,
    modified: Option<SystemTime>,
    looked: Instant,
    /// A check of the file is in progress.
    looking: bool,
}

impl ClientCa {
    pub fn load(path: &Path, provider: Arc<CryptoProvider>) -> Result<Self, ClientCaError> {
        let modified = modified(path);
        let verifier = read(path, &provider)?;
        let loaded = Loaded { verifier, modified, looked: Instant::now(), looking: false };
        let loaded = Arc::new(Mutex::new(loaded));
        Ok(Self { path: path.to_owned(), provider, loaded })
    }

    /// The user of a certificate chain, if it is valid now and signed by one of the CAs.
    pub fn user(&self, chain: &[CertificateDer<'static>]) -> Option<UserInfo> {
        let (end, intermediates) = chain.split_first()?;
        if let Err(error) = self.verifier().verify_client_cert(end, intermediates, UnixTime::now()) {
            tracing::debug!(error = with_causes(&error), "client certificate rejected");
            return None;
        }
        user_of(end)
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A changed file takes effect for later requests: no request waits for the disk.
    fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        let mut loaded = self.loaded();
        let due = !loaded.looking && loaded.looked.elapsed() >= LOOK_EVERY;
        loaded.looking |= due;
        let verifier = Arc::clone(&loaded.verifier);
        drop(loaded);
        if due {
            let own = self.clone();
            offload::behind(move || own.look());
        }
        verifier
    }

    fn look(&self) {
        let now = modified(&self.path);
        let changed = now.is_some() && now != self.loaded().modified;
        let found = changed.then(|| read(&self.path, &self.provider));
        let mut loaded = self.loaded();
        (loaded.looking, loaded.looked) = (false, Instant::now());
        match found {
            Some(Ok(verifier)) => {
                tracing::info!(path = %self.path.display(), "client CA file reloaded");
                (loaded.verifier, loaded.modified) = (verifier, now);
            }
            Some(Err(error)) => tracing::warn!(error = with_causes(&error), "keeping the previous client CAs"),
            None => {}
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "on a thread of offload::Lanes")]
fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}

fn read(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, ClientCaError> {
    let error = |message: String| ClientCaError { path: path.to_owned(), message };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| error(e.to_string()))? {
        roots.add(certificate.map_err(|e| error(e.to_string()))?).map_err(|e| error(e.to_string()))?;
    }
    let built = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    built.map_err(|e| error(e.to_string()))
}

/// The CN is the user name, each O a group.
fn user_of(end: &CertificateDer<'_>) -> Option<UserInfo> {
    let (_, certificate) = X509Certificate::from_der(end).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().last()?.as_str().ok()?.to_owned();
    if name.is_empty() {
        return None;
    }
    let mut groups: Vec<String> =
        subject.iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_owned).collect();
    groups.push("system:authenticated".to_owned());
    Some(UserInfo { name, groups, ..UserInfo::default() })
}
