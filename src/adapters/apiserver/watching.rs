//! An endless watch: it retries after errors and reconnects with a renewed client.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::debug;

use super::session::Session;
use crate::core::model::{Backoff, Doubling, with_causes};

/// First and longest delay after an error. Short: a control plane that starts on this node is available within seconds.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(2) };
/// Longest delay while the server responds with an error.
const PAUSE_REFUSED: Duration = Duration::from_secs(15);

/// Creates the API handle for a client.
type MakeApi<K> = Box<dyn Fn(Client) -> Api<K> + Send + Sync>;

/// An endless watch of one kind.
pub struct Watching<K> {
    session: Session,
    renewals: watch::Receiver<Client>,
    make_api: MakeApi<K>,
    config: watcher::Config,
    stream: Option<BoxStream<'static, watcher::Result<Event<K>>>>,
    retries: Doubling,
}

impl<K> Watching<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    /// A watch through the session's client.
    pub fn new(
        session: &Session,
        config: watcher::Config,
        make_api: impl Fn(Client) -> Api<K> + Send + Sync + 'static,
    ) -> Self {
        Self {
            session: session.clone(),
            renewals: session.renewals(),
            make_api: Box::new(make_api),
            config,
            stream: None,
            retries: BACKOFF.doubling(),
        }
    }

    /// The next event. After an error the watch is resumed, or the objects are listed again.
    pub async fn next(&mut self) -> Event<K> {
        loop {
            let stream = self.stream.get_or_insert_with(|| {
                let api = (self.make_api)(self.session.client());
                watcher::watcher(api, self.config.clone()).boxed()
            });
            tokio::select! {
                // A renewed client: the old connection may use an expired certificate.
                Ok(()) = self.renewals.changed() => self.stream = None,
                event = stream.next() => match event {
                    Some(Ok(event)) => {
                        if !matches!(event, Event::Init) {
                            self.retries.reset();
                        }
                        return event;
                    }
                    Some(Err(error)) => self.wait_out(&error).await,
                    None => self.stream = None,
                },
            }
        }
    }

    /// Waits, unless the credentials are renewed meanwhile.
    async fn wait_out(&mut self, error: &watcher::Error) {
        let refused = matches!(
            error,
            watcher::Error::InitialListFailed(kube::Error::Api(_))
                | watcher::Error::WatchStartFailed(kube::Error::Api(_))
                | watcher::Error::WatchError(_)
        );
        debug!(kind = std::any::type_name::<K>(), error = with_causes(error), "watch interrupted");
        let most = if refused { PAUSE_REFUSED } else { BACKOFF.most };
        tokio::select! {
            () = sleep(self.retries.pause_up_to(most)) => {}
            Ok(()) = self.renewals.changed() => self.stream = None,
        }
    }
}
