//! Which minor version a kubelet claims.

use super::super::Version;
use super::Release;

/// What a kubelet knows of versions when it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// `kubernetesVersion` of its configuration: what the bootstrapper wrote, after every API server had that version.
    pub configured: Option<Version>,
    /// The answer of the API server now.
    pub told: Option<Version>,
    /// The last answer of an API server, kept on the disk.
    pub kept: Option<Version>,
    /// True if the kubelet has no API server.
    pub standalone: bool,
}

/// The minor version that a kubelet claims for as long as it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// It decides what the kubelet reports and how it behaves.
    pub release: &'static Release,
    /// What an operator should know of it.
    pub warning: Option<String>,
}

/// No minor version can be claimed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The API server is older than every supported version.
    #[error(
        "the API server runs {0}, and this kubelet supports {range}: a kubelet may not be newer than its API server; \
         upgrade the API servers, or install the release of Roost that supports {0}",
        range = Release::range()
    )]
    ApiServer(
        /// Version of the API server.
        Version,
    ),
    /// The configuration asks for an older version.
    #[error("kubernetesVersion is {0}, and this kubelet supports {range}", range = Release::range())]
    Configured(
        /// Value of the field as it was read.
        Version,
    ),
}

/// The minor version to claim: the newest supported one that is newer neither than the API server nor than the configured
/// version (<https://kubernetes.io/releases/version-skew-policy/#kubelet>). What the API server said last counts while it
/// does not answer. A kubelet that knows nothing of its API server claims the oldest version, which is never too new.
///
/// # Errors
/// The API server, or the configured version, is older than every supported version.
pub fn decide(known: &Known) -> Result<Claim, ClaimError> {
    let server = known.told.or(known.kept).filter(|_| !known.standalone);
    let configured = match known.configured {
        Some(version) => Some((version, Release::up_to(version).ok_or(ClaimError::Configured(version))?)),
        None => None,
    };
    let allowed = match server {
        Some(version) => Some((version, Release::up_to(version).ok_or(ClaimError::ApiServer(version))?)),
        None => None,
    };
    let claim = |release: &'static Release, warning: Option<String>| Ok(Claim { release, warning });
    match (configured, allowed) {
        (Some((wanted, release)), Some((server, allowed))) if release.minor > allowed.minor => claim(
            allowed,
            Some(format!(
                "kubernetesVersion is {wanted}, but the API server runs {server}; this kubelet claims {} until it is restarted",
                allowed.version
            )),
        ),
        (Some((_, release)), _) | (None, Some((_, release))) => claim(release, None),
        (None, None) if known.standalone => claim(Release::newest(), None),
        (None, None) => {
            let oldest = Release::oldest();
            let text = format!(
                "the API server did not tell its version, and none is known from before; this kubelet claims {}, which is never \
                 too new, until it is restarted",
                oldest.version
            );
            claim(oldest, Some(text))
        }
    }
}
