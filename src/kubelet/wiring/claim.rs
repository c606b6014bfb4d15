//! The version that the kubelet claims: what its configuration says, what its API server says, and what it said last.

use std::path::Path;
use std::time::Duration;

use crate::adapters::apiserver::version::ask_version;
use crate::adapters::fs::kept_version::{self, KeptVersion};
use crate::config::kubelet::Flags;
use crate::core::model::Version;
use crate::core::model::release::{Claim, ClaimError, Known, decide};

/// How long the API server may take to tell its version, if there is something else to go by. Pods wait for it.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same, if nothing else is known.
const LONG_PATIENCE: Duration = Duration::from_secs(10);
/// The kubelet's folder unless a flag names another one.
const ROOT: &str = "/var/lib/kubelet";

/// Asks the API server once, and keeps the answer for starts at which it does not answer.
///
/// # Errors
/// No supported version may be claimed.
pub async fn claim(flags: &Flags, configured: Option<Version>) -> Result<Claim, ClaimError> {
    let root = flags.root_dir.as_deref().unwrap_or(Path::new(ROOT));
    let kept = kept_version::read(root);
    let standalone = flags.kubeconfig.is_none();
    let limit = if configured.or(kept.api_server).is_some() { PATIENCE } else { LONG_PATIENCE };
    let told = if standalone { None } else { ask(flags, limit).await };
    let mut claim = decide(&Known { configured, told, kept: kept.api_server, standalone })?;
    let now = KeptVersion { api_server: told.or(kept.api_server), claimed: claim.release.version.parse().ok() };
    if let Err(error) = kept_version::keep(root, now) {
        let text = format!("the version of the API server cannot be kept in {}: {error}", root.display());
        claim.warning.get_or_insert(text);
    }
    Ok(claim)
}

/// Asks with the kubelet's own credentials and, if they do not lead there, with those of the bootstrap.
async fn ask(flags: &Flags, limit: Duration) -> Option<Version> {
    for kubeconfig in [&flags.kubeconfig, &flags.bootstrap_kubeconfig].into_iter().flatten() {
        if let Some(version) = ask_version(kubeconfig, limit).await {
            return Some(version);
        }
    }
    None
}

/// The version that the kubelet with this folder claimed when it started last; `None` if it never did.
pub fn last_claim(root: Option<&Path>) -> Option<Version> {
    kept_version::read(root.unwrap_or(Path::new(ROOT))).claimed
}
