//! The engine as a library against the batch oracle: random requests, batches, changes of rules,
//! worker counts and restarts.
//!
//! Requests come from a small pool, so that duplicates, equal times, both sides of midnight, steps
//! around the gap and shared identities are the rule and not the exception. A request's content
//! follows from its number: a repeat is an exact one. After each push the committed epoch must
//! equal the oracle on what was pushed so far, and at the end the store must verify, too.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
mod oracle;

use std::time::{Duration, Instant};

use common::same;
use oracle::Oracle;
use proptest::prelude::*;
use serde_json::{Value, json};
use spoor_dataflow::engine::{Engine, EpochLimits, Settings};
use spoor_dataflow::query::{Filter, Order, SessionQuery};
use spoor_dataflow::service::View;
use spoor_dataflow::store::{SpillOptions, Store, StoreOptions};
use spoor_dataflow::{replay, verify};
use spoor_operators::assign::{CompiledRules, SecretKey};
use spoor_operators::inventory::Descriptions;
use spoor_operators::rules::RuleSet;
use spoor_operators::rules::edit::RuleEdit;
use spoor_operators::time::Epoch;
use tempfile::TempDir;

/// 2026-03-02T23:00:00Z: an hour before midnight.
const BASE: i64 = 1_772_492_400_000;
const MINUTE: i64 = 60_000;
/// Longest wait for a commit or a regroup; reached only when something hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// More than a case has sessions.
const PAGE: usize = 1_000;

/// Rules that a case changes between; the key of secret values is the same in all. What a secret
/// rule reads is read by no other one: redaction cannot be taken back, which an oracle that has
/// every request as it came would not know.
const RULES: [&str; 6] = [
    "",
    "[[rules.grouping]]\nname = \"uid\"\npoint = \"$request.cookie.uid\"\n",
    "[[rules.grouping]]\nname = \"key\"\npoint = \"$request.cookie.key\"\nsecret = true\nper = \"app\"\n",
    "[rules.settings]\ngap = { ms = 600000 }\n",
    "[[rules.grouping]]\nname = \"answer\"\npoint = \"$response.body#/token\"\nnamespace = \"t\"\n\
     [[rules.grouping]]\nname = \"query\"\npoint = \"$request.query.token\"\nnamespace = \"t\"\n\
     gap = \"none\"\n",
    "[[rules.scope]]\nname = \"admin\"\npath = \"/admin/**\"\naction = \"exclude\"\n\
     [[rules.scope]]\nname = \"all\"\naction = \"include\"\n",
];

const KEY: &str = "[secrets]\nkey = \"0123456789abcdef\"\n";

fn config(number: usize) -> String {
    format!("{}{KEY}", RULES[number])
}

fn rules(number: usize) -> RuleSet {
    #[derive(serde::Deserialize)]
    struct Config {
        #[serde(default)]
        rules: RuleSet,
    }
    toml::from_str::<Config>(RULES[number]).unwrap().rules
}

/// Request number `n`: everything about it follows from the number.
fn request(n: u32) -> Value {
    let minutes = [0, 10, 29, 30, 31, 59, 60, 61, 90, 300][n as usize % 10] + i64::from(n % 3) * 9;
    let paths = ["/a", "/admin/users/7", "/orders/12/items"];
    let statuses = [200, 404, 500, 0];
    let mut record = json!({
        "ts": BASE + minutes * MINUTE,
        "method": if n.is_multiple_of(11) { "OPTIONS" } else { "GET" },
        "path": paths[n as usize % 3],
        "app": if n.is_multiple_of(2) { "shop" } else { "api" },
        "status": statuses[n as usize % 4],
        "duration_ms": f64::from(n) * 1.5,
        "response_bytes": n,
    });
    if !n.is_multiple_of(5) {
        record["id"] = json!(format!("r{n}"));
    }
    if n.is_multiple_of(7) {
        record["attacks"] = json!([{ "type": "sqli" }, { "type": "xss" }]);
    }
    match n % 6 {
        0 => record["ip"] = json!("192.0.2.1"),
        1 => {
            record["request"] =
                json!({ "cookies": { "uid": format!("u{}", n % 2), "key": format!("k{}", n % 4) } })
        }
        2 => {
            record["request"] = json!({ "headers": { "x-session-id": "s" }, "cookies": { "uid": "u0", "key": "k1" } })
        }
        3 => record["query"] = json!("a=b&token=t1"),
        4 => record["response"] = json!({ "body": { "token": "t1" } }),
        _ => {
            record["ip"] = json!("192.0.2.1");
            record["user_agent"] = json!("ua");
        }
    }
    record
}

/// What happens in a case.
#[derive(Clone, Debug)]
enum Action {
    Push(Vec<u32>),
    /// Changes the rules; whether the regroup may end before the next action.
    Rules(usize, bool),
    Restart(usize),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => prop::collection::vec(0..120_u32, 1..40).prop_map(Action::Push),
        3 => (0..RULES.len(), any::<bool>()).prop_map(|(rules, wait)| Action::Rules(rules, wait)),
        2 => (1..=4_usize).prop_map(Action::Restart),
    ]
}

/// A running engine, its directory, and the oracle beside it.
struct Case {
    dir: TempDir,
    engine: Option<Engine>,
    oracle: Oracle,
    pushes: usize,
    regrouping: bool,
}

fn open(dir: &TempDir) -> Store {
    Store::open(dir.path(), StoreOptions::default()).unwrap()
}

/// On an even number of workers what nothing stays of in memory waits in a small spill.
fn open_for(dir: &TempDir, workers: usize) -> Store {
    let bytes_max = if workers.is_multiple_of(2) { 16 << 10 } else { 0 };
    let spill = SpillOptions { bytes_max, ..SpillOptions::default() };
    Store::open(dir.path(), StoreOptions { spill, ..StoreOptions::default() }).unwrap()
}

fn key() -> SecretKey {
    SecretKey(*blake3::hash(b"0123456789abcdef").as_bytes())
}

fn start(dir: &TempDir, workers: usize) -> Engine {
    Engine::start(Settings {
        store: open_for(dir, workers),
        rules: rules(0),
        key: key(),
        applications: Default::default(),
        descriptions: Descriptions::default(),
        sources: Vec::new(),
        cluster: None,
        workers,
        // Nothing stays in memory: every epoch reads what it touches.
        hot_bytes_max: 1,
        epochs: EpochLimits::default(),
        ends_with_sources: false,
        refuses_future: false,
        remembers_changes: false,
    })
    .unwrap()
}

impl Case {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = Some(start(&dir, 2));
        let oracle = Oracle::new(&config(0));
        Self { dir, engine, oracle, pushes: 0, regrouping: false }
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Push(numbers) => self.push(numbers),
            Action::Rules(number, wait) => self.change(*number, *wait),
            Action::Restart(workers) => {
                self.stop();
                self.engine = Some(start(&self.dir, *workers));
            }
        }
    }

    fn stop(&mut self) {
        let engine = self.engine.take().unwrap();
        engine.stop();
        engine.join().unwrap();
    }

    fn push(&mut self, numbers: &[u32]) {
        let body: String = numbers.iter().map(|n| format!("{}\n", request(*n))).collect();
        self.pushes += 1;
        self.oracle.read(&format!("push {}", self.pushes), "ndjson", body.as_bytes());
        let services = self.engine().services();
        let answer = services.ingest.push(body.into(), None).blocking_recv().unwrap().unwrap();
        assert_eq!(answer.counts.read, numbers.len() as u64);
        services.reader.wait_for(Epoch(answer.epoch), PATIENCE).unwrap();
        if !self.regrouping {
            self.check();
        }
    }

    fn change(&mut self, number: usize, wait: bool) {
        self.oracle.set_rules(&config(number));
        let admin = self.engine().services().admin;
        let edit = RuleEdit::Replace(Box::new(rules(number)));
        admin.change(edit, None, None).blocking_recv().unwrap().unwrap();
        self.regrouping = true;
        if wait {
            self.settle();
            self.check();
        }
    }

    /// Waits until no change of rules is on its way through the past.
    fn settle(&mut self) {
        let reader = self.engine().services().reader;
        let begin = Instant::now();
        loop {
            let view = reader.view().unwrap();
            if view.status().unwrap().regroup.is_none() {
                break;
            }
            assert!(begin.elapsed() < PATIENCE, "the regroup hangs");
            // The next epoch, if it comes at once; else the state is looked at again.
            let _ = reader.wait_for(Epoch(view.epoch().0 + 1), Duration::from_millis(20));
        }
        self.regrouping = false;
    }

    /// The committed state is what the oracle computes from everything so far.
    fn check(&self) {
        let view = self.engine().services().reader.view().unwrap();
        let found = sessions(&*view);
        let expected = self.oracle.outcome().lines(false);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(same(found, expected), "\n{found}\nexpected:\n{expected}");
        }
        assert_eq!(found.len(), expected.len());
        assert_eq!(view.status().unwrap().sessions, expected.len() as u64);
    }

    fn end(mut self) {
        self.settle();
        self.check();
        self.stop();
        let store = open(&self.dir);
        let (rules, _) = store.rules().unwrap().unwrap();
        let rules =
            CompiledRules::new(&rules, &key(), &Default::default(), &Descriptions::default());
        let report = verify::verify(&store, &rules.unwrap(), 5, &mut |_| {}).unwrap();
        assert_eq!(report.differences, 0, "{:?}", report.listed);
    }
}

/// All sessions of a view in the order of the replay's output.
fn sessions(view: &dyn View) -> Vec<Value> {
    let query = SessionQuery {
        filter: Filter::all(),
        order: Order::default(),
        first: PAGE,
        after: None,
        count: false,
    };
    let page = view.sessions(&query).unwrap();
    assert!(!page.has_next);
    let mut lines: Vec<Value> =
        page.sessions.iter().map(|session| replay::object(session)).collect();
    let key = |line: &Value| {
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (text("namespace"), text("value"), line["start"].as_i64().unwrap(), text("id"))
    };
    lines.sort_by_key(key);
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_sessions_are_those_of_a_batch_run(
        actions in prop::collection::vec(action(), 1..12)
    ) {
        let mut case = Case::new();
        for action in &actions {
            case.act(action);
        }
        case.end();
    }
}

#[test]
fn a_restart_in_the_middle_of_a_regroup_finishes_it() {
    let mut case = Case::new();
    case.push(&(0..120).collect::<Vec<_>>());
    for (number, workers) in [(1, 3), (2, 1), (4, 4), (5, 2), (0, 1)] {
        case.change(number, false);
        case.act(&Action::Restart(workers));
        case.push(&[number as u32 * 7 + 1, 100]);
    }
    case.end();
}

#[test]
fn the_same_requests_in_other_batches_and_orders_give_the_same_sessions() {
    let all: Vec<u32> = (0..120_u32).filter(|n| !n.is_multiple_of(5)).collect();
    let mut reversed = all.clone();
    reversed.reverse();
    let run = |order: &[u32], batch: usize| {
        let mut case = Case::new();
        order.chunks(batch).for_each(|numbers| case.push(numbers));
        let found = sessions(&*case.engine().services().reader.view().unwrap());
        case.end();
        found
    };
    let expected = run(&all, 200);
    for (order, batch) in [(&all, 1), (&reversed, 7), (&reversed, 120)] {
        assert_eq!(run(order, batch), expected);
    }
}
