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
mod fate;
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
mod serving;
mod signal;
mod sorted;
pub mod sources;
pub mod standing;
pub mod start;
pub mod startup;
pub mod store_tools;
pub mod verify;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use spoor_operators::assign::{Applications, CompiledRules, SecretKey};
use spoor_operators::inventory::Descriptions;
use spoor_operators::rules::RuleSet;
use spoor_operators::rules::edit::EditError;
use spoor_operators::sessionize::backend::SessionChange;
use spoor_operators::time::Day;

use crate::clock::Clock;
use crate::cluster::{ClusterError, Membership, Ownership};
use crate::command::Command;
use crate::fate::Fate;
use crate::guard::Thread;
use crate::health::Health;
use crate::hot::HotBytes;
use crate::mail::{Mail, Note};
use crate::plan::Plan;
use crate::serving::{Published, Serving};
use crate::standing::Standing;
use spoor_api::query::Status;
use spoor_api::service::{PushAnswer, RuleChange, RuleChangeError, ServiceError, Services, View};
use spoor_input::decode::Formats;
use spoor_input::source::named::Named;
use spoor_input::source::opening::Stop;
use spoor_input::source::{SourceError, SourceId};
use spoor_store::{LogLimit, Store, StoreError};

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

/// What the threads that make epochs and commit them share; each takes the part it needs. Reads and
/// subscriptions need [`Serving`] alone, sources and guards of threads [`Fate`].
pub struct Context {
    pub(crate) plan: Arc<Plan>,
    pub(crate) store: Store,
    pub(crate) fate: Arc<Fate>,
    pub(crate) serving: Arc<Serving>,
    pub(crate) place: Place,
    pub(crate) choices: Choices,
    pub(crate) gauges: Gauges,
    pub(crate) rulebook: Rulebook,
    /// Formats of pushes.
    pub(crate) formats: Formats,
}

/// Where an engine stands: its process, and what comes first.
pub(crate) struct Place {
    /// The number of this process.
    pub(crate) process: usize,
    /// Dataflow workers of this process.
    pub(crate) workers: usize,
    pub(crate) ownership: Ownership,
    /// How the other processes are told; none: this one is alone.
    pub(crate) mail: Option<Arc<Mail>>,
    /// Name of the source of what is pushed here.
    pub(crate) push_source: Arc<str>,
    /// The first epoch of this run.
    pub(crate) first_epoch: u64,
}

/// How an engine was told to run.
#[derive(Clone, Copy)]
pub(crate) struct Choices {
    pub(crate) hot_bytes_max: usize,
    pub(crate) limits: EpochLimits,
    pub(crate) ends_with_sources: bool,
    pub(crate) refuses_future: bool,
    pub(crate) remembers_changes: bool,
}

/// What is measured beside the epochs, for the status.
#[derive(Clone)]
pub(crate) struct Gauges {
    /// What the workers hold.
    pub(crate) hot: Arc<HotBytes>,
    /// What is wrong with its sources.
    pub(crate) health: Arc<Health>,
    pub(crate) clock: Arc<Clock>,
}

/// What rules are compiled with.
pub(crate) struct Rulebook {
    pub(crate) key: SecretKey,
    pub(crate) applications: Applications,
    pub(crate) descriptions: Descriptions,
}

impl Rulebook {
    /// Rules ready to be applied.
    pub(crate) fn compile(&self, rules: &RuleSet) -> Result<Arc<CompiledRules>, Vec<EditError>> {
        CompiledRules::new(rules, &self.key, &self.applications, &self.descriptions).map(Arc::new)
    }
}

impl Context {
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
        let changes = self.choices.remembers_changes.then_some(changes);
        self.serving.publish(published, changes);
        Ok(())
    }

    /// Requests the store retains.
    pub(crate) fn retained_requests(&self) -> u64 {
        self.serving.published().numbers.requests
    }

    /// The first day to be retained, by the watermark; where requests from the future are refused,
    /// also by the clock that is believed, so that no time from a wrong clock drops days.
    pub(crate) fn first_day(&self, rules: &CompiledRules) -> Option<Day> {
        let days = rules.rules().settings.retention_days?;
        let watermark = self.serving.published().view.watermark()?;
        let today = match self.choices.refuses_future {
            true => rules.zone().day_of(watermark.min(self.gauges.clock.believed())),
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
        let rules = Arc::new(self.serving.published().rules.rules().clone());
        Some(Ok(RuleChange { rules, effective_epoch }))
    }
}

/// A running engine.
pub struct Engine {
    pub(crate) context: Arc<Context>,
    pub(crate) commands: Sender<Command>,
    pub(crate) pushes: Sender<Command>,
    pub(crate) sources_stop: Stop,
    pub(crate) threads: Vec<Thread>,
    /// Threads of sources: what they would still say is of no use once the others have ended.
    pub(crate) readers: Vec<Thread>,
}

impl Engine {
    /// What it offers.
    #[must_use]
    pub fn services(&self) -> Services {
        reader::services(&self.context.serving, &self.commands, &self.pushes)
    }

    /// Asks it to commit what it took and end, within [`limits::END_MAX`].
    pub fn stop(&self) {
        self.context.fate.is_to_end();
        self.sources_stop.set();
        // It may have ended by itself.
        let _ = self.commands.send(Command::Stop);
    }

    /// Has it stop at once, as after a failed write: nothing more is committed, and the other
    /// processes of the cluster are told why.
    pub fn abandon(&self, reason: &str) {
        self.context.fate.fail(reason.to_owned());
    }

    /// What this process alone says of itself.
    pub fn own_status(&self) -> Result<Status, ServiceError> {
        self.context.serving.view()?.status()
    }

    /// Whether it runs and commits.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.context.fate.is_stopped() && self.threads.iter().any(|thread| !thread.has_ended())
    }

    /// Waits until it does not run any more or is drained, but no longer than this.
    pub fn wait_for_end(&self, most: Duration) {
        let is_over = || (self.is_drained() || !self.is_running()).then_some(());
        self.context.fate.signal().wait(Some(Instant::now() + most), is_over);
    }

    /// Whether everything it took is committed and nothing more comes. The processes of a cluster
    /// whose sources have ended still answer then, until that of the leader is joined.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.context.fate.is_drained()
    }

    /// How many files of directories were left out, because they are no logs.
    #[must_use]
    pub fn files_left_out(&self) -> u64 {
        self.context.fate.files_left_out()
    }

    /// Whether a source could not be read to its end; [`Engine::join`] says why.
    #[must_use]
    pub fn lacks_a_source(&self) -> bool {
        !self.context.fate.source_failures().is_empty()
    }

    /// Whether it is one process of several.
    #[must_use]
    pub fn is_clustered(&self) -> bool {
        self.context.place.mail.is_some()
    }

    /// Whether it orders the epochs of its cluster, or is alone.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.context.place.process == LEADER
    }

    /// Why nothing is committed any more, if that is so.
    #[must_use]
    pub fn failure(&self) -> Option<EngineError> {
        self.context.fate.failure()
    }

    /// Waits until it has ended; in a cluster, until every process has. One that serves then leaves
    /// its store such that the next start is quick. Once it was stopped or has failed, the wait is
    /// bounded by [`limits::END_MAX`]: a thread that has not ended then is left behind.
    ///
    /// # Errors
    /// [`EngineError::Failed`] when it stopped for a reason of its own, [`EngineError::Source`]
    /// when a source could not be read to its end; everything before was committed.
    pub fn join(mut self) -> Result<(), EngineError> {
        if let (Some(mail), true) = (&self.context.place.mail, self.leads()) {
            mail.broadcast(&Note::Released);
            mail.release();
        }
        self.await_threads();
        self.context.fate.stopped();
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        self.await_readers();
        if !self.context.choices.ends_with_sources {
            self.settle();
        }
        let failures = self.context.fate.source_failures();
        if failures.is_empty() { Ok(()) } else { Err(EngineError::Source(failures.join("; "))) }
    }
}
