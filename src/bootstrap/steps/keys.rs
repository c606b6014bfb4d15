//! The PKI files that control planes share: received when a node joins, or follows the others to new CAs.

use std::path::Path;

use crate::bootstrap::error::StepError;
use crate::bootstrap::ports::Ports;
use crate::bootstrap::read_text::read_text;
use crate::core::bootstrap::key_handover::Wanted;
use crate::core::bootstrap::rotation::digest;

/// True if everything that is needed exists, and is what was asked for.
pub fn is_met(ports: &Ports, folder: &Path, needed: &[String], wanted: &Wanted) -> Result<bool, StepError> {
    let mut certificates = Vec::new();
    for name in needed {
        if ports.files.info(&folder.join(name))?.is_none() {
            return Ok(false);
        }
        if name.ends_with(".crt") {
            certificates.extend(read_text(ports.files.as_ref(), &folder.join(name))?);
        }
    }
    Ok(match wanted {
        Wanted::Shared => true,
        Wanted::Next(wanted) | Wanted::KubeletServing(wanted) => {
            digest(certificates.iter().map(String::as_str)) == *wanted
        }
    })
}

/// Asks for the files and puts them into the folder.
pub async fn apply(
    ports: &Ports,
    kubeconfig: &Path,
    node: &str,
    folder: &Path,
    needed: &[String],
    wanted: &Wanted,
) -> Result<(), StepError> {
    let mut files = ports.handover.receive(kubeconfig, node, wanted).await?;
    if let Some(missing) = needed.iter().find(|name| !files.contains_key(*name)) {
        return Err(StepError::NotHandedOver(missing.clone()));
    }
    if let Wanted::Next(wanted) | Wanted::KubeletServing(wanted) = wanted {
        files.retain(|name, _| needed.contains(name));
        let certificates = needed.iter().filter(|name| name.ends_with(".crt")).filter_map(|name| files.get(name));
        if digest(certificates.map(|text| text.reveal().as_str())) != *wanted {
            return Err(StepError::OtherAuthorities);
        }
    }
    // Keys first: the needed files are complete only when all of them exist. The CA's certificate was trusted before
    // the request, so it stays.
    let (keys, others): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| name.ends_with(".key"));
    for (name, text) in keys.into_iter().chain(others) {
        let path = folder.join(name);
        let mode = if name.ends_with(".key") { 0o600 } else { 0o644 };
        if name != "ca.crt" || ports.files.info(&path)?.is_none() {
            ports.files.write(&path, text.reveal().as_bytes(), mode)?;
        }
    }
    Ok(())
}
