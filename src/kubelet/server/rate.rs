//! Token buckets: how often somebody may make the kubelet ask the API server.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Most buckets that are kept; beyond that, only the shared one counts.
const MAX_BUCKETS: usize = 1024;

/// So many at once, and one more after each `every`.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// The time in which one is given back.
    pub every: Duration,
}

struct Bucket {
    /// When it is full again.
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

/// A bucket for each key, and one that all share.
pub struct Rates<K> {
    each: Rate,
    all: Option<Rate>,
    buckets: Mutex<(HashMap<K, Bucket>, Bucket)>,
}

impl<K: Eq + Hash> Rates<K> {
    /// Full buckets. Without `all`, keys do not share.
    pub fn new(each: Rate, all: Option<Rate>) -> Self {
        Self { each, all, buckets: Mutex::new((HashMap::new(), Bucket { full: Instant::now() })) }
    }

    /// Takes one of a key's share, and one of all.
    pub fn take(&self, key: K) -> bool {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let (each, shared) = &mut *buckets;
        if each.len() >= MAX_BUCKETS {
            // A bucket that is full again is as good as none.
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
