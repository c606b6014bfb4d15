//! Token buckets: how often a caller may make the kubelet send requests to the API server.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Most buckets that are kept; beyond that, only the shared one applies.
const MAX_BUCKETS: usize = 1024;

/// A burst, and one more after each `every`.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Size of the bucket.
    pub burst: u32,
    /// Time in which one token is added.
    pub every: Duration,
}

struct Bucket {
    /// When the bucket is full again.
    full: Instant,
}

impl Bucket {
    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let full = self.full.max(now).checked_add(rate.every);
        let latest = rate.every.checked_mul(rate.burst).and_then(|span| now.checked_add(span));
        let taken = full.zip(latest).filter(|(full, latest)| full <= latest);
        if let Some((full, _)) = taken {
            self.full = full;
        }
        taken.is_some()
    }
}

/// A bucket for each key, and a shared one.
pub struct Rates<K> {
    each: Rate,
    all: Option<Rate>,
    buckets: Mutex<(HashMap<K, Bucket>, Bucket)>,
}

impl<K: Eq + Hash> Rates<K> {
    /// Full buckets. Without `all`, there is no shared one.
    pub fn new(each: Rate, all: Option<Rate>) -> Self {
        Self { each, all, buckets: Mutex::new((HashMap::new(), Bucket { full: Instant::now() })) }
    }

    /// Takes one token from a key's bucket and one from the shared one.
    pub fn take(&self, key: K) -> bool {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let (each, shared) = &mut *buckets;
        if each.len() >= MAX_BUCKETS {
            // A bucket that is full again need not be kept.
            each.retain(|_, bucket| bucket.full > now);
        }
        let has_room = each.len() < MAX_BUCKETS || each.contains_key(&key);
        if has_room && !each.entry(key).or_insert(Bucket { full: now }).take(self.each, now) {
            return false;
        }
        self.all.is_none_or(|rate| shared.take(rate, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(burst: u32, millis: u64) -> Rate {
        Rate { burst, every: Duration::from_millis(millis) }
    }

    #[tokio::test(start_paused = true)]
    async fn each_has_a_share_and_all_have_one() {
        let rates = Rates::new(rate(3, 1000), Some(rate(5, 100)));
        assert_eq!((0..10).filter(|_| rates.take("a")).count(), 3);
        assert_eq!((0..10).filter(|_| rates.take("b")).count(), 2, "all together have five");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((0..10).filter(|_| rates.take("a")).count(), 1);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!((0..10).filter(|_| rates.take("a")).count(), 3, "nothing is saved up beyond the burst");
    }

    #[tokio::test(start_paused = true)]
    async fn keys_do_not_pile_up() {
        let rates = Rates::new(rate(1, 1000), Some(rate(2000, 1000)));
        assert_eq!((0..5000).filter(|n| rates.take(*n)).count(), 2000);
        assert!(rates.buckets.lock().unwrap().0.len() <= MAX_BUCKETS);
        tokio::time::advance(Duration::from_secs(10)).await;
        rates.take(7);
        assert_eq!(rates.buckets.lock().unwrap().0.len(), 1);
    }
}
