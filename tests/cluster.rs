//! Three real processes on loopback: each answers for all, and concurrent clients that go from one
//! to another see one history.
//!
//! The histories are judged as Jepsen does: for every client the epochs it reads never go back, a
//! change of rules that was accepted is in force in every later read by anybody, and a push that was
//! answered is counted in every later read of whoever pushed it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};

use common::cluster::{Process, Site, free_addresses, get, stop};
use serde_json::{Value, json};

const CLIENTS: u64 = 4;
const STEPS: u64 = 25;

fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap()
}

fn line(client: u64, step: u64) -> String {
    let ts = 1_772_492_400_000 + step * 1000;
    let id = format!("c{client}-{step}");
    json!({ "id": id, "ts": ts, "method": "GET", "path": "/a", "host": "h", "app": "shop",
        "ip": format!("10.0.{client}.{}", step % 5), "status": 200 })
    .to_string()
}

/// Epoch, version of the rules, requests.
fn read(process: &Process) -> (u64, u64, u64) {
    let question = "{ status { epoch rulesVersion requests } }";
    let status = &process.graphql(question, &Value::Null).unwrap()["status"];
    (number(&status["epoch"]), number(&status["rulesVersion"]), number(&status["requests"]))
}

/// Another gap; the version it was accepted as.
fn change(process: &Process, minutes: u64) -> u64 {
    let mutation = "mutation ($settings: SettingsInput!) {
        updateSettings(input: { settings: $settings }) { version errors { message } }
    }";
    let settings = json!({ "settings": {
        "gap": { "ms": minutes * 60_000 }, "dayZone": "UTC", "latenessMs": 60_000,
        "retentionDays": null, "idleTimeoutMs": 60_000, "futureMs": null,
    }});
    let answer = process.graphql(mutation, &settings).unwrap();
    assert_eq!(answer["updateSettings"]["errors"], json!([]), "{answer}");
    number(&answer["updateSettings"]["version"])
}

fn client(me: u64, processes: &[Process], accepted: &AtomicU64) {
    let (mut epoch, mut pushed) = (0, 0);
    for step in 0..STEPS {
        let process = &processes[((me + step * 7) % processes.len() as u64) as usize];
        let least = accepted.load(Ordering::SeqCst);
        match step % 5 {
            0 if step % 2 == me % 2 => {
                let version = change(process, 10 + me * STEPS + step);
                accepted.fetch_max(version, Ordering::SeqCst);
            }
            1 | 2 => {
                let answer = process.push(&line(me, step)).unwrap();
                assert_eq!(answer["counts"]["accepted"], 1, "{answer}");
                pushed += 1;
            }
            _ => {}
        }
        let (now, version, requests) = read(&processes[((me + step) % 3) as usize]);
        assert!(now >= epoch, "client {me}: epoch {now} after {epoch}");
        assert!(version >= least, "client {me}: rules {version}, {least} was accepted");
        assert!(requests >= pushed, "client {me}: {requests} requests, it has pushed {pushed}");
        epoch = now;
    }
}

#[test]
fn three_processes_have_one_history_and_each_answers_for_all() {
    let site = Site::new("[secrets]\nkey = \"0123456789abcdef\"\n");
    let mut processes = site.start(3, 1, |_, _| {});
    for process in &mut processes {
        assert!(process.wait_ready(), "{}", process.said());
    }
    let accepted = AtomicU64::new(0);
    std::thread::scope(|threads| {
        for me in 0..CLIENTS {
            let (processes, accepted) = (&processes, &accepted);
            threads.spawn(move || client(me, processes, accepted));
        }
    });
    // Everybody gives the same pages, in the same order.
    let question = "{ sessions(first: 100) { totalCount nodes { id statistics { requests } } }
        overview { totals { requests } } status { processes { process } } }";
    let answers: Vec<Value> =
        processes.iter().map(|process| process.graphql(question, &Value::Null).unwrap()).collect();
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
    let pushes = CLIENTS * STEPS * 2 / 5;
    assert_eq!(number(&answers[0]["overview"]["totals"]["requests"]), pushes);
    assert_eq!(answers[0]["status"]["processes"].as_array().unwrap().len(), 3);
    // Each of them finds a session that another one owns, with its requests.
    let id = answers[0]["sessions"]["nodes"][0]["id"].clone();
    let one = "query ($id: ID!) { session(id: $id) { id requests(first: 50) { totalCount } } }";
    for process in &processes {
        assert_eq!(get(&process.address, "/healthz").unwrap().0, 200);
        let found = process.graphql(one, &json!({ "id": id }));
        assert_eq!(found.unwrap()["session"]["id"], id);
    }
    stop(processes);
}

#[test]
fn a_wrong_hosts_file_is_told_before_anything_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let good = common::write(dir.path(), "hosts.txt", "127.0.0.1:1\n127.0.0.1:2\n");
    let bad = common::write(dir.path(), "bad.txt", "somewhere\n");
    let state = dir.path().join("state");
    let check = |hosts: &str, process: &str, reason: &str| {
        let state = state.to_str().unwrap();
        for command in [&["serve"][..], &["replay", "-"]] {
            let options = ["--state", state, "--hosts", hosts, "--process", process];
            let refused = common::spoor(&[command, &options].concat(), b"");
            let said = String::from_utf8(refused.stderr).unwrap();
            assert_eq!(refused.status.code(), Some(2), "{said}");
            assert!(said.contains(reason), "{said}");
        }
    };
    check(&good, "2", "no process 2");
    check(&bad, "0", "not host:port");
    check("nowhere.txt", "0", "nowhere.txt");
    assert!(!state.exists(), "nothing was made");
}

/// Runs a replay by two processes to its end: output and messages of each, and whether it succeeded.
fn replay_by_two(dir: &std::path::Path, inputs: [&str; 2]) -> [(String, String, bool); 2] {
    let config = common::write(dir, "spoor.toml", "[secrets]\nkey = \"0123456789abcdef\"\n");
    let hosts = common::write(dir, "hosts.txt", free_addresses(2).join("\n"));
    std::thread::scope(|threads| {
        let started = ["0", "1"].map(|process| {
            let (config, hosts) = (config.as_str(), hosts.as_str());
            let input = inputs[usize::from(process == "1")];
            threads.spawn(move || {
                let args = ["replay", "--config", config, "--hosts", hosts, "--process", process];
                let ran = common::spoor(&[&args[..], &["--requests", input]].concat(), b"");
                let text = |bytes| String::from_utf8(bytes).unwrap();
                (text(ran.stdout), text(ran.stderr), ran.status.success())
            })
        });
        started.map(|thread| thread.join().unwrap())
    })
}

#[test]
fn a_replay_by_two_processes_writes_what_one_writes() {
    let dir = tempfile::tempdir().unwrap();
    let made = common::spoor(&["generate", "--requests", "20000"], b"").stdout;
    let log = common::write(dir.path(), "log.ndjson", String::from_utf8(made).unwrap());
    let [(output, said, good), (other_output, other_said, other_good)] =
        replay_by_two(dir.path(), [&log, &log]);
    assert!(good && other_good, "{said} {other_said}");
    let config = dir.path().join("spoor.toml");
    let alone = common::replay(&["--config", config.to_str().unwrap(), "--requests", &log], b"");
    assert_eq!(output.lines().count(), alone.lines.len());
    assert!(output == alone.output, "other sessions, or in another order");
    assert_eq!((other_output.as_str(), other_said.lines().count()), ("", 1), "{other_said}");
    assert!(other_said.contains("process 0 writes the sessions"), "{other_said}");
    let summary: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    for number in ["read", "accepted", "sessions", "identities"] {
        assert_eq!(summary[number], alone.summary[number], "{number}");
    }
}

#[test]
fn a_replay_of_which_a_part_cannot_be_read_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let line = line(0, 0) + "\n";
    // Every process has a whole file of this name, but the second one's is cut off.
    let whole = common::write(dir.path(), "log.ndjson", &line);
    let cut = dir.path().join("cut.ndjson.gz");
    std::fs::write(&cut, [0x1f, 0x8b, 8, 0, 0]).unwrap();
    let parts = replay_by_two(dir.path(), [&whole, cut.to_str().unwrap()]);
    for (process, (output, said, good)) in parts.into_iter().enumerate() {
        assert!(!good && output.is_empty(), "process {process}: {output} {said}");
        assert!(said.contains("cut.ndjson.gz"), "process {process}: {said}");
    }
}
