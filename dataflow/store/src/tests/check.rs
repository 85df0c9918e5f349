//! The check of a store decodes every row: a value that this program does not write is told.
//!
//! Each case changes one value of a whole store behind its back and looks for the problem in the
//! report; the same store without the change has none.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use spoor_operators::rules::RuleSet;
use spoor_operators::time::Epoch;
use spoor_operators::totals::Totals;

use super::super::care::{self, CheckReport};
use super::super::options::Family;
use super::super::{Commit, Store, ViewContext};
use super::Kept;
use super::{Contents, DAY, Fed, Spec, contents, synced};
use spoor_api::codes::RefusalCode;
use spoor_api::query::{DeadLetter, Status};
use spoor_api::service::View;

fn blob(name: &str, value: &[u8]) -> (String, Option<Vec<u8>>) {
    (name.to_owned(), Some(value.to_vec()))
}

/// A row of every kind.
fn commit() -> Commit {
    let letter = DeadLetter {
        sequence: 0,
        process: 0,
        source: "a".into(),
        offset: 7,
        code: RefusalCode::BadJson,
        reason: "no".into(),
        raw: vec![1],
        epoch: Epoch(1),
    };
    Commit {
        rules: Some(Arc::new(RuleSet { version: 1, ..RuleSet::default() })),
        sources: vec![("a".into(), b"{}".to_vec())],
        dead_letters: vec![letter],
        totals: vec![((DAY * 1440, "shop".into()), Totals { requests: 1, ..Totals::default() })],
        answers: vec![(b"push".into(), b"{}".to_vec()), (b"rule".into(), b"[]".to_vec())],
        blobs: vec![blob("one", b"one"), blob("two/5", b"two/5")],
        ..Commit::default()
    }
}

fn full() -> Fed {
    let mut fed = Fed::with(synced());
    let spec = |number: i64| Spec {
        identity: (number % 3) as u8,
        minute: number * 7,
        explicit_id: true,
        ..Spec::default()
    };
    fed.feed_with(&(0..9).map(spec).collect::<Vec<_>>(), &[], commit());
    fed
}

fn close(fed: Fed) -> tempfile::TempDir {
    let Fed { directory, store, sessionizer, .. } = fed;
    drop((store, sessionizer));
    directory
}

fn report(directory: &Path) -> CheckReport {
    care::check(directory, &Kept, &mut |_, _, _| true).unwrap()
}

fn put(directory: &Path, rows: &Contents) {
    let store = Store::open(directory, synced()).unwrap();
    for (name, key, value) in rows {
        let family = Family::ALL.into_iter().find(|family| family.name() == *name).unwrap();
        store.inner.db.put_cf(store.inner.cf(family), key, value).unwrap();
    }
}

/// What is read before the rows, and ends the check when it cannot be: what the store says of
/// itself, and the counts of days.
fn is_read_first(name: &str, key: &[u8]) -> bool {
    name == "meta" && matches!(key[0], b'=' | b'd')
}

/// What becomes of a value.
type Damage = fn(&[u8]) -> Vec<u8>;

/// One row of each kind, but for what is read first.
fn one_of_each(all: Contents) -> Contents {
    let mut kinds = BTreeMap::new();
    for (name, key, value) in all {
        let kind = match (name, &key[..]) {
            _ if is_read_first(name, &key) => continue,
            ("meta", [b'b', ..]) => key.to_vec(),
            ("meta", [b'i', ..]) => key.to_vec(),
            ("meta", [kind, ..]) => vec![*kind],
            ("index", key) => vec![key[4]],
            _ => Vec::new(),
        };
        kinds.entry((name, kind)).or_insert((name, key, value));
    }
    kinds.into_values().collect()
}

#[test]
fn a_value_that_is_not_written_so_is_told_whatever_row_it_is() {
    let fed = full();
    let rows = one_of_each(contents(&fed.store));
    let directory = close(fed);
    assert_eq!(report(directory.path()).listed, [""; 0]);
    // Totals, two answers and their numbers, two named values.
    assert_eq!(rows.iter().filter(|(name, ..)| *name == "meta").count(), 6, "{rows:?}");
    assert_eq!(rows.iter().filter(|(name, ..)| *name == "index").count(), 3);
    let damages: [(&str, Damage); 3] = [
        ("cut", |value| value[..value.len() - 1].to_vec()),
        ("longer", |value| [value, &[0]].concat()),
        ("empty", |_| Vec::new()),
    ];
    for (what, damage) in damages {
        // Raw bytes and a key of whoever asked may be anything.
        let is_free = |name: &str, key: &[u8]| {
            what != "empty" && (name == "dead_letters" || (name == "meta" && key[0] == b'j'))
        };
        let damaged = rows.iter().filter(|(name, key, _)| !is_free(name, key));
        let damaged = damaged.map(|(name, key, value)| (*name, key.clone(), damage(value).into()));
        let damaged: Contents = damaged.collect();
        put(directory.path(), &damaged);
        let found = report(directory.path());
        assert_eq!(found.problems, damaged.len() as u64, "{what}: {:#?}", found.listed);
        put(directory.path(), &rows);
    }
    assert_eq!(report(directory.path()).problems, 0);
}

#[test]
fn what_is_read_first_is_read_whole() {
    let directory = close(full());
    let store = Store::open(directory.path(), synced()).unwrap();
    let cf = store.inner.cf(Family::Meta);
    let all: Vec<_> = store.inner.db.full_iterator_cf(cf, rocksdb::IteratorMode::Start).collect();
    drop(store);
    let own = all.into_iter().flatten().filter(|(key, _)| is_read_first("meta", key));
    let mut checked = 0;
    for (key, value) in own {
        let place = String::from_utf8_lossy(&key).into_owned();
        let disk = tempfile::tempdir().unwrap();
        super::crash::copy(directory.path(), disk.path());
        let store = Store::open(disk.path(), synced()).unwrap();
        let longer = [&value[..], b"1"].concat();
        store.inner.db.put_cf(store.inner.cf(Family::Meta), &key, longer).unwrap();
        drop(store);
        assert!(report(disk.path()).problems > 0, "{place}");
        checked += 1;
    }
    assert_eq!(checked, 6);
}

#[test]
fn rows_under_a_key_that_is_never_written_are_told() {
    for (family, key) in
        [("meta", &b"=more"[..]), ("meta", b"bmore"), ("findings", b"a"), ("staged", b"a")]
    {
        let directory = close(full());
        put(directory.path(), &vec![(family, key.into(), b"1".to_vec().into())]);
        let found = care::check(directory.path(), &Kept, &mut |_, _, _| true);
        assert!(found.map_or(1, |found| found.problems) > 0, "{family} {key:?}");
    }
}

#[test]
fn a_refused_record_whose_code_is_none_is_told_and_can_still_be_read() {
    let fed = full();
    let (_, key, value) =
        contents(&fed.store).into_iter().find(|(name, ..)| *name == "dead_letters").unwrap();
    let at = value.windows(8).position(|text| text == b"bad_json").unwrap();
    let mut other = value.to_vec();
    other[at..at + 8].copy_from_slice(b"bad_moon");
    let directory = close(fed);
    put(directory.path(), &vec![("dead_letters", key, other.into())]);
    let found = report(directory.path());
    assert_eq!(
        found.listed,
        ["dead_letters: the store is damaged: a refused record has an unknown code"]
    );

    let store = Store::open(directory.path(), synced()).unwrap();
    let context = ViewContext {
        rules: Arc::new(RuleSet::default()),
        compiled: super::compiled(),
        status: Arc::new(Status::default),
    };
    let page = store.view(context).unwrap().dead_letters(1, None).unwrap();
    assert_eq!(page.letters[0].code, RefusalCode::Unknown);
}

#[test]
fn what_is_staged_is_read_as_its_promotion_would_write_it() {
    let mut fed = full();
    let next = fed.commit_of(&[Spec::default()], &[], commit());
    let _ = fed.store.stage(next).unwrap();
    let directory = close(fed);
    assert_eq!(report(directory.path()).listed, [""; 0]);

    // Its checksum is right: a bug wrote it so.
    let fed = full();
    let blobs = vec![blob("one", b"{}"), blob("two/5", b"1")];
    let _ = fed.store.stage(Commit { epoch: Epoch(2), blobs, ..Commit::default() }).unwrap();
    let directory = close(fed);
    let found = report(directory.path());
    assert_eq!(found.problems, 2, "{:?}", found.listed);
    assert!(found.listed.iter().all(|text| text.starts_with("staged for meta")));
    let to = tempfile::tempdir().unwrap();
    assert!(care::salvage(directory.path(), to.path(), &Kept, &mut |_, _, _| true).is_err());
}
