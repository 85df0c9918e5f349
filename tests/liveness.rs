//! Real processes that fail, hang, are stopped, or wait for others: each ends, or says why it is
//! not ready, within a bound, and what was acknowledged is there afterwards.
//!
//! Whether something hangs is told by the patience of [`common::cluster`]; nothing here asserts how
//! long anything takes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;

use common::cluster::{Addresses, Process, Site, get, post, stop};
use serde_json::{Value, json};
use spoor_dataflow::failpoint::VARIABLE;

const CONFIG: &str = "[secrets]\nkey = \"0123456789abcdef\"\n";

fn line(number: usize) -> String {
    let ts = 1_772_492_400_000 + number * 1000;
    let id = format!("r{number}");
    json!({ "id": id, "ts": ts, "method": "GET", "path": "/a", "ip": "10.0.0.1", "status": 200 })
        .to_string()
}

fn requests(process: &Process) -> u64 {
    let answer = process.graphql("{ status { requests } }", &Value::Null).unwrap();
    answer["status"]["requests"].as_u64().unwrap()
}

fn failing(fault: &str) -> impl FnOnce(&mut Command) {
    let fault = fault.to_owned();
    move |command| {
        command.env(VARIABLE, fault);
    }
}

/// Ends with this status, and has said that.
fn check_end(process: &mut Process, status: i32, says: &[&str]) {
    assert_eq!(process.wait_end().code(), Some(status), "{}", process.said());
    for says in says {
        assert!(process.said().contains(says), "{says}:\n{}", process.said());
    }
}

#[test]
#[cfg_attr(
    not(any(debug_assertions, feature = "failpoints")),
    ignore = "needs fail points: cargo test --release --features failpoints, or `make test`"
)]
fn a_panic_of_any_thread_ends_the_process() {
    for (fault, says) in [
        ("panic-worker", "the worker panicked"),
        ("panic-coordinator", "the coordinator panicked"),
        ("panic-committer", "the committer panicked"),
        ("panic-source", "panicked; its message is in the log"),
        ("panic-control", "the thread that answers tools panicked"),
    ] {
        let site = Site::new(CONFIG);
        let log = common::write(site.dir.path(), "access.log", line(0) + "\n");
        let addresses = site.addresses(1);
        let mut process = site.start_one(&addresses, 0, 2, |command| {
            failing(fault)(command);
            if fault == "panic-source" {
                command.args(["--follow", &log]);
            }
        });
        // Some fail before it is ready, some with the first push, one with the first tool.
        if process.wait_ready() && process.push(&line(1)).is_ok() {
            let socket = site.store(0).join("control.sock");
            // It may have ended.
            let _ = UnixStream::connect(socket).map(|mut tool| tool.write_all(b"{}\n"));
        }
        check_end(&mut process, 1, &[says]);
    }
}

#[test]
#[cfg_attr(
    not(any(debug_assertions, feature = "failpoints")),
    ignore = "needs fail points: cargo test --release --features failpoints, or `make test`"
)]
fn a_thread_that_hangs_does_not_keep_the_process_from_ending() {
    for (fault, status, says) in [
        ("hang-committer", 1, "committer did not end within"),
        ("hang-control", 0, "left behind: a tool that talks to the store"),
    ] {
        let site = Site::new(CONFIG);
        let addresses = site.addresses(1);
        let mut process = site.start_one(&addresses, 0, 1, failing(fault));
        assert!(process.wait_ready(), "{}", process.said());
        let mut tool = UnixStream::connect(site.store(0).join("control.sock")).unwrap();
        tool.write_all(b"{}\n").unwrap();
        process.terminate();
        check_end(&mut process, status, &[says]);
    }
}

#[test]
#[cfg_attr(
    not(any(debug_assertions, feature = "failpoints")),
    ignore = "needs fail points: cargo test --release --features failpoints, or `make test`"
)]
fn without_its_control_socket_a_process_ends_as_with_it() {
    for (fault, status) in [(None, 0), (Some("panic-coordinator"), 1)] {
        let site = Site::new(CONFIG);
        let addresses = site.addresses(1);
        let mut process = site.start_one(&addresses, 0, 1, |command| {
            fault.into_iter().for_each(|fault| failing(fault)(command));
        });
        assert!(process.wait_ready(), "{}", process.said());
        std::fs::remove_file(site.store(0).join("control.sock")).unwrap();
        match fault {
            Some(_) => drop(process.push(&line(0)).unwrap_err()),
            None => process.terminate(),
        }
        check_end(&mut process, status, &[]);
    }
}

#[test]
fn a_store_that_was_deleted_or_moved_takes_nothing_more() {
    type Done = fn(&std::path::Path);
    let deleted: Done = |state| std::fs::remove_dir_all(state).unwrap();
    let moved: Done = |state| std::fs::rename(state, state.with_file_name("elsewhere")).unwrap();
    for done in [deleted, moved] {
        let site = Site::new(CONFIG);
        let addresses = site.addresses(1);
        let mut process = site.start_one(&addresses, 0, 1, |_| {});
        assert!(process.wait_ready(), "{}", process.said());
        process.push(&line(0)).unwrap();
        done(&site.store(0));
        let refused = process.push(&line(1)).unwrap_err().to_string();
        assert!(refused.starts_with("503"), "{refused}");
        check_end(&mut process, 1, &["is not there any more"]);
        assert!(!site.store(0).exists(), "nothing is made in its place");
    }
}

#[test]
fn while_a_cluster_waits_it_answers_that_and_for_whom() {
    let site = Site::new(CONFIG);
    let addresses = site.addresses(3);
    let name = |process: usize| format!("process {process} ({})", addresses.between[process]);
    let waits = format!("waiting for {}, {} to come", name(1), name(2));
    let mut first = site.start_one(&addresses, 0, 1, |_| {});
    assert!(first.wait_for("/healthz", |status, said| status == 200 && said.contains(&waits)));
    let (status, said) = get(&first.address, "/readyz").unwrap();
    assert!(status == 503 && said.contains(&waits), "{status} {said}");
    let body = json!({ "query": "{ status { epoch } }" }).to_string();
    for (path, body) in [("/graphql", body), ("/v1/requests", line(0))] {
        let answer = post(&first.address, path, "application/json", body.as_bytes());
        let (status, said) = answer.unwrap();
        assert!(status == 503 && said.contains(&waits), "{path}: {status} {said}");
    }
    // It can be stopped while it waits.
    first.terminate();
    check_end(&mut first, 0, &[]);
    let mut all: Vec<_> = (0..3).map(|at| site.start_one(&addresses, at, 1, |_| {})).collect();
    assert!(all.iter_mut().all(Process::wait_ready));
    stop(all);
}

/// Waits until a process that waits for others knows that this one is there, or is not.
fn wait_known(process: &mut Process, other: usize, is_there: bool) {
    let name = format!("process {other} (");
    let knows = |_, said: &str| said.contains("waiting for") && said.contains(&name) != is_there;
    assert!(process.wait_for("/readyz", knows), "{}", process.said());
}

#[test]
fn processes_that_are_killed_in_turn_while_they_meet_meet_all_the_same() {
    let site = Site::new(CONFIG);
    let addresses = site.addresses(3);
    let start = |process: usize| site.start_one(&addresses, process, 1, |_| {});
    let mut first = start(0);
    for dies in [1, 2, 1, 2] {
        let mut other = start(dies);
        wait_known(&mut first, dies, true);
        other.kill();
        wait_known(&mut first, dies, false);
    }
    // The last dies when all are there: before, while or after they agree.
    for dies in [1, 2] {
        let mut all = vec![first, start(1), start(2)];
        wait_known_or_ready(&mut all[0]);
        all[dies].kill();
        first = all.remove(0);
        for mut other in all {
            other.kill();
        }
        // It meets again, or had met and ends. Waiting for what another has to say decides nothing.
        let meets =
            |_, said: &str| said.contains("waiting for process 1") && said.contains("to come");
        if !first.wait_for("/readyz", meets) {
            // A supervisor starts whatever ended.
            first = start(0);
        }
    }
    let mut all = vec![first, start(2), start(1)];
    assert!(all.iter_mut().all(Process::wait_ready));
    all[1].push(&line(0)).unwrap();
    assert_eq!(requests(&all[2]), 1);
    stop(all);
}

/// Waits until all are connected to a process, or it is further than that.
fn wait_known_or_ready(process: &mut Process) {
    process.wait_for("/readyz", |status, said| status == 200 || !said.contains("to come"));
}

/// All of a cluster, ready.
fn ready(site: &Site, addresses: &Addresses) -> Vec<Process> {
    let mut all: Vec<_> = (0..3).map(|at| site.start_one(addresses, at, 1, |_| {})).collect();
    for process in &mut all {
        assert!(process.wait_ready(), "{}", process.said());
    }
    all
}

#[test]
fn when_a_process_is_stopped_the_others_say_which_and_end() {
    let site = Site::new(CONFIG);
    let addresses = site.addresses(3);
    // The leader, and a follower; the cluster is idle.
    for (round, stopped) in [0, 1].into_iter().enumerate() {
        let mut all = ready(&site, &addresses);
        all[2].push(&line(round)).unwrap();
        all[stopped].signal("STOP");
        let mut others: Vec<_> = (0..3).filter(|at| *at != stopped).collect();
        for at in others.drain(..) {
            let process = &mut all[at];
            let silent = format!("process {stopped} of the cluster");
            // Not ready before it ends, unless it ends between two looks.
            process.wait_for("/readyz", |status, said| status == 503 && said.contains(&silent));
            let failed = format!("{silent} failed, so this one stopped");
            check_end(process, 1, &[&failed, "silent for"]);
        }
        all[stopped].signal("CONT");
        check_end(&mut all[stopped], 1, &["of the cluster failed"]);
    }
    let all = ready(&site, &addresses);
    assert_eq!(requests(&all[1]), 2);
    stop(all);
}

#[test]
#[cfg_attr(
    not(any(debug_assertions, feature = "failpoints")),
    ignore = "needs fail points: cargo test --release --features failpoints, or `make test`"
)]
fn a_process_that_panics_takes_the_others_with_it_and_they_say_why() {
    let site = Site::new(CONFIG);
    let addresses = site.addresses(3);
    let start = |process: usize| {
        site.start_one(&addresses, process, 1, |command| {
            if process == 1 {
                failing("panic-coordinator")(command);
            }
        })
    };
    let mut all: Vec<_> = (0..3).map(start).collect();
    assert!(all.iter_mut().all(Process::wait_ready));
    assert!(all[1].push(&line(0)).is_err());
    for (at, process) in all.iter_mut().enumerate() {
        let failed = "process 1 of the cluster failed, so this one stopped";
        let says = if at == 1 { "" } else { failed };
        check_end(process, 1, &[says, "the coordinator panicked"]);
    }
}

#[test]
fn whoever_does_not_know_the_secret_is_told_nothing_and_is_not_taken_in() {
    let site = Site::new("");
    let addresses = site.addresses(2);
    let with_secret = |process: usize, secret: &'static str| {
        site.start_one(&addresses, process, 1, |command| {
            command.env("SPOOR_CLUSTER_SECRET", secret);
        })
    };
    let mut first = with_secret(0, "0123456789abcdef");
    wait_known(&mut first, 1, false);
    // What a process of an older version said, and then whatever it may be.
    let mut stranger = TcpStream::connect(&addresses.between[0]).unwrap();
    stranger.write_all(b"spoor/1\n\0\0\0\0\0\0\0\x01").unwrap();
    stranger.write_all(&[0; 64]).unwrap();
    let mut told = Vec::new();
    // It may be reset.
    let _ = stranger.read_to_end(&mut told);
    assert!(told.len() <= 1, "{told:?}");
    let mut impostor = with_secret(1, "fedcba9876543210");
    let refused = |_, said: &str| said.contains("it has another secret of the cluster");
    assert!(impostor.wait_for("/readyz", refused), "{}", impostor.said());
    wait_known(&mut first, 1, false);
    impostor.terminate();
    check_end(&mut impostor, 0, &[]);
    let key = |process: usize| std::fs::read_to_string(site.store(process).join("secret.key"));
    assert_ne!(key(0).unwrap(), key(1).unwrap(), "the key was not told");
    let mut all = vec![first, with_secret(1, "0123456789abcdef")];
    assert!(all.iter_mut().all(Process::wait_ready));
    assert_eq!(key(0).unwrap(), key(1).unwrap());
    stop(all);
}
