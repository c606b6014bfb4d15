//! A watch through a kubeconfig of the node agent, opened again after errors and when the credentials were renewed.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::Client;
use kube::runtime::watcher;
use tokio::time::Instant;

use super::connect::{self, Connector};
use crate::core::model::time::Moment;

/// Interval between checks of the credential files for changes while no event comes.
const CREDENTIALS_CHECK: Duration = Duration::from_secs(60);

/// What one watch returns.
pub type Events<T> = BoxStream<'static, Result<T, watcher::Error>>;

/// Why a watch was closed.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The kubeconfig cannot be used, or does not exist yet.
    #[error(transparent)]
    Connect(#[from] connect::Error),
    /// The API server rejected the request, or the connection broke.
    #[error(transparent)]
    Watch(#[from] watcher::Error),
}

/// An endless watch, and the client that it uses.
pub struct Reconnecting<T> {
    kubeconfig: PathBuf,
    connector: Connector,
    open: Box<dyn Fn(Client) -> Events<T> + Send + Sync>,
    connection: Option<Connection<T>>,
}

struct Connection<T> {
    client: Client,
    credentials: Option<Vec<Option<SystemTime>>>,
    checked: Instant,
    events: Events<T>,
}

impl<T> Reconnecting<T> {
    /// A watch that `open` starts. It connects on the first call of `next`; the file need not exist yet.
    pub fn new(kubeconfig: PathBuf, open: impl Fn(Client) -> Events<T> + Send + Sync + 'static) -> Self {
        Self { kubeconfig, connector: Connector::default(), open: Box::new(open), connection: None }
    }

    /// The client of the watch, created again if there is none or the credentials were renewed.
    ///
    /// # Errors
    /// The kubeconfig cannot be used.
    pub async fn client(&mut self) -> Result<Client, connect::Error> {
        let credentials = self.connector.observe_credentials(&self.kubeconfig).await;
        let current = self.connection.take().filter(|connection| connection.credentials == credentials);
        let connection = match current {
            Some(connection) => connection,
            None => {
                let client = self.connector.connect(&self.kubeconfig).await?;
                Connection { events: (self.open)(client.clone()), client, credentials, checked: Instant::now() }
            }
        };
        Ok(self.connection.insert(connection).client.clone())
    }

    /// The next event. `None` if the watch was closed and the next call opens another one, which begins with a list:
    /// the server closed it, or the credentials were renewed. Cancel-safe.
    ///
    /// # Errors
    /// Why the watch was closed. The next call opens another one; the caller waits before that.
    pub async fn next(&mut self) -> Result<Option<T>, WatchError> {
        if self.connection.is_none() {
            self.client().await?;
        }
        while let Some(connection) = &mut self.connection {
            tokio::select! {
                event = connection.events.next() => {
                    let event = event.transpose();
                    if !matches!(event, Ok(Some(_))) {
                        self.connection = None;
                    }
                    return Ok(event?);
                }
                () = tokio::time::sleep_until(connection.checked.later(CREDENTIALS_CHECK)) => {
                    connection.checked = Instant::now();
                    let now = self.connector.observe_credentials(&self.kubeconfig).await;
                    if now.is_some() && now != connection.credentials {
                        tracing::info!(kubeconfig = %self.kubeconfig.display(), "reconnecting with new credentials");
                        self.connection = None;
                    }
                }
            }
        }
        Ok(None)
    }
}
