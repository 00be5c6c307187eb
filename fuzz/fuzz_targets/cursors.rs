//! Text forms of cursors.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switchyard_fuzz::cursors(input));
