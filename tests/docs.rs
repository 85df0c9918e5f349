//! The documentation against the program: its examples are run, its numbers are compared.
//!
//! `docs/limits.md` is written by this test when `SPOOR_BLESS` is set, from the constants
//! themselves; numbers with a thousands separator elsewhere must be among them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use common::pages::{blocks, page, path, rows};
use spoor_dataflow::config::{self, Config};
use spoor_dataflow::decode::{self, Decoder, Format, Mapping};
use spoor_dataflow::engine::limits as engine;
use spoor_dataflow::source::{Chunk, RAW_BYTES_MAX, RECORD_BYTES_MAX};
use spoor_dataflow::store::limits as store;
use spoor_graphql::ServerOptions;
use spoor_graphql::schema::page::PAGE_MAX;
use spoor_operators::point::{self, Bodies, Point};
use spoor_operators::request;
use spoor_operators::rules::check as rules;

/// What a text decodes to: a line for each record, good or bad.
fn decoded(text: &str, format: Format) -> Vec<String> {
    let chunk = Chunk::whole("docs".into(), Arc::new(format), text.to_owned().into());
    let mut records = Vec::new();
    Decoder::new().decode(&chunk, &mut |record, _| match record {
        Ok(request) => records.push(format!("{request:#?}")),
        Err(bad) => records.push(format!("{}: {}", bad.code, bad.reason)),
    });
    records
}

/// Records of a page, each on one line as NDJSON has them.
fn ndjson(text: &str) -> String {
    let records = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    records.map(|record| format!("{}\n", record.unwrap())).collect()
}

#[test]
fn the_examples_of_points_read_what_the_page_says() {
    let page = page("docs/points.md");
    let record = ndjson(&blocks(&page, "json")[0]);
    let rows: Vec<_> = rows(&page);
    assert!(rows.len() > 35, "the tables are found");
    let chunk = Chunk::whole("docs".into(), Arc::new(Format::Ndjson), record.into());
    let mut seen = 0;
    Decoder::new().decode(&chunk, &mut |request, _| {
        let request = request.unwrap_or_else(|bad| panic!("{bad:?}"));
        for row in &rows {
            let point = Point::parse(row[0].trim_matches('`')).unwrap();
            let read = point.read(&request, &mut Bodies::default());
            let expected = match row[1].as_str() {
                "nothing" => None,
                value => Some(value.trim_matches('`')),
            };
            assert_eq!(read.as_deref(), expected, "{}", row[0]);
            seen += 1;
        }
    });
    assert_eq!(seen, rows.len());
}

#[test]
fn the_example_of_a_mapping_gives_the_records_of_the_page() {
    let page = page("docs/mappings.md");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("spoor.toml");
    std::fs::write(&file, &blocks(&page, "toml")[0]).unwrap();
    let config = Config::load(Some(&file)).unwrap();
    let mapping = Mapping::compile("gateway", &config.mappings["gateway"]).unwrap();
    let json = blocks(&page, "json");
    let mapped = decoded(&json[0], Format::Json(Arc::new(mapping)));
    let native = decoded(&ndjson(&json[1]), Format::Ndjson);
    assert_eq!(mapped.len(), 2);
    for (mapped, native) in mapped.iter().zip(&native) {
        assert_eq!(mapped, native);
    }
    // Every key there is is explained.
    let known = serde_json::to_value(config::Mapping::default()).unwrap();
    let mut keys: Vec<&str> = known.as_object().unwrap().keys().map(String::as_str).collect();
    keys.extend(["request_body", "response_body", "records"]);
    let told: String = rows(&page).into_iter().map(|row| row[0].clone()).collect();
    keys.iter().for_each(|key| assert!(told.contains(&format!("`{key}`")), "{key}"));
}

#[test]
fn the_page_of_formats_names_each_and_its_examples_are_read() {
    let page = page("docs/formats.md");
    let told: String = rows(&page).into_iter().map(|row| row[0].clone()).collect();
    for name in Format::built_in_names() {
        assert!(told.contains(&format!("`{name}`")), "{name}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("spoor.toml");
    for toml in blocks(&page, "toml") {
        std::fs::write(&file, &toml).unwrap();
        let config = Config::load(Some(&file)).unwrap();
        config.client_ip.check().unwrap();
    }
    std::fs::write(&file, &blocks(&page, "toml")[0]).unwrap();
    let config = Config::load(Some(&file)).unwrap();
    let mut formats = decode::Formats::default();
    for (name, format) in &config.formats {
        formats.add(name, format).unwrap();
    }
    let lines: BTreeMap<String, String> = serde_json::from_str(&blocks(&page, "json")[0]).unwrap();
    assert!(lines.keys().eq(config.formats.keys()), "each format has a line");
    for (name, line) in lines {
        let read = decoded(&line, (*formats.named(&name).unwrap()).clone());
        assert_eq!(read.len(), 1, "{name}");
        let record = &read[0];
        for part in ["1772445600000", "\"GET\"", "\"/a\"", "status: 200"] {
            assert!(record.contains(part), "{name}: {part}: {record}");
        }
    }
}

enum Size {
    Count(u64),
    Bytes(u64),
    Time(Duration),
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => f.write_str(&grouped(*count)),
            Self::Bytes(bytes) => {
                let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
                let unit =
                    units.iter().find(|(bits, _)| *bytes >> bits > 0 && bytes % (1 << bits) == 0);
                match unit {
                    Some((bits, unit)) => write!(f, "{} {unit}", bytes >> bits),
                    None => write!(f, "{} bytes", grouped(*bytes)),
                }
            }
            Self::Time(time) if time.as_millis() % 1000 > 0 => write!(f, "{} ms", time.as_millis()),
            Self::Time(time) if time.as_secs() % 86_400 == 0 => {
                write!(f, "{} days", grouped(time.as_secs() / 86_400))
            }
            Self::Time(time) => write!(f, "{} s", time.as_secs()),
        }
    }
}

/// With a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Every limit a user can meet.
fn limits() -> Vec<(&'static str, Vec<(&'static str, Size)>)> {
    use Size::{Bytes, Count, Time};
    let count = |number: usize| Count(number as u64);
    let bytes = |number: usize| Bytes(number as u64);
    let ServerOptions { operation, socket, .. } = ServerOptions::default();
    let options = ServerOptions::default();
    vec![
        (
            "Records",
            vec![
                ("a record; a longer one is bad", bytes(RECORD_BYTES_MAX)),
                ("a document, such as an HTTP archive", bytes(decode::DOCUMENT_BYTES_MAX)),
                ("an explicit id", bytes(request::ID_BYTES_MAX)),
                ("a client's host name", bytes(request::CLIENT_BYTES_MAX)),
                ("kept of a refused record", bytes(RAW_BYTES_MAX)),
                (
                    "refused records kept of one chunk of input",
                    count(engine::DEAD_LETTERS_PER_CHUNK_MAX),
                ),
                ("refused records kept", Count(store::DEAD_LETTERS_KEPT)),
            ],
        ),
        (
            "Pushes",
            vec![
                ("a body, after decompression", bytes(options.push_bytes_max)),
                ("refused lines told in an answer", count(engine::PUSH_ERRORS_MAX)),
                ("answers remembered for their `Idempotency-Key`", Count(store::IDEMPOTENCY_KEPT)),
            ],
        ),
        (
            "Rules",
            vec![
                ("a name, in characters", count(rules::NAME_CHARS_MAX)),
                ("rules in a list", count(rules::RULES_MAX)),
                ("a glob or an ignored value", bytes(rules::TEXT_BYTES_MAX)),
                ("a point, in characters", count(point::POINT_CHARS_MAX)),
                ("pipes of a point", count(point::PIPES_MAX)),
                (
                    "a gap, lateness or idle timeout",
                    Time(Duration::from_millis(rules::SPAN_MS_MAX)),
                ),
                (
                    "retention",
                    Time(Duration::from_secs(u64::from(rules::RETENTION_DAYS_MAX) * 86_400)),
                ),
            ],
        ),
        (
            "GraphQL",
            vec![
                ("a request's body", bytes(options.body_bytes_max)),
                ("a query's text", bytes(operation.query_bytes_max)),
                ("a query's tokens", count(operation.tokens_max)),
                ("levels of selected fields", count(operation.depth_max)),
                ("selected fields", count(operation.fields_max)),
                (
                    "cost: each field 1, below a list times its page size",
                    count(operation.complexity_max),
                ),
                ("aliases", count(operation.aliases_max)),
                ("directives on a field", count(operation.directives_max)),
                ("time of an operation", Time(operation.timeout)),
                ("a page", count(PAGE_MAX)),
                ("an answer", bytes(operation.answer_bytes_max)),
                ("all answers together", bytes(operation.answers_bytes_max)),
                ("steps of an overview", Count(store::OVERVIEW_STEPS_MAX)),
                ("open WebSockets", count(socket.sockets_max)),
                ("operations on a WebSocket", count(socket.operations_max)),
                ("a message to a WebSocket's client", bytes(socket.answer_bytes_max)),
            ],
        ),
        (
            "Subscriptions",
            vec![
                ("subscribers", count(engine::FEED_SUBSCRIBERS_MAX)),
                ("sessions of a snapshot", count(engine::FEED_SNAPSHOT_MAX)),
                ("an event", bytes(engine::FEED_EVENT_BYTES_MAX)),
                ("epochs that can be resumed from", count(engine::FEED_EPOCHS_MAX)),
                ("changes remembered for that", bytes(engine::FEED_BYTES_MAX)),
            ],
        ),
        (
            "The engine",
            vec![
                ("workers of a process", count(config::WORKERS_MAX)),
                ("processes of a cluster", count(spoor_dataflow::cluster::PROCESSES_MAX)),
                ("least `hot_bytes`", Bytes(config::HOT_BYTES_MIN)),
                (
                    "request log of one identity and day that one read takes",
                    bytes(store::LOG_BYTES_MAX),
                ),
                ("requests a change of rules looks at in one slice", count(engine::REGROUP_SLICE)),
                ("bytes of them", bytes(engine::REGROUP_SLICE_BYTES)),
            ],
        ),
    ]
}

#[test]
fn the_limits_of_the_page_are_those_of_the_program() {
    let mut text =
        "# Limits\n\nWhat is bounded, and by how much. `tests/docs.rs` writes this page \
                    from the program's constants and\ncompares it with them.\n"
            .to_owned();
    for (area, limits) in limits() {
        write!(text, "\n## {area}\n\n| what | at most |\n| --- | --- |\n").unwrap();
        for (what, size) in limits {
            writeln!(text, "| {what} | {size} |").unwrap();
        }
    }
    text = text.replace("| least `hot_bytes` |", "| `hot_bytes`: at least |");
    if std::env::var_os("SPOOR_BLESS").is_some() {
        std::fs::write(path("docs/limits.md"), &text).unwrap();
    }
    let told = page("docs/limits.md");
    for (line, program) in told.lines().zip(text.lines()) {
        assert_eq!(line, program, "write the page anew: SPOOR_BLESS=1 cargo test --test docs");
    }
    assert_eq!(told.lines().count(), text.lines().count());
}

#[test]
fn numbers_elsewhere_are_limits_or_measured() {
    let limits: BTreeSet<String> = page("docs/limits.md")
        .lines()
        .filter_map(|line| line.strip_suffix(" |")?.rsplit("| ").next().map(str::to_owned))
        .flat_map(|value| value.split(' ').next().map(str::to_owned))
        .collect();
    let number = regex::Regex::new(r"\b[0-9]{1,3}(,[0-9]{3})+\b").unwrap();
    for name in ["admin", "analyst", "data-engineer", "frontend", "points", "mappings"] {
        for line in page(&format!("docs/{name}.md")).lines() {
            // What was measured says so in its line: "in 29 s".
            let is_measured = line.contains(" in ") && line.contains(" s,");
            for found in number.find_iter(line).map(|found| found.as_str()) {
                let known = limits.contains(found) || is_measured || line.contains("measured");
                assert!(known, "docs/{name}.md: {found} is no limit of docs/limits.md: {line}");
            }
        }
    }
}
