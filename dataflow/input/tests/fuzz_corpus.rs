//! The corpus of the fuzz targets, replayed, each file also damaged in many small ways.
//!
//! The damage is the same in every run. `SPOOR_FUZZ_SECONDS` damages for as long as it says, for
//! each target, where there is no fuzzer at hand.

#![allow(clippy::unwrap_used, reason = "a failed test is what it is for")]

use std::path::Path;
use std::time::{Duration, Instant};

#[path = "../../../fuzz/targets.rs"]
mod targets;

/// Damaged inputs for each file of the corpus, unless time is given.
const DAMAGED: u32 = 100;

/// A small generator of numbers (xorshift): enough to choose what to damage.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

fn damage(input: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    const SPECIAL: &[u8] = b"\"\\{}[]:,. -+eE0919\n\r\t/%?=&|$#()'\x00\x1f\x7f\x80\xc3\xff";
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(input.len() + 1);
        let len = numbers.below(8).min(input.len() - at);
        match numbers.below(5) {
            0 => drop(input.drain(at..at + len)),
            1 => input.insert(at, SPECIAL[numbers.below(SPECIAL.len())]),
            2 if at < input.len() => input[at] = SPECIAL[numbers.below(SPECIAL.len())],
            3 => {
                let again = input[at..at + len].to_vec();
                drop(input.splice(at..at, again));
            }
            _ => {
                let from = numbers.below(other.len() + 1);
                let len = numbers.below(40).min(other.len() - from);
                drop(input.splice(at..at, other[from..from + len].iter().copied()));
            }
        }
    }
}

fn check(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    inputs.iter().for_each(|input| run(input));

    let seconds = std::env::var("SPOOR_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let (mut numbers, mut runs) = (Numbers(0x5eed), 0_u64);
    loop {
        for input in &inputs {
            for _ in 0..DAMAGED {
                let other = &inputs[numbers.below(inputs.len())];
                let mut input = input.clone();
                damage(&mut input, other, &mut numbers);
                run(&input);
                runs += 1;
            }
        }
        if until.is_none_or(|until| Instant::now() >= until) {
            println!("{target}: {runs} damaged inputs");
            return;
        }
    }
}

#[test]
fn ndjson() {
    check("ndjson", targets::ndjson);
}

#[test]
fn access_log() {
    check("access_log", targets::access_log);
}

#[test]
fn lines() {
    check("lines", targets::lines);
}

#[test]
fn wrapper() {
    check("wrapper", targets::wrapper);
}

#[test]
fn format_string() {
    check("format_string", targets::format_string);
}

#[test]
fn mapping() {
    check("mapping", targets::mapping);
}

#[test]
fn har() {
    check("har", targets::har);
}

#[test]
fn point() {
    check("point", targets::point);
}
