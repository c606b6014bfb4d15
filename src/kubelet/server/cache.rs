//! A small map whose entries expire.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::core::model::time::Moment;
use tokio::time::Instant;

/// Most entries; beyond that the expired ones go, and all of them when that is not enough.
const MAX_ENTRIES: usize = 1024;

/// Entries with a time of life each.
pub struct ExpiringMap<K, V>(Mutex<HashMap<K, (V, Instant)>>);

impl<K: Eq + Hash, V: Clone> ExpiringMap<K, V> {
    /// An empty map.
    pub fn new() -> Self {
        Self(Mutex::default())
    }

    /// The value of a key that has not expired.
    pub fn get(&self, key: &K) -> Option<V> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(key).filter(|(_, until)| *until > Instant::now()).map(|(value, _)| value.clone())
    }

    /// Keeps a value for as long as `life`.
    pub fn insert(&self, key: K, value: V, life: Duration) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if map.len() >= MAX_ENTRIES {
            map.retain(|_, (_, until)| *until > now);
        }
        if map.len() >= MAX_ENTRIES {
            map.clear();
        }
        map.insert(key, (value, now.later(life)));
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
        assert!(map.0.lock().unwrap().len() <= MAX_ENTRIES);
    }
}
