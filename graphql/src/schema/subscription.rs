//! Subscriptions: the state, then what changes, each epoch at most once.
//!
//! A stream is only asked for its next event when its transport can take one, and the feed merges
//! what was not fetched: nothing here holds a queue.

use std::time::Duration;

use async_graphql::{Context, ID, SimpleObject, Subscription as GraphqlSubscription};
use futures_util::{Stream, stream};
use spoor_dataflow::service::{Changes, Event, ServiceError};
use spoor_operators::identity::SessionId;
use spoor_operators::time::Epoch;
use tokio::sync::watch;
use tokio::time::Instant;

use super::filter::{SessionFilter, sessions as session_filter};
use super::ids::GlobalId;
use super::operation::{Operation, Snapshot, bad};
use super::overview::{Overview, OverviewRange};
use super::page;
use super::scalars::Long;
use super::session::SessionNode;
use super::status::Status;
use crate::error::ApiError;

/// Sessions of a snapshot unless asked otherwise.
const SNAPSHOT_DEFAULT: usize = 100;
/// Most sessions of a snapshot.
const SNAPSHOT_MAX: usize = 1_000;
/// Least and default time between two events of a whole-value subscription.
const INTERVAL_MIN_MS: i32 = 100;
const INTERVAL_DEFAULT_MS: i32 = 1_000;
const INTERVAL_MAX_MS: i32 = 3_600_000;

/// What changed among the sessions a filter selects, up to and with an epoch.
#[derive(SimpleObject)]
pub struct SessionChanges {
    /// Up to and with this epoch: give it as `since` to resume from here.
    pub epoch: Long,
    /// This is the whole state: forget what you had, `added` is all there is. It comes first, and
    /// again when the reader fell so far behind that differences cannot be told any more.
    pub snapshot: bool,
    /// Of a snapshot: more sessions match than were sent (the newest ones were).
    pub truncated: bool,
    /// Began to match.
    pub added: Vec<SessionNode>,
    /// Matched before and changed: their latest state.
    pub updated: Vec<SessionNode>,
    /// No longer match, or are gone.
    pub removed: Vec<RemovedSession>,
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
    fn new(event: Event, at: &Snapshot) -> Self {
        let nodes = |sessions: Vec<std::sync::Arc<_>>| -> Vec<SessionNode> {
            sessions.into_iter().map(|session| SessionNode::new(session, at.clone())).collect()
        };
        match event {
            Event::Snapshot { epoch, sessions, truncated } => Self {
                epoch: epoch.0.into(),
                snapshot: true,
                truncated,
                added: nodes(sessions),
                updated: Vec::new(),
                removed: Vec::new(),
            },
            Event::Changes { epoch, added, updated, removed } => Self {
                epoch: epoch.0.into(),
                snapshot: false,
                truncated: false,
                added: nodes(added),
                updated: nodes(updated),
                removed: removed.into_iter().map(RemovedSession::from).collect(),
            },
        }
    }
}

/// Live views. A slow reader gets the latest value, never a queue of old ones.
pub struct Subscription;

/// Live views. A slow reader gets the latest value, never a queue of old ones.
#[GraphqlSubscription]
impl Subscription {
    /// The sessions a filter selects: the newest of them (`snapshot`, at most 1000; 100 unless
    /// given), then what each epoch changes. With `since`, an epoch that was seen before: what
    /// changed after it, or a snapshot if that is no longer known.
    #[graphql(complexity = "page::cost(None, child_complexity)")]
    async fn session_changes(
        &self,
        ctx: &Context<'_>,
        filter: Option<SessionFilter>,
        since: Option<Long>,
        snapshot: Option<i32>,
    ) -> Result<impl Stream<Item = Result<SessionChanges, ApiError>> + use<>, ApiError> {
        let filter = session_filter(filter)?;
        let since = match since {
            None => None,
            Some(epoch) => {
                Some(Epoch(epoch.as_u64().ok_or_else(|| bad("`since` is not an epoch"))?))
            }
        };
        let snapshot = page::bounded(snapshot, SNAPSHOT_DEFAULT, SNAPSHOT_MAX)?;
        let operation = Operation::of(ctx)?.again();
        let feed = operation.services().feed.clone();
        let changes =
            operation.blocking(move || feed.session_changes(filter, since, snapshot)).await?;
        Ok(stream::unfold((operation, Some(changes)), next_changes))
    }

    /// The overview of a range, whenever an epoch is committed, at most once in `intervalMs`
    /// (at least 100; 1000 unless given).
    #[graphql(complexity = "page::cost(None, child_complexity)")]
    async fn overview_changes(
        &self,
        ctx: &Context<'_>,
        range: Option<OverviewRange>,
        interval_ms: Option<i32>,
    ) -> Result<impl Stream<Item = Result<Overview, ApiError>> + use<>, ApiError> {
        let range = range.unwrap_or_default();
        let pace = Pace::new(ctx, interval_ms)?;
        Ok(stream::unfold(pace, move |mut pace: Pace| async move {
            let value = match pace.next().await? {
                Ok(at) => Overview::read(&at, range).await,
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
        interval_ms: Option<i32>,
    ) -> Result<impl Stream<Item = Result<Status, ApiError>> + use<>, ApiError> {
        let pace = Pace::new(ctx, interval_ms)?;
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

type ChangesState = (Operation, Option<Box<dyn Changes>>);

async fn next_changes(
    (operation, changes): ChangesState,
) -> Option<(Result<SessionChanges, ApiError>, ChangesState)> {
    let mut changes = changes?;
    let event = match changes.next().await? {
        Ok(event) => operation.fresh().await.map(|at| SessionChanges::new(event, &at)),
        Err(error) => Err(error.into()),
    };
    let changes = event.is_ok().then_some(changes);
    Some((event, (operation, changes)))
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
    fn new(ctx: &Context<'_>, interval_ms: Option<i32>) -> Result<Self, ApiError> {
        let interval = interval_ms.unwrap_or(INTERVAL_DEFAULT_MS);
        if !(INTERVAL_MIN_MS..=INTERVAL_MAX_MS).contains(&interval) {
            let range = format!("from {INTERVAL_MIN_MS} to {INTERVAL_MAX_MS}");
            return Err(bad(format!("`intervalMs` must be {range}")));
        }
        let operation = Operation::of(ctx)?.again();
        let epochs = operation.services().feed.epochs();
        let interval = Duration::from_millis(interval.unsigned_abs().into());
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
