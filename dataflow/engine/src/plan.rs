//! The plan: what every worker does in every epoch, in one order.
//!
//! The coordinator opens an epoch with everything that holds throughout it (rules, first retained
//! day, a regroup on its way), adds chunks of input while it is open, and closes it. Workers take
//! chunks from the epoch they are in and go on to the next when theirs is closed and empty. What
//! they find out is gathered here too, until the committer takes it.
//!
//! In a cluster every process has a plan of the same epochs, with its own input.
//!
//! Invariants: epochs are opened in order, without holes; rules never change inside one; nothing
//! is added to a closed one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use spoor_operators::assign::CompiledRules;
use spoor_operators::sessionize::backend::SessionChange;
use spoor_operators::time::{Day, Epoch, EventTime};
use spoor_operators::totals::Totals;
use timely::scheduling::SyncActivator;

use crate::clock::Clock;
use crate::regroup::Regroup;
use crate::signal::Signal;
use spoor_api::query::{DeadLetter, Refusals, SourceCounts};
use spoor_api::service::PushError;
use spoor_input::source::{Chunk, SourceId};
use spoor_store::Part;

/// A minute of event time (minutes since the Unix epoch) and an app.
pub type Bucket = (i64, Arc<str>);

/// A chunk of input, and where it came from.
#[derive(Debug)]
pub struct Task {
    /// Whole records.
    pub chunk: Chunk,
    /// Where from.
    pub origin: Origin,
}

/// Where a request came from: a source as a whole, or one push to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(pub u32);

impl Origin {
    const PUSH: u32 = 1 << 31;
    const PROCESS_SHIFT: u32 = 24;
    const NUMBER: u32 = (1 << Self::PROCESS_SHIFT) - 1;

    /// Whoever is not to be told: a request from the log.
    pub const NOBODY: Self = Self(0);

    /// A source of a process.
    #[must_use]
    pub fn source(process: usize, source: SourceId) -> Self {
        Self::numbered(process, source.0 + 1)
    }

    /// The n-th push to a process in an epoch.
    #[must_use]
    pub fn push(process: usize, number: u32) -> Self {
        Self(Self::PUSH | Self::numbered(process, number).0)
    }

    fn numbered(process: usize, number: u32) -> Self {
        assert!(process < 1 << 7 && number <= Self::NUMBER, "origins of an epoch are few");
        Self((process as u32) << Self::PROCESS_SHIFT | number)
    }

    /// The process that took the request.
    #[must_use]
    pub fn process(self) -> usize {
        ((self.0 & !Self::PUSH) >> Self::PROCESS_SHIFT) as usize
    }

    /// The source, unless it is a push or nobody.
    #[must_use]
    pub fn as_source(self) -> Option<SourceId> {
        if self.is_push() {
            return None;
        }
        (self.0 & Self::NUMBER).checked_sub(1).map(SourceId)
    }

    /// Whether it is a push.
    #[must_use]
    pub fn is_push(self) -> bool {
        self.0 & Self::PUSH != 0
    }
}

/// What became of one origin's records in an epoch.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    /// By outcome; duplicates are counted apart, as accepted ones, until the commit.
    pub counts: SourceCounts,
    /// Greatest time taken.
    pub latest: Option<EventTime>,
    /// Refused lines, for a push.
    pub errors: Vec<PushError>,
    /// Why records were refused.
    pub refusals: Refusals,
}

impl Outcomes {
    /// Adds what another chunk of the same origin came to.
    pub fn add(&mut self, more: Outcomes) {
        self.counts.add(&more.counts);
        self.latest = self.latest.max(more.latest);
        self.errors.extend(more.errors);
        self.refusals.add(&more.refusals);
    }
}

/// What the workers found out in an epoch.
#[derive(Default)]
pub struct Findings {
    /// By origin.
    pub outcomes: HashMap<Origin, Outcomes>,
    /// Refused records.
    pub dead_letters: Vec<DeadLetter>,
    /// Changes of state, one for each worker.
    pub parts: Vec<Part>,
    /// What changed, for subscribers.
    pub changes: Vec<SessionChange>,
    /// Number of duplicates by origin.
    pub duplicates: HashMap<Origin, u64>,
    /// Changes of the number of sessions that close at an instant.
    pub closing: HashMap<i64, i64>,
    /// What is added to the totals of a minute and app, or taken away.
    pub totals: HashMap<Bucket, Totals>,
}

/// Everything about one epoch.
pub struct EpochPlan {
    /// Its number.
    pub epoch: Epoch,
    /// The rules in force.
    pub rules: Arc<CompiledRules>,
    /// Days before this one are dropped with this epoch, and requests for them refused.
    pub first_day: Option<Day>,
    /// Whether days are dropped in this very epoch.
    pub drops_days: bool,
    /// Requests further ahead of this clock than so many milliseconds are refused.
    pub future: Option<(Arc<Clock>, u64)>,
    /// A slice of this is done in this epoch.
    pub regroup: Option<Arc<Regroup>>,
    tasks: Mutex<VecDeque<Task>>,
    closed: AtomicBool,
    /// What the workers found out.
    pub findings: Mutex<Findings>,
}

impl EpochPlan {
    /// An open epoch without input.
    #[must_use]
    pub fn open(epoch: Epoch, rules: Arc<CompiledRules>) -> Self {
        Self {
            epoch,
            rules,
            first_day: None,
            drops_days: false,
            future: None,
            regroup: None,
            tasks: Mutex::default(),
            closed: AtomicBool::new(false),
            findings: Mutex::default(),
        }
    }

    /// Adds input.
    pub fn add(&self, task: Task) {
        assert!(!self.closed.load(Ordering::Acquire), "nothing is added to a closed epoch");
        self.tasks.lock().push_back(task);
    }

    /// No more input comes.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// The next chunk, if there is one now.
    pub fn take(&self) -> Option<Task> {
        self.tasks.lock().pop_front()
    }

    /// Whether this worker may go on: closed, and nothing is left to take.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.closed.load(Ordering::Acquire) && self.tasks.lock().is_empty()
    }
}

/// The epochs that are not committed yet, and how far things are.
pub struct Plan {
    epochs: Mutex<BTreeMap<u64, Arc<EpochPlan>>>,
    wake: Mutex<Vec<SyncActivator>>,
    committed: AtomicU64,
    last: AtomicU64,
    failed: AtomicBool,
    signal: Arc<Signal>,
    /// Dropped by a failure, which ends every wait for [`Plan::failure`].
    until_failure: Mutex<Option<Sender<Infallible>>>,
    failure: Receiver<Infallible>,
}

impl Plan {
    /// A plan whose next epoch is the one after `committed`.
    #[must_use]
    pub fn after(committed: Epoch) -> Self {
        let (until_failure, failure) = crossbeam_channel::bounded(0);
        Self {
            epochs: Mutex::default(),
            wake: Mutex::default(),
            committed: AtomicU64::new(committed.0),
            last: AtomicU64::new(u64::MAX),
            failed: AtomicBool::new(false),
            signal: Arc::default(),
            until_failure: Mutex::new(Some(until_failure)),
            failure,
        }
    }

    /// Told of everything threads of the engine wait for.
    #[must_use]
    pub fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Closed by a failure: for those who wait for messages, to wait for it, too.
    #[must_use]
    pub fn failure(&self) -> &Receiver<Infallible> {
        &self.failure
    }

    /// Begins an epoch.
    pub fn begin(&self, plan: Arc<EpochPlan>) {
        let mut epochs = self.epochs.lock();
        if let Some((&newest, _)) = epochs.last_key_value() {
            assert_eq!(newest + 1, plan.epoch.0, "epochs are opened in order, without holes");
        }
        epochs.insert(plan.epoch.0, plan);
        drop(epochs);
        self.wake();
    }

    /// An epoch that has begun and is not committed.
    #[must_use]
    pub fn get(&self, epoch: u64) -> Option<Arc<EpochPlan>> {
        self.epochs.lock().get(&epoch).cloned()
    }

    /// Forgets a committed epoch and lets the next ones go on.
    pub fn committed_through(&self, epoch: Epoch) {
        self.epochs.lock().remove(&epoch.0);
        self.committed.store(epoch.0, Ordering::Release);
        self.signal.tell();
        self.wake();
    }

    /// The last committed epoch.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// No epoch comes after this one.
    pub fn end_at(&self, last: Epoch) {
        self.last.store(last.0, Ordering::Release);
        self.wake();
    }

    /// Whether an epoch will never begin.
    #[must_use]
    pub fn is_past_end(&self, epoch: u64) -> bool {
        epoch > self.last.load(Ordering::Acquire)
    }

    /// Something failed that cannot be mended: everything stops, nothing more is committed.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        drop(self.until_failure.lock().take());
        self.signal.tell();
        self.wake();
    }

    /// See [`Plan::fail`].
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// An operator to wake when there may be something to do.
    pub fn on_wake(&self, activator: SyncActivator) {
        self.wake.lock().push(activator);
    }

    /// Wakes the operators that wait.
    pub fn wake(&self) {
        for activator in self.wake.lock().iter() {
            // A worker that is gone need not be woken.
            let _ = activator.activate();
        }
    }
}
