//! From readings to the values of the summary.

use jiff::{SignedDuration, Timestamp};

use crate::core::model::cgroup_sample::CgroupSample;
use crate::core::model::usage::{
    ContainerUsage, CpuUsage, InterfaceUsage, IoUsage, MemoryUsage, NetworkUsage, SwapUsage,
};

/// Readings closer together than this are too inaccurate for a rate.
const SHORTEST: SignedDuration = SignedDuration::from_secs(5);

/// The last two readings of a cgroup's CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    before: Option<(Timestamp, u64)>,
    last: Option<(Timestamp, u64)>,
}

impl Rate {
    /// Adds a reading; returns the rate since an earlier one, in billionths of a core.
    pub fn push(&mut self, at: Timestamp, usage: u64) -> Option<u64> {
        let far_enough = |then: Timestamp| at.duration_since(then) >= SHORTEST;
        let base = match self.last {
            // The counter decreased: the cgroup was recreated.
            Some((_, used)) if used > usage => {
                *self = Self::default();
                None
            }
            Some((then, used)) if far_enough(then) => Some((then, used)),
            _ => self.before.or(self.last),
        };
        if self.last.is_none_or(|(then, _)| far_enough(then)) {
            self.before = self.last;
            self.last = Some((at, usage));
        }
        let (then, used) = base?;
        let nanos = u128::try_from(at.duration_since(then).as_nanos()).ok().filter(|n| *n > 0)?;
        let rate = u128::from(usage.checked_sub(used)?).saturating_mul(1_000_000_000).checked_div(nanos)?;
        u64::try_from(rate).ok()
    }
}

/// CPU usage; `None` if nothing was measured.
pub fn derive_cpu(sample: &CgroupSample, nano_cores: Option<u64>) -> Option<CpuUsage> {
    sample.cpu.usage.map(|usage| CpuUsage {
        time: sample.at,
        usage_nano_cores: nano_cores,
        usage_core_nano_seconds: Some(usage),
        psi: sample.cpu_pressure,
    })
}

/// Memory usage; `capacity` replaces the limit of a cgroup without one (the node).
pub fn derive_memory(sample: &CgroupSample, capacity: Option<u64>) -> Option<MemoryUsage> {
    let memory = &sample.memory;
    let working_set = memory.working_set();
    memory.usage.map(|usage| MemoryUsage {
        time: sample.at,
        available_bytes: memory.limit.or(capacity).zip(working_set).map(|(most, used)| most.saturating_sub(used)),
        usage_bytes: Some(usage),
        working_set_bytes: working_set,
        rss_bytes: memory.rss,
        page_faults: memory.faults,
        major_page_faults: memory.major_faults,
        psi: sample.memory_pressure,
    })
}

/// Pressure of block I/O; the summary has no other values of it.
pub fn derive_io(sample: &CgroupSample) -> Option<IoUsage> {
    sample.io_pressure.map(|psi| IoUsage { time: sample.at, psi: Some(psi) })
}

/// Swap usage; a cgroup without a limit may use all free swap of the node.
pub fn derive_swap(sample: &CgroupSample, node_free: Option<u64>) -> Option<SwapUsage> {
    let memory = &sample.memory;
    memory.swap.map(|used| SwapUsage {
        time: sample.at,
        swap_available_bytes: match memory.swap_limit {
            Some(most) => Some(most.saturating_sub(used)),
            None => node_free,
        },
        swap_usage_bytes: Some(used),
    })
}

/// Usage of a network namespace.
pub fn derive_network(interfaces: Vec<InterfaceUsage>, at: Timestamp) -> NetworkUsage {
    let default = interfaces.iter().find(|i| i.name == "eth0").cloned();
    NetworkUsage { time: at, default, interfaces }
}

/// Usage of a container (or a system part) without file systems.
pub fn derive_container(
    name: &str,
    started: Timestamp,
    sample: &CgroupSample,
    nano_cores: Option<u64>,
    node_swap_free: Option<u64>,
) -> ContainerUsage {
    ContainerUsage {
        name: name.to_owned(),
        start_time: started,
        cpu: derive_cpu(sample, nano_cores),
        memory: derive_memory(sample, None),
        io: derive_io(sample),
        rootfs: None,
        logs: None,
        swap: derive_swap(sample, node_swap_free),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::cgroup_sample::{CpuSample, MemorySample};

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap()
    }

    #[test]
    fn a_rate_needs_two_readings_some_seconds_apart() {
        let mut rate = Rate::default();
        assert_eq!(rate.push(second(0), 0), None);
        assert_eq!(rate.push(second(10), 5_000_000_000), Some(500_000_000));
        // Two readings in quick succession: the rate is relative to the earlier one.
        assert_eq!(rate.push(second(11), 5_500_000_000), Some(500_000_000));
        assert_eq!(rate.push(second(20), 5_000_000_000 + 10_000_000_000), Some(1_000_000_000));
    }

    #[test]
    fn a_counter_that_goes_back_starts_anew() {
        let mut rate = Rate::default();
        rate.push(second(0), 100);
        rate.push(second(10), 200);
        assert_eq!(rate.push(second(20), 5), None);
        assert_eq!(rate.push(second(30), 10_000_000_005), Some(1_000_000_000));
    }

    #[test]
    fn available_memory_is_what_the_limit_leaves_and_absent_without_one() {
        let mut sample = CgroupSample {
            cpu: CpuSample { usage: Some(7), ..CpuSample::default() },
            memory: MemorySample {
                usage: Some(100),
                inactive_file: Some(40),
                limit: Some(500),
                ..MemorySample::default()
            },
            ..CgroupSample::default()
        };
        assert_eq!(derive_memory(&sample, None).unwrap().available_bytes, Some(440));
        sample.memory.limit = None;
        assert_eq!(derive_memory(&sample, None).unwrap().available_bytes, None);
        assert_eq!(derive_memory(&sample, Some(1000)).unwrap().available_bytes, Some(940));
        assert_eq!(derive_cpu(&sample, Some(3)).unwrap().usage_nano_cores, Some(3));
    }

    #[test]
    fn the_default_interface_is_eth0_or_none() {
        let named = |name: &str| InterfaceUsage { name: name.into(), rx_bytes: 5, ..InterfaceUsage::default() };
        let json = |names: &[&str]| {
            let network = derive_network(names.iter().map(|n| named(n)).collect(), second(0));
            serde_json::to_value(network).unwrap()
        };
        assert_eq!((&json(&["a", "eth0"])["name"], &json(&["a", "eth0"])["rxBytes"]), (&"eth0".into(), &5.into()));
        assert_eq!((json(&["a"]).get("rxBytes"), &json(&["a"])["interfaces"][0]["name"]), (None, &"a".into()));
    }
}
