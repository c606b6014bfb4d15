//! The PKI files that control planes share, received by one that joins.

use std::path::Path;

use super::error::StepError;
use super::ports::Ports;

/// True when all that is needed is there.
pub fn are_there(ports: &Ports, folder: &Path, needed: &[String]) -> Result<bool, StepError> {
    for name in needed {
        if ports.files.info(&folder.join(name))?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Asks for the files and puts them into the folder.
pub async fn receive(
    ports: &Ports,
    kubeconfig: &Path,
    node: &str,
    folder: &Path,
    needed: &[String],
) -> Result<(), StepError> {
    let files = ports.handover.receive(kubeconfig, node).await?;
    if let Some(missing) = needed.iter().find(|name| !files.contains_key(*name)) {
        return Err(StepError::NotHandedOver(missing.clone()));
    }
    // Keys first: what is needed is there only when all is. The CA's certificate was believed before anything was
    // asked, so that it stays.
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
