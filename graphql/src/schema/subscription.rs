//! Subscriptions: the state, then what changes, each epoch at most once.
//!
//! A stream is only asked for its next event when its transport can take one, and the feed merges
//! what was not fetched: nothing here holds a queue.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, ID, SimpleObject, Subscription as GraphqlSubscription};
use futures_util::{Stream, stream};
use spoor_api::service::{Changes, ChangesQuery, Event, ServiceError};
use spoor_operators::identity::SessionId;
use spoor_operators::time::Epoch;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::filter::{SessionFilter, sessions as session_filter};
use super::ids::GlobalId;
use super::operation::{Operation, Snapshot, bad};
use super::overview::{Overview, OverviewRange};
use super::page;
use super::scalars::{EpochToken, Long};
use super::session::SessionNode;
use super::status::Status;
use crate::error::ApiError;
use crate::subscribers::Subscribers;

/// Sessions of a snapshot unless asked otherwise.
const SNAPSHOT_DEFAULT: usize = 100;
/// Most sessions of a snapshot.
const SNAPSHOT_MAX: usize = 1_000;
/// Least time a client may ask for between two events.
const INTERVAL_MIN_MS: i32 = 100;
/// Least time between two events unless asked otherwise.
const INTERVAL_DEFAULT_MS: i32 = 1_000;
/// Longest time a client may ask for between two events of a whole-value subscription.
const INTERVAL_MAX_MS: i32 = 3_600_000;
/// The same of changes, which are remembered for a time only.
const CHANGES_INTERVAL_MAX_MS: i32 = 60_000;

/// What changed among the sessions a filter selects, up to and including an epoch. An event that tells of
/// no session says that nothing changed up to its epoch: resume from it.
#[derive(SimpleObject)]
pub struct SessionChanges {
    /// This epoch and everything before it is told.
    pub epoch: Long,
    /// That epoch, to be handed back: give the last one that was told as `since` to resume.
    pub epoch_token: EpochToken,
    /// This is the whole state: forget what you had, `added` is all there is. It comes first, and
    /// again when the reader fell so far behind that differences cannot be told any more.
    pub snapshot: bool,
    /// Of a snapshot: more sessions match than were sent (the newest ones were).
    pub truncated: bool,
    /// Began to match.
    pub added: Vec<SessionNode>,
    /// Matched before and changed: their latest state. It is not always known whether a session
    /// matched before: take one that you do not have as added.
    pub updated: Vec<SessionNode>,
    /// No longer match, or are gone. Ignore those that you do not have.
    pub removed: Vec<RemovedSession>,
    /// Held until everything is resolved.
    #[graphql(skip)]
    _turn: Option<OwnedSemaphorePermit>,
}

/// A session that no longer matches.
#[derive(SimpleObject)]
pub struct RemovedSession {
    /// Global id.
    pub id: ID,
    /// `<identity>.<start>`.
    pub session_id: String,
}

impl From<SessionId> for RemovedSession {
    fn from(id: SessionId) -> Self {
        Self { id: GlobalId::Session(id).encode(), session_id: id.to_string() }
    }
}

impl SessionChanges {
    fn new(
        event: Event,
        at: &Snapshot,
        operation: &Operation,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let epoch = Long::from(event.epoch().0);
        let none = Self {
            epoch,
            epoch_token: operation.token_of(epoch),
            snapshot: false,
            truncated: false,
            added: Vec::new(),
            updated: Vec::new(),
            removed: Vec::new(),
            _turn: turn,
        };
        let nodes = |sessions: Vec<Arc<_>>| -> Vec<SessionNode> {
            sessions.into_iter().map(|session| SessionNode::new(session, at.clone())).collect()
        };
        match event {
            Event::Snapshot { sessions, truncated, .. } => {
                Self { snapshot: true, truncated, added: nodes(sessions), ..none }
            }
            Event::Changes { added, updated, removed, .. } => Self {
                added: nodes(added),
                updated: nodes(updated),
                removed: removed.into_iter().map(RemovedSession::from).collect(),
                ..none
            },
            Event::Progress { .. } => none,
        }
    }
}

/// Live views. A slow reader gets the latest value, never a queue of old ones.
pub struct Subscription;

/// Live views. A slow reader gets the latest value, never a queue of old ones.
#[GraphqlSubscription]
impl Subscription {
    /// The sessions a filter selects: the newest of them (`snapshot`, at most 1000; 100 unless
    /// given), then what changes, at most once in `intervalMs` (from 100 to 60000; 1000 unless
    /// given): several changes of one session are told as one. With `since`, the `epochToken` of an
    /// event or a page that was seen before: what changed after it, or a snapshot if that is no
    /// longer remembered, or never was of this store. While nothing changes, an event without
    /// sessions tells how far that is known, about every ten seconds.
    #[graphql(complexity = "page::cost(None, child_complexity)")]
    async fn session_changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which sessions; absent: all.")] filter: Option<SessionFilter>,
        #[graphql(desc = "An epoch that was seen: only what changed after it is told.")]
        since: Option<EpochToken>,
        #[graphql(desc = "At most this many sessions at first; 0 to 1000, 100 unless given.")]
        snapshot: Option<i32>,
        #[graphql(desc = "Least time between two events; 100 to 60000 ms, 1000 unless given.")]
        interval_ms: Option<i32>,
    ) -> Result<impl Stream<Item = Result<SessionChanges, ApiError>> + use<>, ApiError> {
        let filter = session_filter(filter)?;
        let query = ChangesQuery {
            filter,
            since: since.map(|EpochToken(token)| token),
            snapshot: page::bounded("snapshot", snapshot, SNAPSHOT_DEFAULT, SNAPSHOT_MAX)?,
            interval: interval(interval_ms, CHANGES_INTERVAL_MAX_MS)?,
        };
        Operation::of(ctx)?.reached().await?;
        let operation = Operation::of(ctx)?.again();
        let feed = operation.services().feed.clone();
        let changes = operation.blocking(move || feed.session_changes(query)).await?;
        let subscribers = ctx.data_opt::<Arc<Subscribers>>().cloned();
        let state = ChangesState { operation, subscribers, changes: Some(changes) };
        Ok(stream::unfold(state, next_changes))
    }

    /// The overview of a range, whenever an epoch is committed, at most once in `intervalMs`
    /// (at least 100; 1000 unless given).
    #[graphql(complexity = "page::cost(None, child_complexity)")]
    async fn overview_changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which part of event time, in which steps.")] range: Option<OverviewRange>,
        #[graphql(desc = "Least time between two events; 100 to 3600000 ms, 1000 unless given.")]
        interval_ms: Option<i32>,
    ) -> Result<impl Stream<Item = Result<Overview, ApiError>> + use<>, ApiError> {
        let range = range.unwrap_or_default();
        let wants_series = ctx.look_ahead().field("series").exists();
        let pace = Pace::new(ctx, interval_ms).await?;
        Ok(stream::unfold(pace, move |mut pace: Pace| async move {
            let value = match pace.next().await? {
                Ok(at) => Overview::read(&at, range, wants_series).await,
                Err(error) => Err(error),
            };
            pace.failed = value.is_err();
            Some((value, pace))
        }))
    }

    /// The state of the whole, whenever an epoch is committed, at most once in `intervalMs` (at
    /// least 100; 1000 unless given).
    async fn status_changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Least time between two events; 100 to 3600000 ms, 1000 unless given.")]
        interval_ms: Option<i32>,
    ) -> Result<impl Stream<Item = Result<Status, ApiError>> + use<>, ApiError> {
        let pace = Pace::new(ctx, interval_ms).await?;
        Ok(stream::unfold(pace, move |mut pace: Pace| async move {
            let value = match pace.next().await? {
                Ok(at) => at.read(|view| Ok(Status::from(view.status()?))).await,
                Err(error) => Err(error),
            };
            pace.failed = value.is_err();
            Some((value, pace))
        }))
    }
}

/// Least time between two events.
fn interval(given: Option<i32>, most: i32) -> Result<Duration, ApiError> {
    let interval = given.unwrap_or(INTERVAL_DEFAULT_MS);
    if (INTERVAL_MIN_MS..=most).contains(&interval) {
        Ok(Duration::from_millis(interval.unsigned_abs().into()))
    } else {
        Err(bad(format!("`intervalMs` must be from {INTERVAL_MIN_MS} to {most}")))
    }
}

struct ChangesState {
    operation: Operation,
    /// Gives turns; none where nothing bounds subscriptions.
    subscribers: Option<Arc<Subscribers>>,
    /// None after an error: nothing follows it.
    changes: Option<Box<dyn Changes>>,
}

async fn next_changes(
    mut state: ChangesState,
) -> Option<(Result<SessionChanges, ApiError>, ChangesState)> {
    let mut changes = state.changes.take()?;
    while changes.ready().await {
        let turn = match &state.subscribers {
            Some(subscribers) => subscribers.turn().await,
            None => None,
        };
        let event = match changes.take().await {
            Ok(None) => continue,
            Err(ServiceError::Stopped) => return None,
            Err(error) => Err(error.into()),
            Ok(Some(event)) => {
                let at = state.operation.fresh().await;
                at.map(|at| SessionChanges::new(event, &at, &state.operation, turn))
            }
        };
        state.changes = event.is_ok().then_some(changes);
        return Some((event, state));
    }
    None
}

/// A value at most once in an interval, and only when an epoch was committed since.
struct Pace {
    operation: Operation,
    epochs: watch::Receiver<Epoch>,
    interval: Duration,
    last: Option<Instant>,
    failed: bool,
}

impl Pace {
    async fn new(ctx: &Context<'_>, interval_ms: Option<i32>) -> Result<Self, ApiError> {
        let interval = interval(interval_ms, INTERVAL_MAX_MS)?;
        Operation::of(ctx)?.reached().await?;
        let operation = Operation::of(ctx)?.again();
        let epochs = operation.services().feed.epochs();
        Ok(Self { operation, epochs, interval, last: None, failed: false })
    }

    /// The next view to show; none when the engine stopped or an error was told.
    async fn next(&mut self) -> Option<Result<Snapshot, ApiError>> {
        if self.failed {
            return None;
        }
        if let Some(last) = self.last {
            tokio::time::sleep_until(last + self.interval).await;
            if self.epochs.changed().await.is_err() {
                self.failed = true;
                return Some(Err(ServiceError::Stopped.into()));
            }
        }
        self.epochs.mark_unchanged();
        self.last = Some(Instant::now());
        Some(self.operation.fresh().await)
    }
}
