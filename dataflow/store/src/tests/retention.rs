//! What comes and goes leaves nothing: not on disk, not in memory, and no commit is long for it.

use std::cell::Cell;
use std::rc::Rc;

use spoor_operators::time::Day;
use spoor_operators::totals::Totals;

use super::super::limits::RECLAIM_DAYS;
use super::super::options::Family;
use super::super::write::watch;
use super::super::{Commit, Store};
use super::{DAY, Fed, Spec};

/// Waits until the store's background work is done.
fn settle(store: &Store) {
    let number = |name: &str| store.inner.db.property_int_value(name).unwrap().unwrap_or(0);
    let busy = || {
        let works = Family::ALL.into_iter().any(|family| {
            let (db, cf) = (&store.inner.db, store.inner.cf(family));
            let is = |name: &str| db.property_int_value_cf(cf, name).unwrap().unwrap_or(0) > 0;
            is("rocksdb.compaction-pending") || is("rocksdb.mem-table-flush-pending")
        });
        works
            || number("rocksdb.num-running-compactions") + number("rocksdb.num-running-flushes") > 0
    };
    while busy() {
        std::thread::yield_now();
    }
}

/// A day of identities that were not there the day before.
fn day(cycle: i64) -> Vec<Spec> {
    let spec = |number: i64| Spec {
        identity: ((cycle * 60 + number % 60) % 256) as u8,
        minute: cycle * 1440 + number * 7 % 1440,
        path: (number % 4) as u8,
        ..Spec::default()
    };
    (0..400).map(spec).collect()
}

/// Bytes on disk and in the hot state after each day, with two days retained.
fn cycles(fed: &mut Fed, cycles: std::ops::Range<i64>) -> Vec<(u64, usize)> {
    let mut bytes = Vec::new();
    for cycle in cycles {
        let totals = Totals { requests: 400, ..Totals::default() };
        let commit = Commit {
            totals: vec![(((DAY + cycle) * 1440, "shop".into()), totals)],
            expire_before: Some(Day((DAY + cycle - 1) as i32)),
            ..Commit::default()
        };
        fed.feed_with(&day(cycle), &[], commit);
        for family in Family::ALL {
            fed.store.inner.db.flush_cf(fed.store.inner.cf(family)).unwrap();
        }
        settle(&fed.store);
        bytes.push((fed.store.numbers().disk_bytes, fed.hot_bytes()));
    }
    bytes
}

#[test]
fn after_identities_come_and_go_bytes_are_what_they_were() {
    for stages in [false, true] {
        let mut fed = Fed::new();
        fed.stages = stages;
        fed.keep_hot();
        let bytes = cycles(&mut fed, 0..48);
        let most = |days: std::ops::Range<usize>| {
            let days = &bytes[days];
            let disk = days.iter().map(|(disk, _)| *disk).max().unwrap();
            (disk, days.iter().map(|(_, hot)| *hot).max().unwrap())
        };
        // Tables are merged when there are some of them: a dozen days see it happen.
        let ((disk_before, hot_before), (disk, hot)) = (most(12..24), most(36..48));
        assert!(disk <= disk_before * 3 / 2, "{disk_before} bytes on disk became {disk}");
        assert!(hot > 0 && hot <= hot_before * 5 / 4, "{hot_before} hot bytes became {hot}");

        let far = Day((DAY + 1000) as i32);
        fed.feed_with(&[], &[], Commit { expire_before: Some(far), ..Commit::default() });
        fed.store.compact_before(far);
        let left = Family::BY_DAY.map(|family| {
            let (db, cf) = (&fed.store.inner.db, fed.store.inner.cf(family));
            db.property_int_value_cf(cf, "rocksdb.total-sst-files-size").unwrap()
        });
        assert_eq!(left, Family::BY_DAY.map(|_| Some(0)));
        assert!(fed.hot_bytes() <= hot_before / 10, "{} hot bytes are left", fed.hot_bytes());
    }
}

#[test]
fn files_of_many_dropped_days_go_a_few_days_a_commit() {
    const DAYS: i64 = 20;
    let mut fed = Fed::new();
    for cycle in 0..DAYS {
        fed.feed(&day(cycle), &[]);
    }
    let calls = |fed: &mut Fed, commit: Commit| {
        let counted = Rc::new(Cell::new(0));
        let seen = counted.clone();
        watch::during(move |_| seen.set(seen.get() + 1), || fed.feed_with(&[], &[], commit));
        counted.get()
    };
    // The batch, waiting for the disk, and one range of each column family.
    let (batch, slice) = (1, 1 + Family::BY_DAY.len());
    let all = Commit { expire_before: Some(Day((DAY + DAYS) as i32)), ..Commit::default() };
    assert_eq!(calls(&mut fed, all), batch + slice);
    assert_eq!(fed.store.numbers().sessions, 0, "it is exact at once");
    for _ in 1..DAYS as usize / RECLAIM_DAYS {
        assert_eq!(calls(&mut fed, Commit::default()), batch + slice);
    }
    assert_eq!(calls(&mut fed, Commit::default()), batch);
}
