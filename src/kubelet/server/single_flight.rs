//! One call for all that ask the same question at the same time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

/// Calls under way. Whoever waits drives the call, so that it outlives the request that began it and ends with the last.
pub struct Flights<K, V>(Mutex<HashMap<K, WeakShared<BoxFuture<'static, V>>>>);

impl<K: Eq + Hash, V: Clone> Flights<K, V> {
    /// None under way.
    pub fn new() -> Self {
        Self(Mutex::default())
    }

    /// The answer of the call for `key` that is under way, or of the one that `start` makes when there are fewer than
    /// `most`; none where it makes none.
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
