//! Sources and pushes of a server as its operator sees them, through the real program: what is
//! read, what a restart or a crash repeats or loses, and what a source or a client is told.
//!
//! Servers are stopped and killed as an operator and a crash do it; what is waited for is an
//! answer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use common::server::Server;
use common::{gzip, spoor, write};
use serde_json::{Value, json};

/// 2026-03-02T10:00:00Z.
const MORNING: i64 = 1_772_445_600_000;

/// Lines of requests without ids, so that each is named by its source and offset. All of one
/// session, and all of one length.
fn lines(numbers: std::ops::Range<i64>) -> String {
    let line = |number: i64| {
        let record = json!({ "ts": MORNING + number, "method": "GET", "path": format!("/{number:03}"),
                             "request": { "headers": { "x-session-id": "s" } } });
        format!("{record}\n")
    };
    numbers.map(line).collect()
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Waits until so many requests are committed, then answers the paths and the ids of all.
fn requests(server: &Server, count: usize) -> (Vec<String>, Vec<String>) {
    server.until("{ status { requests } }", "requests", |data| {
        let found = data["status"]["requests"].as_u64().unwrap();
        assert!(found <= count as u64, "a request is there twice");
        found == count as u64
    });
    let query = "{ sessions { nodes { requests(first: 200) { nodes { requestId path } } } } }";
    let data = server.query(query);
    let sessions = data["sessions"]["nodes"].as_array().unwrap();
    let nodes: Vec<&Value> =
        sessions.iter().flat_map(|one| one["requests"]["nodes"].as_array().unwrap()).collect();
    let field = |name: &str| {
        let mut all: Vec<_> =
            nodes.iter().map(|node| node[name].as_str().unwrap().to_owned()).collect();
        all.sort();
        all
    };
    (field("path"), field("requestId"))
}

/// Exactly the requests with these numbers are committed, and no two have one id.
fn check(server: &Server, numbers: impl IntoIterator<Item = i64>) -> Vec<String> {
    let mut expected: Vec<_> = numbers.into_iter().map(|n| format!("/{n:03}")).collect();
    expected.sort();
    let (paths, ids) = requests(server, expected.len());
    assert_eq!(paths, expected);
    let distinct: BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    ids
}

/// The names of the sources, without that of what is pushed.
fn names(server: &Server) -> Vec<String> {
    let data = server.query("{ status { sources { source } } }");
    let sources = data["status"]["sources"].as_array().unwrap();
    let names = sources.iter().map(|source| source["source"].as_str().unwrap().to_owned());
    names.filter(|name| name != "push").collect()
}

/// Writes a configuration with one source.
fn config(dir: &Path, name: &str, kind: &str, path: &Path) -> String {
    let path = path.to_str().unwrap();
    let text = format!("[[sources]]\nname = {name:?}\nkind = {kind:?}\npath = {path:?}\n");
    write(dir, "config.toml", text)
}

#[test]
fn a_file_is_the_same_under_every_path_and_every_name() {
    for kind in ["file", "follow"] {
        let dir = tempfile::tempdir().unwrap();
        let (state, log) = (dir.path().join("state"), dir.path().join("access.log"));
        let (link, hard) = (dir.path().join("link"), dir.path().join("hard"));
        append(&log, &lines(0..3));
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        std::os::unix::fs::symlink(&log, dir.path().join("symbolic")).unwrap();
        fs::hard_link(&log, &hard).unwrap();
        let relative = Path::new("..").join("..").join("..").join("..").join("..").join("..");
        let relative = relative.join("..").join(log.strip_prefix("/").unwrap());
        let spellings = [
            ("a", log.clone()),
            ("a", dir.path().join(".").join("access.log")),
            ("a", relative),
            ("a", link.join("access.log")),
            ("a", dir.path().join("symbolic")),
            ("a", hard),
            ("another", log.clone()),
        ];
        for (name, path) in &spellings {
            let config = config(dir.path(), name, kind, path);
            let server = Server::start(&state, &["--config", &config]);
            let ids = check(&server, 0..3);
            assert!(ids.iter().all(|id| id.starts_with("a:")), "{kind} {path:?}: {ids:?}");
            assert_eq!(names(&server), ["a"], "{kind} {path:?}");
            assert_eq!(server.stop(), Some(0), "{kind} {path:?}");
        }
        // And it goes on there, whatever kind it was.
        append(&log, &lines(3..5));
        let server = Server::start(&state, &["--follow", log.to_str().unwrap()]);
        let ids = check(&server, 0..5);
        assert!(ids.iter().all(|id| id.starts_with("a:")), "{kind}: {ids:?}");
    }
}

#[test]
fn another_file_under_a_known_name_is_read_and_its_ids_are_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (state, logs) = (dir.path().join("state"), dir.path().join("logs"));
    fs::create_dir(&logs).unwrap();
    append(&logs.join("a.log"), &lines(0..2));
    append(&logs.join("b.log"), &lines(2..4));
    for (path, expected) in [("a.log", 0..2), ("b.log", 0..4), ("a.log", 0..4)] {
        let config = config(dir.path(), "logs", "file", &logs.join(path));
        let server = Server::start(&state, &["--config", &config]);
        check(&server, expected);
        assert_eq!(server.stop(), Some(0));
    }
    // The files of a directory are renamed, and new ones take their names.
    let config = config(dir.path(), "all", "directory", &logs);
    fs::rename(logs.join("b.log"), logs.join("c.log")).unwrap();
    append(&logs.join("b.log"), &lines(4..6));
    for _ in 0..2 {
        let server = Server::start(&state, &["--config", &config]);
        check(&server, 0..6);
        assert_eq!(server.stop(), Some(0));
    }
}

#[test]
fn what_is_in_a_directory_and_no_log_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let (state, logs) = (dir.path().join("state"), dir.path().join("logs"));
    fs::create_dir(&logs).unwrap();
    append(&logs.join("a.log"), &lines(0..3));
    append(&logs.join("README"), "What these files are.\nAnd who made them.\n");
    append(&logs.join("empty.log"), "");
    fs::create_dir(logs.join("below")).unwrap();
    mkfifo(&logs.join("pipe"));
    let _socket = std::os::unix::net::UnixListener::bind(logs.join("socket")).unwrap();
    std::os::unix::fs::symlink(logs.join("a.log"), logs.join("current")).unwrap();
    std::os::unix::fs::symlink("nowhere", logs.join("dangling")).unwrap();
    let replayed = spoor(&["replay", logs.to_str().unwrap()], b"");
    let said = String::from_utf8(replayed.stderr).unwrap();
    assert!(replayed.status.success(), "{said}");
    assert!(said.lines().last().unwrap().contains("\"read\":3,"), "{said}");
    for left_out in ["README", "below", "pipe", "socket", "current", "dangling"] {
        let warns = |line: &str| line.contains("WARN") && line.contains(left_out);
        assert_eq!(said.lines().filter(|line| warns(line)).count(), 1, "{left_out}: {said}");
    }
    assert!(!said.contains("empty.log"), "{said}");
    let config = config(dir.path(), "logs", "directory", &logs);
    let server = Server::start(&state, &["--config", &config]);
    check(&server, 0..3);
    assert_eq!(server.stop(), Some(0));
    // Nothing but that is no success.
    fs::remove_file(logs.join("a.log")).unwrap();
    fs::remove_file(logs.join("empty.log")).unwrap();
    let replayed = spoor(&["replay", logs.to_str().unwrap()], b"");
    let said = String::from_utf8(replayed.stderr).unwrap();
    assert_eq!(replayed.status.code(), Some(1), "{said}");
    assert!(said.contains("README") && said.contains("nothing was read"), "{said}");
}

fn mkfifo(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_pipe_that_nobody_writes_to_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let (state, pipe) = (dir.path().join("state"), dir.path().join("pipe"));
    mkfifo(&pipe);
    let path = pipe.to_str().unwrap();
    // Followed, it is refused and tried again; as a file it is waited for.
    let server = Server::start(&state, &["--follow", path]);
    let query = "{ status { sources { source error } } }";
    server.until(query, "the error", |data| {
        let sources = data["status"]["sources"].as_array().unwrap();
        let error = sources.iter().find(|one| one["source"] == path).unwrap()["error"].as_str();
        error.is_some_and(|error| error.contains("named pipe"))
    });
    assert_eq!(server.stop(), Some(0));
    let config = config(dir.path(), "pipe", "file", &pipe);
    let server = Server::start(&state, &["--config", &config]);
    // Once it answers, it also listens to signals.
    assert_eq!(names(&server), ["pipe"]);
    assert_eq!(server.stop(), Some(0));
    let server = Server::start(&state, &["--config", &config]);
    fs::write(&pipe, lines(0..3)).unwrap();
    check(&server, 0..3);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn two_thousand_files_are_followed_by_few_threads() {
    let dir = tempfile::tempdir().unwrap();
    let (state, logs) = (dir.path().join("state"), dir.path().join("logs"));
    fs::create_dir(&logs).unwrap();
    let mut text = String::new();
    for number in 0..2000 {
        let path = logs.join(format!("{number:04}.log"));
        append(&path, &lines(number % 40..number % 40 + 1));
        let path = path.to_str().unwrap();
        text += &format!("[[sources]]\nname = \"s{number}\"\nkind = \"follow\"\npath = {path:?}\n");
    }
    let config = write(dir.path(), "config.toml", text);
    let server = Server::start(&state, &["--config", &config, "--workers", "2"]);
    let all = |expected: u64| {
        server.until("{ status { requests } }", "requests", |data| {
            data["status"]["requests"].as_u64() == Some(expected)
        });
    };
    all(2000);
    append(&logs.join("1234.log"), &lines(50..51));
    all(2001);
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap();
    let threads: usize = threads.trim().parse().unwrap();
    assert!(threads < 64, "{threads} threads");
    assert_eq!(server.stop(), Some(0));
}

/// The offset of a source.
fn offset(server: &Server, name: &str) -> u64 {
    let data = server.query("{ status { sources { source offset } } }");
    let sources = data["status"]["sources"].as_array().unwrap();
    let found = sources.iter().find(|source| source["source"] == name).unwrap();
    found["offset"].as_u64().unwrap()
}

#[test]
fn standard_input_is_read_from_its_beginning_by_each_process() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let args = ["--follow", "-"];
    let mut server = Server::start(&state, &args);
    server.write(&lines(0..3));
    check(&server, 0..3);
    // Open or at its end, and after a crash too: what comes next is another stream.
    assert_eq!(server.stop(), Some(0));
    let mut server = Server::start(&state, &args);
    server.write(&lines(3..5));
    drop(server.stdin.take());
    check(&server, 0..5);
    assert_eq!(server.stop(), Some(0));
    let mut server = Server::start(&state, &args);
    server.write(&lines(5..9));
    check(&server, 0..9);
    server.kill();
    let mut server = Server::start(&state, &args);
    server.write(&lines(9..10));
    let ids = check(&server, 0..10);
    // Implicit ids go on where they were, so that each still names one request.
    let all = lines(0..10).len() as u64;
    assert_eq!(offset(&server, "stdin"), all);
    let each = all / 10;
    let expected: BTreeSet<_> = (0..10).map(|number| format!("stdin:{}", number * each)).collect();
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn the_files_of_a_directory_are_read_once_and_new_ones_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (state, logs) = (dir.path().join("state"), dir.path().join("logs"));
    fs::create_dir(&logs).unwrap();
    write(&logs, "b.log", lines(0..3));
    write(&logs, "a.log.gz", gzip(lines(3..5).as_bytes()));
    fs::create_dir(logs.join("below")).unwrap();
    write(&logs.join("below"), "c.log", lines(100..101));
    let config = format!(
        "[[sources]]\nname = \"logs\"\nkind = \"directory\"\npath = {:?}\n",
        logs.to_str().unwrap()
    );
    let config = write(dir.path(), "config.toml", config);
    let args = ["--config", &config];
    let server = Server::start(&state, &args);
    check(&server, 0..5);
    server.kill();
    write(&logs, "c.log.zst", zstd::encode_all(lines(5..7).as_bytes(), 1).unwrap());
    let server = Server::start(&state, &args);
    check(&server, 0..7);
    assert_eq!(server.stop(), Some(0));
    let server = Server::start(&state, &args);
    check(&server, 0..7);
}

#[test]
fn a_followed_file_goes_on_through_rotation_truncation_restart_and_crash() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let log = dir.path().join("access.log");
    let args = ["--follow", log.to_str().unwrap()];
    let server = Server::start(&state, &args);
    append(&log, &lines(0..2));
    check(&server, 0..2);
    // Renamed and begun anew while it is followed.
    fs::rename(&log, dir.path().join("access.log.1")).unwrap();
    append(&log, &lines(2..5));
    check(&server, 0..5);
    server.kill();
    // Grown while nobody followed.
    append(&log, &lines(5..6));
    let server = Server::start(&state, &args);
    check(&server, 0..6);
    assert_eq!(server.stop(), Some(0));
    // Renamed while nobody followed: what was added before is read, then the new one.
    append(&log, &lines(6..7));
    fs::rename(&log, dir.path().join("access.log.2")).unwrap();
    append(&log, &lines(7..8));
    let server = Server::start(&state, &args);
    check(&server, 0..8);
    append(&log, &lines(8..10));
    check(&server, 0..10);
    assert_eq!(server.stop(), Some(0));
    // Cut to nothing and grown past the old place while nobody followed.
    fs::write(&log, lines(10..18)).unwrap();
    let server = Server::start(&state, &args);
    check(&server, 0..18);
    assert_eq!(server.stop(), Some(0));
    // Cut to nothing and shorter.
    fs::write(&log, lines(18..19)).unwrap();
    let server = Server::start(&state, &args);
    check(&server, 0..19);
    // Cut while it is followed.
    fs::write(&log, "").unwrap();
    append(&log, &lines(19..40));
    let ids = check(&server, 0..40);
    let name = log.to_str().unwrap();
    assert!(ids.contains(&format!("{name}:0")) && ids.contains(&format!("{name}#5:0")), "{ids:?}");
}

#[test]
fn a_source_that_cannot_be_read_is_tried_again_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let torn = dir.path().join("torn.log.gz");
    let whole = gzip(lines(0..5).as_bytes());
    fs::write(&torn, &whole[..whole.len() - 8]).unwrap();
    let log = dir.path().join("access.log");
    fs::create_dir(&log).unwrap();
    let path = torn.to_str().unwrap();
    let config = format!("[[sources]]\nname = \"torn\"\nkind = \"file\"\npath = {path:?}\n");
    let config = write(dir.path(), "config.toml", config);
    let args = ["--config", &config, "--follow", log.to_str().unwrap()];
    let server = Server::start(&state, &args);
    // The others go on, and what precedes the damage is there.
    check(&server, 0..5);
    let pushed = server.post("/v1/requests", &lines(10..11));
    assert_eq!((pushed.status, &pushed.body["counts"]["accepted"]), (200, &json!(1)));
    assert_eq!(server.stop(), Some(1), "it was not read to its end");
    fs::write(&torn, gzip(lines(0..7).as_bytes())).unwrap();
    fs::remove_dir(&log).unwrap();
    append(&log, &lines(7..10));
    let server = Server::start(&state, &args);
    check(&server, 0..11);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_source_may_be_named_once() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let state = state.to_str().unwrap();
    let args =
        ["serve", "--listen", "127.0.0.1:0", "--state", state, "--follow", "-", "--follow", "-"];
    let refused = spoor(&args, b"");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("stdin is a source twice"), "{said}");
}

#[test]
fn clients_that_do_not_send_their_bodies_keep_no_push_out() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("state"), &[]);
    let slow: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(server.head("/v1/requests", 100).as_bytes()).unwrap();
            stream.write_all(b"{").unwrap();
            stream
        })
        .collect();
    assert_eq!(server.post("/v1/requests", &lines(0..1)).status, 200);
    check(&server, 0..1);
    drop(slow);
}

#[test]
fn a_push_may_be_an_array_or_of_another_format_and_a_key_is_for_one_body() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[mappings.short]\n[mappings.short.fields]\nts = \"{/t}\"\nmethod = \"GET\"\n\
                  path = \"{/p}\"\n[mappings.short.request_headers]\nx-session-id = \"s\"\n\
                  [mappings.wrapped]\nrecords = \"/in\"\n[mappings.wrapped.fields]\nts = \"{/t}\"\n\
                  method = \"GET\"\npath = \"{/p}\"\n[mappings.wrapped.request_headers]\n\
                  x-session-id = \"s\"\n";
    let config = write(dir.path(), "config.toml", config);
    let state = dir.path().join("state");
    let server = Server::start(&state, &["--config", &config]);
    let array = |numbers: std::ops::Range<i64>| {
        format!("[{}]", lines(numbers).trim_end().replace('\n', ",\n"))
    };
    let short = |number: i64| format!("{{\"t\":{},\"p\":\"/{number:03}\"}}", MORNING + number);
    let long = "x".repeat(1 << 20);
    let too_long =
        json!({"ts": MORNING, "method": "GET", "path": "/", "user_agent": long}).to_string();
    let har = json!({"log": {"entries": [
        {"startedDateTime": "2026-03-02T10:00:00Z", "request": {"method": "GET", "url": "http://h/005",
         "headers": [{"name": "x-session-id", "value": "s"}]}}, {}]}});
    let mut expected = 0;
    let mut push = |query: &str, body: &str, status: u16, accepted: u64, bad: &[(u64, &str)]| {
        let answer = server.post(&format!("/v1/requests{query}"), body);
        let shown: String = body.chars().take(80).collect();
        let counts = &answer.body["counts"];
        assert_eq!(
            (answer.status, &counts["accepted"]),
            (status, &json!(accepted)),
            "{shown}: {}",
            answer.body
        );
        let errors = answer.body["errors"].as_array().unwrap().iter();
        let found: Vec<_> = errors
            .map(|error| (error["line"].as_u64().unwrap(), error["code"].as_str().unwrap()))
            .collect();
        assert_eq!(found, bad, "{shown}");
        expected += accepted as i64;
    };
    push("", &array(0..2), 200, 2, &[]);
    push(
        "",
        &format!("[7, {}, {{}}]", lines(2..3).trim_end()),
        200,
        1,
        &[(1, "bad_json"), (3, "missing_field")],
    );
    push("", "[]", 200, 0, &[]);
    push("", "[{]", 422, 0, &[(1, "bad_json")]);
    push("?format=short", &short(3), 200, 1, &[]);
    push("?format=short", &format!("[{},{{}}]", short(4)), 200, 1, &[(2, "missing_field")]);
    push("?format=har", &har.to_string(), 200, 1, &[(2, "missing_field")]);
    push("?format=wrapped", &format!("{{\"in\":[{}]}}", short(6)), 200, 1, &[]);
    push("?format=auto", &lines(7..8), 200, 1, &[]);
    // One limit of a record, whatever it comes in.
    push("", &too_long, 422, 0, &[(1, "too_long")]);
    push("", &format!("[{too_long}]"), 422, 0, &[(1, "too_long")]);
    push("", &format!("{too_long}\n{}", lines(8..9)), 200, 1, &[(1, "too_long")]);
    push("?format=short", &format!("{{\"u\":\"{long}\"}}"), 422, 0, &[(1, "too_long")]);
    push(
        "?format=wrapped",
        &format!("{{\"in\":[{{\"u\":\"{long}\"}}]}}"),
        422,
        0,
        &[(1, "too_long")],
    );
    check(&server, 0..expected);
    assert_eq!(expected, 9);

    let keyed = |server: &Server, query: &str, body: &str| {
        let path = format!("/v1/requests{query}");
        server.post_with(&path, "idempotency-key: k\r\n", body).status
    };
    assert_eq!(keyed(&server, "", &lines(9..10)), 200);
    assert_eq!(keyed(&server, "", &lines(10..11)), 409);
    assert_eq!(server.stop(), Some(0));
    let server = Server::start(&state, &["--config", &config]);
    assert_eq!(keyed(&server, "", &lines(9..10)), 200, "a repeat, after a restart too");
    assert_eq!(keyed(&server, "", &lines(10..11)), 409);
    assert_eq!(keyed(&server, "?format=auto", &lines(9..10)), 409);
    check(&server, 0..10);
}

/// Opens a WebSocket and has it acknowledged.
fn web_socket(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    let request = format!(
        "GET /graphql HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: graphql-transport-ws\r\n\r\n",
        server.address
    );
    stream.write_all(request.as_bytes()).unwrap();
    let init = br#"{"type":"connection_init"}"#;
    let frame = [&[0x81, 0x80 | init.len() as u8, 0, 0, 0, 0], init.as_slice()].concat();
    stream.write_all(&frame).unwrap();
    let mut heard = Vec::new();
    let ack = br#"{"type":"connection_ack"}"#;
    while !heard.ends_with(ack) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        heard.extend(byte);
    }
    stream
}

#[test]
fn a_socket_is_closed_with_going_away_when_the_server_is_told_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("state"), &[]);
    let mut stream = web_socket(&server);
    let stopped = std::thread::spawn(move || server.stop());
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.first(), Some(&0x88), "a close frame: {rest:?}");
    assert_eq!(rest[2..4], 1001_u16.to_be_bytes());
    drop(stream);
    assert_eq!(stopped.join().unwrap(), Some(0));
}

#[test]
fn a_flood_of_connections_leaves_the_store_its_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_limited(&dir.path().join("state"), 128);
    // More than the process may have open; the server closes what it has no place for.
    let mut flood = Vec::new();
    for number in 0..200 {
        let mut stream = server.connect();
        if number % 2 == 0 {
            let _ = stream.write_all(b"POST /v1/requests HTTP/1.1\r\nhost: local");
        }
        flood.push(stream);
    }
    for number in 0..5 {
        // While the flood is still coming in a client may be told to come back.
        while server.post("/v1/requests", &lines(number..number + 1)).status == 503 {}
    }
    check(&server, 0..5);
    drop(flood);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn names_and_origins_are_as_configured() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[server]\nhosts = [\"spoor.example\"]\nintrospection = false\n\
                  allowed_origins = [\"https://console.example\"]\n";
    let config = write(dir.path(), "config.toml", config);
    let server = Server::start(&dir.path().join("state"), &["--config", &config]);
    let check = |host: &str, origin: &str, status: u16| {
        let mut stream = server.connect();
        let body = r#"{"query":"{ status { epoch } }"}"#;
        let request = format!(
            "POST /graphql HTTP/1.1\r\nhost: {host}\r\n{origin}connection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{host} {origin}: {answer}");
        answer
    };
    check("spoor.example", "", 200);
    check("spoor.example", "origin: https://spoor.example\r\n", 200);
    check("localhost:1", "", 200);
    check("127.0.0.1", "origin: https://console.example\r\n", 200);
    assert!(
        check("127.0.0.1", "origin: https://other.example\r\n", 403).contains("allowed_origins")
    );
    let rebound = "origin: http://evil.example\r\n";
    assert!(check("evil.example", rebound, 403).contains("`hosts` in `[server]`"));
    let asked = server.post("/graphql", r#"{"query":"{ __schema { queryType { name } } }"}"#);
    assert_ne!(asked.body["data"]["__schema"]["queryType"]["name"], "Query", "{}", asked.body);
}

#[test]
fn a_clock_that_jumps_a_year_drops_no_day_and_refuses_nothing() {
    const YEAR: i64 = 365 * 86_400_000;
    let dir = tempfile::tempdir().unwrap();
    let offset = dir.path().join("offset");
    let state = dir.path().join("state");
    let environment = [("SPOOR_CLOCK_OFFSET_FILE", offset.to_str().unwrap())];
    let set = |ms: i64| fs::write(&offset, ms.to_string()).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    // What became of one request at a time.
    let push = |server: &Server, at: i64, outcome: &str| {
        let record = json!({ "ts": at, "method": "GET", "path": "/", "ip": "192.0.2.7" });
        let answer = server.post("/v1/requests", &format!("{record}\n"));
        assert_eq!(answer.body["counts"][outcome], 1, "{}", answer.body);
    };
    let status =
        |server: &Server| server.query("{ status { sessions clockJumpMs } }")["status"].clone();

    set(0);
    let server = Server::start_with(&state, &[], &environment);
    push(&server, now, "accepted");
    push(&server, now + YEAR, "future");
    assert_eq!(status(&server), json!({ "sessions": 1, "clockJumpMs": null }));
    // Ahead: what a source with the same clock sends is taken, and moves the watermark by a year.
    set(YEAR);
    push(&server, now + YEAR, "accepted");
    push(&server, now + YEAR, "accepted");
    assert_eq!(status(&server)["sessions"], 2, "days of a year ago are still there");
    assert!(status(&server)["clockJumpMs"].as_i64().unwrap() > YEAR - 86_400_000);
    // Behind: everything is ahead of such a clock.
    set(-YEAR);
    push(&server, now + 1, "accepted");
    assert!(status(&server)["clockJumpMs"].as_i64().unwrap() < 86_400_000 - YEAR);
    assert_eq!(server.stop(), Some(0));
    // A restart with a right clock: the watermark alone drops nothing.
    set(0);
    let server = Server::start_with(&state, &[], &environment);
    push(&server, now + 2, "accepted");
    assert_eq!(status(&server), json!({ "sessions": 2, "clockJumpMs": null }));
    assert_eq!(server.stop(), Some(0));
    // A restart with the other clock confirms it.
    set(YEAR);
    let server = Server::start_with(&state, &[], &environment);
    push(&server, now + YEAR + 1, "accepted");
    server.until("{ status { sessions } }", "days dropped", |data| data["status"]["sessions"] == 1);
    assert_eq!(server.stop(), Some(0));
}
