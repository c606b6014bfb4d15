//! resolv.conf: the property is in `roost::fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| roost::fuzzing::check("resolv_conf", input));
