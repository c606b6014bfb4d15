//! Deduplicates concurrent calls for the same key.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

/// Calls in progress. Every waiter drives the call, so that it outlives the request that started it and is dropped with
/// the last one.
pub struct Flights<K, V>(Mutex<HashMap<K, WeakShared<BoxFuture<'static, V>>>>);

impl<K: Eq + Hash, V: Clone> Flights<K, V> {
    pub fn new() -> Self {
        Self(Mutex::default())
    }

    /// The result of the call for `key` that is in progress, or of a new one by `start` if there are fewer than `most`;
    /// `None` if `start` returns none.
    pub async fn join(&self, key: K, most: usize, start: impl FnOnce() -> Option<BoxFuture<'static, V>>) -> Option<V> {
        let call = self.call(key, most, start)?;
        Some(call.await)
    }

    fn call(
        &self,
        key: K,
        most: usize,
        start: impl FnOnce() -> Option<BoxFuture<'static, V>>,
    ) -> Option<Shared<BoxFuture<'static, V>>> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, call| call.upgrade().is_some());
        if let Some(call) = flights.get(&key).and_then(WeakShared::upgrade) {
            return Some(call);
        }
        if flights.len() >= most {
            return None;
        }
        let call = start()?.shared();
        flights.extend(call.downgrade().map(|weak| (key, weak)));
        Some(call)
    }
}
