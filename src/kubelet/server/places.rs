//! The places of a port's connections, and how long a connection may keep its place without being of use.
//!
//! A connection begins among the strangers. One with a certificate of the cluster's moves on to the identified, and the
//! first authorized request takes it to the admitted: a flood of one kind cannot take the places of another. A connection
//! that is being closed for another one, or has been idle for too long, is told by [`Place::closed`].

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::core::connections::{Connections, Full, Limits, Standing, source_of};

/// From connection to first authorized request: the handshake, the head of the request and all reviews.
pub const FIRST_REQUEST: Duration = Duration::from_secs(30);
/// How long a connection may be without an open request (upstream `ListenAndServeKubeletServer`, `IdleTimeout`).
pub const IDLE: Duration = Duration::from_secs(90);

/// Most connections of a port, by kind, and most streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Without an authorized request.
    pub strangers: usize,
    /// The same, with a client certificate of the cluster's.
    pub identified: usize,
    /// With an authorized request.
    pub admitted: usize,
    /// Open logs, exec, attach and port-forward requests. Each takes up to two descriptors besides its connection's.
    pub streams: usize,
}

impl Bounds {
    /// Of the secure port in a process that may open `descriptors` files: connections and streams leave a quarter to
    /// everything else.
    pub fn secure(descriptors: usize) -> Self {
        let total = (descriptors / 4).min(1000);
        let (strangers, identified) = (total / 4, total / 10);
        let admitted = total.saturating_sub(strangers).saturating_sub(identified);
        Self { strangers, identified, admitted, streams: (descriptors / 4).min(1000) }
    }

    /// Of a port that asks nobody who they are.
    pub fn open(descriptors: usize) -> Self {
        Self { strangers: (descriptors / 32).min(100), identified: 0, admitted: 0, streams: 0 }
    }
}

type Pool = Connections<IpAddr, CancellationToken>;

/// All places of a port.
pub struct Places {
    pools: Mutex<Pools>,
    streams: Arc<Semaphore>,
}

/// The pools, each of those who have shown more than those of the one before.
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
    /// Places within these bounds.
    pub fn new(bounds: Bounds) -> Arc<Self> {
        // Who is let in is trusted: the API server alone may need all of these places.
        let admitted = Limits { total: bounds.admitted, per_source: bounds.admitted };
        let halves = |total: usize| Limits { total, per_source: total.div_ceil(2) };
        let pools = Pools {
            strangers: Connections::new(halves(bounds.strangers)),
            identified: Connections::new(halves(bounds.identified)),
            admitted: Connections::new(admitted),
        };
        Arc::new(Self { pools: Mutex::new(pools), streams: Arc::new(Semaphore::new(bounds.streams)) })
    }

    /// A place for a connection that was just accepted; somebody else may lose theirs.
    ///
    /// # Errors
    /// When there are no places at all.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Arc<Place>, Full> {
        let (source, closed) = (source_of(peer), CancellationToken::new());
        let id = enter(self.pools().of(Kind::Strangers), source, &closed)?;
        let now = Instant::now();
        let state = State { pool: Kind::Strangers, id, open: 0, authorized: false, since: now };
        let places = Arc::clone(self);
        Ok(Arc::new(Place { places, source, closed, state: Mutex::new(state), changed: Notify::new() }))
    }

    /// Closes a connection of a stranger, because descriptors ran out.
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
    /// When it was accepted, or when its last request ended.
    since: Instant,
}

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Its place went to another one.
    Evicted,
    /// It was idle, or unauthorized, for too long.
    TimedOut,
}

/// The place of one connection, until it is dropped.
pub struct Place {
    places: Arc<Places>,
    source: IpAddr,
    closed: CancellationToken,
    state: Mutex<State>,
    changed: Notify,
}

impl Place {
    /// Where the connection comes from (see [`source_of`]).
    pub fn source(&self) -> IpAddr {
        self.source
    }

    /// The peer has a client certificate of the cluster's.
    pub fn identify(&self) {
        // Without places for it, it stays among the strangers.
        let _ = self.move_to(&mut self.state(), Kind::Identified);
    }

    /// A request is open until the value returned is dropped.
    pub fn open(self: &Arc<Self>) -> Arc<OpenRequest> {
        {
            let mut state = self.state();
            state.open = state.open.saturating_add(1);
            self.note(&state);
        }
        self.changed.notify_one();
        Arc::new(OpenRequest { place: Arc::clone(self), stream: Mutex::new(None) })
    }

    /// Completes when the connection has to end.
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

    /// Streams of those that were let in are never cut for another one; idle connections are.
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

/// A request that is not answered completely yet.
pub struct OpenRequest {
    place: Arc<Place>,
    stream: Mutex<Option<OwnedSemaphorePermit>>,
}

impl OpenRequest {
    /// Where the request comes from.
    pub fn source(&self) -> IpAddr {
        self.place.source()
    }

    /// The request was authorized. A `known` user, unlike an anonymous one, gets a place of the admitted.
    ///
    /// # Errors
    /// When all of those are in use.
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
    /// When there are too many.
    pub fn stream(&self) -> Result<(), Full> {
        let permit = Arc::clone(&self.place.places.streams).try_acquire_owned().map_err(|_| Full)?;
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
        Ok(())
    }

    /// Completes when the connection's place went to another one.
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
