//! A lock per key: work on different keys runs in parallel.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// Locks by key; unlocked ones use no memory.
#[derive(Debug)]
pub struct KeyedLock<K>(Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>);

impl<K> Default for KeyedLock<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> KeyedLock<K> {
    /// Waits for the lock of the key; dropping the guard releases it.
    pub async fn lock(&self, key: K) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            locks.entry(key).or_default().clone()
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_same_key_waits() {
        let locks = KeyedLock::default();
        let first = locks.lock("a").await;
        let other = locks.lock("b").await;
        assert!(futures::FutureExt::now_or_never(locks.lock("a")).is_none());
        drop(first);
        assert!(futures::FutureExt::now_or_never(locks.lock("a")).is_some());
        drop(other);
    }
}
