#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hv::vm::loader::fuzz(bytes));
