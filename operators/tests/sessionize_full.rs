//! Hydrated, the output of `sessionize` is a full collection: over a backend that had state, at any
//! time, it accumulates to what a run over all retained requests gives; days that are dropped are
//! retracted. Sessions are then counted by an ordinary differential operator.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex};

use differential_dataflow::difference::Semigroup;
use differential_dataflow::input::Input;
use spoor_operators::sessionize::operator::{Sessionize, SessionizeOptions};
use spoor_operators::sessionize::{Differences, Sessionizer};
use spoor_operators::time::{Day, Epoch};
use spoor_operators::{MemoryState, SessionId};
use support::{Accumulated, parse};

/// The state that requests leave, and all that came out.
fn opened(requests: &str) -> (MemoryState, Accumulated) {
    let mut sessionizer = Sessionizer::new(MemoryState::default(), usize::MAX).with_requests();
    let (mut out, mut all) = (Differences::default(), Accumulated::default());
    let parsed = requests.split_whitespace().map(parse);
    let mut events = parsed.map(|(request, diff)| (request.assigned(), diff)).collect();
    sessionizer.process(Epoch(0), &mut events, &mut out);
    all.add(&mut out);
    (mem::take(sessionizer.backend()), all)
}

#[derive(Default)]
struct Found {
    all: Accumulated,
    /// How many sessions each identity has.
    counted: BTreeMap<(String, isize), isize>,
}

/// Runs requests over a state that drops the days before one; what came out, added up.
fn full(state: MemoryState, hot_bytes_max: usize, requests: &'static str) -> Found {
    let found = Arc::new(Mutex::new(Found::default()));
    let collected = Arc::clone(&found);
    timely::execute_directly(move |worker| {
        let mut input = worker.dataflow::<u64, _, _>(|scope| {
            let (input, stream) = scope.new_collection();
            let options = SessionizeOptions { hot_bytes_max, ..SessionizeOptions::default() };
            let out = stream.sessionize_full(state, options);
            let by_who = out.sessions.clone().map(|session| session.who().to_owned());
            let [sessions, requests, totals, counted] = [0; 4].map(|_| Arc::clone(&collected));
            by_who.count().inspect(move |(count, _, diff)| {
                *counted.lock().unwrap().counted.entry(count.clone()).or_default() += diff;
            });
            out.sessions.inspect(move |(session, _, diff)| {
                let mut found = sessions.lock().unwrap();
                *found.all.sessions.entry(session.clone()).or_default() += diff;
            });
            out.requests.inspect(move |(request, _, diff)| {
                let mut found = requests.lock().unwrap();
                *found.all.requests.entry(request.clone()).or_default() += diff;
            });
            out.totals.inspect(move |(key, _, diff)| {
                let mut found = totals.lock().unwrap();
                found.all.totals.entry(key.clone()).or_default().plus_equals(diff);
            });
            input
        });
        for (epoch, request) in requests.split_whitespace().enumerate() {
            let (request, diff) = parse(request);
            input.advance_to(epoch as u64);
            input.update(request.assigned(), diff);
        }
    });
    let mut found = mem::take(&mut *found.lock().unwrap());
    found.all.add(&mut Differences::default());
    found.counted.retain(|_, diff| *diff != 0);
    found
}

fn check(before: &str, drop: i32, then: &'static str, remain: &str) {
    for hot_bytes_max in [0, usize::MAX] {
        let (mut state, _) = opened(before);
        state.expire(Day(drop));
        let found = full(state, hot_bytes_max, then);
        let (_, expected) = opened(remain);
        assert_eq!(found.all.sessions, expected.sessions, "{before} | {then}");
        assert_eq!(found.all.requests, expected.requests, "{before} | {then}");
        assert_eq!(found.all.totals, expected.totals, "{before} | {then}");
        let mut counts: BTreeMap<String, isize> = BTreeMap::new();
        for session in expected.sessions.keys() {
            *counts.entry(session.who().to_owned()).or_default() += 1;
        }
        let counted = counts.into_iter().map(|count| (count, 1)).collect();
        assert_eq!(found.counted, counted, "{before} | {then}");
    }
}

#[test]
fn a_hydrated_output_is_what_a_run_over_everything_gives() {
    check("a@0 a@10 b@5", 0, "", "a@0 a@10 b@5");
    check("a@0 a@10 b@5", 0, "a@20 -b@5", "a@0 a@10 a@20");
    check("a@0#1 a@50#2", 0, "a@25!1 a@50#2!2", "a@0#1 a@50#2 a@25!1 a@50#2!2");
    check("@3 a@0 b@0", 0, "-@3", "a@0 b@0");
}

#[test]
fn days_that_are_dropped_are_retracted() {
    check("a@0 b@5 a@90000", 1, "", "a@90000");
    check("a@0 b@5 a@90000", 1, "a@90010 b@90000", "a@90000 a@90010 b@90000");
    check("a@0 @7", 2, "", "");
}

/// Sessions work as keys and values behind an exchange, and as JSON.
#[test]
fn a_session_is_a_value() {
    let (_, all) = opened("a@0 a@10 b@5");
    let ids: Vec<SessionId> = all.sessions.keys().map(|session| session.id()).collect();
    let text = serde_json::to_string(&all.sessions.keys().collect::<Vec<_>>()).unwrap();
    let read: Vec<Arc<spoor_operators::Session>> = serde_json::from_str(&text).unwrap();
    assert_eq!(read.iter().collect::<Vec<_>>(), all.sessions.keys().collect::<Vec<_>>());
    assert_eq!(read.iter().map(|session| session.id()).collect::<Vec<_>>(), ids);
}
