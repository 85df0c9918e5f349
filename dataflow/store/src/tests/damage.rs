//! Damage to every kind of file: an error, or exactly the state of a committed epoch.
//!
//! A store of several epochs, with table files, several logs and dropped days, is copied, one file
//! of the copy is cut or changed, and everything is read. What was read must be what an epoch left,
//! and that epoch none before the last acknowledged, unless the witness itself was damaged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use spoor_operators::sessionize::backend::DayKey;
use spoor_operators::time::Epoch;

use super::super::care::{self, CheckReport};
use super::super::options::Family;
use super::super::{Store, StoreError, StoreOptions};
use super::Kept;
use super::{Fed, Spec, synced};

/// Every row of a store, in order; what changes with each opening is left out.
type Dump = Vec<(&'static str, Vec<u8>, Vec<u8>)>;

/// What opening and reading everything gave.
struct Read {
    epoch: Option<Epoch>,
    dump: Dump,
    /// Identity-days found through the filters, with their numbers of sessions and requests.
    found: Found,
}

fn dump(store: &Store) -> Result<Dump, StoreError> {
    let mut rows = Vec::new();
    for family in Family::ALL {
        let mut options = rocksdb::ReadOptions::default();
        options.set_total_order_seek(true);
        let mut found = store.inner.db.raw_iterator_cf_opt(store.inner.cf(family), options);
        found.seek_to_first();
        while let Some((key, value)) = found.item() {
            if key != b"=incarnation" {
                rows.push((family.name(), key.to_vec(), value.to_vec()));
            }
            found.next();
        }
        found.status()?;
    }
    Ok(rows)
}

fn found(store: &Store, keys: &[DayKey]) -> Result<Found, StoreError> {
    let mut found = Vec::new();
    for key in keys {
        found.push((*key, store.load_sessions(*key)?.len(), store.load_log(*key)?.len()));
    }
    Ok(found)
}

fn read(directory: &Path, options: StoreOptions, keys: &[DayKey]) -> Result<Read, StoreError> {
    let store = Store::open(directory, options)?;
    store.secret_key()?;
    let dump = dump(&store)?;
    Ok(Read { epoch: store.committed(), found: found(&store, keys)?, dump })
}

/// Of each identity-day, how many sessions and requests were found.
type Found = Vec<(DayKey, usize, usize)>;

/// A closed store, with the state that each epoch left.
struct Sample {
    directory: tempfile::TempDir,
    keys: Vec<DayKey>,
    epochs: BTreeMap<Option<Epoch>, (Dump, Found)>,
    last: Epoch,
}

fn specs(from: i64, count: i64) -> Vec<Spec> {
    let spec = |number: i64| Spec {
        identity: (number % 9) as u8,
        minute: from + number * 17 % 2880,
        path: (number % 4) as u8,
        attack: number % 5 == 0,
        ..Spec::default()
    };
    (0..count).map(spec).collect()
}

impl Sample {
    /// Table files at several levels, and the last epochs in several logs.
    fn new() -> Self {
        let mut fed = Fed::with(synced());
        fed.store.secret_key().unwrap();
        let mut states = Vec::new();
        for round in 0..8 {
            fed.feed(&specs(round * 200, 60), &[round as usize]);
            states.push((fed.store.committed(), dump(&fed.store).unwrap()));
            let (db, cf) = (&fed.store.inner.db, |family| fed.store.inner.cf(family));
            match round {
                0 | 1 => Family::ALL.into_iter().for_each(|each| db.flush_cf(cf(each)).unwrap()),
                2 => db.compact_range_cf(cf(Family::Sessions), None::<&[u8]>, None::<&[u8]>),
                // One family is ahead of the others: its log must stay, a new one begins.
                4 => db.flush_cf(cf(Family::Sessions)).unwrap(),
                6 => db.flush_cf(cf(Family::Meta)).unwrap(),
                _ => {}
            }
        }
        let keys: std::collections::BTreeSet<_> = fed
            .requests
            .iter()
            .map(|request| DayKey { day: request.day, identity: request.identity })
            .collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let last = fed.store.committed().unwrap();
        let last_found = found(&fed.store, &keys).unwrap();
        let mut epochs = BTreeMap::new();
        for (epoch, state) in states {
            // Looking up is compared for the last epoch only: no other is to be opened.
            epochs.insert(epoch, (state, last_found.clone()));
        }
        let Fed { directory, store, sessionizer, .. } = fed;
        drop((store, sessionizer));
        Self { directory, keys, epochs, last }
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for directory in [self.directory.path().to_owned(), self.directory.path().join("db")] {
            let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
            files.extend(entries.filter(|path| path.is_file()));
        }
        files.sort();
        let root = self.directory.path();
        files.iter().map(|path| path.strip_prefix(root).unwrap().to_owned()).collect()
    }

    /// In memory where that is possible: opening waits for the disk many times.
    fn copy(&self) -> tempfile::TempDir {
        let memory = tempfile::tempdir_in("/dev/shm");
        let copy = memory.or_else(|_| tempfile::tempdir()).unwrap();
        fs::create_dir(copy.path().join("db")).unwrap();
        for file in self.files() {
            fs::copy(self.directory.path().join(&file), copy.path().join(&file)).unwrap();
        }
        copy
    }

    /// Damages one file of a copy, opens it and reads everything. Whether it opened.
    fn check(&self, file: &Path, what: &str, damage: impl Fn(&mut Vec<u8>)) -> bool {
        let copy = self.copy();
        let path = copy.path().join(file);
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        self.judge(copy.path(), &format!("{} {what}", file.display()), file)
    }

    fn judge(&self, directory: &Path, what: &str, file: &Path) -> bool {
        let report = care::check(directory, &Kept, &mut |_, _, _| true).unwrap_or_else(|error| {
            CheckReport { problems: 1, listed: vec![error.to_string()], ..Default::default() }
        });
        match read(directory, synced(), &self.keys) {
            Err(error) => {
                let said = error.to_string();
                assert!(!said.is_empty() && !said.contains('\n'), "{what}: {said}");
                // A file that is only written anew at each opening is not the check's.
                assert!(report.problems > 0, "{what}: refused ({said}), and the check is content");
                false
            }
            Ok(read) => {
                let (state, found) = &self.epochs[&read.epoch];
                assert!(read.dump == *state, "{what}: not the state of {:?}", read.epoch);
                if file != Path::new("acknowledged") {
                    assert_eq!(read.epoch, Some(self.last), "{what}: acknowledged and lost");
                    assert_eq!(read.found, *found, "{what}");
                }
                true
            }
        }
    }
}

#[test]
fn damage_is_an_error_or_the_state_of_an_epoch() {
    let sample = Sample::new();
    assert!(sample.judge(sample.copy().path(), "untouched", Path::new("")));
    let kinds = ["CURRENT", "MANIFEST", "OPTIONS", ".log", ".sst", "secret.key", "IDENTITY"];
    let files = sample.files();
    for kind in kinds {
        let named = |file: &PathBuf| file.to_string_lossy().contains(kind);
        assert!(files.iter().any(named), "no file {kind} among {files:?}");
    }
    let logs = files.iter().filter(|file| file.extension().is_some_and(|ext| ext == "log"));
    assert!(logs.count() > 1, "several logs are to be damaged");
    let (mut opened, mut refused) = (0, 0);
    let mut count = |is_open| if is_open { opened += 1 } else { refused += 1 };
    for file in &files {
        let size = fs::metadata(sample.directory.path().join(file)).unwrap().len() as usize;
        // As cut as it can be, in the middle, and near the end.
        for keep in [0, size / 2, size.saturating_sub(7), size.saturating_sub(1)] {
            count(sample.check(file, &format!("cut to {keep} of {size}"), |bytes| {
                bytes.truncate(keep);
            }));
        }
        for step in 0..7 {
            let at = (size * step / 7 + step * 3).min(size.saturating_sub(1));
            let mask = if step % 2 == 0 { 1 } else { 0xff };
            count(sample.check(file, &format!("byte {at} of {size} ^ {mask:#x}"), |bytes| {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= mask;
                }
            }));
        }
        count(sample.check(file, "zeros", |bytes| bytes.fill(0)));
        count(sample.check(file, "something appended", |bytes| bytes.extend_from_slice(b"more")));
    }
    assert!(opened > 0 && refused > 0, "{opened} opened, {refused} refused");
}

#[test]
fn a_missing_file_is_an_error_or_nothing_at_all() {
    let sample = Sample::new();
    for file in sample.files() {
        let copy = sample.copy();
        fs::remove_file(copy.path().join(&file)).unwrap();
        let opened = sample.judge(copy.path(), &format!("{} is gone", file.display()), &file);
        let name = file.to_string_lossy();
        let data = ["CURRENT", "MANIFEST", ".sst"].iter().any(|kind| name.contains(kind));
        assert!(!(opened && data), "{name} is not needed?");
    }
}

#[test]
fn what_comes_before_the_damage_of_a_log_can_be_saved_and_is_whole() {
    let sample = Sample::new();
    let newest =
        sample.files().into_iter().rfind(|file| file.extension().is_some_and(|e| e == "log"));
    let log = newest.unwrap();
    let copy = sample.copy();
    let path = copy.path().join(&log);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let said = Store::open(copy.path(), synced()).err().expect("it is refused").to_string();
    assert!(said.contains("can still be read") && said.contains("--salvage-to"), "{said}");

    let saved = tempfile::tempdir().unwrap();
    let salvaged = care::salvage(copy.path(), saved.path(), &Kept, &mut |_, _, _| true).unwrap();
    assert!(salvaged.epoch < sample.last.0 && salvaged.acknowledged == Some(sample.last.0));
    assert!(said.contains(&format!("epoch {}", salvaged.epoch)), "{said}");
    assert_eq!(care::check(saved.path(), &Kept, &mut |_, _, _| true).unwrap().listed, [""; 0]);
    let read = read(saved.path(), synced(), &sample.keys).unwrap();
    assert!(read.dump == sample.epochs[&Some(Epoch(salvaged.epoch))].0);
    // The damaged store is as it was.
    assert!(Store::open(copy.path(), synced()).is_err());
}

#[test]
fn a_damaged_table_file_cannot_be_saved_and_is_named() {
    let sample = Sample::new();
    let mut files = sample.files().into_iter();
    let table = files.find(|file| file.extension().is_some_and(|e| e == "sst")).unwrap();
    let copy = sample.copy();
    let path = copy.path().join(&table);
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, bytes).unwrap();
    let listed = care::check(copy.path(), &Kept, &mut |_, _, _| true).unwrap().listed.join("\n");
    let name = table.file_name().unwrap().to_string_lossy().into_owned();
    assert!(listed.contains(&name), "{listed}");
    let to = tempfile::tempdir().unwrap();
    let said =
        care::salvage(copy.path(), to.path(), &Kept, &mut |_, _, _| true).unwrap_err().to_string();
    assert!(said.contains("no epoch can be saved") && said.contains(&name), "{said}");
}

#[test]
fn a_log_cut_in_what_nobody_was_told_of_is_no_damage() {
    let sample = Sample::new();
    let newest =
        sample.files().into_iter().rfind(|file| file.extension().is_some_and(|e| e == "log"));
    let copy = sample.copy();
    let path = copy.path().join(newest.unwrap());
    // An epoch whose write did not end: cut short, or with garbage in it.
    for tail in [vec![7_u8; 3], vec![0; 40_000], (0..50_000_u32).map(|n| (n * 7) as u8).collect()] {
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], &tail].concat()).unwrap();
        let again = tempfile::tempdir().unwrap();
        fs::create_dir(again.path().join("db")).unwrap();
        for file in sample.files() {
            fs::copy(copy.path().join(&file), again.path().join(&file)).unwrap();
        }
        let read = read(again.path(), synced(), &sample.keys).unwrap();
        assert!(read.dump == sample.epochs[&Some(sample.last)].0);
        fs::write(&path, whole).unwrap();
    }
}
