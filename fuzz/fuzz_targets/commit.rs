#![no_main]

#[path = "../../tests/fuzz/properties.rs"]
#[allow(dead_code, reason = "each target drives one of them")]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::commit(data));
