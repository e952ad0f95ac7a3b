#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| maquette_fuzz::merge(data));
