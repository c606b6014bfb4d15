//! Which connections a listener accepts: a total limit, a share per source, and which connection is closed to make
//! room.
//!
//! Flooding a listener closes the flooder's own connections first: the victim is of the source with the most
//! connections, and is the oldest of those with the lowest standing. A source is whatever distinguishes peers, such as
//! an address or a uid.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Maximum numbers of simultaneous connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Limit over all sources.
    pub total: usize,
    /// Limit for each source.
    pub per_source: usize,
}

/// How useful a connection has proved to be; the lowest are closed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing is known about it yet.
    New,
    /// Its peer has used the listener for its purpose.
    Proven,
    /// It is in use, and is never closed in favor of another.
    Held,
}

#[derive(Clone, Debug)]
struct Entry<S, H> {
    source: S,
    handle: H,
    standing: Standing,
}

/// The result of admitting a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted<H> {
    /// Id of the connection's entry.
    pub id: u64,
    /// Handle of the connection that must be closed in return; its entry is removed already.
    pub evicted: Option<H>,
}

/// The limit is reached, and no connection may be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many connections")]
pub struct Full;

/// The connections of a listener. `H` is a handle by which the caller can close one.
#[derive(Clone, Debug)]
pub struct Connections<S, H> {
    limits: Limits,
    next: u64,
    /// By id, which increases: the first is the oldest.
    entries: BTreeMap<u64, Entry<S, H>>,
    counts: BTreeMap<S, usize>,
}

impl<S: Ord + Clone, H> Connections<S, H> {
    /// A listener without connections.
    pub fn new(limits: Limits) -> Self {
        Self { limits, next: 0, entries: BTreeMap::new(), counts: BTreeMap::new() }
    }

    /// Admits a new connection of `source`, in place of another one if necessary.
    ///
    ///
    /// # Errors
    /// All candidates for closing are [`Standing::Held`].
    pub fn admit(&mut self, source: S, handle: H) -> Result<Admitted<H>, Full> {
        let evicted = if self.count(&source) >= self.limits.per_source {
            Some(self.evict(Some(&source)).ok_or(Full)?)
        } else if self.entries.len() >= self.limits.total {
            Some(self.evict(None).ok_or(Full)?)
        } else {
            None
        };
        let id = self.next;
        self.next = self.next.saturating_add(1);
        let count = self.counts.entry(source.clone()).or_default();
        *count = count.saturating_add(1);
        self.entries.insert(id, Entry { source, handle, standing: Standing::New });
        Ok(Admitted { id, evicted })
    }

    /// Updates the standing of a connection; no effect if it was evicted.
    pub fn note(&mut self, id: u64, standing: Standing) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.standing = standing;
        }
    }

    /// Removes a connection; `false` if it was evicted before.
    pub fn release(&mut self, id: u64) -> bool {
        self.remove(id).is_some()
    }

    /// Evicts a connection without admitting another: the process ran out of descriptors.
    pub fn evict_one(&mut self) -> Option<H> {
        self.evict(None)
    }

    /// Number of admitted connections.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there are no connections.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn count(&self, source: &S) -> usize {
        self.counts.get(source).copied().unwrap_or_default()
    }

    fn evict(&mut self, only: Option<&S>) -> Option<H> {
        let candidates =
            self.entries.iter().filter(|(_, e)| e.standing < Standing::Held && only.is_none_or(|s| *s == e.source));
        // Ids make the order total: of equals the oldest goes.
        let (&id, _) = candidates
            .min_by_key(|(id, entry)| (std::cmp::Reverse(self.count(&entry.source)), entry.standing, **id))?;
        self.remove(id).map(|entry| entry.handle)
    }

    fn remove(&mut self, id: u64) -> Option<Entry<S, H>> {
        let entry = self.entries.remove(&id)?;
        if let Some(count) = self.counts.get_mut(&entry.source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&entry.source);
            }
        }
        Some(entry)
    }
}

/// The source of an address: for IPv6 its /64 network, since one owner has 2^64 addresses there.
pub fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::from((six.to_bits() >> 64 << 64).to_be_bytes()),
        four => four,
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
