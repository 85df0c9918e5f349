//! Whether an engine still runs, why it stopped, and how long it may take to end.
//!
//! Shared by all threads of an engine and by whoever waits for it. The first failure counts: it fails
//! the plan, so nothing more is committed, and in a cluster the other processes are told why.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use spoor_input::source::SourceError;

use crate::cluster::NOBODY;
use crate::mail::{Mail, Note};
use crate::plan::Plan;
use crate::signal::Signal;
use crate::{EngineError, limits};

/// See the module's description.
pub struct Fate {
    process: usize,
    plan: Arc<Plan>,
    /// How the other processes are told; none: this one is alone.
    mail: Option<Arc<Mail>>,
    /// A replay: a source that cannot be read further is told at the end.
    ends_with_sources: bool,
    /// A process that has not been heard of for a while; [`NOBODY`]: there is none.
    silent: Arc<AtomicUsize>,
    /// Since when it is to end, because it was stopped or has failed.
    ending: OnceLock<Instant>,
    /// Everything that was taken is committed, and nothing more comes.
    drained: AtomicBool,
    stopped: AtomicBool,
    /// The process that failed first, and why.
    failure: Mutex<Option<(usize, String)>>,
    source_failures: Mutex<Vec<String>>,
    /// Files of directories that are no logs.
    files_left_out: AtomicU64,
}

impl Fate {
    /// Of an engine that runs.
    #[must_use]
    pub fn new(
        process: usize,
        plan: Arc<Plan>,
        mail: Option<Arc<Mail>>,
        ends_with_sources: bool,
        silent: Option<Arc<AtomicUsize>>,
    ) -> Self {
        Self {
            process,
            plan,
            mail,
            ends_with_sources,
            silent: silent.unwrap_or_else(|| Arc::new(AtomicUsize::new(NOBODY))),
            ending: OnceLock::new(),
            drained: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            failure: Mutex::default(),
            source_failures: Mutex::default(),
            files_left_out: AtomicU64::new(0),
        }
    }

    /// Told of everything threads of the engine wait for.
    #[must_use]
    pub fn signal(&self) -> &Arc<Signal> {
        self.plan.signal()
    }

    /// Notes that a source cannot be read further. A replay ends and tells it; where others go on,
    /// it is logged at once.
    pub fn source_failed(&self, error: &SourceError) {
        if !self.ends_with_sources {
            tracing::error!(%error, "a source cannot be read further");
        }
        self.source_failures.lock().push(error.to_string());
    }

    /// Counts a file of a directory that is no log.
    pub fn left_out(&self) {
        self.files_left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Files of directories that are no logs.
    #[must_use]
    pub fn files_left_out(&self) -> u64 {
        self.files_left_out.load(Ordering::Relaxed)
    }

    /// Why sources could not be read to their end.
    #[must_use]
    pub fn source_failures(&self) -> Vec<String> {
        self.source_failures.lock().clone()
    }

    /// Notes that sources of another process cannot be read further.
    pub fn sources_failed_at(&self, process: usize, failures: Vec<String>) {
        let told = failures.into_iter().map(|failure| format!("process {process}: {failure}"));
        self.source_failures.lock().extend(told);
    }

    /// Stops everything.
    pub fn fail(&self, reason: String) {
        self.failed_at(self.process, reason);
    }

    /// Stops everything, because a process of the cluster has failed.
    pub fn failed_at(&self, process: usize, reason: String) {
        self.failure.lock().get_or_insert((process, reason));
        self.is_to_end();
        self.plan.fail();
        if let Some(mail) = &self.mail {
            mail.forget_questions();
        }
    }

    /// A process of the cluster that has not been heard of for a while, if there is one.
    #[must_use]
    pub fn silent(&self) -> Option<usize> {
        Some(self.silent.load(Ordering::Acquire)).filter(|process| *process != NOBODY)
    }

    /// It is to end within [`limits::END_MAX`] from now on.
    pub fn is_to_end(&self) {
        self.ending.get_or_init(Instant::now);
        self.signal().tell();
    }

    /// How much of [`limits::END_MAX`] is left, if it is to end.
    #[must_use]
    pub fn time_to_end(&self) -> Option<Duration> {
        self.ending.get().map(|since| limits::END_MAX.saturating_sub(since.elapsed()))
    }

    /// Everything that was taken is committed, and nothing more comes.
    pub fn drained(&self) {
        self.drained.store(true, Ordering::Release);
        self.signal().tell();
    }

    /// See [`Fate::drained`].
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Acquire)
    }

    /// Nothing is committed any more: its threads have ended.
    pub fn stopped(&self) {
        self.stopped.store(true, Ordering::Release);
        self.signal().tell();
    }

    /// Whether nothing is committed any more.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire) || self.plan.has_failed()
    }

    /// Why everything stopped, in words.
    #[must_use]
    pub fn why_failed(&self) -> String {
        let failure = self.first_failure();
        failure.map_or_else(|| "its log says why".into(), |(_, reason)| reason)
    }

    /// The process that failed first, and why, if one has.
    #[must_use]
    pub fn first_failure(&self) -> Option<(usize, String)> {
        self.failure.lock().clone()
    }

    /// Why nothing is committed any more, if that is so.
    #[must_use]
    pub fn failure(&self) -> Option<EngineError> {
        if !self.plan.has_failed() {
            return None;
        }
        let unknown = || (self.process, "the reason is in the log".into());
        let (process, reason) = self.first_failure().unwrap_or_else(unknown);
        Some(match process == self.process {
            true => EngineError::Failed(reason),
            false => EngineError::OtherFailed { process, reason },
        })
    }

    /// Tells the other processes why this one stops.
    pub fn say_why(&self) {
        let Some(mail) = &self.mail else { return };
        let unknown = || (self.process, "its log says why".to_owned());
        let (process, reason) = self.first_failure().unwrap_or_else(unknown);
        mail.broadcast(&Note::Failed { process, reason });
    }
}
