//! Connection slots of a port, and timeouts for useless connections.
//!
//! A connection starts as a stranger. With a certificate of the cluster it becomes identified, and its first authorized
//! request makes it admitted: a flood of one kind cannot take the slots of another. A connection that is evicted for
//! another one, or was idle for too long, is notified by [`Place::closed`].

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::core::connections::{Connections, Full, Limits, Standing, source_of};

/// From accept to the first authorized request: handshake, request head and all reviews.
pub const FIRST_REQUEST: Duration = Duration::from_secs(30);
/// How long a connection may have no open request (upstream `ListenAndServeKubeletServer`, `IdleTimeout`).
pub const IDLE: Duration = Duration::from_secs(90);

/// Limits of a port: connections by kind, and streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections without an authorized request.
    pub strangers: usize,
    /// The same, with a client certificate of the cluster.
    pub identified: usize,
    /// Connections with an authorized request.
    pub admitted: usize,
    /// Open requests for logs, exec, attach and port-forward. Each uses up to two descriptors in addition to its
    /// connection's.
    pub streams: usize,
}

impl Bounds {
    /// Limits of the secure port in a process that may open `descriptors` files: connections and streams leave a
    /// quarter to everything else.
    pub fn secure(descriptors: usize) -> Self {
        let total = (descriptors / 4).min(1000);
        let (strangers, identified) = (total / 4, total / 10);
        let admitted = total.saturating_sub(strangers).saturating_sub(identified);
        Self { strangers, identified, admitted, streams: (descriptors / 4).min(1000) }
    }

    /// Limits of a port without authentication.
    pub fn open(descriptors: usize) -> Self {
        Self { strangers: (descriptors / 32).min(100), identified: 0, admitted: 0, streams: 0 }
    }
}

type Pool = Connections<IpAddr, CancellationToken>;

/// All slots of a port.
pub struct Places {
    pools: Mutex<Pools>,
    streams: Arc<Semaphore>,
}

/// The pools, with increasing trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Strangers,
    Identified,
    Admitted,
}

struct Pools {
    strangers: Pool,
    identified: Pool,
    admitted: Pool,
}

impl Pools {
    fn of(&mut self, kind: Kind) -> &mut Pool {
        match kind {
            Kind::Strangers => &mut self.strangers,
            Kind::Identified => &mut self.identified,
            Kind::Admitted => &mut self.admitted,
        }
    }
}

impl Places {
    /// Slots with these limits.
    pub fn new(bounds: Bounds) -> Arc<Self> {
        // Authorized clients are trusted: the API server alone may need all of these slots.
        let admitted = Limits { total: bounds.admitted, per_source: bounds.admitted };
        let halves = |total: usize| Limits { total, per_source: total.div_ceil(2) };
        let pools = Pools {
            strangers: Connections::new(halves(bounds.strangers)),
            identified: Connections::new(halves(bounds.identified)),
            admitted: Connections::new(admitted),
        };
        Arc::new(Self { pools: Mutex::new(pools), streams: Arc::new(Semaphore::new(bounds.streams)) })
    }

    /// A slot for a connection that was just accepted, if necessary by evicting another one.
    ///
    /// # Errors
    /// There is no slot at all.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Arc<Place>, Full> {
        let (source, closed) = (source_of(peer), CancellationToken::new());
        let id = enter(self.pools().of(Kind::Strangers), source, &closed)?;
        let now = Instant::now();
        let state = State { pool: Kind::Strangers, id, open: 0, authorized: false, since: now };
        let places = Arc::clone(self);
        Ok(Arc::new(Place { places, source, closed, state: Mutex::new(state), changed: Notify::new() }))
    }

    /// Evicts a stranger's connection, because descriptors ran out.
    pub fn evict_one(&self) {
        if let Some(closed) = self.pools().of(Kind::Strangers).evict_one() {
            closed.cancel();
        }
    }

    fn pools(&self) -> MutexGuard<'_, Pools> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn enter(pool: &mut Pool, source: IpAddr, closed: &CancellationToken) -> Result<u64, Full> {
    let admitted = pool.admit(source, closed.clone())?;
    if let Some(evicted) = admitted.evicted {
        evicted.cancel();
    }
    Ok(admitted.id)
}

struct State {
    pool: Kind,
    id: u64,
    open: usize,
    authorized: bool,
    /// When it was accepted, or when its last request was completed.
    since: Instant,
}

/// Why a connection has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Evicted in favor of another connection.
    Evicted,
    /// Idle or unauthorized for too long.
    TimedOut,
}

/// The slot of one connection, until it is dropped.
pub struct Place {
    places: Arc<Places>,
    source: IpAddr,
    closed: CancellationToken,
    state: Mutex<State>,
    changed: Notify,
}

impl Place {
    /// The source of the connection (see [`source_of`]).
    pub fn source(&self) -> IpAddr {
        self.source
    }

    /// The peer has a client certificate of the cluster.
    pub fn identify(&self) {
        // Without a free slot there, it remains a stranger.
        let _ = self.move_to(&mut self.state(), Kind::Identified);
    }

    /// Marks a request as open until the returned value is dropped.
    pub fn open(self: &Arc<Self>) -> Arc<OpenRequest> {
        {
            let mut state = self.state();
            state.open = state.open.saturating_add(1);
            self.note(&state);
        }
        self.changed.notify_one();
        Arc::new(OpenRequest { place: Arc::clone(self), stream: Mutex::new(None) })
    }

    /// Completes when the connection has to be closed.
    pub async fn closed(&self) -> Closed {
        loop {
            let deadline = self.deadline();
            let passed = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.closed.cancelled() => return Closed::Evicted,
                () = self.changed.notified() => {}
                () = passed => return Closed::TimedOut,
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let state = self.state();
        match (state.authorized, state.open) {
            (false, _) => state.since.checked_add(FIRST_REQUEST),
            (true, 0) => state.since.checked_add(IDLE),
            (true, _) => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn move_to(&self, state: &mut State, pool: Kind) -> Result<(), Full> {
        let mut pools = self.places.pools();
        if state.pool >= pool {
            return Ok(());
        }
        let id = enter(pools.of(pool), self.source, &self.closed)?;
        pools.of(state.pool).release(state.id);
        (state.pool, state.id) = (pool, id);
        Ok(())
    }

    /// Streams of admitted clients are never evicted; idle connections are.
    fn note(&self, state: &State) {
        if state.pool == Kind::Admitted {
            let standing = if state.open > 0 { Standing::Held } else { Standing::Proven };
            self.places.pools().of(Kind::Admitted).note(state.id, standing);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let state = self.state();
        self.places.pools().of(state.pool).release(state.id);
    }
}

/// A request whose response is not complete yet.
pub struct OpenRequest {
    place: Arc<Place>,
    stream: Mutex<Option<OwnedSemaphorePermit>>,
}

impl OpenRequest {
    /// The source of the request.
    pub fn source(&self) -> IpAddr {
        self.place.source()
    }

    /// The request was authorized. A `known` user, unlike an anonymous one, gets a slot of the admitted.
    ///
    /// # Errors
    /// All of those are in use.
    pub fn authorize(&self, known: bool) -> Result<(), Full> {
        {
            let mut state = self.place.state();
            if known {
                self.place.move_to(&mut state, Kind::Admitted)?;
            }
            state.authorized = true;
            self.place.note(&state);
        }
        self.place.changed.notify_one();
        Ok(())
    }

    /// The request is a stream and may take hours.
    ///
    /// # Errors
    /// There are too many streams.
    pub fn stream(&self) -> Result<(), Full> {
        let permit = Arc::clone(&self.place.places.streams).try_acquire_owned().map_err(|_| Full)?;
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
        Ok(())
    }

    /// Completes when the connection was evicted.
    pub async fn evicted(&self) {
        self.place.closed.cancelled().await;
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        {
            let mut state = self.place.state();
            state.open = state.open.saturating_sub(1);
            if state.authorized {
                state.since = Instant::now();
            }
            self.place.note(&state);
        }
        self.place.changed.notify_one();
    }
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
