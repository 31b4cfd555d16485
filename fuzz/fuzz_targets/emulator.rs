#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hv::emu::execute::fuzz(bytes));
