//! What a change of rules costs while it goes through the retained past: the longest wait of a push
//! meanwhile, and how much memory it takes beyond what there was.
//!
//! Two shapes of the same number of requests of one day: all of one identity, and ten of each. Two
//! changes: one that only counts differently (the gap), one that moves every request to another
//! identity. Options: `SPOOR_BENCH_REQUESTS` (default 1 million), `SPOOR_BENCH_SLICE` (requests
//! looked at at once; a number beyond all requests takes every identity-day whole).

mod common;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{load, number};
use spoor_dataflow::decode::Formats;
use spoor_dataflow::engine::{Engine, EpochLimits, Settings};
use spoor_dataflow::service::Ingest;
use spoor_dataflow::store::{Store, StoreOptions};
use spoor_operators::assign::{Applications, SecretKey};
use spoor_operators::inventory::Descriptions;
use spoor_operators::rules::RuleSet;
use spoor_operators::rules::edit::RuleEdit;
use spoor_operators::time::Epoch;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REQUESTS: u64 = 1_000_000;
const WORKERS: usize = 2;
const HOT_BYTES: usize = 64 << 20;
/// Lines of a push while the past is made.
const LINES: u64 = 10_000;
/// 2026-03-02T00:00:00Z
const DAY: u64 = 1_772_409_600_000;

fn main() {
    let requests = number("REQUESTS", REQUESTS);
    let default = EpochLimits::default().regroup_requests as u64;
    let slice = number("SLICE", default) as usize;
    println!("load before: {}", load());
    for (shape, users) in [("one identity", 1), ("ten requests each", requests / 10)] {
        run(shape, requests, users, slice);
    }
    println!("load after: {}", load());
}

fn line(n: u64, requests: u64, users: u64) -> String {
    let (ts, user) = (DAY + n * 80_000_000 / requests, n % users);
    format!(
        "{{\"ts\":{ts},\"id\":\"r{n}\",\"method\":\"GET\",\"path\":\"/orders/{}/items\",\"status\":200,\
         \"duration_ms\":{},\"response_bytes\":{},\"ip\":\"192.0.2.{}\",\"user_agent\":\"{:a>200}\",\
         \"request\":{{\"headers\":{{\"x-session-id\":\"s{user}\"}},\"cookies\":{{\"uid\":\"u{user}\"}}}}}}\n",
        n % 97,
        n % 900,
        n % 5000,
        n % 200,
        n % 7,
    )
}

fn push(ingest: &dyn Ingest, lines: String) {
    let answer = ingest.push(lines.into(), None).blocking_recv().expect("the engine runs");
    answer.expect("the push is taken");
}

fn run(shape: &str, requests: u64, users: u64, slice: usize) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    let mut rules = RuleSet::default();
    rules.settings.retention_days = None;
    let engine = Engine::start(Settings {
        store: Store::open(dir.path(), StoreOptions { sync: false, ..StoreOptions::default() })
            .expect("a new store"),
        rules: rules.clone(),
        key: SecretKey([7; 32]),
        applications: Applications::default(),
        descriptions: Descriptions::default(),
        formats: Formats::default(),
        sources: Vec::new(),
        cluster: None,
        workers: WORKERS,
        hot_bytes_max: HOT_BYTES,
        epochs: EpochLimits { regroup_requests: slice, ..EpochLimits::default() },
        ends_with_sources: false,
        refuses_future: false,
        remembers_changes: false,
    })
    .expect("the engine starts");
    let ingest = engine.services().ingest;
    for from in (0..requests).step_by(LINES as usize) {
        let to = (from + LINES).min(requests);
        push(&*ingest, (from..to).map(|n| line(n, requests, users)).collect());
    }
    rules.settings.gap = serde_json::from_str("{\"ms\":600000}").expect("a gap");
    change(&engine, shape, "counts differently", &rules);
    let key = "{\"name\":\"uid\",\"point\":\"$request.cookie.uid\"}";
    rules.grouping.push(serde_json::from_str(key).expect("a grouping key"));
    change(&engine, shape, "moves all", &rules);
    engine.stop();
    engine.join().expect("the engine ends well");
}

fn change(engine: &Engine, shape: &str, what: &str, rules: &RuleSet) {
    let services = engine.services();
    // The peak begins anew.
    fs::write("/proc/self/clear_refs", "5").expect("Linux");
    let before = resident("VmHWM:");
    let is_over = Arc::new(AtomicBool::new(false));
    let pusher = std::thread::spawn({
        let (ingest, is_over) = (Arc::clone(&services.ingest), Arc::clone(&is_over));
        move || {
            let (mut longest, mut pushes) = (Duration::ZERO, 0);
            while !is_over.load(Ordering::Relaxed) {
                let begin = Instant::now();
                let ts = DAY + pushes;
                let line = format!(
                    "{{\"ts\":{ts},\"method\":\"GET\",\"path\":\"/live\",\"ip\":\"198.51.100.7\"}}\n"
                );
                push(&*ingest, line);
                longest = longest.max(begin.elapsed());
                pushes += 1;
            }
            (longest, pushes)
        }
    });
    let begin = Instant::now();
    let edit = RuleEdit::Replace(Box::new(rules.clone()));
    let answer = services.admin.change(edit, None, None).blocking_recv().expect("an engine");
    answer.expect("the change is taken");
    loop {
        let view = services.reader.view().expect("a view");
        if view.status().expect("a status").regroup.is_none() {
            break;
        }
        let _ = services.reader.wait_for(Epoch(view.epoch().0 + 1), Duration::from_millis(20));
    }
    let took = begin.elapsed();
    is_over.store(true, Ordering::Relaxed);
    let (longest, pushes) = pusher.join().expect("the pusher ends");
    let grown = resident("VmHWM:").saturating_sub(before);
    println!(
        "{shape}, {what}: {took:.2?}; longest wait of {pushes} pushes {longest:.2?}; \
         memory {} MB more at its peak, before {} MB",
        grown >> 20,
        before >> 20
    );
}

fn resident(what: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("a line of it");
    let kilobytes = line.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
    kilobytes.expect("a number") * 1024
}
