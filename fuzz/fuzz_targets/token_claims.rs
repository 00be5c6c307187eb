//! Claims of rightly signed tokens.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switchyard_fuzz::token_claims(input));
