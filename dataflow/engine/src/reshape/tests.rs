//! Stores of engines that ran, brought to other shapes: the same sessions, the same sums, wherever
//! the work was cut off; and what is refused.
//!
//! The engines are real ones in this process; a run is cut off at each of its commits in turn.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use spoor_operators::assign::{Applications, CompiledRules, SecretKey};
use spoor_operators::inventory::Descriptions;
use spoor_operators::rules::RuleSet;
use spoor_operators::time::Epoch;
use tempfile::TempDir;

use super::*;
use crate::cluster::{ClusterSecret, Membership, Ownership};
use crate::divide::read_row;
use crate::verify::verify;
use crate::{Engine, EngineError, EpochLimits, Settings, keys};
use spoor_api::query::{Overview, SourceCounts, Status, Totals};
use spoor_api::service::{PushAnswer, View};
use spoor_input::decode::Formats;
use spoor_store::{StoreOptions, StoreView, ViewContext};

const KEY: SecretKey = SecretKey([7; 32]);
/// A few minutes before a midnight.
const START: i64 = 1_700_006_000_000;

/// A row of a store: column family, key, value.
type Entry = (&'static str, Vec<u8>, Vec<u8>);

/// Directories of the stores of a cluster.
struct Stores {
    root: TempDir,
}

impl Stores {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn copy(&self) -> Self {
        let copy = Self::new();
        copy_tree(self.root.path(), copy.root.path());
        copy
    }

    fn dir(&self, process: usize) -> PathBuf {
        self.root.path().join(process.to_string())
    }

    fn dirs(&self, processes: usize) -> Vec<PathBuf> {
        (0..processes).map(|process| self.dir(process)).collect()
    }

    fn open(&self, process: usize) -> Store {
        Store::open(&self.dir(process), StoreOptions::default()).unwrap()
    }

    fn start_one(
        &self,
        process: usize,
        hosts: &[String],
        workers: usize,
    ) -> Result<Engine, EngineError> {
        let membership = Membership::new(
            process,
            hosts.to_vec(),
            ClusterSecret::new("only of these tests").unwrap(),
        );
        let age_min = Duration::from_millis(1);
        Engine::start(Settings {
            store: self.open(process),
            rules: RuleSet::default(),
            key: KEY,
            applications: Applications::default(),
            descriptions: Descriptions::default(),
            formats: Formats::default(),
            sources: Vec::new(),
            cluster: (hosts.len() > 1).then_some(membership),
            workers,
            hot_bytes_max: 1 << 20,
            epochs: EpochLimits { age_min, ..EpochLimits::default() },
            ends_with_sources: false,
            refuses_future: false,
            remembers_changes: false,
        })
    }

    fn start(&self, processes: usize, workers: usize) -> Vec<Engine> {
        let listeners: Vec<_> =
            (0..processes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let hosts: Vec<String> =
            listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect();
        drop(listeners);
        std::thread::scope(|threads| {
            let start = |process| {
                let hosts = &hosts;
                threads.spawn(move || self.start_one(process, hosts, workers).unwrap())
            };
            let started: Vec<_> = (0..processes).map(start).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    /// Runs a cluster that takes these lines, each chunk by another process, and stops.
    fn take(&self, (processes, workers): (usize, usize), lines: &[String]) -> SourceCounts {
        let engines = self.start(processes, workers);
        let mut counts = SourceCounts::default();
        for (at, lines) in lines.chunks(23).enumerate() {
            let answer =
                engines[at % processes].services().ingest.push(lines.join("\n").into(), None);
            let answer: PushAnswer = answer.blocking_recv().unwrap().unwrap();
            counts.add(&answer.counts);
        }
        engines[0].stop();
        engines.into_iter().for_each(|engine| engine.join().unwrap());
        counts
    }

    fn reshape(&self, directories: usize, processes: usize) -> Result<Reshaped, ReshapeError> {
        reshape(&self.dirs(directories), processes, &mut |_| true)
    }

    /// What all stores together hold; each is verified by itself.
    fn holds(&self, processes: usize) -> Holds {
        let mut holds = Holds::default();
        for process in 0..processes {
            holds.add(&self.open(process), process, processes);
        }
        holds.sessions.sort();
        holds.letters.sort();
        holds
    }

    /// Everything on the disk, but the number of openings.
    fn dump(&self, processes: usize) -> Vec<Vec<Entry>> {
        (0..processes).map(|process| self.open(process).dump()).collect()
    }
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &to);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// What the stores of a cluster hold together.
#[derive(Default)]
struct Holds {
    sessions: Vec<String>,
    requests: u64,
    totals: Totals,
    minutes: BTreeMap<i64, Totals>,
    letters: Vec<Vec<u8>>,
    counts: SourceCounts,
    /// It and the next depend on which requests came to which process.
    watermark: Option<i64>,
    open: u64,
}

impl Holds {
    /// Checks what does not depend on the number of processes.
    fn check_same(&self, other: &Self) {
        assert_eq!(self.sessions, other.sessions);
        assert_eq!(self.requests, other.requests);
        assert_eq!(self.totals, other.totals);
        assert_eq!(self.minutes, other.minutes);
        assert_eq!(self.letters, other.letters);
        assert_eq!(self.counts, other.counts);
    }

    fn add(&mut self, store: &Store, process: usize, processes: usize) {
        let rules = store.rules().unwrap().unwrap().0;
        let (applications, descriptions) = (Applications::default(), Descriptions::default());
        let compiled = CompiledRules::new(&rules, &KEY, &applications, &descriptions);
        let compiled = Arc::new(compiled.unwrap());
        let report = verify(store, &compiled, 10, &mut |_| ()).unwrap();
        assert_eq!(report.listed, Vec::<String>::new());
        self.requests += report.requests;

        let owner = Ownership::new(processes, 1);
        let days = store.moving_days(|of| owner.process(of) != process, None, 1).unwrap();
        assert!(days.is_empty(), "process {process} of {processes} holds what is not its own");

        let context =
            ViewContext { rules: Arc::new(rules), compiled, status: Arc::new(Status::default) };
        let view = store.view(context).unwrap();
        self.add_sessions(&view, store);
        let Overview { totals, series, .. } = view.overview(None, None, Some(1)).unwrap();
        add(&mut self.totals, &totals);
        for (at, totals) in series {
            add(self.minutes.entry(at.0).or_default(), &totals);
        }
        self.minutes.retain(|_, totals| *totals != Totals::default());
        let letters = view.dead_letters(1000, None).unwrap().letters;
        let in_order = letters.is_sorted_by_key(|letter| std::cmp::Reverse(letter.epoch));
        assert!(in_order, "refused records are listed newest first");
        self.letters.extend(letters.into_iter().map(|letter| letter.raw));
        for (name, row) in store.sources().unwrap() {
            self.counts.add(&read_row(&name, &row).unwrap().counts);
        }
        self.watermark = self.watermark.max(store.watermark().map(|at| at.0));
    }

    fn add_sessions(&mut self, view: &StoreView, store: &Store) {
        let (closes, watermark) = (store.closing(), store.watermark());
        let mut open = 0;
        view.for_each_session(&mut |session| {
            let id = session.id();
            self.sessions.push(format!("{id} {} {}", session.end.0, session.summary.requests));
            open += u64::from(Some(closes.at(session)) > watermark);
            true
        })
        .unwrap();
        let rows = store.blobs_with_prefix(keys::OPEN_PREFIX).unwrap();
        let counted = OpenSessions::restore(rows.iter().map(Vec::as_slice), watermark).unwrap();
        assert_eq!(counted.count(), open, "open sessions as counted and as they are");
        self.open += open;
    }
}

fn add(sum: &mut Totals, more: &Totals) {
    differential_dataflow::difference::Semigroup::plus_equals(sum, more);
}

/// Requests of some users around a midnight; now and then one that cannot be grouped, and a bad one.
fn traffic(round: usize, requests: usize) -> Vec<String> {
    let line = |at: usize| {
        let (id, ts) = (round * 1000 + at, START + ((round * 300 + at) as i64) * 11_000);
        let user = at * 7 % 31;
        let tail = match at % 25 {
            3 => return format!("bad {id}"),
            7 => String::new(),
            _ => format!(",\"request\":{{\"headers\":{{\"x-session-id\":\"s{user}\"}}}}"),
        };
        let app = ["shop", "bank"][at % 2];
        format!(
            "{{\"id\":\"r{id}\",\"ts\":{ts},\"app\":\"{app}\",\"method\":\"GET\",\"host\":\"h\",\
             \"path\":\"/a/{user}\",\"status\":200{tail}}}"
        )
    };
    (0..requests).map(line).collect()
}

#[test]
fn whatever_the_shape_the_stores_hold_what_one_process_would() {
    let (stores, alone) = (Stores::new(), Stores::new());
    let mut processes = 1;
    let shapes = [(1, 1), (1, 4), (2, 2), (3, 1), (1, 1)];
    for (round, shape) in shapes.into_iter().enumerate() {
        let before = (round > 0).then(|| stores.holds(processes));
        if shape.0 != processes {
            let done = stores.reshape(processes.max(shape.0), shape.0).unwrap();
            assert_eq!((done.from, done.to), (Some(processes), shape.0));
            assert!(done.identity_days > 0 && done.sessions > 0 && done.requests > 0);
            assert_eq!(
                done.left,
                (shape.0..processes).map(|at| stores.dir(at)).collect::<Vec<_>>()
            );
            for left in done.left {
                std::fs::remove_dir_all(left).unwrap();
            }
            processes = shape.0;
            let (now, before) = (stores.holds(processes), before.unwrap());
            now.check_same(&before);
            assert_eq!((now.open, now.watermark), (before.open, before.watermark));
            let epochs = (0..processes).map(|process| stores.open(process).committed());
            assert_eq!(epochs.collect::<std::collections::BTreeSet<_>>().len(), 1);
        }
        // New requests, and ones that are known since before.
        let again = round.saturating_sub(1);
        let known = if round > 0 { traffic(again, 20) } else { Vec::new() };
        let lines = [traffic(round, 120), known].concat();
        let (counts, expected) = (stores.take(shape, &lines), alone.take((1, 1), &lines));
        assert_eq!(counts, expected);
        assert!(round == 0 || counts.duplicate > 10, "{counts:?}");
        stores.holds(processes).check_same(&alone.holds(1));
    }
}

/// Cuts the work off before each of its writes, goes on, and compares with work never cut off.
fn check_cut_off(stores: &Stores, from: usize, to: usize) {
    let directories = from.max(to);
    let expected = stores.copy();
    let done = expected.reshape(directories, to).unwrap();
    let expected = (expected.dump(directories), done.identity_days);
    for writes in 0.. {
        let stores = stores.copy();
        let mut left = writes;
        let dirs = stores.dirs(directories);
        let first = reshape(&dirs, to, &mut |_| {
            left -= 1;
            left >= 0
        });
        match first {
            Ok(_) => {
                assert!(writes >= 10, "there are {writes} writes only");
                break;
            }
            Err(error) => assert!(matches!(error, ReshapeError::Stopped), "{error}"),
        }
        if writes > 0 {
            let refused = check_settled(&stores.open(0)).unwrap_err().to_string();
            assert!(refused.contains(&format!("store reshape --processes {to}")), "{refused}");
            let other = reshape(&dirs, to + 1, &mut |_| true).unwrap_err().to_string();
            assert!(other.contains(&format!("being brought to {to} processes")), "{other}");
        }
        let rest = stores.reshape(directories, to).unwrap();
        assert!(rest.identity_days <= expected.1);
        assert!(stores.dump(directories) == expected.0, "cut off before write {writes}");
        assert_eq!(stores.reshape(directories, to).unwrap().from, None, "nothing is left to do");
    }
}

#[test]
fn cut_off_at_any_write_the_next_run_ends_at_the_same() {
    let stores = Stores::new();
    stores.take((1, 1), &traffic(0, 40));
    check_cut_off(&stores, 1, 3);
    stores.reshape(3, 3).unwrap();
    stores.take((3, 1), &traffic(1, 40));
    check_cut_off(&stores, 3, 1);
}

#[test]
fn a_store_under_way_or_left_is_for_no_engine() {
    let stores = Stores::new();
    stores.take((1, 1), &traffic(0, 20));
    let mut writes = 3;
    let stopped = reshape(&stores.dirs(2), 2, &mut |_| {
        writes -= 1;
        writes >= 0
    });
    assert!(stopped.is_err());
    let refused = stores.start_one(0, &["h:1".into()], 1).err().unwrap().to_string();
    assert!(refused.contains("run `spoor store reshape --processes 2` again"), "{refused}");
    stores.reshape(2, 2).unwrap();
    let refused = stores.start_one(0, &["h:1".into()], 1).err().unwrap().to_string();
    assert!(refused.contains("process 0 of 2"), "{refused}");
    stores.reshape(2, 1).unwrap();
    let refused = stores.start_one(1, &["h:1".into()], 1).err().unwrap().to_string();
    assert!(refused.contains("it can be deleted"), "{refused}");
    let refused = stores.reshape(2, 2).unwrap_err().to_string();
    assert!(refused.contains("give an empty directory"), "{refused}");
}

#[test]
fn stores_that_do_not_fit_are_refused_and_left_alone() {
    let (stores, others) = (Stores::new(), Stores::new());
    stores.take((2, 1), &traffic(0, 30));
    others.take((2, 1), &traffic(0, 30));
    let dir = |process| stores.dir(process);
    let nowhere = stores.root.path().join("nowhere");
    let check = |directories: &[PathBuf], processes: usize, reason: &str| {
        let before = stores.dump(2);
        let refused = reshape(directories, processes, &mut |_| true).unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
        assert!(stores.dump(2) == before, "{reason}");
        assert!(!nowhere.exists());
    };
    check(&[dir(1), dir(0)], 1, "holds the store of process 1 of 2");
    check(&[dir(0)], 1, "takes 2 directories");
    check(&[dir(0), nowhere.clone()], 1, "process 1 holds no store");
    check(&[dir(0), dir(1), nowhere.clone()], 0, "0 processes cannot be");
    check(&[dir(0), dir(1), others.dir(1)], 3, "its directory holds a store");
    check(&[dir(0), dir(0)], 1, "in use");

    let in_use = stores.open(1);
    let refused = stores.reshape(2, 1).unwrap_err().to_string();
    assert!(refused.contains("in use"), "{refused}");
    drop(in_use);

    // A store of another cluster: with another key, or standing elsewhere.
    let mixed = [dir(0), others.dir(1)];
    others.open(1).commit(Commit { epoch: Epoch(1000), ..Commit::default() }).unwrap();
    check(&mixed, 1, "is not of this cluster");
    stores.open(0).keep_secret_key(&[1; 32]).unwrap();
    others.open(1).keep_secret_key(&[2; 32]).unwrap();
    check(&mixed, 1, "another secret key");
}

#[test]
fn stores_are_first_brought_to_one_epoch() {
    let stores = Stores::new();
    stores.take((2, 1), &traffic(0, 30));
    let blob = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    // Both staged, one was promoted before all went down; of the next, nobody was.
    let next = Epoch(stores.open(0).committed().unwrap().0 + 1);
    let commit =
        |epoch, value| Commit { epoch, blobs: vec![blob("test", value)], ..Commit::default() };
    let first = stores.open(0);
    first.commit(commit(next, "all")).unwrap();
    let _ = first.stage(commit(Epoch(next.0 + 1), "nobody")).unwrap();
    let _ = stores.open(1).stage(commit(next, "all")).unwrap();
    drop(first);
    stores.reshape(3, 3).unwrap();
    for process in 0..2 {
        let store = stores.open(process);
        assert_eq!(store.blob("test").unwrap().unwrap(), b"all", "process {process}");
        assert_eq!(store.staged().unwrap(), None);
    }
}

#[test]
fn a_new_process_has_the_key_and_gets_back_what_an_earlier_one_left() {
    let stores = Stores::new();
    stores.take((2, 1), &traffic(0, 60));
    let key = stores.open(0).secret_key().unwrap();
    stores.open(1).keep_secret_key(&key).unwrap();
    let sources = |process: usize| {
        let sources = stores.open(process).sources().unwrap();
        sources.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!((sources(0), sources(1)), (vec!["push".into()], vec!["push@1".to_owned()]));
    stores.reshape(2, 1).unwrap();
    assert_eq!(sources(0), ["push", "push@1"]);
    std::fs::remove_dir_all(stores.dir(1)).unwrap();
    stores.reshape(2, 2).unwrap();
    assert_eq!((sources(0), sources(1)), (vec!["push".into()], vec!["push@1".to_owned()]));
    assert_eq!(stores.open(1).secret_key().unwrap(), key);
}
