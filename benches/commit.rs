//! What the commit costs: the same replay with everything committed, with everything encoded and
//! thrown away, and with nothing of either.
//!
//! Rounds alternate, medians are compared. An engine that keeps nothing cannot read anything back,
//! so the budget of hot state is such that nothing leaves it, in all three. Time is from the start of
//! the engine to its last commit; generating and writing sessions are no part of it. Options:
//! `SPOOR_BENCH_REQUESTS` (default 3 million), `SPOOR_BENCH_ROUNDS` (default 3).

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{generate, load, median, number};
use spoor_dataflow::decode::Formats;
use spoor_dataflow::engine::{EpochLimits, Settings};
use spoor_dataflow::replay;
use spoor_dataflow::source::SourceSpec;
use spoor_dataflow::store::{Keep, Store, StoreOptions};
use spoor_operators::assign::{Applications, SecretKey};
use spoor_operators::inventory::Descriptions;
use spoor_operators::rules::RuleSet;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REQUESTS: u64 = 3_000_000;
const ROUNDS: u64 = 3;
/// Most that a committed replay may take, in times of one that commits nothing.
const RATIO_MAX: f64 = 1.6;
const WORKERS: usize = 2;
/// More than the hot state of the traffic.
const HOT_BYTES: usize = 6 << 30;

fn main() {
    let (requests, rounds) = (number("REQUESTS", REQUESTS), number("ROUNDS", ROUNDS));
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    let log = dir.path().join("traffic.ndjson");
    generate(requests, &["--users", "200000"], &log);
    println!("load before: {}", load());
    let keeps = [Keep::Everything, Keep::Encoded, Keep::Nothing];
    let mut times = keeps.map(|_| Vec::new());
    for round in 0..rounds {
        for (keep, times) in keeps.into_iter().zip(&mut times) {
            times.push(run(&dir.path().join("state"), &log, keep, requests));
        }
        let [all, encoded, nothing] = times.each_ref().map(|times| times[round as usize]);
        println!(
            "round {round}: committed {all:.2?}, encoded {encoded:.2?}, neither {nothing:.2?}"
        );
    }
    let [all, encoded, nothing] = times.map(|mut times| median(&mut times));
    let times_of = |base: Duration| all.as_secs_f64() / base.as_secs_f64();
    let verdict = if times_of(nothing) <= RATIO_MAX { "met" } else { "MISSED" };
    println!("{requests} requests, {WORKERS} workers, medians of {rounds}: committed {all:.2?};");
    println!("encoded only {encoded:.2?}: {:.2} times", times_of(encoded));
    println!(
        "nothing kept {nothing:.2?}: {:.2} times (at most {RATIO_MAX}: {verdict})",
        times_of(nothing)
    );
    println!("load after: {}", load());
}

/// From the start of the engine to its last commit.
fn run(state: &Path, log: &Path, keep: Keep, requests: u64) -> Duration {
    let options = StoreOptions { sync: false, keep, ..StoreOptions::bulk() };
    let mut rules = RuleSet::default();
    rules.settings.retention_days = None;
    let settings = Settings {
        store: Store::open(state, options).expect("a new store"),
        rules,
        key: SecretKey([7; 32]),
        applications: Applications::default(),
        descriptions: Descriptions::default(),
        formats: Formats::default(),
        sources: vec![SourceSpec::File { path: log.into(), format: None }.into()],
        cluster: None,
        workers: WORKERS,
        hot_bytes_max: HOT_BYTES,
        epochs: EpochLimits::default(),
        ends_with_sources: true,
        refuses_future: false,
        remembers_changes: false,
    };
    let begin = Instant::now();
    let replayed = replay::run(settings, &mut |_, _| std::ops::ControlFlow::Continue(()))
        .expect("the replay succeeds");
    let took = begin.elapsed();
    assert_eq!(replayed.counts().read, requests, "all are read");
    replayed.end().expect("the engine ends well");
    fs::remove_dir_all(state).expect("the state goes");
    took
}
