//! The CAs that TLS clients trust.

use rustls::RootCertStore;

use crate::core::model::with_causes;

/// The CAs that the machine trusts now. Those that cannot be read are logged.
pub fn machine_authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(error = with_causes(&error), "a CA certificate of the machine cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    roots
}
