//! Fuzzes the JSON of dynamic security; what must hold is in `src/targets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::dynamic_security(data));
