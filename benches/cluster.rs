//! Two processes of one worker against one process of two, on the same machine: the real program
//! replays the same file, the two dividing it.
//!
//! Rounds alternate, and the medians are compared; the sessions must be the same. Options:
//! `SPOOR_BENCH_REQUESTS` (default 3 million), `SPOOR_BENCH_ROUNDS` (default 3).

mod common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{free_addresses, generate, load, median, number};

/// Most that two processes may take, in times of one.
const RATIO_MAX: f64 = 1.3;

fn main() {
    let requests = number("REQUESTS", 3_000_000);
    let rounds = number("ROUNDS", 3);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    let log = dir.path().join("traffic.ndjson");
    generate(requests, &[], &log);
    println!("load before: {}", load());
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        alone.push(replay(dir.path(), &log, 1, 2));
        together.push(replay(dir.path(), &log, 2, 1));
        let same = sessions(dir.path(), 1) == sessions(dir.path(), 2);
        assert!(same, "two processes have other sessions than one");
        let last = |times: &[Duration]| times[round as usize];
        println!("round {round}: one {:.2?}, two {:.2?}", last(&alone), last(&together));
    }
    let (alone, together) = (median(&mut alone), median(&mut together));
    let ratio = together.as_secs_f64() / alone.as_secs_f64();
    let good = if ratio <= RATIO_MAX { "met" } else { "MISSED" };
    println!("{requests} requests, medians of {rounds}: one process of two workers {alone:.2?},");
    println!("two processes of one {together:.2?}: {ratio:.2} times (at most {RATIO_MAX}: {good})");
    println!("load after: {}", load());
}

fn spoor() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spoor"));
    // The identities of secret values are the same in all stores.
    command.env("SPOOR_SECRETS__KEY", "0123456789abcdef").stderr(Stdio::null());
    command
}

/// Where the first of so many processes writes the sessions of all.
fn output(dir: &Path, processes: usize) -> std::path::PathBuf {
    dir.join(format!("sessions-of-{processes}.ndjson"))
}

/// From the start of the processes to the end of the last.
fn replay(dir: &Path, log: &Path, processes: usize, workers: usize) -> Duration {
    let hosts = dir.join("hosts.txt");
    let lines = free_addresses(processes).join("\n");
    std::fs::write(&hosts, lines).expect("a file for the hosts");
    let begin = Instant::now();
    let started: Vec<_> = (0..processes)
        .map(|process| {
            let mut command = spoor();
            let state = dir.join(format!("state-{process}"));
            command.args(["replay", "--workers", &workers.to_string(), "--state"]).arg(state);
            if process == 0 {
                command.arg("--output").arg(output(dir, processes));
            }
            if processes > 1 {
                command.arg("--hosts").arg(&hosts).args(["--process", &process.to_string()]);
            }
            command.arg(log).spawn().expect("the program starts")
        })
        .collect();
    for mut process in started {
        assert!(process.wait().expect("it can be waited for").success(), "a replay failed");
    }
    let took = begin.elapsed();
    for process in 0..processes {
        std::fs::remove_dir_all(dir.join(format!("state-{process}"))).expect("the state goes");
    }
    took
}

fn sessions(dir: &Path, processes: usize) -> String {
    std::fs::read_to_string(output(dir, processes)).expect("an output")
}
