//! Which connections a listener holds: a bound, a share for each source, and who goes when a place is needed.
//!
//! Whoever floods a listener loses connections of its own first: the victim comes from the source that holds the most,
//! and is the oldest of those that have shown least. A source is whatever the listener can tell peers apart by, such as
//! an address or a uid.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Most connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of all sources together.
    pub total: usize,
    /// Of one source.
    pub per_source: usize,
}

/// What a connection has shown so far. The lower goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing.
    New,
    /// That its peer does what the listener is for.
    Proven,
    /// It is in use, and is never closed for another one's sake.
    Held,
}

#[derive(Clone, Debug)]
struct Entry<S, H> {
    source: S,
    handle: H,
    standing: Standing,
}

/// A connection got a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted<H> {
    /// Number of the place.
    pub id: u64,
    /// Handle of the connection that has to be closed for it; it holds no place any more.
    pub evicted: Option<H>,
}

/// All places are taken, and no connection may be closed for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many connections")]
pub struct Full;

/// The connections of a listener. `H` is what the caller needs to close one.
#[derive(Clone, Debug)]
pub struct Connections<S, H> {
    limits: Limits,
    next: u64,
    /// By number, which grows: the first is the oldest.
    entries: BTreeMap<u64, Entry<S, H>>,
    counts: BTreeMap<S, usize>,
}

impl<S: Ord + Clone, H> Connections<S, H> {
    /// None yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, next: 0, entries: BTreeMap::new(), counts: BTreeMap::new() }
    }

    /// Gives a new connection of `source` a place, if need be that of another one.
    ///
    /// # Errors
    /// When all that could go are [`Standing::Held`].
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

    /// Notes what a connection has shown; one that lost its place stays without.
    pub fn note(&mut self, id: u64, standing: Standing) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.standing = standing;
        }
    }

    /// Frees a place. False when it was given away before.
    pub fn release(&mut self, id: u64) -> bool {
        self.remove(id).is_some()
    }

    /// Takes a place from somebody without giving it away: descriptors ran out elsewhere.
    pub fn evict_one(&mut self) -> Option<H> {
        self.evict(None)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn count(&self, source: &S) -> usize {
        self.counts.get(source).copied().unwrap_or_default()
    }

    fn evict(&mut self, only: Option<&S>) -> Option<H> {
        let candidates =
            self.entries.iter().filter(|(_, e)| e.standing < Standing::Held && only.is_none_or(|s| *s == e.source));
        // The numbers make the order total: of equals the oldest.
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

/// What addresses of one owner have in common: of IPv6 the network of a link, for an owner has 2^64 addresses there.
pub fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::from((six.to_bits() >> 64 << 64).to_be_bytes()),
        four => four,
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
