//! Fuzzes password and ACL files; what must hold is in `src/targets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::users(data));
