//! Two processes of one worker against one process of two, on the same machine: the real program
//! replays the same file, the two dividing it.
//!
//! Rounds alternate, and the medians are compared; the sessions must be the same. Options:
//! `SPOOR_BENCH_REQUESTS` (default 3 million), `SPOOR_BENCH_ROUNDS` (default 3).

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Most that two processes may take, in times of one.
const RATIO_MAX: f64 = 1.3;

fn main() {
    let requests = number("REQUESTS", 3_000_000);
    let rounds = number("ROUNDS", 3);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    let log = dir.path().join("traffic.ndjson");
    let file = std::fs::File::create(&log).expect("a file for the traffic");
    let made =
        spoor().args(["generate", "--requests", &requests.to_string()]).stdout(file).status();
    assert!(made.expect("the program starts").success(), "the traffic cannot be made");
    println!("load before: {}", load());
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        alone.push(replay(dir.path(), &log, 1, 2));
        together.push(replay(dir.path(), &log, 2, 1));
        let same = sessions(dir.path(), 1) == sessions(dir.path(), 2);
        assert!(same, "two processes have other sessions than one");
        println!("round {round}: one {:.2?}, two {:.2?}", alone[round], together[round]);
    }
    let (alone, together) = (median(alone), median(together));
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
    let ports: Vec<_> = (0..processes)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"))
        .collect();
    let lines = ports.iter().map(|port| port.local_addr().expect("it is bound").to_string());
    std::fs::write(&hosts, lines.collect::<Vec<_>>().join("\n")).expect("a file for the hosts");
    drop(ports);
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

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn number(name: &str, default: usize) -> usize {
    let given = std::env::var(format!("SPOOR_BENCH_{name}")).ok();
    given.map_or(default, |value| value.parse().expect("a number"))
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("unknown").to_owned()
}
