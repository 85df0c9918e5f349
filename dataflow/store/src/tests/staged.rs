//! Staging and promoting: nothing shows before, everything after, whatever happens in between.

use rocksdb::IteratorMode;
use spoor_operators::time::{Day, Epoch, EventTime};
use spoor_operators::totals::Totals;

use super::super::options::Family;
use super::super::{Commit, StoreError};
use super::{Contents, DAY, Fed, Spec, contents};

fn specs(epoch: i64) -> Vec<Spec> {
    let spec = |number: i64| Spec {
        identity: (number % 5) as u8,
        minute: epoch * 90 + number * 7,
        path: (number % 4) as u8,
        explicit_id: number % 3 == 0,
        ..Spec::default()
    };
    (0..40).map(spec).collect()
}

fn commit(epoch: i64) -> Commit {
    Commit {
        sources: vec![("a".into(), vec![epoch as u8])],
        totals: vec![((DAY * 1440, "shop".into()), Totals { requests: 1, ..Totals::default() })],
        watermark: Some(EventTime(DAY * 86_400_000 + epoch)),
        blobs: vec![("x".into(), Some(vec![epoch as u8]))],
        ..Commit::default()
    }
}

/// A store with an epoch committed and, by the sessionizer, another one made.
fn with_next() -> (Fed, Commit) {
    let mut fed = Fed::new();
    fed.feed_with(&specs(1), &[], commit(1));
    let next = fed.commit_of(&specs(2), &[3, 17], commit(2));
    (fed, next)
}

/// What a store holds when both epochs were committed the short way.
fn reference() -> Contents {
    let (fed, next) = with_next();
    fed.store.commit(next).unwrap();
    contents(&fed.store)
}

#[test]
fn what_is_staged_shows_only_when_it_is_promoted() {
    let (fed, next) = with_next();
    let (before, numbers) = (contents(&fed.store), fed.store.numbers().sessions);
    let staged = fed.store.stage(next).unwrap();
    assert_eq!((staged.epoch(), fed.store.staged().unwrap()), (Epoch(2), Some(Epoch(2))));
    assert_eq!(contents(&fed.store), before);
    assert_eq!((fed.store.numbers().sessions, fed.store.committed()), (numbers, Some(Epoch(1))));

    let refused = |refused: Result<(), StoreError>| {
        let error = refused.expect_err("an epoch is staged").to_string();
        assert_eq!(error, "epoch 3 cannot be committed while epoch 2 is staged");
    };
    refused(fed.store.commit(Commit { epoch: Epoch(3), ..Commit::default() }));
    let other = Commit { epoch: Epoch(3), ..Commit::default() };
    refused(fed.store.stage(other).map(|_| ()));

    fed.store.promote(staged).unwrap();
    assert_eq!((fed.store.committed(), fed.store.staged().unwrap()), (Some(Epoch(2)), None));
    assert_eq!(contents(&fed.store), reference());
    assert_eq!(fed.store.numbers().sessions, fed.sessions.len() as u64);
    assert_eq!(fed.view().committed.watermark, commit(2).watermark);
    let again = fed.store.stage(Commit { epoch: Epoch(2), ..Commit::default() });
    assert!(matches!(again, Err(StoreError::Order { committed: 2, given: 2 })));
}

#[test]
fn what_an_earlier_run_staged_is_promoted_once_or_discarded() {
    let (fed, next) = with_next();
    let _ = fed.store.stage(next).unwrap();
    let fed = fed.reopen();
    assert_eq!(
        (fed.store.committed(), fed.store.staged().unwrap()),
        (Some(Epoch(1)), Some(Epoch(2)))
    );
    assert!(matches!(fed.store.promote_found(Epoch(3)), Err(StoreError::NotStaged(3))));
    for _ in 0..2 {
        fed.store.promote_found(Epoch(2)).unwrap();
        assert_eq!((fed.store.committed(), fed.store.staged().unwrap()), (Some(Epoch(2)), None));
        assert_eq!(contents(&fed.store), reference());
        assert_eq!(fed.store.numbers().sessions, fed.sessions.len() as u64);
    }

    let (fed, next) = with_next();
    let before = contents(&fed.store);
    let staged = fed.store.stage(next).unwrap();
    for _ in 0..2 {
        fed.store.discard_staged().unwrap();
        assert_eq!((fed.store.staged().unwrap(), contents(&fed.store)), (None, before.clone()));
    }
    assert!(matches!(fed.store.promote(staged), Err(StoreError::NotStaged(2))));
    assert!(matches!(fed.store.promote_found(Epoch(2)), Err(StoreError::NotStaged(2))));
    // The same epoch, with something else in it.
    let blobs = vec![("x".into(), Some(vec![9]))];
    let staged = fed.store.stage(Commit { epoch: Epoch(2), blobs, ..Commit::default() }).unwrap();
    let fed = fed.reopen();
    assert_eq!(fed.store.staged().unwrap(), Some(Epoch(2)));
    fed.store.promote(staged).unwrap();
    assert_eq!(fed.store.blob("x").unwrap(), Some(vec![9]));
}

#[test]
fn damage_of_what_is_staged_is_found() {
    for damage in 0..4 {
        let (fed, next) = with_next();
        let _ = fed.store.stage(next).unwrap();
        let (db, cf) = (&fed.store.inner.db, fed.store.inner.cf(Family::Staged));
        let mut entries: Vec<_> = db.iterator_cf(cf, IteratorMode::Start).flatten().collect();
        assert!(entries.len() > 3, "it is in pieces");
        let (key, value) = entries.swap_remove([0, 0, 1, 2][damage]);
        match damage {
            0 => db.delete_cf(cf, key).unwrap(),
            1 => db.put_cf(cf, key, &value[1..]).unwrap(),
            2 => db.delete_cf(cf, key).unwrap(),
            _ => db.put_cf(cf, key, [&value[..value.len() - 1], b"?"].concat()).unwrap(),
        }
        let fed = fed.reopen();
        assert!(matches!(fed.store.staged(), Err(StoreError::Damaged(_))), "{damage}");
        let promoted = fed.store.promote_found(Epoch(2));
        assert!(matches!(promoted, Err(StoreError::Damaged(_))), "{damage}");
        assert_eq!(fed.store.committed(), Some(Epoch(1)));
    }
}

#[test]
fn staging_leaves_no_file_behind() {
    let mut fed = Fed::new();
    fed.stages = true;
    let mut views = Vec::new();
    for epoch in 1..30 {
        fed.feed_with(&specs(epoch), &[], commit(epoch));
        // Readers hold what they see.
        views.push(fed.view());
    }
    let (db, cf) = (&fed.store.inner.db, fed.store.inner.cf(Family::Staged));
    let number = |name: &str| db.property_int_value_cf(cf, name).unwrap().unwrap();
    while number("rocksdb.num-immutable-mem-table") > 0 {
        std::thread::yield_now();
    }
    assert_eq!(number("rocksdb.total-sst-files-size"), 0);
    assert_eq!(db.property_value_cf(cf, "rocksdb.num-files-at-level0").unwrap().unwrap(), "0");
    assert!(number("rocksdb.cur-size-active-mem-table") < 3 << 20, "memory was given back");
}

#[test]
fn a_staged_drop_of_days_drops_them_when_it_is_promoted() {
    let mut fed = Fed::new();
    fed.feed(&specs(1), &[]);
    let day = Day(DAY as i32 + 1);
    let drops = Commit { expire_before: Some(day), ..Commit::default() };
    let next = fed.commit_of(&specs(16), &[], drops);
    let _ = fed.store.stage(next).unwrap();
    let fed = fed.reopen();
    assert!(super::lifecycle::keys_before(&fed.store, day) > 0);
    fed.store.promote_found(Epoch(2)).unwrap();
    assert_eq!(fed.store.numbers().sessions, fed.sessions.len() as u64);
    assert!(!fed.sessions.is_empty());
    assert_eq!(super::lifecycle::keys_before(&fed.store, day), 0);
}
