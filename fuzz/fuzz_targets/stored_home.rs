//! Bodies of what is stored of users' homes.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switchyard_fuzz::stored_home(input));
