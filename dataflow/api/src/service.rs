//! The seam between the engine and whoever serves it: reader, change feed, rules, ingest.
//!
//! Everything here is as of a *committed* epoch: what a client saw is never taken back by a crash.
//! Calls of [`Reader`] may block on the disk and are made off the async threads. `graphql` knows
//! these traits and nothing else of the engine; its tests bring their own implementation.

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use serde::{Deserialize, Serialize};

use spoor_operators::identity::{Identity, IdentityId, SessionId};
use spoor_operators::rules::RuleSet;
use spoor_operators::rules::edit::{EditError, RuleEdit};
use spoor_operators::session::Session;
use spoor_operators::time::{Epoch, EventTime};
use tokio::sync::oneshot;

use crate::codes::RefusalCode;
use crate::lineage::{EpochToken, Lineage};
use crate::query::{
    DeadLetterPage, Filter, LetterPlace, Overview, RequestPage, RequestQuery, SessionPage,
    SessionQuery, Status,
};
use crate::values::{self, ValuePage, ValueQuery};

/// Why the engine could not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The store failed; details are in the log.
    #[error("the store could not be read: {0}")]
    Store(String),
    /// The engine is stopping, or has stopped after a failure.
    #[error("the engine is not running")]
    Stopped,
    /// The engine stopped after a failure; the process ends.
    #[error("the engine stopped: {0}")]
    Failed(String),
    /// The epoch asked for was not reached in time.
    #[error("epoch {0} is not committed yet")]
    NotYet(u64),
    /// A limit was hit; the text says which and what to do.
    #[error("{0}")]
    Limit(String),
    /// Nobody waits for the answer any more.
    #[error("the read was given up: nobody waits for its answer")]
    Unwanted,
    /// The key was used for another push.
    #[error("this idempotency key was used for another push")]
    KeyReused,
    /// A push of a format that is not known; the text says which there are.
    #[error("{0}")]
    UnknownFormat(String),
    /// Another process of the cluster did not answer in time; asking again may help.
    #[error("process {0} of the cluster does not answer; try again")]
    Unanswered(usize),
    /// The epoch a read began with is no longer remembered by every process; to be begun again.
    #[error("epoch {0} is no longer remembered; try again")]
    Gone(u64),
    /// The engine is not up yet; the text says what is done or waited for.
    #[error("the server is starting: {0}")]
    Starting(String),
    /// Another process of the cluster said what is not understood; details are in the log.
    #[error("process {process} of the cluster is not understood: {reason}")]
    Peer {
        /// Which one.
        process: usize,
        /// What was wrong.
        reason: String,
    },
}

/// Reads as of a committed epoch.
pub trait Reader: Send + Sync + 'static {
    /// Whether the engine answers and takes requests: the newest epoch seen here, or why not. Asks
    /// nobody and never blocks.
    ///
    /// # Errors
    /// [`ServiceError::Starting`], [`ServiceError::Stopped`], [`ServiceError::Failed`];
    /// [`ServiceError::Unanswered`] while another process of the cluster is silent.
    fn ready(&self) -> Result<Epoch, ServiceError> {
        self.view().map(|view| view.epoch())
    }

    /// A view that stays at the newest committed epoch while it is held. Hold it briefly.
    ///
    /// # Errors
    /// [`ServiceError::Stopped`], [`ServiceError::Failed`].
    fn view(&self) -> Result<Arc<dyn View>, ServiceError>;

    /// A view of one epoch: the newest, or one that is still kept for a list
    /// ([`View::keep_for_list`]).
    ///
    /// # Errors
    /// [`ServiceError::Gone`] when it is no longer kept, [`ServiceError::Stopped`]. In a cluster the
    /// reads of the view may say [`ServiceError::Gone`], too.
    fn view_at(&self, epoch: Epoch) -> Result<Arc<dyn View>, ServiceError>;

    /// Waits until an epoch is committed.
    ///
    /// # Errors
    /// [`ServiceError::NotYet`] after `timeout`.
    fn wait_for(&self, epoch: Epoch, timeout: Duration) -> Result<(), ServiceError>;
}

/// Everything as of one epoch. In a cluster every read may also fail because another process does
/// not answer: [`ServiceError::Unanswered`], [`ServiceError::Gone`], [`ServiceError::Peer`].
pub trait View: Send + Sync {
    /// That epoch.
    fn epoch(&self) -> Epoch;

    /// The watermark then; sessions whose close it has not reached are open.
    fn watermark(&self) -> Option<EventTime>;

    /// When a session closes: `end + gap`, or the next day's start if that is sooner.
    fn closes_at(&self, session: &Session) -> EventTime;

    /// Whether the previous neighbour lies closer than the gap on the other side of midnight; it,
    /// if so.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    fn continues(&self, session: &Session) -> Result<Option<SessionId>, ServiceError>;

    /// Keeps the epoch for the next page of a list: for minutes, unless many others are kept after
    /// it or much is written meanwhile. Then [`Reader::view_at`] says it is gone.
    fn keep_for_list(&self) {}

    /// A page of sessions.
    ///
    /// # Errors
    /// [`ServiceError::Store`], [`ServiceError::Limit`].
    fn sessions(&self, query: &SessionQuery) -> Result<SessionPage, ServiceError>;

    /// The session of that identity that contains the id's instant.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    fn session(&self, id: SessionId) -> Result<Option<Arc<Session>>, ServiceError>;

    /// Values of a session by a field. Sessions of lists and subscriptions may be without them
    /// (`Breakdown::is_head`): they are then those of the session that contains its start now.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    fn values(&self, session: &Session, query: &ValueQuery) -> Result<ValuePage, ServiceError> {
        Ok(values::of(session, query))
    }

    /// An identity that has at least one retained session.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    fn identity(&self, id: IdentityId) -> Result<Option<Arc<Identity>>, ServiceError>;

    /// Requests of a session.
    ///
    /// # Errors
    /// [`ServiceError::Store`], [`ServiceError::Limit`].
    fn requests(
        &self,
        session: &Session,
        query: &RequestQuery,
    ) -> Result<RequestPage, ServiceError>;

    /// Totals of a range of event time and, with a step, their series. The range is whole minutes:
    /// `from` is rounded down to one, `until` up. Steps shorter than a day are counted from the
    /// begin of each day in the store's zone, steps of whole days are its days (weeks begin on
    /// Mondays), others are counted from the Unix epoch.
    ///
    /// # Errors
    /// [`ServiceError::Store`], [`ServiceError::Limit`] for more than 10,000 steps in which
    /// something happened.
    fn overview(
        &self,
        from: Option<EventTime>,
        until: Option<EventTime>,
        step_minutes: Option<u32>,
    ) -> Result<Overview, ServiceError>;

    /// From the begin of the first retained day to the end of the last; none while nothing is
    /// retained.
    ///
    /// # Errors
    /// Another process does not answer.
    fn retained(&self) -> Result<Option<(EventTime, EventTime)>, ServiceError>;

    /// The rules in force.
    fn rules(&self) -> Arc<RuleSet>;

    /// Refused records, newest first, those before `before` only.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    fn dead_letters(
        &self,
        first: usize,
        before: Option<LetterPlace>,
    ) -> Result<DeadLetterPage, ServiceError>;

    /// State of the whole.
    ///
    /// # Errors
    /// Another process does not answer.
    fn status(&self) -> Result<Status, ServiceError>;
}

/// Which changes a subscriber wants.
#[derive(Clone, Debug)]
pub struct ChangesQuery {
    /// Of the sessions it selects.
    pub filter: Filter,
    /// Where the subscriber was: the differences after it, if it is an epoch of this store that is
    /// still remembered. Otherwise, and without it, a snapshot comes first.
    pub since: Option<EpochToken>,
    /// Sessions of a snapshot, at most; the newest ones.
    pub snapshot: usize,
    /// Least time between two events: what happens meanwhile is merged by session.
    pub interval: Duration,
}

impl ChangesQuery {
    /// All changes of the sessions a filter selects, after a snapshot.
    #[must_use]
    pub fn of(filter: Filter, snapshot: usize) -> Self {
        Self { filter, since: None, snapshot, interval: Duration::ZERO }
    }
}

/// Pushes what each epoch changed.
pub trait ChangeFeed: Send + Sync + 'static {
    /// A subscription to changes of sessions.
    ///
    /// # Errors
    /// [`ServiceError::Limit`] when there are too many subscribers.
    fn session_changes(&self, query: ChangesQuery) -> Result<Box<dyn Changes>, ServiceError>;

    /// Which epochs are of this store: makes the tokens clients are given, and reads those they
    /// hand back.
    fn lineage(&self) -> Arc<Lineage>;

    /// The newest committed epoch, as it moves. Conflating: a slow reader sees the latest only.
    fn epochs(&self) -> tokio::sync::watch::Receiver<Epoch>;
}

/// A subscription. Bounded: what a slow reader has not fetched is merged by session.
///
/// Waiting and taking are two steps, so that whoever serves many subscribers can bound how many of
/// their events are in memory at one time.
pub trait Changes: Send {
    /// Waits until there may be something to tell; false when the engine stopped. Cancel safe.
    fn ready(&mut self) -> BoxFuture<'_, bool>;

    /// What there is to tell; none when nothing the filter selects has changed. Cancel safe.
    ///
    /// # Errors
    /// [`ServiceError::Stopped`] when the engine stopped; otherwise why it cannot be read, after
    /// which nothing comes any more.
    fn take(&mut self) -> BoxFuture<'_, Result<Option<Event>, ServiceError>>;

    /// The next event; none when the engine stopped. Cancel safe.
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Event, ServiceError>>> {
        Box::pin(async move {
            while self.ready().await {
                match self.take().await {
                    Ok(None) => {}
                    Ok(Some(event)) => return Some(Ok(event)),
                    Err(ServiceError::Stopped) => return None,
                    Err(error) => return Some(Err(error)),
                }
            }
            None
        })
    }
}

/// What a subscriber gets.
#[derive(Clone, Debug)]
pub enum Event {
    /// The state as of an epoch. First, and again if the reader fell too far behind to be told
    /// differences.
    Snapshot {
        /// As of this epoch.
        epoch: Epoch,
        /// Newest start first.
        sessions: Vec<Arc<Session>>,
        /// More match than were sent.
        truncated: bool,
    },
    /// What changed up to and with an epoch, each session at most once.
    Changes {
        /// Up to and with this epoch.
        epoch: Epoch,
        /// Began to match.
        added: Vec<Arc<Session>>,
        /// Matched and changed. A session may be here although it did not match before, where that
        /// is not known any more: it was very large, or it depends on requests it had.
        updated: Vec<Arc<Session>>,
        /// No longer match, or are gone. For the same reasons one may be here that never matched.
        removed: Vec<SessionId>,
    },
    /// Nothing that matches changed up to and with an epoch: to resume from it later.
    Progress {
        /// Up to and with this epoch.
        epoch: Epoch,
    },
}

impl Event {
    /// What it tells of is up to and with this epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Snapshot { epoch, .. }
            | Self::Changes { epoch, .. }
            | Self::Progress { epoch } => *epoch,
        }
    }

    /// Whether it tells of no session, and is no snapshot.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Snapshot { .. } => false,
            Self::Changes { added, updated, removed, .. } => {
                added.is_empty() && updated.is_empty() && removed.is_empty()
            }
            Self::Progress { .. } => true,
        }
    }
}

/// Changes the rules.
pub trait RuleAdmin: Send + Sync + 'static {
    /// Applies an edit. The answer comes when the change is committed: from its epoch on new
    /// requests follow it, and the retained past is being regrouped.
    ///
    /// `key` makes a repeat harmless: the same key answers what it answered the first time.
    fn change(
        &self,
        edit: RuleEdit,
        expected_version: Option<u64>,
        key: Option<String>,
    ) -> oneshot::Receiver<Result<RuleChange, RuleChangeError>>;
}

/// An accepted change of rules.
#[derive(Clone, Debug)]
pub struct RuleChange {
    /// The rules now in force.
    pub rules: Arc<RuleSet>,
    /// The first epoch under them.
    pub effective_epoch: Epoch,
}

/// A refused change of rules.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RuleChangeError {
    /// Somebody else changed them first.
    #[error("the rules are at version {}, not at the expected one", .current.version)]
    Conflict {
        /// The rules in force.
        current: Arc<RuleSet>,
    },
    /// The edit is wrong; nothing changed.
    #[error("the change is refused")]
    Invalid(Vec<EditError>),
    /// The key was used for another edit.
    #[error("this idempotency key was used for another change")]
    KeyReused,
    /// The engine failed.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// Takes pushed records.
pub trait Ingest: Send + Sync + 'static {
    /// Takes records. The answer comes when their epoch is committed.
    fn take(&self, push: Push) -> oneshot::Receiver<Result<PushAnswer, ServiceError>>;

    /// Takes a body of native records; see [`Ingest::take`].
    fn push(
        &self,
        body: bytes::Bytes,
        key: Option<String>,
    ) -> oneshot::Receiver<Result<PushAnswer, ServiceError>> {
        self.take(Push { body, format: None, key })
    }
}

/// Records that a client pushes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// A whole input of its format. One JSON array may stand for lines of JSON.
    pub body: bytes::Bytes,
    /// Name of a built-in format, of a configured mapping, or `auto`; absent: native records.
    pub format: Option<String>,
    /// Makes a repeat harmless: the same key answers what it answered the first time, and is
    /// refused ([`ServiceError::KeyReused`]) with another body or format.
    pub key: Option<String>,
}

impl Push {
    /// A hash of what is pushed, which tells a repeat from another use of its key.
    #[must_use]
    pub fn content_hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let format = self.format.as_deref().unwrap_or_default();
        hasher.update(format.as_bytes()).update(&[0]).update(&self.body);
        *hasher.finalize().as_bytes()
    }
}

/// What became of a push.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushAnswer {
    /// The epoch it is committed in.
    pub epoch: u64,
    /// By outcome.
    pub counts: crate::query::SourceCounts,
    /// Refused lines, the first of them only when there are very many.
    pub errors: Vec<PushError>,
}

/// A refused line of a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushError {
    /// Line number, from 1; of an array, an archive or a mapped document the record's number.
    pub line: u64,
    /// Closed code.
    pub code: RefusalCode,
    /// In words.
    pub reason: String,
}

/// All four, as the program hands them to the server.
#[derive(Clone)]
pub struct Services {
    /// Reads.
    pub reader: Arc<dyn Reader>,
    /// Pushes changes.
    pub feed: Arc<dyn ChangeFeed>,
    /// Changes rules.
    pub admin: Arc<dyn RuleAdmin>,
    /// Takes records.
    pub ingest: Arc<dyn Ingest>,
}
