//! Whom TLS clients believe.

use rustls::RootCertStore;

/// The authorities that the machine trusts now. What cannot be read of them is told.
pub fn machine_authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "certificate authorities of the machine");
    }
    roots.add_parsable_certificates(found.certs);
    roots
}
