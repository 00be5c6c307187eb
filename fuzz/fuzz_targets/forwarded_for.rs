//! Values of `X-Forwarded-For`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switchyard_fuzz::forwarded_for(input));
