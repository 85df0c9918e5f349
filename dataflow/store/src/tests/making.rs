//! Loss of power while a store is made: whatever is left of it, the next opening makes a new one.
//!
//! RocksDB waits for the disk before it goes on to the next file, so what is left are the first
//! files in their order, the last of them cut short. What is left of the first log after that is
//! for `crash.rs`.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::super::care::{self, MAKING_FILE};
use super::super::write::watch;
use super::super::{Store, StoreError};
use super::Kept;
use super::crash::copy;
use super::{Contents, contents, synced};

/// The disk when RocksDB has made its files and nothing was written to them.
fn begun() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let image = Rc::new(RefCell::new(None));
    let (from, taken) = (directory.path().to_owned(), image.clone());
    let take = move |_| {
        taken.borrow_mut().get_or_insert_with(|| {
            let to = tempfile::tempdir().unwrap();
            copy(&from, to.path());
            to
        });
    };
    watch::during(take, || Store::open(directory.path(), synced()).unwrap());
    image.take().expect("an opening writes")
}

/// Files of a database in the order they are made.
fn in_order(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("db")).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = entries.collect();
    let of = |kind: &str| {
        let name = |file: &&PathBuf| file.file_name().unwrap().to_string_lossy().contains(kind);
        files.iter().find(name).unwrap_or_else(|| panic!("no file {kind}")).clone()
    };
    ["IDENTITY", "MANIFEST", "CURRENT", ".log", "OPTIONS"].map(of).to_vec()
}

fn check_new(directory: &Path, expected: &Contents, place: &str) {
    for times in 1..3 {
        let store = Store::open(directory, synced()).unwrap_or_else(|error| {
            panic!("{place}: {error}");
        });
        assert_eq!((store.committed(), store.incarnation()), (None, times), "{place}");
        assert!(contents(&store) == *expected, "{place}");
        store.secret_key().unwrap();
        assert!(!care::is_unfinished(directory), "{place}");
    }
    assert_eq!(
        care::check(directory, &Kept, &mut |_, _, _| true).unwrap().listed,
        [""; 0],
        "{place}"
    );
}

#[test]
fn a_store_that_was_never_finished_is_made_anew() {
    let fresh = tempfile::tempdir().unwrap();
    let expected = contents(&Store::open(fresh.path(), synced()).unwrap());
    let begun = begun();
    let files = in_order(begun.path());
    for (made, last) in files.iter().enumerate() {
        let whole = fs::read(last).unwrap();
        for left in [0, whole.len() / 2, whole.len()] {
            let disk = tempfile::tempdir().unwrap();
            fs::write(disk.path().join(MAKING_FILE), "").unwrap();
            fs::create_dir(disk.path().join("db")).unwrap();
            for file in &files[..made] {
                fs::copy(file, disk.path().join("db").join(file.file_name().unwrap())).unwrap();
            }
            let name = last.file_name().unwrap();
            fs::write(disk.path().join("db").join(name), &whole[..left]).unwrap();
            let place = format!("{left} of {} bytes of {}", whole.len(), name.to_string_lossy());
            let info = care::info(disk.path(), &[]);
            assert!(matches!(info, Err(StoreError::NotAStore(_))), "{place}: {info:?}");
            check_new(disk.path(), &expected, &place);
        }
    }
    let nothing = tempfile::tempdir().unwrap();
    fs::write(nothing.path().join(MAKING_FILE), "").unwrap();
    check_new(nothing.path(), &expected, "nothing but the mark");
}

#[test]
fn what_holds_data_is_never_made_anew() {
    let mut fed = super::Fed::with(synced());
    fed.feed(&[super::Spec::default()], &[]);
    let super::Fed { directory, store, sessionizer, .. } = fed;
    drop((store, sessionizer));
    fs::write(directory.path().join(MAKING_FILE), "").unwrap();
    let refused = Store::open(directory.path(), synced()).err().expect("it is refused");
    assert!(matches!(refused, StoreError::Damaged(_)), "{refused}");
    fs::remove_file(directory.path().join(MAKING_FILE)).unwrap();
    let store = Store::open(directory.path(), synced()).unwrap();
    assert_eq!(store.committed().map(|epoch| epoch.0), Some(1));
}

#[test]
fn a_key_whose_writing_was_cut_off_is_made_again() {
    for left in ["", "0123"] {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), synced()).unwrap();
        fs::write(directory.path().join("secret.key.new"), left).unwrap();
        let key = store.secret_key().unwrap();
        assert_eq!(store.secret_key().unwrap(), key);
        assert!(!directory.path().join("secret.key.new").exists());
    }
}
