//! Looking after a store: what it says of itself, copies of it, its space, and what is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use spoor_operators::time::Day;

use super::super::care::{self, Control};
use super::super::options::Family;
use super::super::{Commit, Store, StoreError};
use super::Kept;
use super::{DAY, Fed, Spec, synced};

fn quiet() -> impl FnMut(&str, u64, u64) -> bool {
    |_, _, _| true
}

fn filled() -> Fed {
    let mut fed = Fed::with(synced());
    fed.store.secret_key().unwrap();
    for round in 0..3 {
        let spec = |number: i64| Spec {
            identity: (number % 7) as u8,
            minute: round * 300 + number * 13,
            ..Spec::default()
        };
        let source = ("a.log".to_owned(), br#"{"offset":17}"#.to_vec());
        let commit = Commit { sources: vec![source], ..Commit::default() };
        fed.feed_with(&(0..50).map(spec).collect::<Vec<_>>(), &[], commit);
    }
    fed
}

fn close(fed: Fed) -> tempfile::TempDir {
    let Fed { directory, store, sessionizer, .. } = fed;
    drop((store, sessionizer));
    directory
}

#[test]
fn a_store_says_what_it_holds_whether_in_use_or_not() {
    let fed = filled();
    let (sessions, requests) = (fed.sessions.len() as u64, fed.requests.len() as u64);
    let in_use = care::info(fed.directory.path(), &[]).unwrap();
    assert_eq!(in_use.in_use_by, Some(std::process::id()));
    let directory = close(fed);
    let info = care::info(directory.path(), &[]).unwrap();
    assert_eq!((info.in_use_by, info.epoch, info.acknowledged), (None, Some(3), Some(3)));
    assert_eq!((info.sessions, info.requests, in_use.sessions), (sessions, requests, sessions));
    assert_eq!((info.incarnation, info.zone.as_str(), info.readable), (1, "UTC", true));
    let (name, row) = &info.sources[0];
    assert_eq!((name.as_str(), row.as_slice()), ("a.log", &b"{\"offset\":17}"[..]));
    assert!(info.total_bytes > 0 && info.bytes.contains_key("requests"));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(care::info(empty.path(), &[]), Err(StoreError::NotAStore(_))));
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "nothing is left there");
}

#[test]
fn a_settled_store_leaves_no_log_to_read() {
    /// A log begins with the name of the one before it.
    const HEAD_BYTES: u64 = 64;
    let logs = |directory: &Path| -> u64 {
        let files = fs::read_dir(directory.join("db")).unwrap().map(Result::unwrap);
        let logs = files.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
        logs.map(|log| log.metadata().unwrap().len()).sum()
    };
    let fed = filled();
    let sessions = fed.sessions.len() as u64;
    assert!(logs(fed.directory.path()) > HEAD_BYTES);
    fed.store.settle().unwrap();
    let directory = close(fed);
    assert!(logs(directory.path()) <= HEAD_BYTES);
    assert_eq!(care::info(directory.path(), &[]).unwrap().sessions, sessions);
    assert_eq!(care::check(directory.path(), &Kept, &mut quiet()).unwrap().listed, [""; 0]);
}

#[test]
fn a_look_at_a_store_whose_files_come_and_go_succeeds() {
    let fed = filled();
    let (directory, db) = (fed.directory.path(), &fed.store.inner.db);
    let family = db.cf_handle(Family::Meta.name()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0_u64.. {
                db.put_cf(family, b"of this test", round.to_be_bytes()).unwrap();
                db.flush_cf(family).unwrap();
                db.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
                if done.load(Ordering::Acquire) {
                    break;
                }
            }
        });
        for _look in 0..10 {
            let looked = care::info(directory, &[]).map(|info| info.epoch);
            assert_eq!(looked.unwrap(), Some(3));
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn a_whole_store_passes_the_check_and_wrong_counters_do_not() {
    let fed = filled();
    assert!(matches!(
        care::check(fed.directory.path(), &Kept, &mut quiet()),
        Err(StoreError::InUse { .. })
    ));
    let directory = close(fed);
    let report = care::check(directory.path(), &Kept, &mut quiet()).unwrap();
    assert_eq!((report.problems, report.epoch), (0, Some(3)), "{:?}", report.listed);
    assert!(report.rows > 20);

    let store = Store::open(directory.path(), synced()).unwrap();
    let rows = store.inner.cf(Family::Sessions);
    let first = store.inner.db.full_iterator_cf(rows, rocksdb::IteratorMode::Start).next();
    store.inner.db.delete_cf(rows, first.unwrap().unwrap().0).unwrap();
    drop(store);
    let report = care::check(directory.path(), &Kept, &mut quiet()).unwrap();
    assert!(report.listed[0].contains("sessions"), "{:?}", report.listed);
}

#[test]
fn a_store_of_another_meaning_is_refused_before_anything_is_written() {
    let fed = filled();
    let meta = fed.store.inner.cf(Family::Meta);
    fed.store.inner.db.put_cf(meta, b"=fingerprint", "0123").unwrap();
    let directory = close(fed);
    let refused = Store::open(directory.path(), synced()).err().expect("it must be refused");
    assert!(matches!(refused, StoreError::Fingerprint { .. }), "{refused}");
    assert!(!care::info(directory.path(), &[]).unwrap().readable);
    assert!(care::check(directory.path(), &Kept, &mut quiet()).unwrap().problems > 0);
    let compacted = care::compact(directory.path(), &mut quiet());
    assert!(compacted.unwrap_err().to_string().contains("fingerprint"));
}

/// The restored store is the one that was backed up.
fn check_restored(backup: &Path, of: &Path, epoch: u64) {
    assert!(matches!(Store::open(backup, synced()), Err(StoreError::IsBackup(_))));
    let elsewhere = tempfile::tempdir().unwrap();
    let restored = care::restore(backup, elsewhere.path(), &mut quiet()).unwrap();
    assert_eq!(restored.epoch, Some(epoch));
    let key = elsewhere.path().join("secret.key");
    assert_eq!(fs::read(&key).unwrap(), fs::read(of.join("secret.key")).unwrap());
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let report = care::check(elsewhere.path(), &Kept, &mut quiet()).unwrap();
    assert_eq!((report.problems, report.epoch), (0, Some(epoch)), "{:?}", report.listed);
    let store = Store::open(elsewhere.path(), synced()).unwrap();
    assert_eq!(store.committed().map(|epoch| epoch.0), Some(epoch));
    assert!(matches!(
        care::restore(backup, elsewhere.path(), &mut quiet()),
        Err(StoreError::NotEmpty(_))
    ));
}

#[test]
fn a_backup_of_a_stopped_store_and_of_an_open_one_open_elsewhere() {
    let mut fed = filled();
    let place = tempfile::tempdir().unwrap();
    let online = place.path().join("online");
    assert!(matches!(
        care::backup(fed.directory.path(), &online, &mut quiet()),
        Err(StoreError::InUse { .. })
    ));
    let control = Control::start(fed.store.clone()).unwrap();
    let made = care::ask_backup(fed.directory.path(), &online, &mut quiet()).unwrap();
    assert_eq!(made.epoch, Some(3));
    let again = care::ask_backup(fed.directory.path(), &online, &mut quiet());
    assert!(again.unwrap_err().to_string().contains("is not empty"));
    // The store goes on, and the backup does not.
    fed.feed(&[Spec::default()], &[]);
    drop(control);
    let gone = care::ask_backup(fed.directory.path(), &place.path().join("no"), &mut quiet());
    assert!(matches!(gone, Err(StoreError::Asked(_))));
    let directory = close(fed);
    assert!(!directory.path().join("checkpoint").exists());
    check_restored(&online, directory.path(), 3);
    let stopped = place.path().join("stopped");
    care::backup(directory.path(), &stopped, &mut quiet()).unwrap();
    check_restored(&stopped, directory.path(), 4);
}

#[test]
fn a_damaged_or_unfinished_copy_is_no_store() {
    let directory = close(filled());
    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("backup");
    care::backup(directory.path(), &backup, &mut quiet()).unwrap();
    let files: Vec<_> =
        fs::read_dir(backup.join("db")).unwrap().map(|e| e.unwrap().path()).collect();
    let keys = [backup.join("secret.key"), backup.join("backup.json")];
    for file in files.iter().chain(&keys) {
        let whole = fs::read(file).unwrap();
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 4;
        fs::write(file, damaged).unwrap();
        let to = place.path().join("restored");
        let refused = care::restore(&backup, &to, &mut quiet()).unwrap_err();
        // A changed epoch in the list alone changes nothing of the copy.
        assert!(matches!(refused, StoreError::BadBackup(_)), "{}: {refused}", file.display());
        fs::remove_dir_all(&to).ok();
        fs::remove_file(file).unwrap();
        assert!(care::restore(&backup, &to, &mut quiet()).is_err(), "without {}", file.display());
        fs::remove_dir_all(&to).ok();
        fs::write(file, whole).unwrap();
    }
    let unfinished = tempfile::tempdir().unwrap();
    fs::write(unfinished.path().join("restoring"), "").unwrap();
    let refused = Store::open(unfinished.path(), synced()).err().expect("it must be refused");
    assert!(!refused.to_string().is_empty());
}

#[test]
fn compaction_gives_back_the_space_of_dropped_days() {
    let mut fed = filled();
    let spec = |number: i64| Spec { identity: 1, minute: number % 1440, ..Spec::default() };
    for _ in 0..3 {
        fed.feed(&(0..3000).map(spec).collect::<Vec<_>>(), &[]);
    }
    Family::ALL.into_iter().for_each(|each| {
        fed.store.inner.db.flush_cf(fed.store.inner.cf(each)).unwrap();
    });
    let far = Day(DAY as i32 + 100);
    fed.feed_with(&[], &[], Commit { expire_before: Some(far), ..Commit::default() });
    let directory = close(fed);
    let done = care::compact(directory.path(), &mut quiet()).unwrap();
    assert!(done.after < done.before / 2, "{done:?}");
    assert_eq!(care::check(directory.path(), &Kept, &mut quiet()).unwrap().problems, 0);
}
