//! Opening, reopening, refusing, dropping days, and the lists a commit keeps.

use std::sync::Arc;

use spoor_operators::identity::IdentityId;
use spoor_operators::rules::RuleSet;
use spoor_operators::sessionize::backend::DayKey;
use spoor_operators::time::{Day, DayZone, Epoch, EventTime};
use spoor_operators::totals::Totals;

use super::super::limits::IDEMPOTENCY_KEPT;
use super::super::options::Family;
use super::super::{
    Commit, FORMAT, LogLimit, Scanned, Store, StoreError, StoreOptions, keys, meta,
};
use super::{DAY, Fed, Spec, options};
use spoor_api::codes::RefusalCode;
use spoor_api::query::{DeadLetter, Filter, Order, SessionQuery};
use spoor_api::service::View;

fn many(days: i64) -> Vec<Spec> {
    let spec = |number: i64| Spec {
        identity: (number % 7) as u8,
        minute: number * 13 % (days * 1440),
        path: (number % 4) as u8,
        ..Spec::default()
    };
    (0..days * 100).map(spec).collect()
}

fn refused(directory: &std::path::Path, options: StoreOptions) -> String {
    Store::open(directory, options).err().expect("it must be refused").to_string()
}

#[test]
fn a_store_in_use_is_refused_and_opens_when_it_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), options()).unwrap();
    assert_eq!((store.incarnation(), store.committed()), (1, None));
    assert!(refused(directory.path(), options()).contains("in use by another process"));
    drop(store);
    assert_eq!(Store::open(directory.path(), options()).unwrap().incarnation(), 2);
}

#[test]
fn another_format_another_directory_and_another_zone_are_refused() {
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("notes.txt"), "mine").unwrap();
    assert!(refused(other.path(), options()).contains("holds no store"));

    let mut fed = Fed::new();
    fed.feed(&many(1), &[]);
    let Fed { directory, store, sessionizer, .. } = fed;
    drop(sessionizer);
    let zone = DayZone::named("Europe/Berlin").unwrap();
    let meta = store.inner.cf(Family::Meta);
    store.inner.db.put_cf(meta, b"=format", (FORMAT + 1).to_string()).unwrap();
    drop(store);
    let said = refused(directory.path(), options());
    assert!(said.contains(&format!("format {}", FORMAT + 1)), "{said}");

    let mut fed = Fed::new();
    fed.feed(&many(1), &[]);
    let Fed { directory, store, sessionizer, .. } = fed;
    drop((store, sessionizer));
    let said = refused(directory.path(), StoreOptions { zone, ..options() });
    assert!(said.contains("`UTC`, not in `Europe/Berlin`"), "{said}");
}

/// Makes a store what a program of format 1 would have left: it counted no sessions by app.
fn as_format_1(store: &Store) {
    let (db, meta) = (&store.inner.db, store.inner.cf(Family::Meta));
    for entry in db.iterator_cf(meta, rocksdb::IteratorMode::Start) {
        let (key, value) = entry.unwrap();
        if key.first() != Some(&meta::TOTALS) {
            continue;
        }
        let (_, app, totals) = meta::parse_totals(&key, &value).unwrap();
        match totals.of_requests() {
            _ if app.is_empty() => {}
            none if none == Totals::default() => db.delete_cf(meta, key).unwrap(),
            requests => db.put_cf(meta, key, meta::encode_totals(requests)).unwrap(),
        }
    }
    db.put_cf(meta, meta::FORMAT_KEY, "1").unwrap();
    db.put_cf(meta, meta::FINGERPRINT_KEY, "9b2990a2507bcd4d703f44717ea3a179").unwrap();
}

#[test]
fn a_store_of_format_1_is_upgraded_also_after_what_it_staged() {
    for staged in [false, true] {
        let mut fed = Fed::new();
        fed.counts = true;
        fed.feed(&many(3), &[]);
        let expected = fed.view().overview(None, None, None).unwrap();
        let sessions = fed.sessions.len() as i64;
        assert_eq!(expected.totals.sessions, sessions);
        assert!(expected.apps.iter().all(|(app, totals)| !app.is_empty() && totals.sessions > 0));
        let touched: i64 = expected.apps.iter().map(|(_, totals)| totals.sessions).sum();
        assert!(touched >= sessions, "a session is in at least one app");

        if staged {
            let commit = Commit { epoch: Epoch(100), ..Commit::default() };
            drop(fed.store.stage(commit).unwrap());
        }
        as_format_1(&fed.store);
        let mut fed = fed.reopen();
        let format = |fed: &Fed| meta::format(&fed.store.inner.db).unwrap();
        if staged {
            assert_eq!(format(&fed), Some(1), "what is staged was made for format 1");
            fed.store.promote_found(Epoch(100)).unwrap();
        }
        assert_eq!(format(&fed), Some(FORMAT));
        let found = fed.view().overview(None, None, None).unwrap();
        assert_eq!((found.totals, found.apps), (expected.totals, expected.apps));
        fed = fed.reopen();
        assert_eq!(fed.view().overview(None, None, None).unwrap().totals, expected.totals);
    }
}

#[test]
fn damaged_rows_are_an_error_and_no_panic() {
    let mut fed = Fed::new();
    fed.feed(&many(1), &[]);
    let session = fed.sessions.values().next().unwrap().clone();
    let key = keys::session(session.day, session.identity.id, session.start);
    let (db, cf) = (&fed.store.inner.db, fed.store.inner.cf(Family::Sessions));
    let row = db.get_cf(cf, key).unwrap().unwrap();
    db.put_cf(cf, key, &row[..row.len() - 1]).unwrap();
    let day = DayKey { day: session.day, identity: session.identity.id };
    assert!(matches!(fed.store.load_sessions(day), Err(StoreError::Damaged(_))));
    assert!(fed.view().session(session.id()).is_err());
    let block = keys::block(session.day, session.identity.id, Epoch(1));
    db.put_cf(fed.store.inner.cf(Family::Requests), block, b"\xff\xff").unwrap();
    assert!(matches!(fed.store.load_log(day), Err(StoreError::Damaged(_))));
}

/// Keys of each column family by day, and of all of `meta`.
pub(super) fn keys_before(store: &Store, day: Day) -> usize {
    let before = Family::BY_DAY.into_iter().map(|family| {
        let all =
            store.inner.db.full_iterator_cf(store.inner.cf(family), rocksdb::IteratorMode::Start);
        all.filter(|entry| keys::day_of(&entry.as_ref().unwrap().0).unwrap() < day).count()
    });
    before.sum()
}

#[test]
fn dropped_days_leave_nothing_behind() {
    let mut fed = Fed::new();
    fed.feed(&many(4), &[]);
    fed.store.inner.db.flush_cf(fed.store.inner.cf(Family::Sessions)).unwrap();
    let old_view = fed.view();
    let before = fed.sessions.len() as u64;
    let day = Day(DAY as i32 + 2);
    let minute = DAY * 1440;
    let totals = [(minute, 5), (minute + 2 * 1440, 6)].map(|(minute, requests)| {
        ((minute, "shop".into()), Totals { requests, ..Totals::default() })
    });
    fed.feed_with(&[], &[], Commit { totals: totals.to_vec(), ..Commit::default() });
    assert!(keys_before(&fed.store, day) > 0);
    fed.feed_with(&[], &[], Commit { expire_before: Some(day), ..Commit::default() });
    assert!(!fed.sessions.is_empty() && (fed.sessions.len() as u64) < before);

    assert_eq!(keys_before(&fed.store, day), 0);
    assert_eq!(fed.store.numbers().sessions, fed.sessions.len() as u64);
    assert_eq!(fed.store.numbers().requests, fed.requests.len() as u64);
    let overview = fed.view().overview(None, None, Some(60)).unwrap();
    assert_eq!(overview.totals.requests, 6);
    let query = SessionQuery {
        filter: Filter::all(),
        order: Order::default(),
        first: 1000,
        after: None,
        count: true,
    };
    assert_eq!(fed.view().sessions(&query).unwrap().total, Some(fed.sessions.len() as u64));
    // A view from before still sees what it saw.
    assert_eq!(old_view.sessions(&query).unwrap().sessions.len() as u64, before);
    drop(old_view);

    let mut fed = fed.reopen();
    assert_eq!(keys_before(&fed.store, day), 0);
    let far = Day(DAY as i32 + 100);
    fed.feed_with(&[], &[], Commit { expire_before: Some(far), ..Commit::default() });
    fed.store.compact_before(far);
    assert_eq!(keys_before(&fed.store, far), 0);
    assert_eq!((fed.store.numbers().sessions, fed.store.numbers().requests), (0, 0));
    assert_eq!(fed.view().days().len(), 0);
}

#[test]
fn totals_are_sums_of_differences_and_nothing_is_left_of_what_came_to_nothing() {
    let minute = DAY * 1440;
    let of = |requests, errors| Totals { requests, errors, ..Totals::default() };
    let mut fed = Fed::new();
    let mut step = |differences: &[(i64, Totals)], expire: Option<i64>| {
        let totals = differences.iter().map(|(at, more)| ((minute + at, "shop".into()), *more));
        let commit = Commit {
            totals: totals.collect(),
            expire_before: expire.map(|day| Day((DAY + day) as i32)),
            ..Commit::default()
        };
        fed.feed_with(&[], &[], commit);
        [0, 1, 1440].map(|at| fed.store.totals(minute + at, "shop").unwrap())
    };
    assert_eq!(
        step(&[(0, of(3, 1)), (1, of(-2, 0))], None),
        [Some(of(3, 1)), Some(of(-2, 0)), None]
    );
    assert_eq!(step(&[(0, of(-3, 2)), (1, of(2, 0))], None), [Some(of(0, 3)), None, None]);
    // Whatever comes for a dropped day, with the drop or after it, is of no more use.
    assert_eq!(step(&[(0, of(1, 1)), (1440, of(5, 0))], Some(1)), [None, None, Some(of(5, 0))]);
    assert_eq!(step(&[(1, of(1, 1)), (1440, of(1, 0))], None), [None, None, Some(of(6, 0))]);
}

#[test]
fn a_commit_out_of_order_is_refused_and_changes_nothing() {
    let mut fed = Fed::new();
    fed.feed(&many(1), &[]);
    let again = Commit { epoch: Epoch(1), watermark: Some(EventTime(5)), ..Commit::default() };
    assert!(matches!(fed.store.commit(again), Err(StoreError::Order { .. })));
    assert_eq!((fed.store.committed(), fed.store.watermark()), (Some(Epoch(1)), None));
}

#[test]
fn lists_of_a_commit_come_back_after_reopening() {
    let mut fed = Fed::new();
    let letter = |number: u64| DeadLetter {
        sequence: 0,
        process: 0,
        source: "a".into(),
        offset: number,
        code: RefusalCode::BadJson,
        reason: "no".into(),
        raw: vec![1],
        epoch: Epoch(1),
    };
    let rules = RuleSet { version: 3, ..RuleSet::default() };
    fed.feed_with(
        &[],
        &[],
        Commit {
            rules: Some(Arc::new(rules.clone())),
            sources: vec![("a".into(), vec![1]), ("b".into(), vec![2])],
            dead_letters: (0..5).map(letter).collect(),
            watermark: Some(EventTime(77)),
            answers: vec![(b"k".to_vec(), b"first".to_vec())],
            blobs: vec![("x".into(), Some(vec![9])), ("y".into(), Some(vec![8]))],
            ..Commit::default()
        },
    );
    let changed = Commit {
        sources: vec![("a".into(), vec![3])],
        blobs: vec![("y".into(), None)],
        answers: vec![(b"k".to_vec(), b"second".to_vec()), (b"l".to_vec(), b"other".to_vec())],
        ..Commit::default()
    };
    fed.feed_with(&[], &[], changed);
    let fed = fed.reopen();
    let store = &fed.store;
    assert_eq!((store.committed(), store.watermark()), (Some(Epoch(2)), Some(EventTime(77))));
    assert_eq!(store.rules().unwrap(), Some((rules, Epoch(1))));
    assert_eq!(store.sources().unwrap(), [("a".into(), vec![3]), ("b".into(), vec![2])]);
    assert_eq!((store.blob("x").unwrap(), store.blob("y").unwrap()), (Some(vec![9]), None));
    assert_eq!(store.answered(b"k").unwrap().as_deref(), Some(&b"second"[..]));
    assert_eq!(store.answered(b"m").unwrap(), None);
    let view = fed.view();
    let page = view.dead_letters(2, None).unwrap();
    assert_eq!((page.total, page.has_next), (5, true));
    let offsets: Vec<_> = page.letters.iter().map(|letter| letter.offset).collect();
    assert_eq!(offsets, [4, 3]);
    let rest = view.dead_letters(9, Some(page.letters[1].place())).unwrap();
    assert_eq!((rest.letters.len(), rest.has_next), (3, false));
}

#[test]
fn the_oldest_answers_are_forgotten() {
    let mut fed = Fed::new();
    let answers = |numbers: std::ops::Range<u64>| Commit {
        answers: numbers.map(|n| (n.to_be_bytes().to_vec(), vec![1])).collect(),
        ..Commit::default()
    };
    fed.feed_with(&[], &[], answers(0..IDEMPOTENCY_KEPT));
    fed.feed_with(&[], &[], answers(0..1));
    fed.feed_with(&[], &[], answers(IDEMPOTENCY_KEPT..IDEMPOTENCY_KEPT + 1));
    let known = |number: u64| fed.store.answered(&number.to_be_bytes()).unwrap().is_some();
    assert_eq!((known(0), known(1), known(2)), (true, false, true));
}

#[test]
fn the_log_is_scanned_by_owned_partitions_in_order_of_days() {
    let mut fed = Fed::new();
    for _ in 0..3 {
        fed.feed(&many(3), &[]);
    }
    let limit = |requests| LogLimit { requests, bytes: usize::MAX };
    let in_pieces = |key: DayKey| {
        let (mut requests, mut after) = (Vec::new(), None);
        loop {
            let piece = fed.store.log_piece(key, after, Epoch(3), limit(1)).unwrap();
            after = piece.blocks.map(|(_, last)| last);
            requests.extend(piece.requests);
            if piece.is_last {
                return requests;
            }
        }
    };
    let (mut all, mut large) = (0, 0);
    for owner in 0..2 {
        let (mut after, mut last) = (None, None);
        loop {
            let found = fed.store.scan_log(|p| p % 2 == owner, after, limit(50)).unwrap();
            let days = match found {
                Scanned::Days(days) => days,
                Scanned::Large(key) => {
                    // What came in the last epoch is left out.
                    let whole = fed.store.load_log(key).unwrap();
                    let before = in_pieces(key);
                    assert!(whole.len() > 50 && before.len() < whole.len());
                    assert!(whole.starts_with(&before));
                    large += 1;
                    vec![(key, whole)]
                }
            };
            let Some((key, _)) = days.last() else { break };
            after = Some(*key);
            for (key, requests) in days {
                assert!(last < Some(key) && key.identity.partition() % 2 == owner);
                last = Some(key);
                assert_eq!(requests, fed.store.load_log(key).unwrap());
                all += requests.len();
            }
        }
    }
    assert!(large > 0);
    assert_eq!(all, fed.requests.len());
    let nobody = DayKey { day: Day(DAY as i32), identity: IdentityId(5) };
    assert!(fed.store.load_log(nobody).unwrap().is_empty());
    assert!(fed.store.load_sessions(nobody).unwrap().is_empty());
}

#[test]
fn of_requests_with_one_id_the_least_counts() {
    let mut fed = Fed::new();
    let spec = Spec { identity: 1, minute: 9, explicit_id: true, ..Spec::default() };
    let earlier = Spec { minute: 5, ..spec.clone() };
    // The same id comes again, from another epoch, with another time.
    for spec in [&spec, &earlier] {
        let request = super::assign(&fed.compiled, spec.request("same"));
        fed.feed_assigned(request);
    }
    let session = fed.sessions.values().next().unwrap().clone();
    assert_eq!((fed.sessions.len(), session.summary.requests), (1, 1));
    let page = fed
        .view()
        .requests(&session, &spoor_api::query::RequestQuery { first: 10, ..Default::default() });
    let page = page.unwrap();
    assert_eq!((page.total, page.requests.len()), (1, 1));
    let shown = spoor_operators::request::Request::decode(&page.requests[0].stored).unwrap();
    assert_eq!(shown.ts, earlier.ts());
}
