//! What the settings require of the machine before anything starts: reasons not to run, and kernel settings.
//!
//! Source: `pkg/kubelet/cm/container_manager_linux.go` (swap, `setupKernelTunables`), `validation_linux.go` (cgroup v1),
//! `cmd/kubelet/app/server.go` (`getReservedCPUs`, swap on cgroup v1).

use std::collections::BTreeSet;

use crate::core::model::kubelet_spec::HostSettings;

/// What was observed on the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// True if cgroups are version 1 or hybrid.
    pub cgroup_v1: bool,
    /// Content of `/proc/swaps`; empty without swap support.
    pub swaps: String,
    /// Content of `/sys/devices/system/cpu/online`; empty if it cannot be read.
    pub online_cpus: String,
    /// Values of [`TUNABLES`] in their order; `None` for one that cannot be read.
    pub tunables: Vec<Option<i64>>,
}

/// A kernel setting below `/proc/sys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunable {
    /// Path below `/proc/sys`, e.g. `vm/overcommit_memory`.
    pub name: &'static str,
    /// The value that the kubelet requires.
    pub value: i64,
}

/// Kernel settings that the kubelet requires: overcommit memory, let the OOM killer act instead of a panic, reboot
/// after a kernel panic, and enough keys for many containers.
pub const TUNABLES: [Tunable; 6] = [
    Tunable { name: "vm/overcommit_memory", value: 1 },
    Tunable { name: "vm/panic_on_oom", value: 0 },
    Tunable { name: "kernel/panic", value: 10 },
    Tunable { name: "kernel/panic_on_oops", value: 1 },
    Tunable { name: "kernel/keys/root_maxkeys", value: 1_000_000 },
    Tunable { name: "kernel/keys/root_maxbytes", value: 25_000_000 },
];

/// Most processors that a list may contain.
const MOST_CPUS: u32 = 8192;

/// Parses a processor list in the kernel's form, such as `0-3,8`; `None` if it is invalid.
pub fn parse_cpus(list: &str) -> Option<BTreeSet<u32>> {
    let mut cpus = BTreeSet::new();
    for part in list.trim().split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= MOST_CPUS {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

/// The devices that `/proc/swaps` lists below its heading (proc(5)).
pub fn swap_devices(swaps: &str) -> impl Iterator<Item = &str> {
    swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next())
}

/// Every reason why the kubelet must not run on this machine.
pub fn check_host(settings: &HostSettings, facts: &HostFacts) -> Vec<String> {
    let mut faults = Vec::new();
    let mut refuse = |fault: bool, text: String| {
        if fault {
            faults.push(text);
        }
    };
    let v1 = facts.cgroup_v1;
    refuse(
        v1 && settings.fail_cgroup_v1,
        "failCgroupV1: this machine has cgroup version 1, which upstream is about to drop; set it to false to run here"
            .into(),
    );
    refuse(v1 && settings.ends_single_processes, "singleProcessOOMKill: cannot be false with cgroup version 1".into());
    refuse(
        v1 && settings.swap_behavior == "LimitedSwap",
        "memorySwap.swapBehavior: LimitedSwap needs cgroup version 2".into(),
    );
    let swaps: Vec<&str> = swap_devices(&facts.swaps).collect();
    refuse(
        !swaps.is_empty() && settings.fail_swap_on,
        format!("failSwapOn: swap is enabled ({}); disable it, or set this to false", swaps.join(", ")),
    );
    if !settings.reserved_cpus.is_empty()
        && let (Some(reserved), Some(online)) = (parse_cpus(&settings.reserved_cpus), parse_cpus(&facts.online_cpus))
    {
        let text = format!(
            "reservedSystemCPUs: {} are not all online, which {} are",
            settings.reserved_cpus, facts.online_cpus
        );
        refuse(!reserved.is_subset(&online), text);
    }
    if settings.protect_kernel_defaults {
        for (tunable, value) in others(facts) {
            let is = value.map_or("cannot be read".to_owned(), |value| format!("is {value}"));
            refuse(true, format!("protectKernelDefaults: /proc/sys/{} {is}, want {}", tunable.name, tunable.value));
        }
    }
    faults
}

/// Kernel settings to write; none with `protectKernelDefaults`.
pub fn plan_tunables(settings: &HostSettings, facts: &HostFacts) -> Vec<Tunable> {
    if settings.protect_kernel_defaults { Vec::new() } else { others(facts).map(|(tunable, _)| tunable).collect() }
}

/// The settings whose value differs from the required one.
fn others(facts: &HostFacts) -> impl Iterator<Item = (Tunable, Option<i64>)> {
    let values = facts.tunables.iter().copied().chain(std::iter::repeat(None));
    TUNABLES.into_iter().zip(values).filter(|(tunable, value)| *value != Some(tunable.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::kubelet::{Flags, load};

    const SWAPS: &str = "Filename\tType\tSize\tUsed\tPriority\n";

    fn settings(flags: &[(&str, &str)]) -> HostSettings {
        let fields = flags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load(&Flags { node_name: "n1".into(), fields, ..Flags::default() }).expect("valid").host
    }

    fn facts() -> HostFacts {
        HostFacts {
            cgroup_v1: false,
            swaps: SWAPS.into(),
            online_cpus: "0-3\n".into(),
            tunables: TUNABLES.iter().map(|tunable| Some(tunable.value)).collect(),
        }
    }

    #[test]
    fn a_machine_is_refused_by_the_defaults_that_upstream_has_and_taken_where_they_are_lifted() {
        let swap = HostFacts { swaps: format!("{SWAPS}/dev/zram0 partition 1 0 5\n"), ..facts() };
        let v1 = HostFacts { cgroup_v1: true, ..facts() };
        for (flags, facts, fault) in [
            (&[][..], &facts(), None),
            (&[], &swap, Some("failSwapOn: swap is enabled (/dev/zram0)")),
            (&[("fail-swap-on", "false")], &swap, None),
            // A kernel without swap support has no such file.
            (&[], &HostFacts { swaps: String::new(), ..facts() }, None),
            (&[], &v1, Some("failCgroupV1: this machine has cgroup version 1")),
            (&[("fail-cgroupv1", "false")], &v1, None),
            (&[("reserved-cpus", "0-3")], &facts(), None),
            (&[("reserved-cpus", "3-4")], &facts(), Some("reservedSystemCPUs: 3-4 are not all online")),
        ] {
            let faults = check_host(&settings(flags), facts);
            assert_eq!(faults.is_empty(), fault.is_none(), "{flags:?}: {faults:?}");
            assert!(faults.iter().all(|text| text.starts_with(fault.unwrap_or_default())), "{flags:?}: {faults:?}");
        }
    }

    #[test]
    fn what_needs_cgroup_version_two_is_refused_with_version_one() {
        let mut settings = settings(&[("fail-cgroupv1", "false")]);
        settings.ends_single_processes = true;
        settings.swap_behavior = "LimitedSwap".into();
        assert_eq!(check_host(&settings, &facts()), [""; 0]);
        assert_eq!(check_host(&settings, &HostFacts { cgroup_v1: true, ..facts() }).len(), 2);
    }

    #[test]
    fn settings_of_the_kernel_are_written_or_where_they_are_protected_only_compared() {
        let mut odd = facts();
        odd.tunables[0] = Some(0);
        odd.tunables[2] = None;
        let written = plan_tunables(&settings(&[]), &odd);
        assert_eq!(written, [TUNABLES[0], TUNABLES[2]]);
        assert_eq!(check_host(&settings(&[]), &odd), [""; 0]);
        let protected = settings(&[("protect-kernel-defaults", "true")]);
        assert_eq!(plan_tunables(&protected, &odd), []);
        assert_eq!(
            check_host(&protected, &odd),
            [
                "protectKernelDefaults: /proc/sys/vm/overcommit_memory is 0, want 1",
                "protectKernelDefaults: /proc/sys/kernel/panic cannot be read, want 10",
            ]
        );
        assert_eq!(check_host(&protected, &facts()), [""; 0]);
    }
}
