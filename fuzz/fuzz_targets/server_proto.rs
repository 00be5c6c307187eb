//! Servers' protobuf frames.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switchyard_fuzz::server_proto(input));
