//! Discovery: from an endpoint, a token and a CA pin to a trusted cluster.

use std::time::Duration;

use crate::core::bootstrap::discovery::{self, CaPin, TrustedCluster, verify_cluster_info, verify_second_reading};
use crate::core::bootstrap::token::Token;
use crate::ports::bootstrap::{ClusterDiscovery, ContactError};

/// Why no cluster was found that is to be trusted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing answered.
    #[error(transparent)]
    Contact(#[from] ContactError),
    /// What answered is not to be trusted.
    #[error(transparent)]
    Trust(#[from] discovery::Error),
}

/// How long a missing signature is waited for: the controller manager signs a new token a moment after it was made, and
/// some twenty seconds after it when another one takes the lead just then.
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
