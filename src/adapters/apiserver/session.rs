//! The kubelet's connection to the API server: one shared client, which is replaced when its credentials change.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::connect::{Connector, Error};
use crate::core::model::with_causes;
use crate::ports::node::ApiError;

/// Interval of checking the credential files; the kubelet's own rotation does not wait for it.
const LOOK: Duration = Duration::from_secs(30);
/// Time limit of a request, except watches.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A client that is replaced when its credentials are renewed. Clones share it.
#[derive(Clone)]
pub struct Session {
    clients: watch::Sender<Client>,
    path: watch::Sender<PathBuf>,
    connector: Connector,
}

impl Session {
    /// Opens the session; nothing is sent yet.
    ///
    /// # Errors
    /// The kubeconfig cannot be used.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with(path, Connector::default()).await
    }

    /// The same, with the caller's connector.
    ///
    /// # Errors
    /// The kubeconfig cannot be used.
    pub async fn open_with(path: &Path, connector: Connector) -> Result<Self, Error> {
        let (clients, _) = watch::channel(connector.connect(path).await?);
        Ok(Self { clients, path: watch::channel(path.to_path_buf()).0, connector })
    }

    /// Switches to the credentials of another kubeconfig.
    pub async fn switch_to(&self, path: &Path) {
        self.path.send_replace(path.to_path_buf());
        self.renew().await;
    }

    fn path(&self) -> PathBuf {
        self.path.borrow().clone()
    }

    pub fn client(&self) -> Client {
        self.clients.borrow().clone()
    }

    /// Signals that the client was replaced.
    pub fn renewals(&self) -> watch::Receiver<Client> {
        let mut renewals = self.clients.subscribe();
        renewals.mark_unchanged();
        renewals
    }

    /// Reads the credentials again and replaces the client.
    pub async fn renew(&self) {
        match self.connector.connect(&self.path()).await {
            Ok(client) => {
                info!("API client renewed");
                self.clients.send_replace(client);
            }
            Err(error) => warn!(error = with_causes(&error), "renewed credentials cannot be used"),
        }
    }

    /// Watches the credential files until `stop`.
    pub async fn follow_files(&self, stop: CancellationToken) {
        let mut seen = self.connector.observe_credentials(&self.path()).await;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(LOOK) => {}
            }
            let now = self.connector.observe_credentials(&self.path()).await;
            if now != seen && now.as_ref().is_some_and(|times| times.iter().all(Option::is_some)) {
                seen = now;
                self.renew().await;
            }
        }
    }
}

/// Sends one request with a deadline; `what` names it in errors.
pub(super) async fn ask<T>(
    what: impl Fn() -> String,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ApiError> {
    match tokio::time::timeout(TIMEOUT, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(convert(what(), error)),
        Err(_) => Err(ApiError::Unreachable { what: what(), message: "no answer in time".into() }),
    }
}

pub(super) fn convert(what: String, error: kube::Error) -> ApiError {
    match error {
        kube::Error::Api(status) => match (status.code, status.reason.as_str()) {
            (404, _) => ApiError::NotFound(what),
            (409, "AlreadyExists") => ApiError::AlreadyExists(what),
            (409, _) => ApiError::Conflict { what, message: status.message },
            (code, _) => ApiError::Refused { what, code, message: status.message },
        },
        other => ApiError::Unreachable { what, message: with_causes(&other) },
    }
}
