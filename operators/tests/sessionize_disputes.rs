//! Requests of one identity-day that share explicit ids: which counts does not depend on how they
//! arrive, and what it costs is linear in what arrives. Cost is counted: requests that are asked of
//! the backend, and identity-days that are made anew.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use spoor_operators::facts::Assigned;
use spoor_operators::sessionize::backend::{
    DayChange, DayKey, EpochCounts, IdSet, SessionBackend, Sessions,
};
use spoor_operators::sessionize::memory::MemoryState;
use spoor_operators::sessionize::{Differences, Sessionizer};
use spoor_operators::time::{Day, Epoch};
use support::{Accumulated, Req};

/// Counts what is asked of it.
#[derive(Default)]
struct Counting {
    inner: MemoryState,
    requests: usize,
    rebuilt: u64,
    duplicates: u64,
    retained: u64,
}

impl SessionBackend for Counting {
    fn ready(&mut self, _: Epoch) -> bool {
        true
    }
    fn sessions(&mut self, key: DayKey) -> Sessions {
        self.inner.sessions(key)
    }
    fn ids(&mut self, key: DayKey, out: &mut IdSet) {
        self.inner.ids(key, out);
    }
    fn requests(&mut self, key: DayKey) -> Vec<Assigned> {
        let requests = self.inner.requests(key);
        self.requests += requests.len();
        requests
    }
    fn change(&mut self, epoch: Epoch, change: DayChange) {
        self.inner.change(epoch, change);
    }
    fn seal(&mut self, _: Epoch, counts: EpochCounts) {
        self.rebuilt += counts.rebuilt;
        self.retained += counts.inserted;
        self.duplicates += counts.duplicates.iter().map(|(_, count)| count).sum::<u64>();
    }
}

fn request(ms: i64, id: u64, body: u64) -> Req {
    Req { ms, id, body, who: "a".into(), status: 200, gap_ms: 30_000 }
}

/// What counts of all, as one batch makes it.
fn at_once(requests: &[Req]) -> Accumulated {
    let mut least = BTreeMap::new();
    for (at, request) in requests.iter().enumerate() {
        let id = if request.id == 0 { u64::MAX - at as u64 } else { request.id };
        let known = least.entry(id).or_insert(request);
        if (request.ms, request.stored()) < (known.ms, known.stored()) {
            *known = request;
        }
    }
    let mut events = least.values().map(|request| (request.assigned(), 1)).collect();
    let (mut out, mut all) = (Differences::default(), Accumulated::default());
    Sessionizer::new(MemoryState::default(), usize::MAX).process(Epoch(0), &mut events, &mut out);
    all.add(&mut out);
    all
}

fn check(name: &str, requests: &[Req], an_epoch: usize, loads_max: usize, rebuilt_max: u64) {
    let mut sessionizer = Sessionizer::new(Counting::default(), usize::MAX);
    let mut all = Accumulated::default();
    for (epoch, requests) in requests.chunks(an_epoch).enumerate() {
        let mut events = requests.iter().map(|request| (request.assigned(), 1)).collect();
        let mut out = Differences::default();
        sessionizer.process(Epoch(epoch as u64), &mut events, &mut out);
        all.add(&mut out);
    }
    let expected = at_once(requests);
    assert_eq!(all.sessions, expected.sessions, "{name}");
    assert_eq!(all.totals, expected.totals, "{name}");
    let cost = sessionizer.backend();
    assert!(cost.requests <= loads_max, "{name}: {} requests were loaded", cost.requests);
    assert!(cost.rebuilt <= rebuilt_max, "{name}: made anew {} times", cost.rebuilt);
    assert_eq!(cost.retained, requests.len() as u64, "{name}: everything stays in the log");
    let mut ids: Vec<_> = requests.iter().map(|request| request.id).filter(|id| *id > 0).collect();
    let explicit = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(cost.duplicates, (explicit - ids.len()) as u64, "{name}");
    let key = DayKey { day: Day(0), identity: requests[0].assigned().identity };
    assert_eq!(sessionizer.backend().inner.requests(key).len(), requests.len(), "{name}");
}

#[test]
fn requests_that_share_ids_cost_what_arrives() {
    const N: u64 = 3000;
    let all = |of: &dyn Fn(u64) -> Req| (0..N).map(of).collect::<Vec<_>>();
    let others = |of: &dyn Fn(u64) -> Req| {
        let mut requests = all(&|n| request(n as i64 * 10, n + 1, 9));
        requests.extend((0..N).map(of));
        requests
    };
    let cases: Vec<(&str, Vec<Req>, usize)> = vec![
        ("one id, later and later", all(&|n| request(n as i64, 1, n)), 1),
        ("one id, earlier and earlier", all(&|n| request((N - n) as i64, 1, n)), 1),
        ("one id and time, greater and greater", all(&|n| request(0, 1, n)), 1),
        ("one id and time, less and less", all(&|n| request(0, 1, N - n)), 1),
        ("one id, earlier by most of a gap", all(&|n| request((N - n) as i64 * 20_000, 1, n)), 1),
        ("every id again, at its time, less", others(&|n| request(n as i64 * 10, n + 1, 2)), 1),
        ("every id again, at its time, greater", others(&|n| request(n as i64 * 10, n + 1, 11)), 1),
        ("every id again, later", others(&|n| request(n as i64 * 10 + 5, n + 1, n)), 1),
        ("every id again, earlier", others(&|n| request(n as i64 * 10 - 5 + 5, n + 1, n % 9)), 1),
        ("one id among others without ids", all(&|n| request(n as i64, n % 2, N - n)), 1),
    ];
    for (name, requests, an_epoch) in cases {
        // The first two requests of one id make the day anew, and nothing else does.
        check(name, &requests, an_epoch, N as usize, 1);
        check(name, &requests, 500, N as usize, 1);
        check(name, &requests, usize::MAX, 0, 1);
    }
}

#[test]
fn where_a_session_falls_apart_it_is_made_anew() {
    // The bridge between two sessions is replaced by one before both.
    let requests = [
        request(0, 0, 0),
        request(50_000, 0, 0),
        request(25_000, 1, 0),
        request(25_000, 1, 2),
        request(1, 1, 4),
        request(24_000, 0, 4),
    ];
    check("a bridge goes", &requests, 1, 10, 2);
}

#[test]
fn many_sessions_of_a_day_in_any_order_cost_what_changes() {
    // Each is a session of its own; the last come first.
    let apart = |n: i64| Req { gap_ms: 1, ..request((5000 - n) * 10, 0, 0) };
    let requests: Vec<_> = (0..5000).map(apart).collect();
    check("apart", &requests, 1, 0, 0);
    check("apart", &requests, 100, 0, 0);
}
