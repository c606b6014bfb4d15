//! A small map whose entries expire; when it is full, the least recently used entry is evicted.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::core::model::time::Moment;
use tokio::time::Instant;

pub const MAX_ENTRIES: usize = 1024;

struct Entry<V> {
    value: V,
    until: Instant,
    /// Sequence number of its last use.
    used: u64,
}

/// Entries by key, and the number of uses so far.
struct Entries<K, V> {
    map: HashMap<K, Entry<V>>,
    uses: u64,
}

/// A map whose entries each have a lifetime.
pub struct ExpiringMap<K, V>(Mutex<Entries<K, V>>);

impl<K: Eq + Hash + Clone, V: Clone> ExpiringMap<K, V> {
    pub fn new() -> Self {
        Self(Mutex::new(Entries { map: HashMap::new(), uses: 0 }))
    }

    /// The value of a key that has not expired.
    pub fn get(&self, key: &K) -> Option<V> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used = entries.next_use();
        let entry = entries.map.get_mut(key).filter(|entry| entry.until > Instant::now())?;
        entry.used = used;
        Some(entry.value.clone())
    }

    /// True if the key has a value, expired or not.
    pub fn was_known(&self, key: &K) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map.contains_key(key)
    }

    /// Stores a value for the duration `life`.
    pub fn insert(&self, key: K, value: V, life: Duration) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let until = now.later(life);
        let used = entries.next_use();
        if entries.map.len() >= MAX_ENTRIES && !entries.map.contains_key(&key) {
            let oldest = entries.map.iter().min_by_key(|(_, e)| (e.until > now, e.used)).map(|(key, _)| key.clone());
            oldest.map(|key| entries.map.remove(&key));
        }
        entries.map.insert(key, Entry { value, until, used });
    }

    pub fn remove(&self, key: &K) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map.remove(key);
    }
}

impl<K, V> Entries<K, V> {
    fn next_use(&mut self) -> u64 {
        self.uses = self.uses.saturating_add(1);
        self.uses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn entries_expire_and_never_pile_up() {
        let map = ExpiringMap::new();
        map.insert(1, "a", Duration::from_secs(30));
        assert_eq!(map.get(&1), Some("a"));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(map.get(&1), None);
        for i in 0..MAX_ENTRIES * 3 {
            map.insert(i, "b", Duration::from_secs(30));
        }
        assert!(map.0.lock().unwrap().map.len() <= MAX_ENTRIES);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_use_stays_however_much_is_put_in() {
        let map = ExpiringMap::new();
        map.insert(usize::MAX, "in use", Duration::from_secs(30));
        for i in 0..MAX_ENTRIES * 3 {
            map.insert(i, "new", Duration::from_secs(30));
            assert_eq!(map.get(&usize::MAX), Some("in use"));
        }
    }
}
