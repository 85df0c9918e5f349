//! What the tests of the program share: running it, reading what it answers, comparing.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod cluster;
pub mod engines;
pub mod pages;
pub mod server;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use spoor_oracle::{Oracle, Outcome};

/// Keys of a line of a replay's output, in their order.
pub const LINE_KEYS: [&str; 22] = [
    "id",
    "identity",
    "namespace",
    "value",
    "weak",
    "start",
    "end",
    "requests",
    "errors",
    "server_errors",
    "detections",
    "malicious",
    "blocked",
    "request_bytes",
    "response_bytes",
    "duration_ms_sum",
    "duration_ms_max",
    "ips",
    "endpoints",
    "methods",
    "statuses",
    "attacks",
];

/// Keys of a replay's summary, in their order.
pub const SUMMARY_KEYS: [&str; 13] = [
    "read",
    "accepted",
    "duplicate",
    "bad",
    "excluded",
    "unkeyed",
    "expired",
    "future",
    "repaired",
    "sessions",
    "identities",
    "seconds",
    "requests_per_second",
];

/// What a replay gave.
pub struct Replay {
    pub lines: Vec<Value>,
    pub summary: Value,
    pub output: String,
}

/// Runs the program with an input and waits for its end.
pub fn spoor(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_spoor"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut pipe = child.stdin.take().expect("its input is a pipe");
    let input = input.to_vec();
    // A program that refuses its arguments does not read its input.
    let feeder = std::thread::spawn(move || pipe.write_all(&input).is_ok());
    let output = child.wait_with_output().expect("the program ends");
    feeder.join().expect("the feeder ends");
    output
}

/// A replay that must succeed.
pub fn replay(args: &[&str], input: &[u8]) -> Replay {
    let output = spoor(&[&["replay"], args].concat(), input);
    let errors = String::from_utf8(output.stderr).expect("messages are UTF-8");
    assert!(output.status.success(), "{args:?}: {errors}");
    let text = String::from_utf8(output.stdout).expect("the output is UTF-8");
    let last = errors.lines().last().expect("there is a summary");
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    Replay { lines: text.lines().map(parse).collect(), summary: parse(last), output: text }
}

/// Replays a log from standard input under a configuration with each number of workers; the result
/// must be the oracle's. Answers the last replay, and what the oracle says.
pub fn check_oracle(config: &str, log: &[u8], workers: &[&str]) -> (Replay, Outcome) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = write(dir.path(), "config.toml", config);
    let mut oracle = Oracle::new(config);
    oracle.read("stdin", "ndjson", log);
    let expected = oracle.outcome();
    let mut last = None;
    for workers in workers {
        let args = ["--config", &file, "--workers", workers, "--requests", "-"];
        let replayed = replay(&args, log);
        check_same(&replayed, &expected, true);
        last = Some(replayed);
    }
    (last.expect("some number of workers"), expected)
}

/// The replay gave exactly the oracle's sessions, and counted what the oracle counts.
pub fn check_same(replay: &Replay, expected: &Outcome, with_requests: bool) {
    let lines = expected.lines(with_requests);
    for (number, (line, expected)) in replay.lines.iter().zip(&lines).enumerate() {
        assert!(same(line, expected), "line {number}:\n{line}\nexpected:\n{expected}");
    }
    let counts = &expected.counts;
    assert_eq!(replay.lines.len(), lines.len(), "sessions");
    for (name, expected) in [
        ("read", counts.read),
        ("accepted", counts.accepted),
        ("bad", counts.bad),
        ("excluded", counts.excluded),
        ("unkeyed", counts.unkeyed),
        ("expired", 0),
        ("sessions", lines.len() as u64),
        ("identities", expected.identities() as u64),
    ] {
        assert_eq!(replay.summary[name], expected, "{name}: {}", replay.summary);
    }
}

/// Equal as JSON, whatever the form of a number.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

/// A file of the shared data, or none (with a note) where the data is not.
pub fn shared(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let data = std::env::var_os("SPOOR_DATA").map_or(beside, PathBuf::from);
    if !data.is_dir() {
        eprintln!("note: no shared data at {}: this test compared nothing", data.display());
        return None;
    }
    let file = data.join(name);
    assert!(file.is_file(), "the shared data is there, but {} is not", file.display());
    Some(file)
}

/// The content of a gzip file.
pub fn gunzip(file: &Path) -> Vec<u8> {
    let compressed = std::fs::read(file).expect("the file can be read");
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(&compressed[..])
        .read_to_end(&mut bytes)
        .expect("the file is gzip");
    bytes
}

/// Records as lines of NDJSON.
pub fn ndjson(records: &[Value]) -> Vec<u8> {
    records.iter().flat_map(|record| format!("{record}\n").into_bytes()).collect()
}

/// The same, compressed.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).and_then(|()| writer.finish()).expect("memory can be written")
}

/// A file with this content in a directory.
pub fn write(dir: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let file = dir.join(name);
    std::fs::write(&file, content).expect("the file can be written");
    file.to_str().expect("a plain path").to_owned()
}

/// A sample configuration of the project.
pub fn sample(name: &str) -> (String, String) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name);
    let text = std::fs::read_to_string(&file).expect("the sample is there");
    (file.to_str().expect("a plain path").to_owned(), text)
}
