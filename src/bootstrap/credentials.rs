//! Certificates, keys and kubeconfigs of a plan: checks what is on the node, and issues what is missing or unfit.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::StepError;
use super::ports::Ports;
use crate::core::bootstrap::kubeconfig::{self, KubeconfigParts};
use crate::core::bootstrap::rotation;
use crate::core::bootstrap::step::ClientKubeconfig;
use crate::core::model::pki::{Authority, Certificate, KeyPairFiles, Leaf, Unfit};
use crate::ports::bootstrap::{FileError, NodeFiles};
use crate::ports::node::{KeyPairPem, PkiError};

fn pki_error(path: &Path) -> impl FnOnce(PkiError) -> StepError {
    let path = path.to_owned();
    move |source| StepError::Pki { path, source }
}

/// The text of a file. An empty file, as after a disk fault, exists but matches nothing.
pub fn read_text(files: &dyn NodeFiles, path: &Path) -> Result<Option<String>, FileError> {
    match files.read(path) {
        Err(error) if error.source.kind() == ErrorKind::InvalidData => Ok(Some(String::new())),
        read => read,
    }
}

/// True if a usable CA exists; its key may be elsewhere.
pub fn authority_is_met(ports: &Ports, wanted: &Authority) -> Result<bool, StepError> {
    let Some(cert) = read_text(ports.files.as_ref(), &wanted.files.cert)? else { return Ok(false) };
    let key = read_text(ports.files.as_ref(), &wanted.files.key)?;
    let seen = ports.pki.inspect(&cert, key.as_deref(), None).map_err(pki_error(&wanted.files.cert))?;
    match wanted.check(&seen, (ports.now)()) {
        Ok(()) => Ok(true),
        Err(why) => Err(StepError::Authority { path: wanted.files.cert.clone(), why }),
    }
}

/// Creates the CA with its key.
pub fn make_authority(ports: &Ports, wanted: &Authority) -> Result<(), StepError> {
    let pair = ports.pki.make_authority(wanted, (ports.now)()).map_err(pki_error(&wanted.files.cert))?;
    write_pair(ports, &wanted.files, &pair)
}

/// True if a valid, matching certificate exists.
pub fn leaf_is_met(ports: &Ports, wanted: &Certificate) -> Result<bool, StepError> {
    let files = &wanted.files;
    let (Some(cert), Some(key)) =
        (read_text(ports.files.as_ref(), &files.cert)?, read_text(ports.files.as_ref(), &files.key)?)
    else {
        return Ok(false);
    };
    fits(ports, &wanted.leaf, &cert, &key)
}

fn fits(ports: &Ports, wanted: &Leaf, cert: &str, key: &str) -> Result<bool, StepError> {
    let signer = read_text(ports.files.as_ref(), &wanted.signer.cert)?;
    // An unreadable certificate is replaced; faults of the signer are found where the signer is checked.
    let Ok(seen) = ports.pki.inspect(cert, Some(key), signer.as_deref()) else { return Ok(false) };
    Ok(wanted.check(&seen, (ports.now)()).is_ok())
}

/// Issues a leaf certificate and writes it with its key.
pub fn issue(ports: &Ports, wanted: &Certificate) -> Result<(), StepError> {
    let pair = sign(ports, &wanted.leaf, &wanted.files.cert)?;
    write_pair(ports, &wanted.files, &pair)
}

fn sign(ports: &Ports, leaf: &Leaf, path: &Path) -> Result<KeyPairPem, StepError> {
    let external = || StepError::ExternalSigner { path: path.to_owned(), signer: leaf.signer.cert.clone() };
    let cert = read_text(ports.files.as_ref(), &leaf.signer.cert)?.ok_or_else(external)?;
    let key = read_text(ports.files.as_ref(), &leaf.signer.key)?.ok_or_else(external)?;
    ports.pki.issue(leaf, &cert, &key, (ports.now)()).map_err(pki_error(path))
}

/// The key is written first: a certificate without its key would look like one signed elsewhere.
fn write_pair(ports: &Ports, files: &KeyPairFiles, pair: &KeyPairPem) -> Result<(), StepError> {
    ports.files.write(&files.key, pair.key.reveal().as_bytes(), 0o600)?;
    Ok(ports.files.write(&files.cert, pair.public.as_bytes(), 0o644)?)
}

/// The certificates that another machine has to sign and that are missing or do not match, each with its required
/// subject and names. One that is due for renewal is accepted here.
pub fn missing(
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
            Some(Some(seen)) if seen.server != wanted.server => Some(format!("points to {}", seen.server)),
            // A kubeconfig that names its certificate by path is managed by the program that rotates it.
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
pub fn key_is_met(ports: &Ports, key: &Path, public: &Path) -> Result<bool, StepError> {
    let Some(text) = read_text(ports.files.as_ref(), key)? else { return Ok(false) };
    let derived = ports.pki.public_of(&text).map_err(pki_error(key))?;
    Ok(read_text(ports.files.as_ref(), public)?.is_some_and(|public| public.trim() == derived.trim()))
}

/// Creates the key if there is none, and its public half.
pub fn make_key(ports: &Ports, key: &Path, public: &Path) -> Result<(), StepError> {
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

/// True if a kubeconfig for this server and CA with a valid certificate exists. One that names its certificate by path
/// is managed by the program that rotates it (the kubelet).
pub fn kubeconfig_is_met(ports: &Ports, wanted: &ClientKubeconfig) -> Result<bool, StepError> {
    let Some(text) = read_text(ports.files.as_ref(), &wanted.path)? else { return Ok(false) };
    let Some(seen) = kubeconfig::parse(&text) else { return Ok(false) };
    let ca = read_text(ports.files.as_ref(), &wanted.ca.cert)?.unwrap_or_default();
    if seen.server != wanted.server || seen.ca.as_deref().is_some_and(|seen| seen.trim() != ca.trim()) {
        return Ok(false);
    }
    if let Some(path) = &seen.client_certificate_path {
        return Ok(ports.files.info(path)?.is_some());
    }
    match (&seen.client_certificate, &seen.client_key) {
        (Some(cert), Some(key)) => fits(ports, &wanted.leaf, cert, key),
        _ => Ok(false),
    }
}

/// Writes a kubeconfig with a new certificate.
pub fn write_kubeconfig(ports: &Ports, wanted: &ClientKubeconfig) -> Result<(), StepError> {
    let pair = sign(ports, &wanted.leaf, &wanted.path)?;
    let ca = read_text(ports.files.as_ref(), &wanted.ca.cert)?.unwrap_or_default();
    let content = kubeconfig::render(&KubeconfigParts {
        cluster: &wanted.cluster,
        server: &wanted.server,
        user: &wanted.leaf.subject.common_name,
        ca: &STANDARD.encode(ca),
        client_certificate: &STANDARD.encode(&pair.public),
        client_key: &STANDARD.encode(pair.key.reveal()),
    });
    Ok(ports.files.write(&wanted.path, content.as_bytes(), 0o600)?)
}

/// Concatenated content of several files; `None` while one of them does not exist.
fn joined(ports: &Ports, parts: &[PathBuf]) -> Result<Option<String>, StepError> {
    let mut texts = Vec::new();
    for part in parts {
        let Some(text) = read_text(ports.files.as_ref(), part)? else { return Ok(None) };
        texts.push(text);
    }
    Ok(Some(rotation::join(texts.iter().map(String::as_str))))
}

/// True if a file is the concatenation of `parts`.
pub fn is_joined(ports: &Ports, path: &Path, parts: &[PathBuf], mode: u32) -> Result<bool, StepError> {
    let (Some(wanted), Some(seen)) = (joined(ports, parts)?, read_text(ports.files.as_ref(), path)?) else {
        return Ok(false);
    };
    let same_mode = ports.files.info(path)?.is_some_and(|info| info.mode == mode);
    Ok(same_mode && rotation::join([seen.as_str()]) == wanted)
}

/// Writes the concatenation of `parts`.
pub fn join_files(ports: &Ports, path: &Path, parts: &[PathBuf], mode: u32) -> Result<(), StepError> {
    let text = joined(ports, parts)?.ok_or_else(|| StepError::NoParts { path: path.to_owned() })?;
    Ok(ports.files.write(path, text.as_bytes(), mode)?)
}

/// True if a kubeconfig points to that server and CA, and the units that read it are running: an interrupted run may
/// have left them stopped. A kubeconfig that does not exist needs no change.
pub async fn is_pointed(
    ports: &Ports,
    path: &Path,
    server: &str,
    ca: &Path,
    readers: &[String],
) -> Result<bool, StepError> {
    let Some(text) = ports.files.read(path)? else { return Ok(true) };
    for unit in readers {
        if !ports.units.state(unit).await?.is_on_its_way() {
            return Ok(false);
        }
    }
    let trusted = ports.files.read(ca)?.unwrap_or_default();
    let seen = kubeconfig::parse(&text);
    Ok(seen.is_some_and(|seen| seen.server == server && seen.ca.is_some_and(|ca| ca.trim() == trusted.trim())))
}

/// Points a kubeconfig to a server and CA. Units that read it are stopped meanwhile and read the new file when they
/// start.
pub async fn point(ports: &Ports, path: &Path, server: &str, ca: &Path, readers: &[String]) -> Result<(), StepError> {
    let text = ports.files.read(path)?.unwrap_or_default();
    let trusted = ports.files.read(ca)?.unwrap_or_default();
    let pointed = kubeconfig::point(&text, server, &trusted);
    let pointed = pointed.ok_or_else(|| StepError::NoKubeconfig { path: path.to_owned() })?;
    for unit in readers {
        ports.units.stop(unit).await?;
    }
    ports.files.write(path, pointed.as_bytes(), 0o600)?;
    for unit in readers {
        ports.units.start(unit).await?;
    }
    Ok(())
}
