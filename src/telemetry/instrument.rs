//! Counters, gauges and histograms based on atomics, and families of them by labels.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
    pub fn new(name: &'static str, help: &'static str, labels: [&'static str; N]) -> Self {
        Self { name, help, labels, buckets: &[], series: Mutex::default() }
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
        Self { name, help, labels, buckets, series: Mutex::default() }
    }

    pub fn observe(&self, values: [&str; N], took: Duration) {
        let histogram = self.with(values);
        let seconds = took.as_secs_f64();
        let bucket = self.buckets.iter().zip(&histogram.counts).find(|(bound, _)| seconds <= **bound);
        if let Some((_, count)) = bucket {
            count.fetch_add(1, Ordering::Relaxed);
        }
        histogram.count.fetch_add(1, Ordering::Relaxed);
        histogram.sum.add(seconds);
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
