//! Files that the kubelet keeps: the property is in `roost::fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| roost::fuzzing::check("state_files", input));
