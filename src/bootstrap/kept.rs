//! What a node remembers of its commands, for later commands and timers: settings, the cluster's settings, the version.

use std::path::Path;

use super::upgrade::Purpose;
use crate::ports::bootstrap::{FileError, NodeFiles};

pub use crate::core::bootstrap::units::JOINED_FILE;

/// The settings that the last `init`, `join` or `apply` was given; read when there is no other file.
pub const KEPT_FILE: &str = "/var/lib/roost/cluster.toml";
/// The version that an upgrade brought this node to; beneath everything but that and the defaults.
pub const VERSION_FILE: &str = "/var/lib/roost/version.toml";
/// Addresses of the API servers, which the agent's balancer writes.
const API_SERVERS: &str = "/var/lib/roost/agent/api-servers.json";

/// Keeps the settings that a command was given, which may hold secrets.
pub fn keep_settings(files: &dyn NodeFiles, settings: &str) -> Result<(), FileError> {
    files.write(Path::new(KEPT_FILE), settings.as_bytes(), 0o600)
}

/// Keeps the cluster's settings of a node that joins. The file stays untouched when it says the same: its age shows an
/// agent, whose unit the system declares, that it has changed.
pub fn keep_joined(files: &dyn NodeFiles, cluster: &str) -> Result<(), FileError> {
    if files.read(Path::new(JOINED_FILE))?.as_deref() == Some(cluster) {
        return Ok(());
    }
    files.write(Path::new(JOINED_FILE), cluster.as_bytes(), 0o644)
}

/// True if this node joined a cluster, rather than being its first.
pub fn has_joined(files: &dyn NodeFiles) -> Result<bool, FileError> {
    Ok(files.info(Path::new(JOINED_FILE))?.is_some())
}

/// Keeps the version that an upgrade brought this node to.
pub fn keep_version(files: &dyn NodeFiles, version: &str) -> Result<(), FileError> {
    let text = format!("# Written by `bootstrap upgrade`.\n[cluster]\nkubernetes_version = \"{version}\"\n");
    files.write(Path::new(VERSION_FILE), text.as_bytes(), 0o644)
}

/// Forgets the version of an earlier upgrade: a node that joins has the version of its cluster.
pub fn forget_version(files: &dyn NodeFiles) -> Result<(), FileError> {
    files.remove(Path::new(VERSION_FILE))
}

/// Forgets everything, after a reset.
pub fn forget_all(files: &dyn NodeFiles) -> Result<(), FileError> {
    for kept in [KEPT_FILE, JOINED_FILE, VERSION_FILE, API_SERVERS] {
        files.remove(Path::new(kept))?;
    }
    Purpose::ALL.iter().try_for_each(|purpose| files.empty_dir(purpose.kept()))
}
