//! Several processes as one, told as stories: the same sessions as one process has, whatever is
//! pushed where; rules that change everywhere at one epoch; a process that stops takes the others
//! with it, and all go on together.
//!
//! The processes are engines in this one, with stores of their own, over real connections.

#![allow(clippy::unwrap_used, reason = "a failed test is what it is for")]

mod common;

use std::collections::{BTreeMap, VecDeque};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{MINUTE, by_header, open, push, settings, verified, view, wait_for};
use spoor_dataflow::cluster::{ClusterSecret, Membership};
use spoor_dataflow::engine::{Engine, EngineError};
use spoor_dataflow::query::{Cursor, Filter, Order, RequestQuery, SessionQuery, Statistic, Status};
use spoor_dataflow::service::{ChangesQuery, Event, RuleChangeError};
use spoor_dataflow::store::{StoreView, ViewContext};
use spoor_operators::rules::edit::{ListEdit, RuleEdit};
use tempfile::TempDir;

/// Stores of a cluster, and addresses for its processes.
struct Stores {
    dirs: Vec<TempDir>,
    hosts: Vec<String>,
}

impl Stores {
    fn new(processes: usize) -> Self {
        let dirs = (0..processes).map(|_| tempfile::tempdir().unwrap()).collect();
        let listeners: Vec<_> =
            (0..processes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let address = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
        Self { dirs, hosts: listeners.iter().map(address).collect() }
    }

    fn path(&self, process: usize) -> PathBuf {
        self.dirs[process].path().to_owned()
    }

    fn start_one(&self, process: usize, workers: usize) -> Result<Engine, EngineError> {
        let secret = ClusterSecret::new("only of these tests").unwrap();
        let membership = Membership::new(process, self.hosts.clone(), secret);
        let cluster = (self.hosts.len() > 1).then_some(membership);
        Engine::start(settings(open(&self.path(process)), workers, cluster))
    }

    fn start(&self, workers: usize) -> Vec<Engine> {
        std::thread::scope(|threads| {
            let start = |process| threads.spawn(move || self.start_one(process, workers).unwrap());
            let started: Vec<_> = (0..self.hosts.len()).map(start).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    /// The sessions of all stores, and that each store is what a batch run over its log gives.
    fn verified(&self) -> Vec<String> {
        let mut sessions = Vec::new();
        for process in 0..self.hosts.len() {
            let (store, rules, compiled) = verified(&self.path(process));
            let context =
                ViewContext { rules: Arc::new(rules), compiled, status: Arc::new(Status::default) };
            sessions.extend(shown(&store.view(context).unwrap()));
        }
        sessions.sort();
        sessions
    }
}

/// `namespace value start requests`.
fn shown(view: &StoreView) -> Vec<String> {
    let mut sessions = Vec::new();
    view.for_each_session(&mut |session| {
        let identity = &session.identity;
        let (start, requests) = (session.start.0, session.summary.requests);
        sessions.push(format!("{} {} {start} {requests}", identity.namespace, identity.value));
        true
    })
    .unwrap();
    sessions
}

fn request(id: usize, ts: i64, user: &str, ip: &str) -> String {
    format!(
        "{{\"id\":\"r{id}\",\"ts\":{ts},\"method\":\"GET\",\"host\":\"h\",\"path\":\"/a\",\
         \"status\":200,\"ip\":\"{ip}\",\"request\":{{\"headers\":{{\"x-session-id\":\"{user}\",\
         \"x-user\":\"u-{ip}\"}}}}}}"
    )
}

/// Any process may be told to stop: all do.
fn stop(engines: Vec<Engine>, by: usize) {
    engines[by].stop();
    for engine in engines {
        engine.join().unwrap();
    }
}

/// Requests of 40 users over an hour, those of a user spread over everybody's pushes.
fn traffic(round: usize) -> Vec<String> {
    let line = |at: usize| {
        let user = format!("s{}", at * 7 % 40);
        let ts = (round * 1000 + at) as i64 * MINUTE / 7;
        request(round * 1000 + at, ts, &user, &format!("10.0.0.{}", at % 5))
    };
    (0..400).map(line).collect()
}

fn by_user() -> RuleEdit {
    RuleEdit::Grouping(ListEdit::Create { item: by_header("user", "x-user"), before: None })
}

/// What one process makes of the same.
fn alone(rounds: usize, edit: bool) -> Vec<String> {
    let stores = Stores::new(1);
    let engines = stores.start(2);
    for round in 0..rounds {
        push(&engines[0], &traffic(round));
    }
    if edit {
        let changed = engines[0].services().admin.change(by_user(), None, None);
        changed.blocking_recv().unwrap().unwrap();
        wait_for(&engines[0], |view| view.status().unwrap().regroup.is_none());
    }
    stop(engines, 0);
    stores.verified()
}

#[test]
fn whatever_is_pushed_where_the_sessions_are_those_of_one_process() {
    let expected = alone(2, false);
    for (processes, workers) in [(2, 1), (2, 2), (3, 1)] {
        let stores = Stores::new(processes);
        let engines = stores.start(workers);
        for round in 0..2 {
            for (at, lines) in traffic(round).chunks(37).enumerate() {
                let answer = push(&engines[at % processes], lines);
                assert_eq!(answer.counts.accepted, lines.len() as u64);
            }
        }
        // What is known already is a duplicate wherever it is pushed, and told to whoever pushes it.
        let again = push(&engines[processes - 1], &traffic(0)[..50]);
        assert_eq!((again.counts.accepted, again.counts.duplicate), (0, 50));
        stop(engines, processes - 1);
        assert_eq!(stores.verified(), expected, "{processes} processes of {workers}");
        // They go on from where they stood.
        let engines = stores.start(workers);
        let again = push(&engines[0], &traffic(1)[..50]);
        assert_eq!(again.counts.duplicate, 50);
        stop(engines, 0);
        assert_eq!(stores.verified(), expected);
    }
}

#[test]
fn a_changed_rule_regroups_what_every_process_retains() {
    let expected = alone(2, true);
    let stores = Stores::new(2);
    let engines = stores.start(1);
    push(&engines[0], &traffic(0));
    let changed = engines[0].services().admin.change(by_user(), None, None);
    let changed = changed.blocking_recv().unwrap().unwrap();
    push(&engines[1], &traffic(1));
    for engine in &engines {
        let epoch = changed.effective_epoch;
        engine.services().reader.wait_for(epoch, Duration::from_secs(10)).unwrap();
        assert_eq!(view(engine).rules().version, 2);
    }
    wait_for(&engines[0], |view| view.status().unwrap().regroup.is_none());
    stop(engines, 0);
    assert_eq!(stores.verified(), expected);
}

/// Everything that can be asked of all sessions, whichever process is asked.
fn asked(engine: &Engine) -> Vec<String> {
    let view = view(engine);
    let order = Order { by: Statistic::Requests, descending: true };
    let mut query =
        SessionQuery { filter: Filter::all(), order, first: 7, after: None, count: true };
    let mut told = Vec::new();
    loop {
        let page = view.sessions(&query).unwrap();
        for session in &page.sessions {
            let requests = RequestQuery { first: 3, ..RequestQuery::default() };
            let requests = view.requests(session, &requests).unwrap();
            let found = view.session(session.id()).unwrap();
            assert_eq!(found.as_ref(), Some(session));
            let shown = (session.id(), session.summary.requests, requests.total, page.total);
            told.push(format!("{shown:?}"));
        }
        let Some(last) = page.sessions.last().filter(|_| page.has_next) else { break };
        query.after = Some(Cursor { value: order.by.of(last), id: last.id() });
    }
    let overview = view.overview(None, None, Some(60)).unwrap();
    told.push(format!("{:?} {:?}", overview.totals, overview.series));
    let status = view.status().unwrap();
    told.push(format!("{} {} {}", status.sessions, status.requests, status.open_sessions));
    let letters = view.dead_letters(100, None).unwrap();
    told.push(format!("{}", letters.total));
    told
}

#[test]
fn any_process_answers_what_one_alone_would() {
    let answers = |processes: usize| {
        let stores = Stores::new(processes);
        let engines = stores.start(1);
        for (at, lines) in traffic(0).chunks(23).enumerate() {
            push(&engines[at % processes], lines);
        }
        push(&engines[processes - 1], &["no request".into()]);
        // Whoever is asked next knows of the push, though another process took it.
        let answers: Vec<_> = engines.iter().map(asked).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
        stop(engines, 0);
        answers.into_iter().next().unwrap()
    };
    let expected = answers(1);
    assert_eq!(answers(3), expected);
}

#[test]
fn a_repeat_is_recognised_by_any_process_and_a_change_is_made_by_any() {
    let stores = Stores::new(3);
    let engines = stores.start(1);
    let repeated = |process: usize| {
        let ingest = engines[process].services().ingest;
        let answer = ingest.push(traffic(0).join("\n").into(), Some("once".into()));
        answer.blocking_recv().unwrap().unwrap()
    };
    let first = repeated(1);
    assert_eq!(first.counts.accepted, 400);
    assert_eq!((repeated(2), repeated(0), repeated(1)), (first.clone(), first.clone(), first));
    let admin = engines[2].services().admin;
    let changed = admin.change(by_user(), Some(1), None).blocking_recv().unwrap().unwrap();
    assert_eq!(view(&engines[1]).rules().version, 2);
    assert!(view(&engines[0]).epoch() >= changed.effective_epoch);
    let conflict = engines[1].services().admin.change(by_user(), Some(1), None);
    let conflict = conflict.blocking_recv().unwrap().unwrap_err();
    assert!(matches!(conflict, RuleChangeError::Conflict { current } if current.version == 2));
    stop(engines, 1);
}

#[test]
fn a_subscriber_of_any_process_is_told_of_all_changes() {
    let stores = Stores::new(2);
    let engines = stores.start(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let feed = engines[1].services().feed;
    let mut changes = feed.session_changes(ChangesQuery::of(Filter::all(), 100)).unwrap();
    let mut known = BTreeMap::new();
    for round in 0..3 {
        let answer = push(&engines[round % 2], &traffic(round));
        let mut told = 0;
        while told < answer.epoch {
            let event = runtime.block_on(changes.next()).unwrap().unwrap();
            let (epoch, gone, come) = match event {
                Event::Snapshot { epoch, sessions, .. } => (epoch, Vec::new(), sessions),
                Event::Changes { epoch, added, updated, removed } => {
                    (epoch, removed, [added, updated].concat())
                }
                Event::Progress { epoch } => (epoch, Vec::new(), Vec::new()),
            };
            gone.iter().for_each(|id| drop(known.remove(id)));
            known.extend(come.into_iter().map(|session| (session.id(), session)));
            told = epoch.0;
        }
        let (filter, order) = (Filter::all(), Order::default());
        let query = SessionQuery { filter, order, first: 1000, after: None, count: false };
        let found = view(&engines[0]).sessions(&query).unwrap().sessions;
        let found: BTreeMap<_, _> = found.into_iter().map(|s| (s.id(), s)).collect();
        assert_eq!(known, found);
    }
    stop(engines, 0);
    assert!(runtime.block_on(changes.next()).is_none());
}

#[test]
fn a_process_that_fails_stops_the_others_and_they_say_which() {
    let stores = Stores::new(3);
    let mut engines = stores.start(1);
    push(&engines[2], &traffic(0));
    engines[1].abandon("its disk is full");
    let failed = engines.remove(1).join().unwrap_err();
    assert_eq!(failed.to_string(), "the engine stopped: its disk is full");
    for engine in engines {
        let failed = engine.join().unwrap_err();
        let expected = "process 1 of the cluster failed, so this one stopped: its disk is full";
        assert_eq!(failed.to_string(), expected);
    }
    // All come back, and nothing is lost.
    let engines = stores.start(1);
    let again = push(&engines[0], &traffic(0));
    assert_eq!(again.counts.duplicate, 400);
    stop(engines, 2);
}

/// Sets a flag when it is dropped, so that a thread ends though the test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Changes that are refused, so many at a time that the leader is always behind with what it is told.
fn keep_busy(leader: &Engine, done: &AtomicBool) {
    let admin = leader.services().admin;
    let refused = RuleEdit::Grouping(ListEdit::Delete { name: "nobody".into() });
    let mut waiting = VecDeque::new();
    while !done.load(Ordering::Acquire) {
        waiting.push_back(admin.change(refused.clone(), None, None));
        if waiting.len() > 50_000 {
            // It may have failed by now.
            let answer = waiting.pop_front().unwrap().blocking_recv();
            assert!(!matches!(answer, Ok(Ok(_))), "there is no such key");
        }
    }
}

#[test]
fn wherever_it_is_cut_off_around_the_end_of_a_regroup_all_know_the_same_and_go_on() {
    let stores = Stores::new(2);
    for round in 0..4 {
        let engines = stores.start(1);
        push(&engines[0], &traffic(round));
        let edit = match round % 2 {
            0 => by_user(),
            _ => RuleEdit::Grouping(ListEdit::Delete { name: "user".into() }),
        };
        let stopped = AtomicBool::new(false);
        std::thread::scope(|threads| {
            let _done = Done(&stopped);
            let changed = engines[0].services().admin.change(edit, None, None);
            threads.spawn(|| keep_busy(&engines[0], &stopped));
            changed.blocking_recv().unwrap().unwrap();
            (0..4 + round).for_each(|_| drop(push(&engines[1], &traffic(round)[..1])));
            engines[1].abandon("its disk is full");
        });
        engines.into_iter().for_each(|engine| drop(engine.join().unwrap_err()));
    }
    stop(stores.start(2), 1);
    stores.verified();
}

#[test]
fn the_store_of_a_cluster_is_not_for_a_process_alone() {
    let stores = Stores::new(2);
    let engines = stores.start(1);
    push(&engines[0], &traffic(0));
    stop(engines, 0);
    let alone = Engine::start(settings(open(&stores.path(1)), 1, None));
    let refused = alone.err().unwrap().to_string();
    assert!(refused.contains("process 1 of 2") && refused.contains("reshape"), "{refused}");
}
