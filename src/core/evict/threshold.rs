//! Eviction thresholds of the configuration: `memory.available: 100Mi`, `nodefs.available: 10%`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::signal::{Observation, Signal};
use crate::core::model;
use crate::core::model::kubelet_spec::EvictionSettings;

/// A limit as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// Bytes, inodes or processes.
    Exact(u64),
    /// A fraction of the capacity, 0 to 1.
    Part(f64),
}

impl Amount {
    /// The limit for a capacity.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn of(self, capacity: u64) -> u64 {
        match self {
            Self::Exact(amount) => amount,
            // A fraction of a u64 between 0 and 1 fits a u64; rounding of the last bits does not matter.
            Self::Part(part) => (capacity as f64 * part) as u64,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(percent) = text.strip_suffix('%') {
            let percent: f64 = percent.trim().parse().ok()?;
            return (0.0..=100.0).contains(&percent).then_some(Self::Part(percent / 100.0));
        }
        u64::try_from(model::Amount::parse(text)?.units()).ok().map(Self::Exact)
    }
}

/// A threshold: the available amount below which pods are evicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// The signal that is compared.
    pub signal: Signal,
    /// Least amount that must be available.
    pub value: Amount,
    /// Time for which the threshold may be exceeded before pods are evicted; zero for a hard threshold.
    pub grace: Duration,
    /// `evictionMinimumReclaim`: additional amount that must be available before the threshold counts as no longer met.
    pub minimum_reclaim: Option<Amount>,
}

impl Threshold {
    /// True if pods are evicted without a grace period.
    pub fn is_hard(&self) -> bool {
        self.grace.is_zero()
    }

    /// True if too little is available; with `reclaim` the minimum reclaim is required as well.
    pub fn is_met(&self, observed: Observation, reclaim: bool) -> bool {
        let surplus = self.minimum_reclaim.filter(|_| reclaim).map_or(0, |r| r.of(observed.capacity));
        self.value.of(observed.capacity).saturating_add(surplus) > observed.available
    }
}

/// Parses all thresholds; `0%` and `100%` disable a signal, as upstream.
///
/// # Errors
/// One text for each unknown signal, invalid amount, or soft threshold without a grace period.
pub fn parse_thresholds(settings: &EvictionSettings) -> Result<Vec<Threshold>, Vec<String>> {
    let (mut thresholds, mut faults) = (Vec::new(), Vec::new());
    let mut read = |name: &str, map: &BTreeMap<String, String>, grace: &dyn Fn(&str) -> Option<Duration>| {
        for (signal_name, text) in map {
            let Some(signal) = Signal::of(signal_name) else {
                faults.push(format!("{name}: unknown eviction signal {signal_name}"));
                continue;
            };
            if matches!(text.trim(), "0%" | "100%") {
                continue;
            }
            let Some(value) = Amount::parse(text.trim()) else {
                faults.push(format!("{name}: {signal_name}: {text} is neither a quantity nor a percentage"));
                continue;
            };
            let Some(grace) = grace(signal_name) else {
                faults.push(format!("{name}: {signal_name} needs an entry in evictionSoftGracePeriod"));
                continue;
            };
            let reclaim = settings.minimum_reclaim.get(signal_name).map(|text| (text, Amount::parse(text.trim())));
            if let Some((text, None)) = reclaim {
                faults.push(format!(
                    "evictionMinimumReclaim: {signal_name}: {text} is neither a quantity nor a percentage"
                ));
                continue;
            }
            let minimum_reclaim = reclaim.and_then(|(_, amount)| amount);
            thresholds.push(Threshold { signal, value, grace, minimum_reclaim });
        }
    };
    read("evictionHard", &settings.hard, &|_| Some(Duration::ZERO));
    read("evictionSoft", &settings.soft, &|signal| settings.soft_grace.get(signal).copied().filter(|g| !g.is_zero()));
    if settings.enforce.iter().any(|e| e == "pods")
        && let Some(memory) = thresholds.iter().find(|t| t.signal == Signal::Memory && t.is_hard()).copied()
    {
        thresholds.push(Threshold { signal: Signal::AllocatableMemory, ..memory });
    }
    if faults.is_empty() { Ok(thresholds) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(hard: &[(&str, &str)], soft: &[(&str, &str)]) -> EvictionSettings {
        let map = |list: &[(&str, &str)]| list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        EvictionSettings {
            hard: map(hard),
            soft: map(soft),
            soft_grace: BTreeMap::from([("nodefs.available".to_owned(), Duration::from_secs(90))]),
            minimum_reclaim: map(&[("memory.available", "50Mi")]),
            transition: Duration::from_secs(300),
            max_pod_grace: 0,
            kube_reserved: BTreeMap::new(),
            system_reserved: BTreeMap::new(),
            enforce: Vec::new(),
            kube_reserved_cgroup: String::new(),
            system_reserved_cgroup: String::new(),
        }
    }

    #[test]
    fn quantities_and_percentages_are_read() {
        let parsed = parse_thresholds(&settings(
            &[("memory.available", "100Mi"), ("imagefs.available", "0%")],
            &[("nodefs.available", "15%")],
        ))
        .expect("thresholds");
        assert_eq!(parsed.len(), 2);
        assert_eq!(
            (parsed[0].value, parsed[0].minimum_reclaim),
            (Amount::Exact(100 << 20), Some(Amount::Exact(50 << 20)))
        );
        assert_eq!((parsed[1].value, parsed[1].grace), (Amount::Part(0.15), Duration::from_secs(90)));
    }

    #[test]
    fn every_fault_is_named() {
        let faults = parse_thresholds(&settings(
            &[("memory.free", "1"), ("memory.available", "x"), ("pid.available", "120%")],
            &[("memory.available", "1")],
        ))
        .expect_err("four faults");
        assert_eq!(faults.len(), 4);
        let mut surplus = settings(&[("memory.available", "1Mi")], &[]);
        surplus.minimum_reclaim.insert("memory.available".to_owned(), "50MB".to_owned());
        let faults = parse_thresholds(&surplus).expect_err("a surplus that is no quantity");
        assert!(faults[0].starts_with("evictionMinimumReclaim: memory.available"), "{faults:?}");
    }

    #[test]
    fn a_threshold_stays_met_until_the_surplus_is_there() {
        let threshold = Threshold {
            signal: Signal::Memory,
            value: Amount::Exact(100),
            grace: Duration::ZERO,
            minimum_reclaim: Some(Amount::Part(0.1)),
        };
        for (available, met, with_surplus) in
            [(99, true, true), (100, false, true), (199, false, true), (200, false, false)]
        {
            let observed = Observation { available, capacity: 1000 };
            assert_eq!((threshold.is_met(observed, false), threshold.is_met(observed, true)), (met, with_surplus));
        }
    }
}
