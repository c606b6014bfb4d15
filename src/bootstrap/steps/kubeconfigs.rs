//! Kubeconfigs.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::pki::{fits, sign};
use crate::bootstrap::error::StepError;
use crate::bootstrap::ports::Ports;
use crate::bootstrap::read_text::read_text;
use crate::core::bootstrap::kubeconfig::{self, KubeconfigParts};
use crate::core::bootstrap::step::{ClientKubeconfig, KubeconfigStep};

/// True if the kubeconfig is as wanted.
pub async fn is_met(ports: &Ports, step: &KubeconfigStep) -> Result<bool, StepError> {
    match step {
        KubeconfigStep::Write(wanted) => is_written(ports, wanted),
        KubeconfigStep::Point { path, server, ca, readers } => is_pointed(ports, path, server, ca, readers).await,
    }
}

/// Makes the kubeconfig as wanted.
pub async fn apply(ports: &Ports, step: &KubeconfigStep) -> Result<(), StepError> {
    match step {
        KubeconfigStep::Write(wanted) => write(ports, wanted),
        KubeconfigStep::Point { path, server, ca, readers } => point(ports, path, server, ca, readers).await,
    }
}

/// True when a kubeconfig is there for this server and CA with a fit certificate. One that names its
/// certificate by path is managed by the program that rotates it (the kubelet).
fn is_written(ports: &Ports, wanted: &ClientKubeconfig) -> Result<bool, StepError> {
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

/// Creates a kubeconfig with a new certificate.
fn write(ports: &Ports, wanted: &ClientKubeconfig) -> Result<(), StepError> {
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

/// True when a kubeconfig leads there and trusts that, and whoever reads it runs: a run that was interrupted may have
/// left them stopped. One that does not exist has nobody to lead.
async fn is_pointed(
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

/// Points a kubeconfig to a server and CA. Units that read it are stopped meanwhile and read the new one when they start.
async fn point(ports: &Ports, path: &Path, server: &str, ca: &Path, readers: &[String]) -> Result<(), StepError> {
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
