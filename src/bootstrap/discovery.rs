//! Discovery: from an endpoint, a token and a CA pin to a trusted cluster.

use std::time::Duration;

use crate::core::bootstrap::discovery::{self, CaPin, TrustedCluster, verify_cluster_info, verify_second_reading};
use crate::core::bootstrap::token::Token;
use crate::ports::bootstrap::{ClusterDiscovery, ContactError};

/// Why no trusted cluster was found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No API server answered.
    #[error(transparent)]
    Contact(#[from] ContactError),
    /// The answer cannot be trusted.
    #[error(transparent)]
    Trust(#[from] discovery::Error),
}

/// Attempts to find a signature: the controller manager signs a new token a moment after its creation, or some twenty
/// seconds later if another controller manager becomes leader just then.
const SIGNATURE_TRIES: u32 = 40;
/// Number of attempts after which the user is informed that it takes longer.
const SIGNATURE_WORD: u32 = 5;
const SIGNATURE_PAUSE: Duration = Duration::from_secs(1);

/// Reads `cluster-info` unverified, checks signature and pin, reads it again over verified TLS, compares.
pub async fn discover(
    contact: &dyn ClusterDiscovery,
    endpoint: &str,
    token: &Token,
    pins: &[CaPin],
) -> Result<TrustedCluster, Error> {
    let server = format!("https://{endpoint}");
    let mut tries = 1;
    let trusted = loop {
        let data = contact.read_cluster_info(&server, None).await?;
        match verify_cluster_info(&data, token, pins) {
            Err(discovery::Error::UnknownToken { .. }) if tries < SIGNATURE_TRIES => {
                if tries == SIGNATURE_WORD {
                    tracing::warn!(token = token.id(), "the cluster does not know the token yet; retrying for a while");
                }
                tries = tries.saturating_add(1);
            }
            outcome => break outcome?,
        }
        tokio::time::sleep(SIGNATURE_PAUSE).await;
    };
    verify_second_reading(&trusted, &contact.read_cluster_info(&server, Some(&trusted.ca)).await?)?;
    Ok(trusted)
}
