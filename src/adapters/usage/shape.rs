//! The machine as cAdvisor describes it: processors, cores, sockets, memory, identity.

#![expect(clippy::disallowed_methods, reason = "blocks: called on threads of offload::Lanes")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::shared::Shared;
use crate::adapters::fs::entries;
use crate::adapters::machine::{identity, online_cpus};
use crate::core::model::cgroup_sample::MachineShape;

pub(super) fn machine_shape(shared: &Shared) -> MachineShape {
    let options = &shared.options;
    let memory = shared.host.memory();
    let (machine_id, system_uuid, boot_id) = identity();
    let cores = cores(&options.sys);
    let sockets: BTreeSet<_> = cores.iter().map(|(socket, _)| socket).collect();
    MachineShape {
        cores: Some(online_cpus(&options.sys, &options.proc)),
        physical_cores: count(cores.len()),
        sockets: count(sockets.len()),
        memory: Some(memory.total).filter(|bytes| *bytes > 0),
        swap: Some(memory.swap_total),
        machine_id,
        system_uuid,
        boot_id,
    }
}

fn count(found: usize) -> Option<u32> {
    u32::try_from(found).ok().filter(|count| *count > 0)
}

/// Socket and core number of each online processor (`Documentation/admin-guide/cputopology.rst`).
fn cores(sys: &Path) -> BTreeSet<(String, String)> {
    let topology = |cpu: &Path, file| {
        let text = fs::read_to_string(cpu.join("topology").join(file)).ok()?;
        Some(text.trim().to_owned())
    };
    let cpus = entries(&sys.join("devices/system/cpu"));
    let all = cpus.iter().filter_map(|cpu| Some((topology(cpu, "physical_package_id")?, topology(cpu, "core_id")?)));
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_are_one_core_and_cores_of_two_sockets_are_two() {
        let sys = tempfile::tempdir().unwrap();
        for (cpu, socket, core) in [("cpu0", "0", "0"), ("cpu1", "0", "0"), ("cpu2", "1", "0")] {
            let topology = sys.path().join("devices/system/cpu").join(cpu).join("topology");
            fs::create_dir_all(&topology).unwrap();
            fs::write(topology.join("physical_package_id"), format!("{socket}\n")).unwrap();
            fs::write(topology.join("core_id"), format!("{core}\n")).unwrap();
        }
        fs::create_dir_all(sys.path().join("devices/system/cpu/cpu3")).unwrap();
        assert_eq!(cores(sys.path()).len(), 2);
        assert!(cores(Path::new("/nowhere")).is_empty());
    }
}
