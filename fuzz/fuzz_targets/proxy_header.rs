//! PROXY headers, both versions.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switchyard_fuzz::proxy_header(input));
