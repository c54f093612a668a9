//! Fuzzes topics, filters and their matching; what must hold is in `src/lib.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::topic(data));
