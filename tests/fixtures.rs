//! Stores that earlier versions wrote: each is opened, checked, verified, read and written by this one.
//!
//! `tests/fixtures/stores/<version>-format-<N>.tar.zst` is the directory of a store as the server of
//! that version left it, and the `.ndjson` beside it what a replay of the same requests wrote. A
//! store of this version's format has to be among them. `SPOOR_BLESS=1` writes the one that is
//! missing; one that is there is never written again: it is what an older program did.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::server::Server;
use common::{spoor, write};
use serde_json::{Value, json};
use spoor_dataflow::store::FORMAT;

/// What every fixture was made with. The key makes the identities of secret values the same.
const CONFIG: &str = r#"
[secrets]
key = "a key that is no secret"
[[applications]]
name = "api"
hosts = ["api.example.com"]
[[rules.grouping]]
name = "bearer"
point = '$request.header.authorization | regex("^[Bb]earer (.+)$", 1)'
namespace = "token"
secret = true
[[rules.context]]
name = "user"
point = "$request.header.authorization | jwt.payload#/sub"
type = "user"
"#;
/// A rule that is added while the store has requests, as a file has it and as the API takes it.
const ADDED: &str = "[[rules.grouping]]\nname = \"agent\"\npoint = \"$request.header.x-agent\"\n";
const ADD: &str = r#"mutation { createGroupingKey(input: {
    key: { name: "agent", point: "$request.header.x-agent" }
}) { errors { message } } }"#;
/// A push with a key: one record is good, one is not.
const PUSHED: &str = "{\"id\":\"p1\",\"ts\":\"2026-03-02T12:00:00Z\",\"method\":\"GET\",\"path\":\"/p\",\
    \"ip\":\"192.0.2.9\",\"request\":{\"headers\":{\"x-agent\":\"a1\"}}}\n{\"method\":\"GET\"}\n";
const PUSH_KEY: &str = "idempotency-key: fixture\r\n";
/// More values than a session's row has room for.
const VALUES: usize = 600;
const NODE: &str = "sessionId durationMs identity { identityId namespace value weak } statistics {
    requests errors serverErrors detections malicious blocked requestBytes responseBytes ips endpoints }";

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stores")
}

/// The fixtures there are: archive and expected sessions by name.
fn fixtures() -> BTreeMap<String, PathBuf> {
    let entries = std::fs::read_dir(directory()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".tar.zst")?.to_owned();
            Some((name, path))
        })
        .collect()
}

/// Requests of some users on two days, one of whom has a session with very many values.
fn requests() -> String {
    let generated = |count: &str, start: &str| {
        let args = ["generate", "--seed", "5", "--users", "12", "--late", "0.1"];
        let args = [&args[..], &["--requests", count, "--start", start]].concat();
        String::from_utf8(spoor(&args, b"").stdout).unwrap()
    };
    let mut text = generated("120", "2026-03-02T10:00:00Z");
    text += &generated("60", "2026-03-03T09:00:00Z");
    for number in 0..VALUES {
        let second = number / 60 * 100 + number % 60;
        let path = format!("/{}", "abcdefghij".chars().nth(number % 10).unwrap());
        let record = json!({ "id": format!("w{number}"), "method": "GET", "ip": "192.0.2.8",
            "ts": format!("2026-03-02T11:{:02}:{:02}Z", second / 100, second % 100),
            "path": format!("{path}{}x", "yz".repeat(number / 10)), "status": 200 });
        writeln!(text, "{record}").unwrap();
    }
    text
}

fn query_sessions(server: &Server) -> Vec<Value> {
    let mut nodes = Vec::new();
    let mut after = "null".to_owned();
    loop {
        let query = format!(
            "{{ sessions(first: 100, after: {after}) {{ pageInfo {{ hasNextPage endCursor }} nodes {{ {NODE} }} }} }}"
        );
        let mut page = server.query(&query)["sessions"].take();
        nodes.append(page["nodes"].as_array_mut().unwrap());
        if page["pageInfo"]["hasNextPage"] != json!(true) {
            return nodes;
        }
        after = page["pageInfo"]["endCursor"].to_string();
    }
}

/// A line of a replay's output as the API has it.
fn as_node(line: &Value) -> Value {
    let duration = line["end"].as_i64().unwrap() - line["start"].as_i64().unwrap();
    json!({
        "sessionId": line["id"], "durationMs": duration,
        "identity": { "identityId": line["identity"], "namespace": line["namespace"],
                      "value": line["value"], "weak": line["weak"] },
        "statistics": {
            "requests": line["requests"], "errors": line["errors"],
            "serverErrors": line["server_errors"], "detections": line["detections"],
            "malicious": line["malicious"], "blocked": line["blocked"],
            "requestBytes": line["request_bytes"], "responseBytes": line["response_bytes"],
            "ips": line["ips"], "endpoints": line["endpoints"],
        },
    })
}

fn sorted(mut nodes: Vec<Value>) -> Vec<Value> {
    nodes.sort_by_key(|node| node["sessionId"].as_str().unwrap().to_owned());
    nodes
}

/// Runs a command that must succeed.
fn succeed(args: &[&str]) {
    let output = spoor(args, b"");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {}{said}", String::from_utf8_lossy(&output.stdout));
}

/// Runs tar in a directory with an archive as its input; answers its output.
fn tar(directory: &Path, args: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = Command::new("tar")
        .current_dir(directory)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tar is there");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "tar {args:?}");
    output.stdout
}

/// Writes the fixture of this version.
fn bless(name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let config = write(dir.path(), "config.toml", CONFIG);
    let requests = requests();
    let state = dir.path().join("store");
    let server = Server::start(&state, &["--config", &config, "--workers", "2"]);
    assert_eq!(server.post("/v1/requests", &requests).status, 200);
    assert_eq!(server.post_with("/v1/requests", PUSH_KEY, PUSHED).status, 200);
    assert_eq!(server.query(ADD)["createGroupingKey"]["errors"], json!([]));

    let after = write(dir.path(), "after.toml", &(CONFIG.to_owned() + ADDED));
    let args = ["replay", "--config", &after, "-"];
    let replayed = spoor(&args, (requests + PUSHED).as_bytes());
    let text = String::from_utf8(replayed.stdout).unwrap();
    let lines = text.lines().map(|line| as_node(&serde_json::from_str(line).unwrap()));
    let expected = sorted(lines.collect());
    // The retained past is gone through in the background.
    server.until("{ status { rulesVersion } }", "sessions under the added rule", |_| {
        sorted(query_sessions(&server)) == expected
    });
    assert_eq!(server.stop(), Some(0));

    let archive = tar(dir.path(), &["-c", "--owner=0", "--group=0", "--exclude=LOG", "store"], b"");
    let archive = zstd::encode_all(&archive[..], 19).unwrap();
    std::fs::write(directory().join(format!("{name}.tar.zst")), archive).unwrap();
    std::fs::write(directory().join(format!("{name}.ndjson")), text).unwrap();
}

#[test]
fn a_store_of_this_format_is_among_the_fixtures() {
    let name = format!("{}-format-{FORMAT}", env!("CARGO_PKG_VERSION"));
    let is_there = |name: &String| name.ends_with(&format!("-format-{FORMAT}"));
    if !fixtures().keys().any(is_there) && std::env::var_os("SPOOR_BLESS").is_some() {
        bless(&name);
    }
    assert!(
        fixtures().keys().any(is_there),
        "write it: SPOOR_BLESS=1 cargo test --workspace --test fixtures"
    );
}

#[test]
fn stores_of_earlier_versions_open_and_hold_what_they_held() {
    for (name, archive) in fixtures() {
        let dir = tempfile::tempdir().unwrap();
        let archive = zstd::decode_all(std::fs::File::open(archive).unwrap()).unwrap();
        tar(dir.path(), &["-x"], &archive);
        let path = dir.path().join("store");
        let state = path.to_str().unwrap();
        let config = write(dir.path(), "config.toml", CONFIG);
        succeed(&["store", "check", "--state", state]);
        succeed(&["verify", "--config", &config, "--state", state]);

        let text = std::fs::read_to_string(directory().join(format!("{name}.ndjson"))).unwrap();
        let lines = text.lines().map(|line| as_node(&serde_json::from_str(line).unwrap()));
        let expected = sorted(lines.collect());
        assert!(expected.len() > 20, "{name}: its sessions are there");
        let server = Server::start(&path, &["--config", &config]);
        let found = sorted(query_sessions(&server));
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{name}");
        }

        // It goes on: an answered push is known by its key, and a session takes one request more.
        let requests = || server.query("{ status { requests } }")["status"]["requests"].as_u64();
        let before = requests().unwrap();
        assert_eq!(server.post_with("/v1/requests", PUSH_KEY, PUSHED).status, 200, "{name}");
        assert_eq!(requests(), Some(before), "{name}");
        let more = PUSHED.replace("p1", "p2");
        assert_eq!(server.post("/v1/requests", &more).status, 200, "{name}");
        assert_eq!(requests(), Some(before + 1), "{name}");
        assert_eq!(query_sessions(&server).len(), expected.len(), "{name}");
        assert_eq!(server.stop(), Some(0));
        succeed(&["store", "check", "--state", state]);
        succeed(&["verify", "--config", &config, "--state", state]);
    }
}
