//! Fuzzes what publishers send and commands show; what must hold is in `src/targets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::payload(data));
