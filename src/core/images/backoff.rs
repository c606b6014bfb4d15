//! Back-off of failed pulls per pod and image (upstream: client-go `flowcontrol.Backoff`, 10 s to 300 s).

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::core::model::time::Moment;
use crate::core::model::{Backoff, PodUid};

const BACKOFF: Backoff = Backoff { first: Duration::from_secs(10), most: Duration::from_secs(300) };
const LONGEST: SignedDuration = SignedDuration::from_secs(300);

#[derive(Clone, Debug)]
struct Entry {
    failures: u32,
    failed_at: Timestamp,
    message: String,
}

/// Failed pulls by pod and image.
#[derive(Debug, Default)]
pub struct PullBackoff(HashMap<(PodUid, String), Entry>);

impl PullBackoff {
    /// `Some` while a pull has to wait: until when, and the message of the last failure.
    pub fn waiting(&self, pod: &PodUid, image: &str, now: Timestamp) -> Option<(Timestamp, &str)> {
        let entry = self.0.get(&(pod.clone(), image.to_owned()))?;
        let until = entry.failed_at.later(BACKOFF.after(entry.failures));
        // If the clock was set back, nothing waits longer than the longest back-off.
        (now < until && now.later(LONGEST) >= entry.failed_at).then_some((until, entry.message.as_str()))
    }

    /// Records a failure; returns the time of the next attempt.
    pub fn failed(&mut self, pod: &PodUid, image: &str, message: String, now: Timestamp) -> Timestamp {
        self.0.retain(|_, entry| now.duration_since(entry.failed_at) < LONGEST.saturating_mul(2));
        let key = (pod.clone(), image.to_owned());
        let failures = self.0.get(&key).map_or(1, |entry| entry.failures.saturating_add(1));
        self.0.insert(key, Entry { failures, failed_at: now, message });
        now.later(BACKOFF.after(failures))
    }

    /// Removes all entries of a pod that is gone.
    pub fn forget(&mut self, pod: &PodUid) {
        self.0.retain(|(uid, _), _| uid != pod);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn doubles_up_to_five_minutes_and_forgets_after_ten() {
        let (mut backoff, pod) = (PullBackoff::default(), PodUid::from("u"));
        let mut now = at(0);
        let mut delays = Vec::new();
        for _ in 0..7 {
            let until = backoff.failed(&pod, "i", "no".into(), now);
            delays.push(until.duration_since(now).as_secs());
            assert_eq!(backoff.waiting(&pod, "i", now), Some((until, "no")));
            assert_eq!(backoff.waiting(&pod, "i", until), None);
            now = until;
        }
        assert_eq!(delays, [10, 20, 40, 80, 160, 300, 300]);
        let later = now + SignedDuration::from_secs(600);
        assert_eq!(backoff.failed(&pod, "i", "no".into(), later), later + BACKOFF.first);
    }

    #[test]
    fn pods_and_images_wait_apart() {
        let (mut backoff, pod) = (PullBackoff::default(), PodUid::from("u"));
        backoff.failed(&pod, "i", "no".into(), at(0));
        assert!(backoff.waiting(&pod, "j", at(1)).is_none() && backoff.waiting(&"v".into(), "i", at(1)).is_none());
        backoff.forget(&pod);
        assert!(backoff.waiting(&pod, "i", at(1)).is_none());
    }
}
