//! Which images to remove when their file system fills up (upstream `pkg/kubelet/images/image_gc_manager.go`).
//!
//! Dead containers, sandboxes and logs are not collected here: each pod's worker removes its own.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::cri;

/// When each image was first seen and last used; updated by [`ImageAges::observe`], lost at a restart as upstream's.
#[derive(Clone, Debug, Default)]
pub struct ImageAges(BTreeMap<String, Age>);

#[derive(Clone, Debug)]
struct Age {
    first_seen: Timestamp,
    last_used: Option<Timestamp>,
    size: u64,
    pinned: bool,
}

/// Limits of image garbage collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageLimits {
    /// Disk usage in percent above which it starts (`imageGCHighThresholdPercent`).
    pub high: u8,
    /// Disk usage in percent at which it stops (`imageGCLowThresholdPercent`).
    pub low: u8,
    /// Images younger than this are kept (`imageMinimumGCAge`).
    pub minimum_age: SignedDuration,
    /// Unused images older than this are always removed (`imageMaximumGCAge`); zero disables this.
    pub maximum_age: SignedDuration,
}

/// The images to remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Image ids, least recently used first.
    pub ids: Vec<String>,
    /// Those of them that go because of their age, whatever the usage.
    pub aged: BTreeSet<String>,
    /// Bytes that are to be freed; 0 when usage is no reason.
    pub wanted: u64,
    /// Bytes that removing these images frees.
    pub found: u64,
}

impl ImageAges {
    /// Records the node's images and the ids of those in use.
    pub fn observe(&mut self, images: &[cri::Image], in_use: &BTreeSet<String>, now: Timestamp) {
        self.0.retain(|id, _| images.iter().any(|image| image.id == *id));
        for image in images {
            let age = self.0.entry(image.id.clone()).or_insert(Age {
                first_seen: now,
                last_used: None,
                size: image.size,
                pinned: image.pinned,
            });
            (age.size, age.pinned) = (image.size, image.pinned);
            if in_use.contains(&image.id) {
                age.last_used = Some(now);
            }
        }
    }

    /// Images to remove so that usage falls to the low mark, plus those above the maximum age. `now` is the time of the
    /// last observation: images in use then are kept.
    pub fn plan(&self, capacity: u64, available: u64, limits: ImageLimits, now: Timestamp) -> Removal {
        let old = |age: &Age| {
            let idle_since = age.last_used.unwrap_or(age.first_seen);
            limits.maximum_age > SignedDuration::ZERO && now.duration_since(idle_since) > limits.maximum_age
        };
        let wanted = bytes_to_free(capacity, available, limits);
        let mut removal = Removal { wanted, ..Removal::default() };
        for (id, age) in self.removable(limits.minimum_age, now) {
            if old(age) || removal.found < wanted {
                if old(age) {
                    removal.aged.insert(id.clone());
                }
                removal.ids.push(id.clone());
                removal.found = removal.found.saturating_add(age.size);
            }
        }
        removal
    }

    /// Every unused image, whatever its age.
    pub fn plan_all(&self, now: Timestamp) -> Removal {
        let unused = self.removable(SignedDuration::ZERO, now);
        let found = unused.iter().fold(0, |sum: u64, (_, age)| sum.saturating_add(age.size));
        Removal { ids: unused.into_iter().map(|(id, _)| id.clone()).collect(), found, ..Removal::default() }
    }

    fn removable(&self, minimum_age: SignedDuration, now: Timestamp) -> Vec<(&String, &Age)> {
        let unused = |age: &Age| !age.pinned && age.last_used != Some(now);
        let grown = |age: &Age| now.duration_since(age.first_seen) >= minimum_age;
        let mut list: Vec<_> = self.0.iter().filter(|(_, age)| unused(age) && grown(age)).collect();
        list.sort_by_key(|(id, age)| (age.last_used, age.first_seen, *id));
        list
    }
}

fn bytes_to_free(capacity: u64, available: u64, limits: ImageLimits) -> u64 {
    if capacity == 0 {
        return 0;
    }
    let share =
        |percent: u8| u64::try_from(u128::from(capacity).saturating_mul(percent.into()) / 100).unwrap_or(u64::MAX);
    let used = capacity.saturating_sub(available);
    if used < share(limits.high) { 0 } else { used.saturating_sub(share(limits.low)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ImageLimits = ImageLimits {
        high: 85,
        low: 80,
        minimum_age: SignedDuration::from_secs(120),
        maximum_age: SignedDuration::ZERO,
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    fn image(id: &str, size: u64) -> cri::Image {
        cri::Image { id: id.into(), size, ..cri::Image::default() }
    }

    fn ages() -> ImageAges {
        let images = [image("a", 30), image("b", 30), image("c", 30), cri::Image { pinned: true, ..image("p", 30) }];
        let mut ages = ImageAges::default();
        let used = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        ages.observe(&images, &used(&["a"]), at(0));
        ages.observe(&images, &used(&["b"]), at(300));
        ages.observe(&images, &used(&[]), at(600));
        ages
    }

    #[test]
    fn frees_down_to_the_low_mark_beginning_with_what_was_least_recently_used() {
        let plan = |available: u64| ages().plan(1000, available, LIMITS, at(600));
        assert_eq!(plan(151), Removal::default());
        assert_eq!(
            plan(150),
            Removal { ids: vec!["c".into(), "a".into()], wanted: 50, found: 60, ..Removal::default() }
        );
        assert_eq!(plan(100).ids, ["c", "a", "b"]);
        assert_eq!((plan(100).wanted, plan(100).found), (100, 90), "not enough, which is worth an event");
    }

    #[test]
    fn what_is_in_use_young_or_pinned_stays() {
        let mut ages = ages();
        let images = [image("a", 30), image("b", 30), image("new", 30)];
        ages.observe(&images, &BTreeSet::from(["a".to_owned()]), at(601));
        assert_eq!(ages.plan(1000, 0, LIMITS, at(601)).ids, ["b"]);
        assert_eq!(ages.plan_all(at(601)).ids, ["new", "b"]);
    }

    #[test]
    fn idle_images_can_have_an_end() {
        let limits = ImageLimits { maximum_age: SignedDuration::from_secs(400), ..LIMITS };
        let removal = ages().plan(1000, 1000, limits, at(600));
        assert_eq!(removal.ids, ["c", "a"]);
        assert_eq!(removal.aged.len(), 2);
    }

    #[test]
    fn an_unknown_capacity_frees_nothing() {
        assert_eq!(ages().plan(0, 0, LIMITS, at(600)), Removal::default());
    }
}
