//! See `frames.rs` one folder up.
#![no_main]

#[path = "../frames.rs"]
mod frames;

libfuzzer_sys::fuzz_target!(|input: &[u8]| frames::frames(input));
