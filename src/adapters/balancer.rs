//! A TCP balancer on the node's loopback, which forwards connections to API servers that respond.
//!
//! It only copies bytes; TLS is between client and API server. A connection is closed when its server no longer
//! responds or is removed from the list, so that the client reconnects to another one.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::keepalive;
use super::peer_uid::peer_uid;
use crate::core::balancer::{Bounds, Servers};
use crate::core::connections::{Connections, Full, Standing};
use crate::core::model::with_causes;

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a client may send nothing. In TLS the client sends first, and every client here uses TLS.
const FIRST_BYTES: Duration = Duration::from_secs(10);
/// Delay after a connection could not be accepted.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Used for a client whose uid is unknown.
const UNKNOWN: u32 = u32::MAX;
/// Delay after a listener failed.
const RETRY: Duration = Duration::from_secs(1);

/// The known API servers: those of the cluster, and those to try if none of them responds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownServers {
    /// Reported by the cluster, or read from the cache.
    pub current: Vec<SocketAddr>,
    /// From the node's settings.
    pub fallback: Vec<SocketAddr>,
}

/// The slots of the balancer's connections: root's, and those of all other uids.
struct Places([Mutex<Connections<u32, CancellationToken>>; 2]);

const OTHERS: usize = 1;

impl Places {
    fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self([bounds.root, bounds.others].map(|limits| Mutex::new(Connections::new(limits)))))
    }

    fn admit(self: &Arc<Self>, uid: u32) -> Result<Place, Full> {
        let (pool, closed) = (usize::from(uid != 0), CancellationToken::new());
        let admitted = self.lock(pool).admit(uid, closed.clone())?;
        if let Some(evicted) = admitted.evicted {
            evicted.cancel();
        }
        Ok(Place { places: Arc::clone(self), pool, id: admitted.id, closed })
    }

    /// Evicts a connection to make room for another one.
    fn evict_one(&self) {
        if let Some(evicted) = self.lock(OTHERS).evict_one() {
            evicted.cancel();
        }
    }

    fn lock(&self, pool: usize) -> MutexGuard<'_, Connections<u32, CancellationToken>> {
        let [root, others] = &self.0;
        let pool = if pool == OTHERS { others } else { root };
        pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slot of one connection, until it is dropped.
struct Place {
    places: Arc<Places>,
    pool: usize,
    id: u64,
    /// Cancelled when the connection is evicted.
    closed: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock(self.pool).release(self.id);
    }
}

/// Serves forever. `ready` is notified once it listens, or its first attempt has failed.
pub async fn run_balancer(
    listen: SocketAddr,
    own: Option<SocketAddr>,
    known: watch::Receiver<KnownServers>,
    bounds: Bounds,
    ready: oneshot::Sender<()>,
) {
    let uid_of = |client: SocketAddr, balancer: SocketAddr| {
        peer_uid(client, balancer).unwrap_or_else(|error| {
            tracing::debug!(%client, error = with_causes(&error), "the uid of a client is unknown");
            UNKNOWN
        })
    };
    run_balancer_for(listen, own, known, bounds, uid_of, ready).await;
}

async fn run_balancer_for(
    listen: SocketAddr,
    own: Option<SocketAddr>,
    known: watch::Receiver<KnownServers>,
    bounds: Bounds,
    uid_of: impl Fn(SocketAddr, SocketAddr) -> u32,
    ready: oneshot::Sender<()>,
) {
    let mut ready = Some(ready);
    let mut tell_ready = move || ready.take().map(|ready| ready.send(()));
    let servers = Arc::new(Mutex::new(Servers::of(own)));
    let begun = Instant::now();
    let listener = loop {
        let bound = TcpListener::bind(listen).await;
        tell_ready();
        match bound {
            Ok(listener) => break listener,
            Err(error) => {
                tracing::warn!(%listen, error = with_causes(&error), "the balancer cannot listen on its address")
            }
        }
        tokio::time::sleep(RETRY).await;
    };
    tracing::info!(%listen, "balancing connections to the API servers");
    let places = Places::new(bounds);
    let mut connections = JoinSet::new();
    let mut failing = false;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, address)) => {
                    failing = false;
                    let Ok(place) = places.admit(uid_of(address, listen)) else { continue };
                    let _ = connections.spawn(serve(client, place, servers.clone(), known.clone(), begun));
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(error = with_causes(&error), "the balancer cannot accept a connection");
                    }
                    places.evict_one();
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn serve(
    client: TcpStream,
    place: Place,
    servers: Arc<Mutex<Servers>>,
    known: watch::Receiver<KnownServers>,
    begun: Instant,
) {
    let closed = place.closed.clone();
    tokio::select! {
        () = balance(client, &place, servers, known, begun) => {}
        () = closed.cancelled() => tracing::debug!("closing a connection to make room for another one"),
    }
}

async fn balance(
    mut client: TcpStream,
    place: &Place,
    servers: Arc<Mutex<Servers>>,
    mut known: watch::Receiver<KnownServers>,
    begun: Instant,
) {
    let Some((address, mut server)) = connect(&servers, &mut known, begun).await else {
        tracing::debug!("no API server answers");
        return;
    };
    let _ = client.set_nodelay(true);
    let listed = |known: &KnownServers| known.current.is_empty() || known.current.contains(&address);
    // A server outside of the list is kept: the list may be out of date.
    let was_listed = listed(&known.borrow());
    let left = async {
        if was_listed && known.wait_for(|known| !listed(known)).await.is_ok() {
            return;
        }
        std::future::pending().await
    };
    let carried = async {
        if first_bytes(&client, &server, place).await {
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }
    };
    tokio::select! {
        () = carried => {}
        () = left => tracing::info!(server = %address, "an API server left the cluster; its connections are closed"),
    }
}

/// Waits until either side sends something or disconnects; false if neither does in time.
async fn first_bytes(client: &TcpStream, server: &TcpStream, place: &Place) -> bool {
    let mut first = [0];
    tokio::select! {
        peeked = client.peek(&mut first) => {
            if peeked.is_ok_and(|bytes| bytes > 0) {
                place.places.lock(place.pool).note(place.id, Standing::Proven);
            }
            true
        }
        _ = server.readable() => true,
        () = tokio::time::sleep(FIRST_BYTES) => false,
    }
}

/// A connection to the first server that accepts it.
#[expect(clippy::disallowed_methods, reason = "an address, no name")]
async fn connect(
    servers: &Mutex<Servers>,
    known: &mut watch::Receiver<KnownServers>,
    begun: Instant,
) -> Option<(SocketAddr, TcpStream)> {
    let KnownServers { current, fallback } = known.borrow_and_update().clone();
    let lock = || servers.lock().unwrap_or_else(PoisonError::into_inner);
    let mut order = lock().order(&current, begun.elapsed());
    order.extend(fallback.into_iter().filter(|server| !current.contains(server)));
    for address in order {
        let outcome = match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => keepalive::enable(&stream).map(|()| stream),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        match outcome {
            Ok(stream) => {
                lock().note_success(&address);
                return Some((address, stream));
            }
            Err(error) => {
                tracing::debug!(server = %address, error = with_causes(&error), "an API server does not accept connections");
                lock().note_failure(address, begun.elapsed());
            }
        }
    }
    None
}

#[cfg(test)]
#[path = "balancer_tests.rs"]
mod tests;
