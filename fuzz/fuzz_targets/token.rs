//! Fuzzes tokens that stand for passwords; what must hold is in `src/targets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::token(data));
