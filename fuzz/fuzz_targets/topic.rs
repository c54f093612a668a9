//! Fuzzes topics, filters and their matching; what must hold is in `src/targets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::topic(data));
