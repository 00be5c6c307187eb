//! Bodies of stored rows, records and members.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switchyard_fuzz::stored_body(input));
