//! Frames with messages, as the load harness reads them.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switchyard_fuzz::loadtest_frames(input));
