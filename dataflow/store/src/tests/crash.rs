//! Loss of power after, and in the middle of, every single write of a script.
//!
//! The disk is modelled by its files: tables and the manifest are as RocksDB left them (it waits
//! for the disk before it names them); files come and go in order, as in a journal; a log is safe
//! up to where it was when the disk was last waited for, and of the rest any beginning may be left,
//! or nothing of it but its length.
//! At every write the directory is copied; then, for every such beginning, the copy is opened and
//! recovered, and must hold exactly what the writes that are whole in it have made. What that is
//! says a store that was never in danger.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use spoor_operators::identity::SessionId;
use spoor_operators::rules::RuleSet;
use spoor_operators::session::Session;
use spoor_operators::time::{Day, Epoch, EventTime};
use spoor_operators::totals::Totals;

use super::super::care::{MAKING_FILE, WITNESS_FILE};
use super::super::write::{Durability, watch};
use super::super::{Commit, Store, StoreOptions, ViewContext};
use super::{Contents, DAY, Fed, Spec, contents, options, synced};
use spoor_api::codes::RefusalCode;
use spoor_api::query::{DeadLetter, Status};

/// One step of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// Commits the next epoch.
    Commit,
    /// Stages the next epoch and promotes it.
    Stage,
    /// Stages something as the next epoch, and discards it.
    StageInVain,
    /// Commits the next epoch, which drops a day; then its files go.
    Drop,
    /// The same, staged.
    StageDrop,
    /// Everything goes to tables.
    Compact,
}

/// How a store stands after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stand {
    committed: u64,
    /// The next epoch is staged.
    staged: bool,
    /// And it is that of the script, not one to be discarded.
    promotable: bool,
}

impl Stand {
    fn at(committed: u64) -> Self {
        Self { committed, staged: false, promotable: false }
    }

    fn staged(self) -> Option<Epoch> {
        self.staged.then_some(Epoch(self.committed + 1))
    }
}

impl Op {
    fn is_epoch(self) -> bool {
        !matches!(self, Self::StageInVain | Self::Compact)
    }

    /// How the store stands after each of its writes; `last` is committed before.
    fn stands(self, last: u64) -> Vec<Stand> {
        let next = Stand::at(last + 1);
        let staged = |promotable| Stand { staged: true, promotable, ..Stand::at(last) };
        match self {
            Self::Commit | Self::Drop => vec![next],
            Self::Stage | Self::StageDrop => vec![staged(true), next],
            Self::StageInVain => vec![staged(false), Stand::at(last)],
            Self::Compact => vec![],
        }
    }
}

/// Names of log files and how long they are.
type Logs = BTreeMap<String, u64>;

fn logs(directory: &Path) -> Logs {
    let entries = std::fs::read_dir(directory.join("db")).unwrap().map(Result::unwrap);
    let logs = entries.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "log"));
    logs.map(|log| {
        let name = log.file_name().into_string().unwrap();
        (name, log.metadata().unwrap().len())
    })
    .collect()
}

/// Where the last batch ends.
fn end(logs: &Logs) -> Option<(&String, &u64)> {
    logs.iter().rfind(|(_, length)| **length > 0)
}

pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("db")).unwrap();
    for entry in std::fs::read_dir(from.join("db")).unwrap() {
        let entry = entry.unwrap();
        // RocksDB's own lock, and what it says of itself.
        if !["LOCK", "LOG"].iter().any(|name| entry.file_name() == *name) {
            std::fs::copy(entry.path(), to.join("db").join(entry.file_name())).unwrap();
        }
    }
    // As it is now: more than the disk may have of it.
    for name in [WITNESS_FILE, MAKING_FILE] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

/// The disk right after a write.
struct Image {
    files: tempfile::TempDir,
    /// Log bytes that are safe, had the write been cut short.
    safe: Logs,
    /// Number of batches that are safe, and where those after them end.
    whole: usize,
    ends: Vec<Logs>,
}

/// Takes an image at every write.
struct Camera {
    directory: std::path::PathBuf,
    safe: Logs,
    whole: usize,
    ends: Vec<Logs>,
    images: Vec<Image>,
}

impl Camera {
    fn of(directory: &Path) -> Rc<RefCell<Self>> {
        let directory = directory.to_owned();
        let (safe, ends, images) = (Logs::new(), Vec::new(), Vec::new());
        Rc::new(RefCell::new(Self { directory, safe, whole: 0, ends, images }))
    }

    fn written(&mut self, durability: Durability) {
        let now = logs(&self.directory);
        if end(&now) != end(self.ends.last().unwrap_or(&self.safe)) {
            self.ends.push(now);
        }
        let files = tempfile::tempdir().unwrap();
        copy(&self.directory, files.path());
        let (safe, ends) = (self.safe.clone(), self.ends.clone());
        self.images.push(Image { files, safe, whole: self.whole, ends });
        if durability == Durability::Now {
            self.all_safe();
        }
    }

    fn all_safe(&mut self) {
        self.safe = logs(&self.directory);
        self.whole += self.ends.len();
        self.ends.clear();
    }

    fn during<T>(camera: &Rc<RefCell<Self>>, run: impl FnOnce() -> T) -> T {
        let told = camera.clone();
        watch::during(move |durability| told.borrow_mut().written(durability), run)
    }
}

impl Image {
    /// Every beginning that may be left: what is left of each log, and how many batches are whole.
    fn cuts(&self) -> Vec<(Logs, usize)> {
        let mut cuts = vec![(self.safe.clone(), self.whole)];
        let mut before = &self.safe;
        for (number, end) in self.ends.iter().enumerate() {
            let whole = self.whole + number;
            for (name, &length) in end {
                let from = before.get(name).copied().unwrap_or(0);
                let added = length - from;
                for left in [1, added / 3, added / 2, added.saturating_sub(1)] {
                    let cut = (0 < left && left < added).then(|| from + left);
                    let mut logs = before.clone();
                    logs.extend(cut.map(|cut| (name.clone(), cut)));
                    cuts.push((logs, whole));
                }
            }
            cuts.push((end.clone(), whole + 1));
            before = end;
        }
        cuts.dedup();
        cuts
    }

    fn tables(&self) -> usize {
        let entries = std::fs::read_dir(self.files.path().join("db")).unwrap().map(Result::unwrap);
        entries.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "sst")).count()
    }

    /// The disk with what is left of the logs.
    fn after(&self, left: &Logs) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        copy(self.files.path(), directory.path());
        for name in logs(directory.path()).into_keys() {
            let path = directory.path().join("db").join(&name);
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(left.get(&name).copied().unwrap_or(0)).unwrap();
        }
        directory
    }
}

/// What lies behind what is safe of a log when the file got its length: how much of it the disk has,
/// and what is read instead of a byte of the rest.
type Filling = (fn(u64) -> u64, fn(usize, u8) -> u8);

const FILLINGS: [Filling; 5] = [
    (|_| 0, |_, _| 0),
    (|_| 0, |at, _| (at * at + 7 * at + 13) as u8),
    (|length| length / 2, |_, _| 0),
    (|length| length / 2, |_, byte| !byte),
    (|length| length.saturating_sub(1), |_, byte| !byte),
];

impl Image {
    /// The disk with such logs, and how many batches are whole.
    fn filled(&self, (kept, filling): Filling) -> (tempfile::TempDir, usize) {
        let directory = tempfile::tempdir().unwrap();
        copy(self.files.path(), directory.path());
        let mut good = Logs::new();
        for (name, length) in logs(directory.path()) {
            let safe = self.safe.get(&name).copied().unwrap_or(0).min(length);
            let until = safe + kept(length - safe);
            let path = directory.path().join("db").join(&name);
            let mut bytes = std::fs::read(&path).unwrap();
            let lost = bytes[until as usize..].iter_mut().enumerate();
            lost.for_each(|(at, byte)| *byte = filling(at, *byte));
            std::fs::write(path, bytes).unwrap();
            good.insert(name, until);
        }
        let is_good = |(name, length): (&String, &u64)| good.get(name).is_none_or(|g| length <= g);
        let whole = self.ends.iter().take_while(|end| end.iter().all(is_good)).count();
        (directory, self.whole + whole)
    }
}

/// What an epoch's commit leaves behind.
struct Expected {
    contents: Contents,
    sessions: BTreeMap<SessionId, Arc<Session>>,
    requests: u64,
}

impl Expected {
    fn of(fed: &Fed) -> Self {
        Self {
            contents: contents(&fed.store),
            sessions: fed.sessions.clone(),
            requests: fed.requests.len() as u64,
        }
    }

    fn check(&self, store: &Store, place: &str) {
        assert!(contents(store) == self.contents, "{place}");
        let numbers = store.numbers();
        let counted = (numbers.sessions, numbers.requests);
        assert_eq!(counted, (self.sessions.len() as u64, self.requests), "{place}");
        let context = ViewContext {
            rules: Arc::new(RuleSet::default()),
            compiled: super::compiled(),
            status: Arc::new(Status::default),
        };
        let mut sessions = 0;
        let mut same = |found: &Session| {
            sessions += 1;
            self.sessions.get(&found.id()).is_some_and(|session| **session == *found)
        };
        store.view(context).unwrap().for_each_session(&mut same).unwrap();
        assert_eq!(sessions, self.sessions.len(), "{place}");
    }
}

/// An epoch: sessions that begin, go on and join, and everything else a commit may hold.
fn feed(fed: &mut Fed, op: Op) -> Commit {
    let epoch = fed.epoch as i64 + 1;
    let spec = |number: i64| Spec {
        identity: ((epoch + number) % 4) as u8,
        minute: (epoch / 3) * 1440 + number * 11 + epoch,
        path: (number % 4) as u8,
        explicit_id: number % 3 == 0,
        ..Spec::default()
    };
    let specs: Vec<_> = (0..6).map(spec).collect();
    let letter = DeadLetter {
        sequence: 0,
        process: 0,
        source: "a".into(),
        offset: epoch as u64,
        code: RefusalCode::BadJson,
        reason: "no".into(),
        raw: vec![1],
        epoch: Epoch(epoch as u64),
    };
    let drops = matches!(op, Op::Drop | Op::StageDrop);
    let totals = Totals { requests: 3 - epoch, ..Totals::default() };
    let commit = Commit {
        rules: Some(Arc::new(RuleSet { version: epoch as u64, ..RuleSet::default() })),
        sources: vec![("a".into(), vec![epoch as u8])],
        dead_letters: vec![letter],
        totals: vec![((DAY * 1440 + 1440 * (epoch / 3), "shop".into()), totals)],
        watermark: Some(EventTime(DAY * 86_400_000 + epoch)),
        answers: vec![(vec![(epoch % 3) as u8], vec![epoch as u8])],
        blobs: vec![("x".into(), (epoch % 4 != 0).then(|| vec![epoch as u8]))],
        expire_before: drops.then(|| Day((DAY + epoch / 3) as i32)),
        ..Commit::default()
    };
    // What is taken back is of a day that is retained.
    let remove: &[usize] = if drops { &[] } else { &[epoch as usize] };
    fed.commit_of(&specs, remove, commit)
}

fn run(fed: &mut Fed, op: Op, camera: &Rc<RefCell<Camera>>) {
    match op {
        Op::Compact => {
            fed.store.compact_before(Day(i32::MAX));
            camera.borrow_mut().all_safe();
        }
        Op::StageInVain => {
            let epoch = Epoch(fed.epoch + 1);
            let blobs = vec![("x".into(), Some(vec![77; 3000]))];
            let _ = fed.store.stage(Commit { epoch, blobs, ..Commit::default() }).unwrap();
            fed.store.discard_staged().unwrap();
        }
        Op::Commit | Op::Drop => {
            let commit = feed(fed, op);
            fed.store.commit(commit).unwrap();
        }
        Op::Stage | Op::StageDrop => {
            let commit = feed(fed, op);
            let staged = fed.store.stage(commit).unwrap();
            fed.store.promote(staged).unwrap();
        }
    }
}

/// What every epoch is to leave behind, from 0, the new store.
fn expected(script: &[Op]) -> Vec<Expected> {
    let mut fed = Fed::new();
    let mut all = vec![Expected::of(&fed)];
    for op in script.iter().filter(|op| op.is_epoch()) {
        let commit = feed(&mut fed, *op);
        fed.store.commit(commit).unwrap();
        all.push(Expected::of(&fed));
    }
    all
}

/// Takes the images of a script, and says how the store stands after each number of batches.
fn film(script: &[Op], options: &StoreOptions) -> (Vec<Image>, Vec<Stand>) {
    let directory = tempfile::tempdir().unwrap();
    let camera = Camera::of(directory.path());
    Camera::during(&camera, || {
        let mut fed = Fed::in_directory(directory, options.clone());
        script.iter().for_each(|op| run(&mut fed, *op, &camera));
    });
    // Nothing, then what opening writes.
    let mut stands = vec![Stand::at(0); 2];
    for op in script {
        stands.extend(op.stands(stands.last().expect("not empty").committed));
    }
    let images = std::mem::take(&mut camera.borrow_mut().images);
    let last = images.last().expect("there are writes");
    assert_eq!(
        last.whole + last.ends.len() + 1,
        stands.len(),
        "every batch of the script was seen"
    );
    (images, stands)
}

/// Opens, and promotes what is staged or discards it.
fn recover(directory: &Path, options: &StoreOptions, promotes: bool) -> Store {
    let store = Store::open(directory, options.clone()).unwrap();
    match store.staged().unwrap() {
        Some(epoch) if promotes => store.promote_found(epoch).unwrap(),
        _ => store.discard_staged().unwrap(),
    }
    store
}

/// Recovers, and again after every crash on the way.
fn check_recovery(
    disk: &tempfile::TempDir,
    options: &StoreOptions,
    (promotes, expected): (bool, &Expected),
    place: &str,
) {
    let camera = Camera::of(disk.path());
    camera.borrow_mut().all_safe();
    let store = Camera::during(&camera, || recover(disk.path(), options, promotes));
    expected.check(&store, place);
    drop(store);
    let images = std::mem::take(&mut camera.borrow_mut().images);
    for (number, image) in images.iter().enumerate() {
        for (left, whole) in image.cuts() {
            let disk = image.after(&left);
            let store = recover(disk.path(), options, promotes);
            expected.check(&store, &format!("{place}, in recovery {number} {whole} {left:?}"));
        }
    }
}

fn check(script: &[Op], options: &StoreOptions) -> Vec<Image> {
    let expected = expected(script);
    let (images, stands) = film(script, options);
    let mut crashes = 0;
    for (number, image) in images.iter().enumerate() {
        for (kind, filling) in FILLINGS.into_iter().enumerate() {
            let place = format!("{script:?}: write {number} filled as {kind}");
            let (disk, whole) = image.filled(filling);
            let stand = stands[whole];
            let store = Store::open(disk.path(), options.clone());
            let store = store.unwrap_or_else(|error| panic!("{place}: {error}"));
            let found = (store.committed().unwrap_or_default(), store.staged().unwrap());
            assert_eq!(found, (Epoch(stand.committed), stand.staged()), "{place}");
            expected[stand.committed as usize].check(&store, &place);
        }
        for (left, whole) in image.cuts() {
            crashes += 1;
            let place = format!("{script:?}: write {number}, {whole} whole, left {left:?}");
            let stand = stands[whole];
            let (before, disk) = (&expected[stand.committed as usize], image.after(&left));
            let store = Store::open(disk.path(), options.clone()).unwrap();
            let found = (store.committed().unwrap_or_default(), store.staged().unwrap());
            assert_eq!(found, (Epoch(stand.committed), stand.staged()), "{place}");
            before.check(&store, &place);
            drop(store);
            // What was torn in the middle is gone like what is not there.
            let torn = left != *image.ends.last().unwrap_or(&image.safe);
            if stand.staged && !torn {
                check_recovery(&image.after(&left), options, (false, before), &place);
            }
            if stand.promotable && !torn {
                let after = &expected[stand.committed as usize + 1];
                check_recovery(&image.after(&left), options, (true, after), &place);
            }
        }
    }
    assert!(crashes > 3 * script.len(), "{crashes} crashes");
    images
}

#[test]
fn no_crash_leaves_anything_between_two_epochs() {
    use Op::{Commit, Compact, Stage, StageDrop, StageInVain};
    let script =
        [Commit, Stage, Stage, StageInVain, Stage, Commit, Compact, StageDrop, Commit, Stage];
    let images = check(&script, &synced());
    let mut tables = images.iter().map(Image::tables);
    assert!(tables.clone().max() > tables.next_back(), "files of dropped days went");
}

#[test]
fn a_long_end_that_no_disk_was_waited_for_is_lost_from_its_end() {
    use Op::{Commit, Compact, Drop, Stage};
    check(
        &[Commit, Commit, Commit, Commit, Compact, Commit, Drop, Commit, Stage, Commit],
        &options(),
    );
}
