//! Counters, gauges and histograms based on atomics, and families of them by labels.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::exposition::{Kind, Page, push_number};

/// Most label sets of a family; later ones are counted in a series with empty labels.
const MAX_SERIES: usize = 2000;

/// A metric that can be printed as samples of a family.
pub trait Instrument: Default {
    /// Type of the metric family.
    const KIND: Kind;
    fn print(&self, page: &mut Page, name: &str, labels: &[(&str, &str)], buckets: &[f64]);
}

#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn inc(&self) {
        self.add(1);
    }
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Instrument for Counter {
    const KIND: Kind = Kind::Counter;
    fn print(&self, page: &mut Page, name: &str, labels: &[(&str, &str)], _buckets: &[f64]) {
        page.sample(name, labels, self.get() as f64, None);
    }
}

#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
    /// Adds to the value (negative to subtract).
    pub fn add(&self, value: f64) {
        let change = |bits| Some((f64::from_bits(bits) + value).to_bits());
        // The closure never returns None, so this never fails.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Instrument for Gauge {
    const KIND: Kind = Kind::Gauge;
    fn print(&self, page: &mut Page, name: &str, labels: &[(&str, &str)], _buckets: &[f64]) {
        page.sample(name, labels, self.get(), None);
    }
}

/// A moment, shown as the whole seconds until then: negative once it is past, `+Inf` if there is none.
#[derive(Debug, Default)]
pub struct Expiry(Mutex<Option<Timestamp>>);

impl Expiry {
    /// Sets the moment; `None` if nothing expires.
    pub fn set(&self, at: Option<Timestamp>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
    /// Seconds that are left at `now`.
    pub fn left(&self, now: Timestamp) -> f64 {
        let at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at.map_or(f64::INFINITY, |at| at.duration_since(now).as_secs() as f64)
    }
}

impl Instrument for Expiry {
    const KIND: Kind = Kind::Gauge;
    fn print(&self, page: &mut Page, name: &str, labels: &[(&str, &str)], _buckets: &[f64]) {
        page.sample(name, labels, self.left(Timestamp::now()), None);
    }
}

/// Most buckets of any histogram here.
const MAX_BUCKETS: usize = 25;

/// A histogram; the bounds of its buckets are stored in the family.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; MAX_BUCKETS],
    count: AtomicU64,
    sum: Gauge,
}

impl Instrument for Histogram {
    const KIND: Kind = Kind::Histogram;
    fn print(&self, page: &mut Page, name: &str, labels: &[(&str, &str)], buckets: &[f64]) {
        let bucket_name = format!("{name}_bucket");
        let mut bucket = |bound: f64, count: u64| {
            let mut text = String::new();
            push_number(&mut text, bound);
            let all: Vec<(&str, &str)> = labels.iter().copied().chain([("le", text.as_str())]).collect();
            page.sample(&bucket_name, &all, count as f64, None);
        };
        let mut total: u64 = 0;
        for (bound, count) in buckets.iter().zip(&self.counts) {
            total = total.saturating_add(count.load(Ordering::Relaxed));
            bucket(*bound, total);
        }
        let count = self.count.load(Ordering::Relaxed).max(total);
        bucket(f64::INFINITY, count);
        page.sample(&format!("{name}_sum"), labels, self.sum.get(), None);
        page.sample(&format!("{name}_count"), labels, count as f64, None);
    }
}

/// A family: one metric for each set of label values.
#[derive(Debug)]
pub struct Family<I, const N: usize> {
    name: &'static str,
    help: &'static str,
    labels: [&'static str; N],
    buckets: &'static [f64],
    series: Mutex<BTreeMap<[Box<str>; N], Arc<I>>>,
}

impl<I: Instrument, const N: usize> Family<I, N> {
    /// An empty family; one without labels has its series from the start.
    pub fn new(name: &'static str, help: &'static str, labels: [&'static str; N]) -> Self {
        Self::with_buckets(name, help, labels, &[])
    }

    fn with_buckets(
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        buckets: &'static [f64],
    ) -> Self {
        let mut series = BTreeMap::new();
        if N == 0 {
            series.insert(labels.map(Box::from), Arc::default());
        }
        Self { name, help, labels, buckets, series: Mutex::new(series) }
    }

    /// The metric of these label values.
    pub fn with(&self, values: [&str; N]) -> Arc<I> {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key: [Box<str>; N] = values.map(Box::from);
        if series.len() >= MAX_SERIES && !series.contains_key(&key) {
            key = values.map(|_| Box::from(""));
        }
        Arc::clone(series.entry(key).or_default())
    }

    /// Removes all series for which `keep` returns false, so that labels of removed pods do not accumulate.
    pub fn retain(&self, keep: impl Fn(&[Box<str>; N]) -> bool) {
        self.series.lock().unwrap_or_else(PoisonError::into_inner).retain(|key, _| keep(key));
    }

    /// Prints all series; nothing if there are none.
    pub fn print(&self, page: &mut Page) {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if series.is_empty() {
            return;
        }
        page.family(self.name, I::KIND, self.help);
        for (values, instrument) in series.iter() {
            let labels: Vec<(&str, &str)> = self.labels.iter().copied().zip(values.iter().map(|v| &**v)).collect();
            instrument.print(page, self.name, &labels, self.buckets);
        }
    }
}

impl<const N: usize> Family<Histogram, N> {
    /// An empty family of histograms with these upper bounds (at most 25, ascending, without infinity).
    pub fn histogram(
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        buckets: &'static [f64],
    ) -> Self {
        debug_assert!(buckets.len() <= MAX_BUCKETS);
        Self::with_buckets(name, help, labels, buckets)
    }

    /// Counts a duration, in seconds.
    pub fn observe(&self, values: [&str; N], took: Duration) {
        self.observe_value(values, took.as_secs_f64());
    }

    /// Counts a value in the unit of the family.
    pub fn observe_value(&self, values: [&str; N], value: f64) {
        let histogram = self.with(values);
        let bucket = self.buckets.iter().zip(&histogram.counts).find(|(bound, _)| value <= **bound);
        if let Some((_, count)) = bucket {
            count.fetch_add(1, Ordering::Relaxed);
        }
        histogram.count.fetch_add(1, Ordering::Relaxed);
        histogram.sum.add(value);
    }

    /// How many values were counted for these labels.
    pub fn count(&self, values: [&str; N]) -> u64 {
        self.with(values).count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_into_every_larger_bucket() {
        let family = Family::histogram("d_seconds", "D.", ["op"], &[0.1, 1.0]);
        family.observe(["a"], Duration::from_millis(50));
        family.observe(["a"], Duration::from_millis(500));
        family.observe(["a"], Duration::from_secs(5));
        let mut page = Page::default();
        family.print(&mut page);
        assert_eq!(
            page.finish(),
            "# HELP d_seconds D.\n# TYPE d_seconds histogram\n\
             d_seconds_bucket{op=\"a\",le=\"0.1\"} 1\nd_seconds_bucket{op=\"a\",le=\"1\"} 2\n\
             d_seconds_bucket{op=\"a\",le=\"+Inf\"} 3\nd_seconds_sum{op=\"a\"} 5.55\nd_seconds_count{op=\"a\"} 3\n"
        );
    }

    #[test]
    fn a_family_without_labels_is_shown_before_anything_happened() {
        let mut page = Page::default();
        Family::<Counter, 0>::new("x_total", "X.", []).print(&mut page);
        Family::histogram("d_seconds", "D.", [], &[1.0]).print(&mut page);
        Family::<Counter, 1>::new("y_total", "Y.", ["a"]).print(&mut page);
        let text = page.finish();
        assert!(text.contains("x_total 0\n") && text.contains("d_seconds_count 0\n") && !text.contains("y_total"));
    }

    #[test]
    fn an_expiry_is_what_is_left_until_then() {
        let (expiry, now) = (Expiry::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(expiry.left(now), f64::INFINITY);
        expiry.set(Timestamp::from_second(90).ok());
        assert_eq!(expiry.left(now), 90.0);
        assert_eq!(expiry.left(Timestamp::from_second(100).unwrap()), -10.0);
    }

    #[test]
    fn a_family_never_grows_without_bound() {
        let family: Family<Counter, 1> = Family::new("x_total", "X.", ["pod"]);
        for i in 0..MAX_SERIES * 2 {
            family.with([&i.to_string()]).inc();
        }
        assert_eq!(family.with([""]).get(), MAX_SERIES as u64);
        family.retain(|key| &*key[0] == "7");
        let mut page = Page::default();
        family.print(&mut page);
        assert!(page.finish().ends_with("x_total{pod=\"7\"} 1\n"));
    }
}
