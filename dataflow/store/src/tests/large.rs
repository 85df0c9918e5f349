//! Sessions with very many values: their breakdowns are stored in parts, beside their rows.
//!
//! Whatever becomes of such a session, the parts that are stored are exactly those of the sessions
//! there are, and what is written is what changed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rocksdb::IteratorMode;
use spoor_api::query::{Filter, Order, RequestFilter, SessionQuery, Statistic};
use spoor_api::service::View;
use spoor_api::values::{self, ValueQuery};
use spoor_operators::breakdown::WHOLE_MAX;
use spoor_operators::facts::{Assigned, Field};
use spoor_operators::request::Request;
use spoor_operators::session::Session;
use spoor_operators::sessionize::backend::DayKey;
use spoor_operators::time::{Day, Epoch, EventTime};

use super::*;
use crate::{Family, Part, Store, StoreView, care, keys};

/// Values of a session that is large.
const MANY: i64 = 2 * WHOLE_MAX as i64;

/// Requests of one identity, a second each, each with a user agent of its own.
fn requests(fed: &Fed, seconds: Range<i64>) -> Vec<Assigned> {
    let request = |second: i64| {
        let mut request = Request {
            id: format!("at {second}").into(),
            explicit_id: true,
            ts: EventTime(DAY * 86_400_000 + 3_600_000 + second * 1000),
            user_agent: format!("agent {second}").into(),
            app: APPS[0].into(),
            method: "GET".into(),
            path: "/page".into(),
            ip: "10.0.0.1".into(),
            status: 200,
            ..Request::default()
        };
        request.request.headers.push(("x-session-id".into(), "large".into()));
        assign(&fed.compiled, request)
    };
    seconds.map(request).collect()
}

fn come(fed: &mut Fed, seconds: Range<i64>) -> usize {
    let events = requests(fed, seconds).into_iter().map(|request| (request, 1)).collect();
    change(fed, events)
}

fn go(fed: &mut Fed, seconds: Range<i64>) -> usize {
    let events = requests(fed, seconds).into_iter().map(|request| (request, -1)).collect();
    change(fed, events)
}

/// Writes an epoch; the bytes of what it changed.
fn change(fed: &mut Fed, events: Vec<(Assigned, isize)>) -> usize {
    let commit = fed.process(events, Commit::default());
    let bytes = commit.parts.iter().map(Part::bytes).sum();
    fed.write(commit);
    bytes
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn stored_parts(store: &Store) -> Rows {
    let rows = store.inner.db.full_iterator_cf(store.inner.cf(Family::Parts), IteratorMode::Start);
    rows.map(Result::unwrap).map(|(key, row)| (key.into(), row.into())).collect()
}

fn check(fed: &Fed, why: &str) {
    let mut expected = Rows::new();
    let mut days = BTreeMap::<DayKey, Vec<&Arc<Session>>>::new();
    for session in fed.sessions.values() {
        let key = DayKey { day: session.day, identity: session.identity.id };
        days.entry(key).or_default().push(session);
        let Some(head) = session.head() else { continue };
        assert!(session.contains(head.anchor), "{why}");
        session.summary.breakdown.changed_parts(None, &mut |place, part| {
            let mut row = Vec::new();
            part.unwrap().encode(&mut row);
            let key = keys::part(key.day, key.identity, head.anchor, place);
            assert!(expected.insert(key.into(), row).is_none(), "{why}: one place twice");
        });
    }
    let stored = stored_parts(&fed.store);
    assert!(stored == expected, "{why}: {} parts, not {}", stored.len(), expected.len());
    let view = fed.view();
    for (key, sessions) in days {
        let loaded = fed.store.load_sessions(key).unwrap();
        assert!(loaded.iter().eq(sessions.iter().copied()), "{why}: other sessions are loaded");
        for session in sessions {
            check_values(&view, session, why);
        }
    }
}

/// A reader without the values is told them field by field.
fn check_values(view: &StoreView, session: &Session, why: &str) {
    let found = View::session(view, session.id()).unwrap().unwrap();
    assert_eq!(found.summary.breakdown.is_head(), session.summary.breakdown.is_large(), "{why}");
    assert_eq!(found.summary.counters, session.summary.counters, "{why}");
    for field in Field::ALL {
        assert_eq!(found.summary.distinct(field), session.summary.distinct(field), "{why}");
        for after in [None, Some((1, "agent 5".to_owned()))] {
            let query = ValueQuery { field, first: 7, after };
            let expected = values::of(session, &query);
            assert_eq!(view.values(&found, &query).unwrap(), expected, "{why}: {query:?}");
        }
    }
}

/// The counts and rows of a store that is closed.
fn problems(directory: &Path) -> Vec<String> {
    care::check(directory, &Kept, &mut |_, _, _| true).unwrap().listed
}

fn close(fed: Fed) -> tempfile::TempDir {
    let Fed { directory, store, sessionizer, .. } = fed;
    drop((store, sessionizer));
    directory
}

fn large() -> Fed {
    let mut fed = Fed::with(synced());
    come(&mut fed, 0..MANY);
    fed
}

#[test]
fn whatever_becomes_of_a_large_session_its_parts_are_stored_and_no_others() {
    type Step = (&'static str, fn(&mut Fed) -> usize);
    let steps: [Step; 11] = [
        ("it grows beyond one row", |fed| come(fed, 0..WHOLE_MAX as i64 + 1)),
        ("more of it", |fed| come(fed, WHOLE_MAX as i64 + 1..MANY)),
        ("its start moves", |fed| come(fed, -5..0)),
        ("a small one beside it", |fed| come(fed, MANY + 3600..MANY + 3610)),
        ("a larger one beside it", |fed| come(fed, MANY + 9000..4 * MANY + 9000)),
        ("the first two are one", |fed| come(fed, MANY + 1790..MANY + 1850)),
        ("all are one", |fed| {
            come(fed, MANY + 5000..MANY + 5001) + come(fed, MANY + 6500..MANY + 6501)
        }),
        ("and the bridge", |fed| come(fed, MANY + 8000..MANY + 8001)),
        ("it falls apart", |fed| go(fed, MANY + 5000..MANY + 5001)),
        ("one becomes small", |fed| go(fed, 100..MANY)),
        ("nothing is left of the other", |fed| go(fed, MANY + 8000..4 * MANY + 9000)),
    ];
    for hot in [true, false] {
        let mut fed = Fed::with(synced());
        if hot {
            fed.keep_hot();
        }
        for (why, step) in &steps {
            step(&mut fed);
            check(&fed, why);
        }
        assert!(!fed.sessions.is_empty());
        let directory = close(fed);
        assert_eq!(problems(directory.path()), [""; 0]);
    }
}

#[test]
fn a_change_of_a_large_session_writes_what_changed() {
    for hot in [true, false] {
        let mut fed = Fed::with(synced());
        if hot {
            fed.keep_hot();
        }
        let whole = come(&mut fed, 0..10 * MANY);
        for second in 10 * MANY..10 * MANY + 5 {
            let bytes = come(&mut fed, second..second + 1);
            assert!(bytes * 50 < whole, "{bytes} bytes for one request, {whole} for all");
        }
        check(&fed, "after it grew");
    }
}

#[test]
fn a_large_session_is_found_by_what_it_has() {
    let mut fed = large();
    come(&mut fed, MANY..MANY + 1);
    let view = fed.view();
    let last = format!("agent {MANY}");
    for (text, found) in [("agent 0", 1), (&*last, 1), ("agent", 0)] {
        let fields = vec![(Field::UserAgent, vec![text.to_owned()])];
        let group = RequestFilter { fields, ..RequestFilter::default() };
        let query = SessionQuery {
            filter: Filter::Request(group),
            order: Order { by: Statistic::Requests, descending: true },
            first: 10,
            after: None,
            count: true,
        };
        let page = View::sessions(&view, &query).unwrap();
        assert_eq!((page.sessions.len(), page.total), (found, Some(found as u64)), "{text}");
        for session in fed.sessions.values() {
            let selected = |session| view.matches(&query.filter, session).unwrap();
            assert_eq!(selected(session), found == 1, "{text}");
            assert_eq!(selected(&session.without_values()), found == 1, "{text}, read");
        }
        assert!(page.sessions.iter().all(|session| session.summary.breakdown.is_head()));
    }
}

#[test]
fn a_store_of_whole_rows_is_read_and_goes_on_in_parts() {
    let fed = large();
    let session = Arc::clone(fed.sessions.values().next().unwrap());
    let key = keys::session(session.day, session.identity.id, session.start);
    let mut whole = Vec::new();
    session.encode(&mut whole);
    let db = &fed.store.inner.db;
    db.put_cf(fed.store.inner.cf(Family::Sessions), key, whole).unwrap();
    let before = "9b2990a2507bcd4d703f44717ea3a179";
    db.put_cf(fed.store.inner.cf(Family::Meta), b"=fingerprint", before).unwrap();
    let Fed { sessions, requests, epoch, .. } = &fed;
    let (sessions, requests, epoch) = (sessions.clone(), requests.clone(), *epoch);
    let directory = close(fed);
    {
        let path = directory.path().join("db");
        let options = rocksdb::Options::default();
        let names = rocksdb::DB::list_cf(&options, &path).unwrap();
        let mut db = rocksdb::DB::open_cf(&options, &path, names).unwrap();
        db.drop_cf("parts").unwrap();
    }
    assert!(care::info(directory.path(), &[]).unwrap().readable);
    assert_eq!(problems(directory.path()), [""; 0]);
    let mut fed = Fed { sessions, requests, epoch, ..Fed::in_directory(directory, synced()) };
    assert!(stored_parts(&fed.store).is_empty());
    come(&mut fed, MANY..MANY + 1);
    check(&fed, "after it was read from one row");
    assert_eq!(problems(close(fed).path()), [""; 0]);
}

#[test]
fn parts_that_are_missing_or_anothers_are_told_and_never_read_as_fewer_values() {
    type Damage = fn(&mut Rows);
    let damages: [(&str, Damage); 3] = [
        ("one is missing", |rows| drop(rows.pop_first())),
        ("one is damaged", |rows| rows.first_entry().unwrap().get_mut().truncate(3)),
        ("one is another's", |rows| {
            let (mut key, row) = rows.pop_last().unwrap();
            key[keys::ROW_KEY_BYTES - 1] ^= 1;
            rows.insert(key, row);
        }),
    ];
    for (why, damage) in damages {
        let fed = large();
        let key = fed.sessions.values().next().unwrap();
        let key = DayKey { day: key.day, identity: key.identity.id };
        let (db, cf) = (&fed.store.inner.db, fed.store.inner.cf(Family::Parts));
        let mut rows = stored_parts(&fed.store);
        rows.keys().for_each(|key| db.delete_cf(cf, key).unwrap());
        damage(&mut rows);
        rows.iter().for_each(|(key, row)| db.put_cf(cf, key, row).unwrap());
        let loaded = fed.store.load_sessions(key);
        assert!(matches!(loaded, Err(StoreError::Damaged(_))), "{why}");
        assert!(!problems(close(fed).path()).is_empty(), "{why}");
    }
}

#[test]
fn parts_go_with_their_day_and_with_their_identity() {
    let mut fed = large();
    let day = Day(DAY as i32);
    let moving = fed.store.moving_days(|_| true, None, usize::MAX).unwrap();
    let mut other = Fed::with(synced());
    let mut part = other.store.part(Epoch(1), 0);
    moving.iter().for_each(|day| part.move_in(day).unwrap());
    let commit = Commit { epoch: Epoch(1), parts: vec![part], ..Commit::default() };
    other.store.commit(commit).unwrap();
    other.sessions = fed.sessions.clone();
    check(&other, "where it went");

    let mut part = fed.store.part(Epoch(fed.epoch + 1), 0);
    moving.iter().for_each(|day| part.move_out(day).unwrap());
    let commit = Commit { epoch: part.epoch(), parts: vec![part], ..Commit::default() };
    fed.store.commit(commit).unwrap();
    fed.sessions.clear();
    check(&fed, "where it was");

    let expire_before = Some(Day(day.0 + 1));
    other.store.commit(Commit { epoch: Epoch(2), expire_before, ..Commit::default() }).unwrap();
    other.sessions.clear();
    check(&other, "when its day is dropped");
}
