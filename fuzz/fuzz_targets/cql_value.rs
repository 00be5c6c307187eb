//! Small values of the store in a cluster.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switchyard_fuzz::cql_value(input));
