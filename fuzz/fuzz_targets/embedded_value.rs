//! Small values of the embedded store.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switchyard_fuzz::embedded_value(input));
