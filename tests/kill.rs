//! The kill loop: real processes under traffic, killed at random times and at named points of a
//! commit, started again with other numbers of workers and processes; in the end exactly what a batch run gives.
//!
//! What the story has to prove: a push that was answered is there, once; a followed file without
//! ids is counted once, line by line; a change of rules that was accepted is in force; and when one
//! process dies, the others stop by themselves and say whose fault it was. Every life brings a new
//! day of traffic, whose second half comes a gap after the first, more or less: old days are dropped
//! all the time, and a change of the gap moves requests.
//!
//! Release builds need the feature `failpoints`; without it these tests are reported as ignored.
//!
//! `SPOOR_KILLS` sets the number of kills (default 30 in all), `SPOOR_KILL_SEED` what happens when.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::cluster::{PATIENCE, Process, Site, append, get, stop};
use common::{same, spoor};
use spoor_oracle::Oracle;

use serde_json::{Value, json};
use spoor_dataflow::query::Status;
use spoor_dataflow::replay;
use spoor_dataflow::store::{Store, StoreOptions, ViewContext};
use spoor_dataflow::verify::verify;
use spoor_operators::assign::{Applications, CompiledRules, SecretKey};
use spoor_operators::inventory::Descriptions;
use spoor_operators::rules::{Gap, RuleSet};

const KEY: &str = "0123456789abcdef";
/// Lines a push.
const PUSH_LINES: usize = 25;
/// Requests a day that are pushed, and those of the followed file.
const PUSHED_A_DAY: usize = 400;
const FOLLOWED_A_DAY: usize = 150;
/// Users, who come back every day.
const USERS: &str = "40";
/// Days that are kept behind the one of the watermark.
const RETENTION_DAYS: u64 = 2;
const LATENESS_MS: u64 = 60_000;
const DAY_MS: i64 = 24 * 60 * 60_000;
/// The first day: 2020-03-02.
const FIRST_DAY: i64 = 18_323;
/// Where a process alone can be made to die, each visited in turn; empty: at some time.
const ALONE: [&str; 5] = ["before-batch", "after-batch", "regroup-slice", "", "retention"];
/// Where one of several can.
const TOGETHER: [&str; 8] = [
    "before-stage",
    "after-stage",
    "before-promote",
    "recovery",
    "after-promote",
    "regroup-slice",
    "",
    "retention",
];

/// A small generator of what happens when.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        // Xorshift, by Marsaglia.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What everybody who sends something shares.
#[derive(Default)]
struct Traffic {
    /// Pushes that were not answered yet.
    left: Mutex<VecDeque<String>>,
    /// Everything that was ever sent in a push.
    pushed: Vec<String>,
    /// Lines for the followed file.
    lines: Mutex<VecDeque<String>>,
    stopped: AtomicBool,
}

struct Story {
    site: Site,
    followed: std::path::PathBuf,
    traffic: Traffic,
    seed: u64,
    /// Days of traffic so far.
    days: i64,
    /// The last gap that was accepted, and the last that was asked for, in minutes.
    accepted: u64,
    asked: u64,
    chance: Chance,
}

fn environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Requests of the same users, from an instant on, a few seconds long.
fn generated(requests: usize, seed: u64, start_ms: i64) -> Vec<String> {
    let (requests, seed) = (requests.to_string(), seed.to_string());
    let start = jiff::Timestamp::from_millisecond(start_ms).unwrap().to_string();
    let args = ["--requests", &requests, "--seed", &seed, "--users", USERS, "--start", &start];
    let output = spoor(&[&["generate"], &args[..]].concat(), b"");
    String::from_utf8(output.stdout).unwrap().lines().map(Into::into).collect()
}

/// The configuration all begin with.
fn config(gap_minutes: u64) -> String {
    let gap = gap_minutes * 60_000;
    format!(
        "[rules.settings]\ngap = {{ ms = {gap} }}\nlateness_ms = {LATENESS_MS}\n\
         retention_days = {RETENTION_DAYS}\n[secrets]\nkey = \"{KEY}\"\n"
    )
}

/// A generated line without its id.
fn without_id(line: &str) -> String {
    let mut record: Value = serde_json::from_str(line).unwrap();
    record.as_object_mut().unwrap().remove("id");
    record.to_string()
}

impl Story {
    fn new(seed: u64) -> Self {
        let site = Site::new(&config(30));
        let followed = site.dir.path().join("followed.ndjson");
        append(&followed, "");
        let (traffic, chance) = (Traffic::default(), Chance(seed * 2 + 1));
        let mut story =
            Self { site, followed, traffic, seed, days: 0, accepted: 30, asked: 30, chance };
        // A day more drops one.
        (0..=RETENTION_DAYS).for_each(|_| story.next_day());
        story
    }

    /// A day of traffic more, at noon and about a gap later: there just before it would be another
    /// session by the gap of now, or just after.
    fn next_day(&mut self) {
        let noon = (FIRST_DAY + self.days) * DAY_MS + DAY_MS / 2;
        let later = noon + (self.asked as i64 + self.days % 3) * 60_000 - 30_000;
        self.days += 1;
        let day = |requests: usize, seed: u64| {
            let halves = [noon, later].map(|start| generated(requests / 2, seed, start));
            halves.concat()
        };
        let mut lines = day(PUSHED_A_DAY, self.seed);
        // Only what has an id can be sent again.
        lines.retain(|line| line.starts_with("{\"id\""));
        let pushes = lines.chunks(PUSH_LINES).map(|lines| lines.join("\n") + "\n");
        let pushed = self.traffic.pushed.len();
        self.traffic.pushed.extend(pushes);
        let followed = day(FOLLOWED_A_DAY, self.seed + 1);
        self.traffic.left.lock().unwrap().extend(self.traffic.pushed[pushed..].iter().cloned());
        self.traffic.lines.lock().unwrap().extend(followed.iter().map(|line| without_id(line)));
    }

    fn start(
        &self,
        processes: usize,
        workers: usize,
        point: Option<(usize, &str)>,
    ) -> Vec<Process> {
        self.site.start(processes, workers, |process, command| {
            if process == 0 {
                command.arg("--follow").arg(&self.followed).args(["--format", "ndjson"]);
            }
            match point {
                Some((at, name)) if at == process && !name.is_empty() => {
                    command.env("SPOOR_FAILPOINT", name);
                }
                _ => {}
            }
        })
    }

    /// One life of the cluster, that ends with the death of a process.
    fn life(&mut self, processes: usize, number: usize) {
        let workers = 1 + self.chance.below(3) as usize;
        let victim = self.chance.below(processes as u64) as usize;
        let points = if processes == 1 { &ALONE[..] } else { &TOGETHER };
        let name = points[number % points.len()];
        let nth = match name {
            // What is found staged is found once, and a day more drops one.
            "recovery" | "retention" => 1,
            "regroup-slice" => 1 + self.chance.below(2),
            _ => 1 + self.chance.below(6),
        };
        let point = if name.is_empty() { String::new() } else { format!("{name}:{nth}") };
        self.next_day();
        let mut running = self.start(processes, workers, Some((victim, &point)));
        // The victim first: while the cluster meets, the others would wait for it for ever.
        let ready = running[victim].wait_ready() && running.iter_mut().all(Process::wait_ready);
        if ready {
            let begin = Instant::now();
            let time = Duration::from_millis(50 + self.chance.below(500));
            let has_change = number.is_multiple_of(3) || name == "regroup-slice";
            let changes = has_change.then(|| self.asked + 1);
            let (traffic, address) = (&self.traffic, running[victim].address.clone());
            let accepted = under_traffic(traffic, &self.followed, &running, changes, || {
                match name {
                    // It comes there for sure, though not at once: views have to go before.
                    "retention" => begin.elapsed() < PATIENCE && get(&address, "/healthz").is_ok(),
                    _ => begin.elapsed() < time,
                }
            });
            if let Some(gap) = changes {
                self.asked = gap;
                if accepted {
                    self.accepted = gap;
                }
            }
        }
        if name == "retention" {
            running[victim].wait_end();
            let said = running[victim].said();
            assert!(said.contains("SPOOR_FAILPOINT: retention"), "it ended otherwise:\n{said}");
        }
        let died = running[victim].ended().is_some();
        running[victim].kill();
        for (process, other) in running.iter_mut().enumerate().filter(|(at, _)| *at != victim) {
            if !ready {
                // It died before all had met: whoever is still meeting waits for it to come again.
                other.kill();
                continue;
            }
            let status = other.wait_end();
            let said = other.said();
            assert!(!status.success(), "process {process} went on without {victim}");
            let names = format!("process {victim}");
            assert!(said.contains(&names), "process {process} does not say who died:\n{said}");
        }
        eprintln!("kill {number}: process {victim} of {processes}x{workers}, `{point}` {died}");
    }

    /// Everything that is left is sent, and all is well in the end.
    fn end(&mut self, processes: usize) {
        self.next_day();
        let mut running = self.start(processes, 2, None);
        assert!(running.iter_mut().all(Process::wait_ready), "{}", running[0].said());
        let traffic = &self.traffic;
        under_traffic(traffic, &self.followed, &running, None, || {
            !traffic.left.lock().unwrap().is_empty() || !traffic.lines.lock().unwrap().is_empty()
        });
        // Everything again: a repeat changes nothing. The last is of the last day, for everybody.
        let last = traffic.pushed.last().unwrap();
        for push in traffic.pushed.iter().step_by(7).chain([last]) {
            for process in &running {
                let answer = process.push(push).unwrap();
                assert_eq!(answer["counts"]["accepted"], 0, "{answer}");
            }
        }
        let oracle = self.oracle(self.asked);
        let begin = Instant::now();
        while !self.is_settled(&running[0], oracle.first_day().unwrap()) {
            assert!(begin.elapsed() < PATIENCE, "it does not settle: {}", running[0].said());
            std::thread::sleep(Duration::from_millis(20));
        }
        stop(running);
        self.check(processes);
    }

    /// All is read, regrouped by the rules in force, and dropped up to this day.
    fn is_settled(&self, process: &Process, first_day: i64) -> bool {
        let question = "{
            status { regroup { version } sources { source offset } }
            sessions(first: 1, orderBy: { by: START, direction: ASC }) { nodes { start } }
        }";
        let answer = process.graphql(question, &Value::Null).unwrap();
        let sources = answer["status"]["sources"].as_array().unwrap();
        let name = self.followed.to_str().unwrap();
        let read = sources.iter().find(|source| source["source"] == name);
        let length = std::fs::metadata(&self.followed).unwrap().len();
        let oldest = answer["sessions"]["nodes"][0]["start"].as_str().unwrap();
        let oldest: jiff::Timestamp = oldest.parse().unwrap();
        answer["status"]["regroup"].is_null()
            && read.is_some_and(|source| as_number(&source["offset"]) == length)
            && oldest.as_millisecond() >= first_day * DAY_MS
    }

    /// Everything that was ever sent, by rules with this gap.
    fn oracle(&self, gap_minutes: u64) -> Oracle {
        let mut oracle = Oracle::new(&config(gap_minutes));
        oracle.read("push", "ndjson", self.traffic.pushed.concat().as_bytes());
        let followed = std::fs::read(&self.followed).unwrap();
        oracle.read(self.followed.to_str().unwrap(), "ndjson", &followed);
        oracle
    }

    /// Brings the stores to another number of processes.
    fn reshape(&self, from: usize, to: usize) {
        let dirs: Vec<_> = (0..from.max(to)).map(|process| self.site.store(process)).collect();
        let mut args = vec!["store".to_owned(), "reshape".into(), "--processes".into()];
        args.push(to.to_string());
        args.extend(dirs.iter().map(|dir| dir.to_str().unwrap().to_owned()));
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let output = spoor(&args, b"");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "from {from} to {to}: {said}");
    }

    /// The stores together hold exactly what the oracle computes.
    fn check(&self, processes: usize) {
        let mut found = Vec::new();
        let mut gap = None;
        for process in 0..processes {
            let store = Store::open(&self.site.store(process), StoreOptions::default()).unwrap();
            let rules = store.rules().unwrap().unwrap().0;
            gap = Some(gap_minutes(&rules));
            found.extend(sessions(&store, rules));
        }
        let gap = gap.unwrap();
        assert!(gap >= self.accepted && gap <= self.asked, "{} {gap}", self.accepted);
        let expected = self.oracle(gap).outcome().lines(true);
        assert!(!expected.is_empty());
        found.sort_by_key(|line: &Value| {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            (text("namespace"), text("value"), line["start"].as_i64().unwrap(), text("id"))
        });
        for (found, expected) in found.iter().zip(&expected) {
            assert!(same(found, expected), "\n{found}\nexpected:\n{expected}");
        }
        assert_eq!(found.len(), expected.len(), "sessions");
    }
}

fn as_number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap()
}

fn gap_minutes(rules: &RuleSet) -> u64 {
    match rules.settings.gap {
        Gap::Ms(ms) => u64::from(ms) / 60_000,
        Gap::None => unreachable!("nobody has asked for that"),
    }
}

/// Sends pushes to everybody and lines to the followed file while `goes_on`, and asks for another
/// gap in the middle. Whether that was accepted.
fn under_traffic(
    traffic: &Traffic,
    followed: &std::path::Path,
    running: &[Process],
    gap: Option<u64>,
    goes_on: impl Fn() -> bool,
) -> bool {
    traffic.stopped.store(false, Ordering::Release);
    std::thread::scope(|threads| {
        for process in running {
            threads.spawn(move || {
                while !traffic.stopped.load(Ordering::Acquire) {
                    let push = traffic.left.lock().unwrap().pop_front();
                    // When all is sent, the last is sent again: it changes nothing.
                    let again = || traffic.pushed[traffic.pushed.len() - 1].clone();
                    let push = push.unwrap_or_else(again);
                    // Without an answer it may be there or not: it is sent again, somewhere.
                    if process.push(&push).is_err() {
                        traffic.left.lock().unwrap().push_back(push);
                        break;
                    }
                }
            });
        }
        let change = gap.map(|gap| threads.spawn(move || change_gap(&running[0], gap)));
        while goes_on() {
            let lines: Vec<_> = {
                let mut left = traffic.lines.lock().unwrap();
                let some = left.len().min(20);
                left.drain(..some).collect()
            };
            if !lines.is_empty() {
                append(followed, &(lines.join("\n") + "\n"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        traffic.stopped.store(true, Ordering::Release);
        change.is_some_and(|change| change.join().unwrap())
    })
}

fn change_gap(process: &Process, minutes: u64) -> bool {
    let change = "mutation ($settings: SettingsInput!) {
        updateSettings(input: { settings: $settings }) { version errors { message } }
    }";
    let settings = json!({ "settings": {
        "gap": { "ms": minutes * 60_000 },
        "dayZone": "UTC",
        "latenessMs": LATENESS_MS,
        "retentionDays": RETENTION_DAYS,
        "idleTimeoutMs": 60_000,
        "futureMs": null,
    }});
    match process.graphql(change, &settings) {
        Ok(answer) => {
            let errors = &answer["updateSettings"]["errors"];
            assert_eq!(errors, &json!([]), "the change is refused");
            true
        }
        Err(_) => false,
    }
}

/// The sessions of a store as a replay writes them, after the store was verified.
fn sessions(store: &Store, rules: RuleSet) -> Vec<Value> {
    let key = SecretKey(*blake3::hash(KEY.as_bytes()).as_bytes());
    let compiled =
        CompiledRules::new(&rules, &key, &Applications::default(), &Descriptions::default());
    let compiled = Arc::new(compiled.unwrap());
    let report = verify(store, &compiled, 5, &mut |_| {}).unwrap();
    assert_eq!(report.differences, 0, "{:?}", report.listed);
    let status = Arc::new(Status::default);
    let view = store.view(ViewContext { rules: Arc::new(rules), compiled, status }).unwrap();
    let mut lines = Vec::new();
    view.for_each_session(&mut |session| {
        let mut line = replay::object(session);
        line["request_ids"] = json!(view.request_ids(session).unwrap());
        lines.push(line);
        true
    })
    .unwrap();
    lines
}

fn killed(processes: usize, kills: u64, seed: u64) {
    let mut story = Story::new(seed);
    for number in 0..kills as usize {
        story.life(processes, number);
    }
    story.end(processes);
}

#[test]
#[cfg_attr(
    not(any(debug_assertions, feature = "failpoints")),
    ignore = "needs fail points: cargo test --release --features failpoints, or `make test`"
)]
fn processes_killed_and_brought_to_other_numbers_end_with_the_sessions_of_a_batch_run() {
    let kills = environment("SPOOR_KILLS", 30).div_ceil(5) as usize;
    let mut story = Story::new(environment("SPOOR_KILL_SEED", 13));
    for (from, to) in [(1, 1), (1, 2), (2, 3), (3, 1)] {
        if from != to {
            story.reshape(from, to);
        }
        (0..kills.div_ceil(4)).for_each(|number| story.life(to, number * 3 + to));
    }
    story.end(1);
}

#[test]
#[cfg_attr(
    not(any(debug_assertions, feature = "failpoints")),
    ignore = "needs fail points: cargo test --release --features failpoints, or `make test`"
)]
fn one_process_killed_again_and_again_ends_with_the_sessions_of_a_batch_run() {
    killed(1, environment("SPOOR_KILLS", 30).div_ceil(3), environment("SPOOR_KILL_SEED", 11));
}

#[test]
#[cfg_attr(
    not(any(debug_assertions, feature = "failpoints")),
    ignore = "needs fail points: cargo test --release --features failpoints, or `make test`"
)]
fn two_processes_killed_again_and_again_end_with_the_sessions_of_a_batch_run() {
    killed(2, environment("SPOOR_KILLS", 30) * 2 / 3, environment("SPOOR_KILL_SEED", 12));
}
