//! Fuzzes the fixed header; what must hold is in `src/targets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::frame(data));
