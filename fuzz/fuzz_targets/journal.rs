//! The store's journal.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switchyard_fuzz::journal(input));
