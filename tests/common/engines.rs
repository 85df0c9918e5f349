//! Engines as a library, one alone or several as a cluster on loopback, and a batch oracle beside
//! them that is told the same.
//!
//! Requests come from a small pool, so that duplicates, equal times, both sides of midnight, steps
//! around the gap and shared identities are the rule and not the exception. A request's content
//! follows from its number: a repeat is an exact one. After each push the committed epoch must
//! equal the oracle on what was pushed so far, whichever process is asked; at the end the stores
//! must verify, too.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spoor_dataflow::cluster::{ClusterSecret, Membership};
use spoor_dataflow::decode::Formats;
use spoor_dataflow::engine::{Engine, EpochLimits, Settings};
use spoor_dataflow::query::{Filter, Order, SessionQuery};
use spoor_dataflow::service::{PushAnswer, ServiceError, View};
use spoor_dataflow::store::{SpillOptions, Store, StoreOptions};
use spoor_dataflow::{replay, verify};
use spoor_operators::assign::{CompiledRules, SecretKey};
use spoor_operators::inventory::Descriptions;
use spoor_operators::rules::RuleSet;
use spoor_operators::rules::edit::RuleEdit;
use spoor_operators::time::Epoch;
use spoor_operators::totals::Totals;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::cluster::free_addresses;
use super::same;
use spoor_oracle::{Oracle, Sums};

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
pub const RULES: [&str; 6] = [
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

/// Whether request number `n` has an id.
fn has_id(n: u32) -> bool {
    !n.is_multiple_of(5)
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
    if has_id(n) {
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

fn lines(numbers: &[u32]) -> String {
    numbers.iter().map(|n| format!("{}\n", request(*n))).collect()
}

/// What happens in a case.
#[derive(Clone, Debug)]
pub enum Action {
    /// Requests, divided among the processes.
    Push(Vec<u32>),
    /// Changes the rules; whether the regroup may end before the next action.
    Rules(usize, bool),
    /// All stop and start with so many workers.
    Restart(usize),
    /// A process fails while these are pushed, and takes the others with it; all start with so many
    /// workers, and what was pushed is pushed again.
    Fail(Vec<u32>, usize),
}

/// What a push waits for.
type Answer = oneshot::Receiver<Result<PushAnswer, ServiceError>>;

/// Running engines of one cluster, their directories, and the oracle beside them.
pub struct Case {
    dirs: Vec<TempDir>,
    hosts: Vec<String>,
    engines: Vec<Engine>,
    oracle: Oracle,
    pushes: usize,
    /// Whose turn it is to be asked or told something.
    turn: usize,
    regrouping: bool,
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

fn start_one(dir: &TempDir, cluster: Option<Membership>, workers: usize) -> Engine {
    Engine::start(Settings {
        store: open_for(dir, workers),
        rules: rules(0),
        key: key(),
        applications: Default::default(),
        descriptions: Descriptions::default(),
        formats: Formats::default(),
        sources: Vec::new(),
        cluster,
        workers,
        // Nothing stays in memory: every epoch reads what it touches.
        hot_bytes_max: 1,
        // Every identity-day with more requests is taken in pieces.
        epochs: EpochLimits { regroup_requests: 3, ..EpochLimits::default() },
        ends_with_sources: false,
        refuses_future: false,
        remembers_changes: false,
    })
    .unwrap()
}

impl Case {
    /// With so many processes.
    pub fn new(processes: usize) -> Self {
        let mut case = Self {
            dirs: (0..processes).map(|_| tempfile::tempdir().unwrap()).collect(),
            hosts: free_addresses(processes),
            engines: Vec::new(),
            oracle: Oracle::new(&config(0)),
            pushes: 0,
            turn: 0,
            regrouping: false,
        };
        case.start(2);
        case
    }

    fn start(&mut self, workers: usize) {
        let hosts = &self.hosts;
        let start = |(process, dir): (usize, _)| {
            let secret = ClusterSecret::new("only of these tests").unwrap();
            let membership = Membership::new(process, hosts.clone(), secret);
            start_one(dir, (hosts.len() > 1).then_some(membership), workers)
        };
        self.engines = std::thread::scope(|threads| {
            let dirs = self.dirs.iter().enumerate();
            let started: Vec<_> = dirs.map(|one| threads.spawn(move || start(one))).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
    }

    /// The process whose turn it is.
    fn next(&mut self) -> &Engine {
        self.turn += 1;
        &self.engines[self.turn % self.engines.len()]
    }

    pub fn act(&mut self, action: &Action) {
        match action {
            Action::Push(numbers) => self.push(numbers),
            Action::Rules(number, wait) => self.change(*number, *wait),
            Action::Restart(workers) => {
                self.stop();
                self.start(*workers);
            }
            Action::Fail(numbers, workers) => self.fail(numbers, *workers),
        }
    }

    fn stop(&mut self) {
        self.next().stop();
        for engine in self.engines.drain(..) {
            engine.join().unwrap();
        }
    }

    fn fail(&mut self, numbers: &[u32], workers: usize) {
        // Only what has an id can be sent again.
        let numbers: Vec<_> = numbers.iter().copied().filter(|n| has_id(*n)).collect();
        let answers = self.send(&numbers);
        self.next().abandon("its disk is full");
        for engine in self.engines.drain(..) {
            let failed = engine.join().unwrap_err().to_string();
            assert!(failed.contains("its disk is full"), "{failed}");
        }
        drop(answers);
        self.start(workers);
        self.push(&numbers);
    }

    /// Pushes requests, a part of them to every process, all at once.
    fn send(&mut self, numbers: &[u32]) -> Vec<(u64, Answer)> {
        let part = numbers.len().div_ceil(self.engines.len()).max(1);
        let mut answers = Vec::new();
        for numbers in numbers.chunks(part) {
            let ingest = self.next().services().ingest;
            answers.push((numbers.len() as u64, ingest.push(lines(numbers).into(), None)));
        }
        answers
    }

    pub fn push(&mut self, numbers: &[u32]) {
        for (read, answer) in self.send(numbers) {
            let answer = answer.blocking_recv().unwrap().unwrap();
            assert_eq!(answer.counts.read, read);
        }
        self.pushes += 1;
        self.oracle.read(&format!("push {}", self.pushes), "ndjson", lines(numbers).as_bytes());
        if !self.regrouping {
            self.check();
        }
    }

    pub fn change(&mut self, number: usize, wait: bool) {
        self.oracle.set_rules(&config(number));
        let admin = self.next().services().admin;
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
        let reader = self.next().services().reader;
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

    /// All sessions in the order of the replay's output, of whoever's turn it is to be asked.
    pub fn sessions(&mut self) -> Vec<Value> {
        let view = self.next().services().reader.view().unwrap();
        let found = sessions(&*view);
        assert_eq!(view.status().unwrap().sessions, found.len() as u64);
        found
    }

    /// The committed state is what the oracle computes from everything so far.
    fn check(&mut self) {
        let found = self.sessions();
        self.check_lines(&found);
        self.check_overview();
    }

    /// So are the sums of all and by application.
    fn check_overview(&mut self) {
        let (whole, apps) = self.oracle.outcome().overview();
        let view = self.next().services().reader.view().unwrap();
        let found = view.overview(None, None, Some(1440)).unwrap();
        let sums = |totals: &Totals| Sums {
            requests: totals.requests,
            errors: totals.errors,
            sessions: totals.sessions,
            malicious_sessions: totals.malicious_sessions,
            weak_sessions: totals.weak_sessions,
        };
        assert_eq!(sums(&found.totals), whole);
        let by_app: BTreeMap<_, _> =
            found.apps.iter().map(|(app, totals)| (app.clone(), sums(totals))).collect();
        assert_eq!(by_app, apps);
        let days = found.series.iter().map(|(_, totals)| totals.sessions).sum::<i64>();
        assert_eq!(days, whole.sessions);
    }

    fn check_lines(&self, found: &[Value]) {
        let expected = self.oracle.outcome().lines(false);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(same(found, expected), "\n{found}\nexpected:\n{expected}");
        }
        assert_eq!(found.len(), expected.len());
    }

    pub fn end(mut self) {
        self.settle();
        self.check();
        let mut written = Vec::new();
        replay::write_sessions_of_all(self.next(), false, &mut written).unwrap();
        let written = written.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let written: Vec<_> = written.map(|line| serde_json::from_slice(line).unwrap()).collect();
        self.check_lines(&written);
        self.stop();
        for dir in &self.dirs {
            let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
            let (rules, _) = store.rules().unwrap().unwrap();
            let rules =
                CompiledRules::new(&rules, &key(), &Default::default(), &Descriptions::default());
            let report = verify::verify(&store, &rules.unwrap(), 5, &mut |_| {}).unwrap();
            assert_eq!(report.differences, 0, "{:?}", report.listed);
        }
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
