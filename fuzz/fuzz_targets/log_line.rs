//! Lines of container logs on their way into the journal: the property is in `roost::fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| roost::fuzzing::check("log_line", input));
