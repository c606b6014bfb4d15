//! Keys and certificates: checks what is on the node, and issues what is missing or does not fit.

use std::path::Path;

use crate::bootstrap::error::StepError;
use crate::bootstrap::ports::Ports;
use crate::bootstrap::read_text::read_text;
use crate::core::bootstrap::kubeconfig;
use crate::core::bootstrap::step::{ClientKubeconfig, PkiStep};
use crate::core::model::pki::{Authority, Certificate, KeyPairFiles, Leaf, Unfit};
use crate::ports::node::{KeyPairPem, PkiError};

/// True if the keys and certificates exist and fit.
pub fn is_met(ports: &Ports, step: &PkiStep) -> Result<bool, StepError> {
    match step {
        PkiStep::MakeAuthority(authority) => authority_is_met(ports, authority),
        PkiStep::IssueCert(certificate) => leaf_is_met(ports, certificate),
        PkiStep::GenerateKey { key, public } => key_is_met(ports, key, public),
        PkiStep::FindSigned { certificates, kubeconfigs, .. } => {
            Ok(missing(ports, certificates, kubeconfigs)?.is_empty())
        }
    }
}

/// Creates the keys and certificates. What another machine signs cannot be created here, and is reported as missing.
pub fn apply(ports: &Ports, step: &PkiStep) -> Result<(), StepError> {
    match step {
        PkiStep::MakeAuthority(authority) => make_authority(ports, authority),
        PkiStep::IssueCert(certificate) => issue(ports, certificate),
        PkiStep::GenerateKey { key, public } => make_key(ports, key, public),
        PkiStep::FindSigned { signer, certificates, kubeconfigs } => {
            let faults = missing(ports, certificates, kubeconfigs)?;
            Err(StepError::NotBrought { signer: signer.clone(), faults })
        }
    }
}

fn pki_error(path: &Path) -> impl FnOnce(PkiError) -> StepError {
    let path = path.to_owned();
    move |source| StepError::Pki { path, source }
}

/// True if a usable CA exists; its key may be elsewhere.
fn authority_is_met(ports: &Ports, wanted: &Authority) -> Result<bool, StepError> {
    let Some(cert) = read_text(ports.files.as_ref(), &wanted.files.cert)? else { return Ok(false) };
    let key = read_text(ports.files.as_ref(), &wanted.files.key)?;
    let seen = ports.pki.inspect(&cert, key.as_deref(), None).map_err(pki_error(&wanted.files.cert))?;
    match wanted.check(&seen, (ports.now)()) {
        Ok(()) => Ok(true),
        Err(why) => Err(StepError::Authority { path: wanted.files.cert.clone(), why }),
    }
}

fn make_authority(ports: &Ports, wanted: &Authority) -> Result<(), StepError> {
    let pair = ports.pki.make_authority(wanted, (ports.now)()).map_err(pki_error(&wanted.files.cert))?;
    write_pair(ports, &wanted.files, &pair)
}

/// True if a fit certificate exists.
fn leaf_is_met(ports: &Ports, wanted: &Certificate) -> Result<bool, StepError> {
    let files = &wanted.files;
    let (Some(cert), Some(key)) =
        (read_text(ports.files.as_ref(), &files.cert)?, read_text(ports.files.as_ref(), &files.key)?)
    else {
        return Ok(false);
    };
    fits(ports, &wanted.leaf, &cert, &key)
}

/// Issues a leaf into its files.
fn issue(ports: &Ports, wanted: &Certificate) -> Result<(), StepError> {
    let pair = sign(ports, &wanted.leaf, &wanted.files.cert)?;
    write_pair(ports, &wanted.files, &pair)
}

/// What another machine has to sign and is missing or does not fit, each with its required subject and names.
/// One that is due for renewal is accepted here.
fn missing(
    ports: &Ports,
    certificates: &[Certificate],
    kubeconfigs: &[ClientKubeconfig],
) -> Result<Vec<String>, StepError> {
    let files = ports.files.as_ref();
    let judge = |leaf: &Leaf, cert: &str, key: Option<&str>| -> Result<Option<String>, StepError> {
        let signer = read_text(files, &leaf.signer.cert)?;
        Ok(match ports.pki.inspect(cert, key, signer.as_deref()) {
            Err(error) => Some(error.to_string()),
            Ok(seen) => match leaf.check(&seen, (ports.now)()) {
                Ok(()) | Err(Unfit::Due(_)) => None,
                Err(why) => Some(why.to_string()),
            },
        })
    };
    let mut faults = Vec::new();
    for Certificate { files: pair, leaf } in certificates {
        let (cert, key) = (read_text(files, &pair.cert)?, read_text(files, &pair.key)?);
        let fault = match (cert, key) {
            (None, _) => Some("does not exist".to_owned()),
            (Some(_), None) => Some(format!("has no key {}", pair.key.display())),
            (Some(cert), Some(key)) => judge(leaf, &cert, Some(&key))?,
        };
        faults.extend(fault.map(|fault| format!("{} ({leaf}): {fault}", pair.cert.display())));
    }
    for wanted in kubeconfigs {
        let fault = match read_text(files, &wanted.path)?.map(|text| kubeconfig::parse(&text)) {
            None => Some("does not exist".to_owned()),
            Some(None) => Some("is not a kubeconfig with a context, a cluster and a user".to_owned()),
            Some(Some(seen)) if seen.server != wanted.server => Some(format!("leads to {}", seen.server)),
            // One that names its certificate by path is managed by the program that rotates it.
            Some(Some(seen)) if seen.client_certificate_path.is_some() => None,
            Some(Some(seen)) => match &seen.client_certificate {
                None => Some("contains no client certificate".to_owned()),
                Some(cert) => judge(&wanted.leaf, cert, seen.client_key.as_deref())?,
            },
        };
        let (path, leaf, server) = (wanted.path.display(), &wanted.leaf, &wanted.server);
        faults.extend(fault.map(|fault| format!("{path} ({leaf}, at {server}): {fault}")));
    }
    Ok(faults)
}

/// True if both halves exist and match.
fn key_is_met(ports: &Ports, key: &Path, public: &Path) -> Result<bool, StepError> {
    let Some(text) = read_text(ports.files.as_ref(), key)? else { return Ok(false) };
    let derived = ports.pki.public_of(&text).map_err(pki_error(key))?;
    Ok(read_text(ports.files.as_ref(), public)?.is_some_and(|public| public.trim() == derived.trim()))
}

/// Creates the key if there is none, and its public half.
fn make_key(ports: &Ports, key: &Path, public: &Path) -> Result<(), StepError> {
    let half = match read_text(ports.files.as_ref(), key)? {
        Some(text) => ports.pki.public_of(&text).map_err(pki_error(key))?,
        None => {
            let pair = ports.pki.generate_key().map_err(pki_error(key))?;
            ports.files.write(key, pair.key.reveal().as_bytes(), 0o600)?;
            pair.public
        }
    };
    Ok(ports.files.write(public, half.as_bytes(), 0o644)?)
}

/// True if a certificate with its key fits its subject, names, signer and time.
pub fn fits(ports: &Ports, wanted: &Leaf, cert: &str, key: &str) -> Result<bool, StepError> {
    let signer = read_text(ports.files.as_ref(), &wanted.signer.cert)?;
    // What cannot be read is unfit; faults of the signer are found where the signer is checked.
    let Ok(seen) = ports.pki.inspect(cert, Some(key), signer.as_deref()) else { return Ok(false) };
    Ok(wanted.check(&seen, (ports.now)()).is_ok())
}

/// Issues a certificate with the key of its signer; `path` is where it will be, for errors.
pub fn sign(ports: &Ports, leaf: &Leaf, path: &Path) -> Result<KeyPairPem, StepError> {
    let external = || StepError::ExternalSigner { path: path.to_owned(), signer: leaf.signer.cert.clone() };
    let cert = read_text(ports.files.as_ref(), &leaf.signer.cert)?.ok_or_else(external)?;
    let key = read_text(ports.files.as_ref(), &leaf.signer.key)?.ok_or_else(external)?;
    ports.pki.issue(leaf, &cert, &key, (ports.now)()).map_err(pki_error(path))
}

/// The key is written first: a certificate without its key would look like an external one.
fn write_pair(ports: &Ports, files: &KeyPairFiles, pair: &KeyPairPem) -> Result<(), StepError> {
    ports.files.write(&files.key, pair.key.reveal().as_bytes(), 0o600)?;
    Ok(ports.files.write(&files.cert, pair.public.as_bytes(), 0o644)?)
}
