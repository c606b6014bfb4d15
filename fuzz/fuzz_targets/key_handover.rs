//! What control planes hand to each other: the property is in `roost::fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| roost::fuzzing::check("key_handover", input));
