//! The main job on a file: `spoor replay` of generated NDJSON by two workers, committed to disk with
//! the request log, against parsing alone of the same file with sonic-rs on two threads.
//!
//! The reference is fixed, whatever decoder Spoor uses, so the ratio says how much the rest of the
//! job costs. `SPOOR_BENCH_REQUESTS` shrinks the 5 million records. Printed with the machine's load.

mod common;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{generate, load, number};
use serde::Deserialize;

/// Records unless the environment says otherwise.
const REQUESTS: u64 = 5_000_000;
/// At most this many times as long as the reference.
const RATIO_MAX: f64 = 6.0;
/// Threads of the reference and workers of the replay.
const THREADS: u64 = 2;

/// A record as a program that knows the format would read it.
#[derive(Deserialize)]
#[allow(dead_code, reason = "read to be measured")]
struct Record<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ts: Cow<'a, str>,
    #[serde(borrow)]
    app: Cow<'a, str>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    host: Cow<'a, str>,
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    query: Option<Cow<'a, str>>,
    status: u16,
    duration_ms: f64,
    request_bytes: u64,
    response_bytes: u64,
    #[serde(borrow)]
    ip: Cow<'a, str>,
    #[serde(borrow)]
    user_agent: Cow<'a, str>,
    #[serde(borrow)]
    request: Option<Side<'a>>,
    #[serde(borrow)]
    response: Option<Side<'a>>,
    #[serde(borrow, default)]
    attacks: Vec<Attack<'a>>,
    #[serde(default)]
    blocked: bool,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "read to be measured")]
struct Side<'a> {
    #[serde(borrow, default)]
    headers: HashMap<&'a str, Cow<'a, str>>,
    #[serde(borrow, default)]
    cookies: HashMap<&'a str, Cow<'a, str>>,
    body: Option<sonic_rs::Value>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "read to be measured")]
struct Attack<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    subtype: Option<Cow<'a, str>>,
    #[serde(borrow)]
    point: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: Option<Cow<'a, str>>,
    #[serde(default)]
    blocked: bool,
}

fn main() {
    let requests = number("REQUESTS", REQUESTS);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    println!("load before: {}", load());

    let log = dir.path().join("traffic.ndjson");
    generate(requests, &["--users", "200000"], &log);
    let bytes = fs::metadata(&log).expect("the log is there").len();
    println!("{requests} records, {bytes} bytes, {} a record", bytes / requests.max(1));

    // The file is in the page cache for both: the generator has just written it.
    let parsing = reference(&log, bytes);
    println!(
        "reference: sonic-rs on {THREADS} threads: {:.2} s, {:.0} records/s",
        parsing.as_secs_f64(),
        requests as f64 / parsing.as_secs_f64()
    );

    let state = dir.path().join("state");
    let (seconds, peak_bytes, summary) = replay(&log, &state);
    let ratio = seconds / parsing.as_secs_f64();
    println!("{summary}");
    println!("spoor replay: {seconds:.2} s, {:.0} requests/s", requests as f64 / seconds);
    println!("peak memory: {} MB", peak_bytes >> 20);
    println!("on disk: {:.1} bytes a request", size(&state) as f64 / requests as f64);
    println!("load after: {}", load());
    let verdict = if ratio <= RATIO_MAX { "within" } else { "MISSED" };
    println!("ratio: {ratio:.2} times the reference (at most {RATIO_MAX}: {verdict})");
}

/// Parses the file, each thread its part of the lines.
fn reference(log: &Path, bytes: u64) -> Duration {
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for part in 0..THREADS {
            let (from, until) = (bytes * part / THREADS, bytes * (part + 1) / THREADS);
            scope.spawn(move || parse_part(log, from, until));
        }
    });
    begin.elapsed()
}

/// Parses the lines that begin in a range of bytes.
fn parse_part(log: &Path, from: u64, until: u64) {
    let mut file = File::open(log).expect("the log is there");
    // A line that begins exactly at `from` belongs here: look for the line feed before it.
    file.seek(SeekFrom::Start(from.saturating_sub(1))).expect("the log can be read");
    let mut lines = BufReader::with_capacity(1 << 20, file);
    let mut at = from.saturating_sub(1);
    let mut line = Vec::new();
    if from > 0 {
        at += lines.read_until(b'\n', &mut line).expect("the log can be read") as u64;
    }
    while at < until {
        line.clear();
        let read = lines.by_ref().read_until(b'\n', &mut line).expect("the log can be read");
        if read == 0 {
            return;
        }
        at += read as u64;
        let record: Record<'_> = sonic_rs::from_slice(&line).expect("the log is well formed");
        std::hint::black_box(&record);
    }
}

/// Seconds, peak resident bytes, and the summary of a replay.
fn replay(log: &Path, state: &Path) -> (f64, u64, String) {
    let begin = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_spoor"))
        .args(["replay", "--workers", &THREADS.to_string(), "--output", "/dev/null", "--state"])
        .args([state, log])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let exit = loop {
        peak = peak.max(high_water(&status).unwrap_or(0));
        if let Some(exit) = child.try_wait().expect("the program can be waited for") {
            break exit;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let seconds = begin.elapsed().as_secs_f64();
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    assert!(exit.success(), "{said}");
    (seconds, peak, said.lines().last().unwrap_or_default().to_owned())
}

/// Peak resident bytes of a process.
fn high_water(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

/// Bytes of all files below a directory.
fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).expect("the state is there").filter_map(Result::ok);
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
