//! A self-signed certificate of the kubelet, for nodes without another one.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};

use super::{CertificateFiles, Error, load_pair};
use crate::adapters::fs::atomic::write_if_changed;

/// Creates `kubelet.crt` and `kubelet.key` unless valid ones exist. `names` are DNS names and addresses.
pub fn ensure_self_signed(directory: &Path, node: &str, names: &[String]) -> Result<CertificateFiles, Error> {
    let files = CertificateFiles { certificate: directory.join("kubelet.crt"), key: directory.join("kubelet.key") };
    if load_pair(&files, &rustls::crypto::ring::default_provider()).is_ok() {
        return Ok(files);
    }
    let mut params = CertificateParams::new(names.to_vec()).map_err(Error::Make)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, node);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(Error::Make)?;
    let certificate = params.self_signed(&key).map_err(Error::Make)?;
    let write = |path: &Path, text: &str, mode| {
        let written = write_if_changed(path, text.as_bytes(), mode);
        written.map_err(|source| Error::Write { path: path.to_owned(), source })
    };
    std::fs::create_dir_all(directory).map_err(|source| Error::Write { path: directory.to_owned(), source })?;
    // The key first: a certificate must not exist without its key.
    write(&files.key, &key.serialize_pem(), 0o600)?;
    write(&files.certificate, &certificate.pem(), 0o644)?;
    Ok(files)
}
