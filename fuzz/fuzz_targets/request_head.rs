//! Heads of HTTP requests.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switchyard_fuzz::request_head(input));
