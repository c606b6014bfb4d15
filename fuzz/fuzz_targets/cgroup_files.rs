//! Files of cgroups: the property is in `roost::fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| roost::fuzzing::check("cgroup_files", input));
