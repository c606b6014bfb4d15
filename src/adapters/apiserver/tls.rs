//! TLS to the API server: trusted CAs and client certificate.

use std::sync::Arc;

use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use jiff::Timestamp;
use kube::Config;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::adapters::checks::Unlooked;
use crate::adapters::trust::machine_authorities;
use crate::adapters::x509;

/// Why TLS cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The client's certificate or key is invalid.
    #[error("the client certificate or its key cannot be read")]
    Identity(#[source] pem::Error),
    /// A certificate of the cluster's CA cannot be used.
    #[error("a CA certificate of the cluster cannot be used")]
    Authority(#[source] rustls::Error),
    /// `tls-server-name` is neither a name nor an address.
    #[error("tls-server-name {0:?} is neither a DNS name nor an address")]
    ServerName(String),
    /// The key does not match, or is of a kind that the library does not support.
    #[error("the client certificate and its key cannot be used")]
    Pair(#[source] rustls::Error),
    /// The TLS library was built without a protocol version.
    #[error(transparent)]
    Library(#[from] rustls::Error),
}

/// A client certificate with its chain, and its key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// From PEM; both may be the same text.
    ///
    /// # Errors
    /// One of them is missing.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>().map_err(TlsError::Identity)?;
        if chain.is_empty() {
            return Err(TlsError::Identity(pem::Error::NoItemsFound));
        }
        Ok(Self { chain, key: PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Identity)? })
    }

    /// When the certificate expires; `None` if it cannot be read.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.chain.first().and_then(|certificate| x509::expires_at(certificate))
    }
}

/// TLS on top of `http` according to the configuration: without its own CA, those of the machine are trusted, as in
/// client-go.
pub(super) fn https<C>(config: &Config, identity: Option<Identity>, http: C) -> Result<HttpsConnector<C>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = if config.accept_invalid_certs {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unlooked))
    } else {
        builder.with_root_certificates(authorities(config)?)
    };
    let tls = match identity {
        Some(identity) => builder.with_client_auth_cert(identity.chain, identity.key).map_err(TlsError::Pair)?,
        None => builder.with_no_client_auth(),
    };
    let mut connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name = ServerName::try_from(name.clone()).map_err(|_| TlsError::ServerName(name.clone()))?;
        connector = connector.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    Ok(connector.enable_http1().wrap_connector(http))
}

fn authorities(config: &Config) -> Result<RootCertStore, TlsError> {
    let Some(certificates) = &config.root_cert else { return Ok(machine_authorities()) };
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(CertificateDer::from(certificate.clone())).map_err(TlsError::Authority)?;
    }
    Ok(roots)
}
