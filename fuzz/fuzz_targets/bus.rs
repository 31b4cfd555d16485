#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hv::dev::bus::fuzz(bytes));
