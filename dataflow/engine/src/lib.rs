//! The engine: threads, epochs, the graph, commit, and the services it offers.
//!
//! One coordinator makes epochs, timely's workers process them, one committer makes each durable
//! and visible; a few threads read the sources. `plan.rs` is where they meet. The engine ends when it is
//! told to, or, for a replay, when its sources have ended; it then has committed everything it took.
//! After a failure nothing more is committed, every service answers that the engine is stopped, and
//! [`Engine::join`] says why: the next start resumes from the last committed epoch.
//!
//! Beside the running engine this crate has the cluster it may belong to ([`cluster`]) and the jobs
//! over a store: [`replay`], [`verify`], [`reshape`], [`store_tools`]. It knows the store, the
//! sources and the API, and nothing of GraphQL, HTTP or the configuration file.

pub mod answers;
pub mod ask;
pub mod backend;
pub mod backfill;
pub mod clock;
pub mod cluster;
pub mod command;
pub mod committer;
pub mod coordinator;
pub mod divide;
mod ending;
pub mod feed;
pub mod graph;
mod guard;
pub mod health;
pub mod hot;
pub mod identify;
pub mod ingest;
pub mod inputs;
pub mod join;
pub mod keys;
pub mod limits;
mod line;
pub mod mail;
mod marker;
pub mod open_sessions;
pub mod overview;
pub mod plan;
pub mod progress;
pub mod reader;
pub mod regroup;
pub mod replay;
pub mod reshape;
pub mod rule_changes;
pub mod rules;
mod sorted;
pub mod sources;
pub mod standing;
pub mod start;
pub mod startup;
pub mod store_tools;
pub mod verify;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::Sender;
use parking_lot::Mutex;
use spoor_operators::assign::{Applications, CompiledRules, SecretKey};
use spoor_operators::inventory::Descriptions;
use spoor_operators::rules::RuleSet;
use spoor_operators::rules::edit::EditError;
use spoor_operators::sessionize::backend::SessionChange;
use spoor_operators::time::Day;

use crate::ask::forward::Forwarded;
use crate::ask::history::History;
use crate::ask::lists::Lists;
use crate::ask::{Answerer, Peers};
use crate::clock::Clock;
use crate::cluster::{ClusterError, Membership, NOBODY, Ownership};
use crate::command::Command;
use crate::feed::Feed;
use crate::health::Health;
use crate::hot::HotBytes;
use crate::mail::{Mail, Note};
use crate::plan::Plan;
use crate::standing::Standing;
use spoor_api::lineage::Lineage;
use spoor_api::query::Status;
use spoor_api::service::{PushAnswer, RuleChange, RuleChangeError, ServiceError, Services, View};
use spoor_input::decode::Formats;
use spoor_input::source::named::Named;
use spoor_input::source::opening::Stop;
use spoor_input::source::{SourceError, SourceId};
use spoor_store::{LogLimit, Store, StoreError, StoreNumbers, StoreView};

/// The process that orders epochs and changes of rules.
pub const LEADER: usize = 0;
/// Name of the source of pushed records.
pub const PUSH_SOURCE: &str = "push";
/// Its number; the others follow.
pub const PUSH_SOURCE_ID: SourceId = SourceId(0);

/// What an engine is started with.
pub struct Settings {
    /// Its state; the engine is its only writer.
    pub store: Store,
    /// The rules of a store that has none; a store with rules keeps its own.
    pub rules: RuleSet,
    /// Key of the hashes of secret values.
    pub key: SecretKey,
    /// Which application a request belongs to.
    pub applications: Applications,
    /// API descriptions.
    pub descriptions: Descriptions,
    /// Formats of pushes.
    pub formats: Formats,
    /// What is read, besides what is pushed.
    pub sources: Vec<Named>,
    /// The cluster this process belongs to; none: it is alone.
    pub cluster: Option<Membership>,
    /// Dataflow workers of this process.
    pub workers: usize,
    /// Budget of hot state, all workers together.
    pub hot_bytes_max: usize,
    /// When epochs close.
    pub epochs: EpochLimits,
    /// End when the sources have ended.
    pub ends_with_sources: bool,
    /// Refuse requests too far ahead of the wall clock.
    pub refuses_future: bool,
    /// Keep what each epoch changed for subscribers.
    pub remembers_changes: bool,
}

/// When epochs close.
#[derive(Clone, Copy, Debug)]
pub struct EpochLimits {
    /// Age, when nothing waits.
    pub age_min: Duration,
    /// Age, whatever waits.
    pub age_max: Duration,
    /// Bytes of input.
    pub bytes_max: usize,
    /// Retained requests a worker looks at in one for a change of rules, and what more there is in a
    /// block of the log. An identity-day with more is taken in pieces.
    pub regroup_requests: usize,
}

impl EpochLimits {
    /// Of one process among several: an epoch is what all bring.
    pub(crate) fn of_a_cluster(self) -> Self {
        Self { bytes_max: self.bytes_max.min(limits::EPOCH_BYTES_CLUSTER_MAX), ..self }
    }

    /// What is read of the log at once.
    pub(crate) fn regroup(self) -> LogLimit {
        LogLimit { requests: self.regroup_requests, bytes: limits::REGROUP_SLICE_BYTES }
    }
}

impl Default for EpochLimits {
    fn default() -> Self {
        Self {
            age_min: limits::EPOCH_AGE_MIN,
            age_max: limits::EPOCH_AGE_MAX,
            bytes_max: limits::EPOCH_BYTES_MAX,
            regroup_requests: limits::REGROUP_SLICE,
        }
    }
}

/// Why an engine could not start, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A source cannot be opened or read further.
    #[error("{0}")]
    Source(String),
    /// The rules cannot be in force.
    #[error("the rules are wrong: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Rules(Vec<EditError>),
    /// The system refused a thread.
    #[error("a thread cannot be started: {0}")]
    Thread(String),
    /// The processes do not fit together, or cannot reach each other.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Another process of the cluster failed first.
    #[error("process {process} of the cluster failed, so this one stopped: {reason}")]
    OtherFailed {
        /// Which.
        process: usize,
        /// Why.
        reason: String,
    },
    /// Its start was given up before it was done.
    #[error("the start was given up")]
    Cancelled,
    /// Something failed while it ran.
    #[error("the engine stopped: {0}")]
    Failed(String),
}

impl From<SourceError> for EngineError {
    fn from(error: SourceError) -> Self {
        Self::Source(error.to_string())
    }
}

/// What the engine's threads share.
pub struct Context {
    pub(crate) plan: Arc<Plan>,
    pub(crate) store: Store,
    pub(crate) feed: Feed,
    pub(crate) hot: Arc<HotBytes>,
    /// What is wrong with its sources.
    pub(crate) health: Arc<Health>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) workers: usize,
    /// The number of this process.
    pub(crate) process: usize,
    /// Which epochs are of this store, or of the whole cluster.
    pub(crate) lineage: Arc<Lineage>,
    pub(crate) ownership: Ownership,
    /// How the other processes are told; none: this one is alone.
    pub(crate) mail: Option<Arc<Mail>>,
    /// Name of the source of what is pushed here.
    pub(crate) push_source: Arc<str>,
    pub(crate) first_epoch: u64,
    pub(crate) hot_bytes_max: usize,
    pub(crate) limits: EpochLimits,
    pub(crate) ends_with_sources: bool,
    pub(crate) refuses_future: bool,
    pub(crate) remembers_changes: bool,
    /// The other processes; none: this one is alone.
    pub peers: OnceLock<Arc<dyn Peers>>,
    /// Answers what they ask.
    pub(crate) answerer: OnceLock<Arc<dyn Answerer>>,
    pub(crate) history: History,
    pub(crate) lists: Lists,
    pub(crate) forwarded: Forwarded,
    published: ArcSwap<Published>,
    key: SecretKey,
    applications: Applications,
    descriptions: Descriptions,
    pub(crate) formats: Formats,
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

/// What everybody may see: the engine as of a committed epoch.
pub struct Published {
    /// The store then.
    pub view: Arc<StoreView>,
    /// The rules in force then.
    pub rules: Arc<CompiledRules>,
    /// Numbers of the store then.
    pub numbers: StoreNumbers,
}

impl Context {
    /// Rules ready to be applied.
    pub(crate) fn compile(&self, rules: &RuleSet) -> Result<Arc<CompiledRules>, Vec<EditError>> {
        CompiledRules::new(rules, &self.key, &self.applications, &self.descriptions).map(Arc::new)
    }

    /// What everybody may see now.
    pub(crate) fn published(&self) -> Arc<Published> {
        self.published.load_full()
    }

    /// Lets everybody see a committed epoch.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn publish(
        &self,
        standing: Standing,
        rules: &Arc<CompiledRules>,
        changes: Vec<SessionChange>,
    ) -> Result<(), StoreError> {
        let published = Published::of(&self.store, standing, rules)?;
        let epoch = published.view.epoch();
        // Whoever sees the epoch finds its changes, and whoever is told of it sees it.
        if self.remembers_changes {
            self.feed.remember(epoch, changes);
        }
        self.let_see(published);
        if self.remembers_changes {
            self.feed.announce(epoch);
        }
        Ok(())
    }

    /// Requests the store retains.
    pub(crate) fn retained_requests(&self) -> u64 {
        self.published().numbers.requests
    }

    /// The first day to be retained, by the watermark; where requests from the future are refused,
    /// also by the clock that is believed, so that no time from a wrong clock drops days.
    pub(crate) fn first_day(&self, rules: &CompiledRules) -> Option<Day> {
        let days = rules.rules().settings.retention_days?;
        let watermark = self.published().view.watermark()?;
        let today = match self.refuses_future {
            true => rules.zone().day_of(watermark.min(self.clock.believed())),
            false => rules.zone().day_of(watermark),
        };
        Some(Day(today.0.saturating_sub(i32::try_from(days).unwrap_or(i32::MAX))))
    }

    /// What a push with this key was answered, if it was; refused if another body was pushed.
    pub(crate) fn remembered_push(
        &self,
        key: &str,
        content: [u8; 32],
    ) -> Option<Result<PushAnswer, ServiceError>> {
        let answer = self.store.answered(&answers::push_key(key)).transpose()?;
        Some(match answer {
            Ok(answer) => match answers::read_pushed(&answer, content) {
                Ok(answer) => answer.ok_or(ServiceError::KeyReused),
                Err(error) => Err(ServiceError::Store(error.to_string())),
            },
            Err(error) => Err(ServiceError::Store(error.to_string())),
        })
    }

    /// What a change with this key was answered, if it was. The rules are those of now.
    pub(crate) fn remembered_change(
        &self,
        key: &str,
        edit: &[u8],
    ) -> Option<Result<RuleChange, RuleChangeError>> {
        let answer = self.store.answered(&answers::change_key(key)).transpose()?;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Some(Err(ServiceError::Store(error.to_string()).into())),
        };
        let (effective_epoch, same) = answers::read_change(&answer, edit)?;
        if !same {
            return Some(Err(RuleChangeError::KeyReused));
        }
        let rules = Arc::new(self.published().rules.rules().clone());
        Some(Ok(RuleChange { rules, effective_epoch }))
    }

    /// Notes that a source cannot be read further. A replay ends and tells it; where others go on,
    /// it is logged at once.
    pub(crate) fn source_failed(&self, error: &SourceError) {
        if !self.ends_with_sources {
            tracing::error!(%error, "a source cannot be read further");
        }
        self.source_failures.lock().push(error.to_string());
    }

    /// Counts a file of a directory that is no log.
    pub(crate) fn left_out(&self) {
        self.files_left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Why sources could not be read to their end.
    pub(crate) fn source_failures(&self) -> Vec<String> {
        self.source_failures.lock().clone()
    }

    /// Notes that sources of another process cannot be read further.
    pub(crate) fn sources_failed_at(&self, process: usize, failures: Vec<String>) {
        let told = failures.into_iter().map(|failure| format!("process {process}: {failure}"));
        self.source_failures.lock().extend(told);
    }

    /// Stops everything.
    pub(crate) fn fail(&self, reason: String) {
        self.failed_at(self.process, reason);
    }

    /// Stops everything, because a process of the cluster has failed.
    pub(crate) fn failed_at(&self, process: usize, reason: String) {
        self.failure.lock().get_or_insert((process, reason));
        self.is_to_end();
        self.plan.fail();
        if let Some(mail) = &self.mail {
            mail.forget_questions();
        }
    }

    /// A process of the cluster that has not been heard of for a while, if there is one.
    pub(crate) fn silent(&self) -> Option<usize> {
        Some(self.silent.load(Ordering::Acquire)).filter(|process| *process != NOBODY)
    }

    /// It is to end within [`limits::END_MAX`] from now on.
    pub(crate) fn is_to_end(&self) {
        self.ending.get_or_init(Instant::now);
    }

    /// How much of [`limits::END_MAX`] is left, if it is to end.
    fn time_to_end(&self) -> Option<Duration> {
        self.ending.get().map(|since| limits::END_MAX.saturating_sub(since.elapsed()))
    }

    /// Why everything stopped.
    pub(crate) fn why_failed(&self) -> String {
        let failure = self.failure.lock();
        failure.as_ref().map_or_else(|| "its log says why".into(), |(_, reason)| reason.clone())
    }

    /// The process that failed first, and why, if one has.
    fn first_failure(&self) -> Option<(usize, String)> {
        self.failure.lock().clone()
    }

    /// Tells the other processes why this one stops.
    pub(crate) fn say_why(&self) {
        let Some(mail) = &self.mail else { return };
        let unknown = || (self.process, "its log says why".to_owned());
        let (process, reason) = self.failure.lock().clone().unwrap_or_else(unknown);
        mail.broadcast(&Note::Failed { process, reason });
    }

    /// Whether nothing is committed any more.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire) || self.plan.has_failed()
    }
}

/// A running engine.
pub struct Engine {
    pub(crate) context: Arc<Context>,
    pub(crate) commands: Sender<Command>,
    pub(crate) pushes: Sender<Command>,
    pub(crate) sources_stop: Stop,
    pub(crate) threads: Vec<JoinHandle<()>>,
    /// Threads of sources: what they would still say is of no use once the others have ended.
    pub(crate) readers: Vec<JoinHandle<()>>,
}

impl Engine {
    /// What it offers.
    #[must_use]
    pub fn services(&self) -> Services {
        reader::services(&self.context, &self.commands, &self.pushes)
    }

    /// Asks it to commit what it took and end, within [`limits::END_MAX`].
    pub fn stop(&self) {
        self.context.is_to_end();
        self.sources_stop.set();
        // It may have ended by itself.
        let _ = self.commands.send(Command::Stop);
    }

    /// Has it stop at once, as after a failed write: nothing more is committed, and the other
    /// processes of the cluster are told why.
    pub fn abandon(&self, reason: &str) {
        self.context.fail(reason.to_owned());
    }

    /// What this process alone says of itself.
    pub fn own_status(&self) -> Result<Status, ServiceError> {
        self.context.view()?.status()
    }

    /// Whether it runs and commits.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.context.is_stopped() && self.threads.iter().any(|thread| !thread.is_finished())
    }

    /// Whether everything it took is committed and nothing more comes. The processes of a cluster
    /// whose sources have ended still answer then, until that of the leader is joined.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.context.drained.load(Ordering::Acquire)
    }

    /// How many files of directories were left out, because they are no logs.
    #[must_use]
    pub fn files_left_out(&self) -> u64 {
        self.context.files_left_out.load(Ordering::Relaxed)
    }

    /// Whether a source could not be read to its end; [`Engine::join`] says why.
    #[must_use]
    pub fn lacks_a_source(&self) -> bool {
        !self.context.source_failures().is_empty()
    }

    /// Whether it is one process of several.
    #[must_use]
    pub fn is_clustered(&self) -> bool {
        self.context.mail.is_some()
    }

    /// Whether it orders the epochs of its cluster, or is alone.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.context.process == LEADER
    }

    /// Why nothing is committed any more, if that is so.
    #[must_use]
    pub fn failure(&self) -> Option<EngineError> {
        if !self.context.plan.has_failed() {
            return None;
        }
        let unknown = || (self.context.process, "the reason is in the log".into());
        let (process, reason) = self.context.failure.lock().clone().unwrap_or_else(unknown);
        Some(match process == self.context.process {
            true => EngineError::Failed(reason),
            false => EngineError::OtherFailed { process, reason },
        })
    }

    /// Waits until it has ended; in a cluster, until every process has. One that serves then leaves
    /// its store such that the next start is quick. Once it was stopped or has failed, the wait is
    /// bounded by [`limits::END_MAX`]: a thread that has not ended then is left behind.
    ///
    /// # Errors
    /// [`EngineError::Failed`] when it stopped for a reason of its own, [`EngineError::Source`]
    /// when a source could not be read to its end; everything before was committed.
    pub fn join(mut self) -> Result<(), EngineError> {
        if let (Some(mail), true) = (&self.context.mail, self.leads()) {
            mail.broadcast(&Note::Released);
            mail.release();
        }
        self.await_threads();
        self.context.stopped.store(true, Ordering::Release);
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        self.await_readers();
        if !self.context.ends_with_sources {
            self.settle();
        }
        let failures = self.context.source_failures();
        if failures.is_empty() { Ok(()) } else { Err(EngineError::Source(failures.join("; "))) }
    }
}
