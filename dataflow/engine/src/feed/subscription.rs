//! One subscriber: when it looks for changes, and what it is told.

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use spoor_operators::time::Epoch;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Seat, look};
use crate::limits::{FEED_PACE, FEED_PROGRESS, FEED_SNAPSHOT_MAX};
use crate::serving::Serving;
use spoor_api::query::Filter;
use spoor_api::service::{Changes, ChangesQuery, Event, ServiceError};

pub(super) struct Subscription {
    serving: Arc<Serving>,
    filter: Arc<Filter>,
    snapshot: usize,
    interval: Duration,
    epochs: watch::Receiver<Epoch>,
    /// Up to which epoch it looked for changes; none: it needs a snapshot.
    looked: Option<Epoch>,
    /// The epoch of the last event, or the one it resumed from.
    told: Option<Epoch>,
    /// When the last event was, or when it began.
    told_at: Instant,
    /// When it may look again.
    next_look: Instant,
    /// It may know an epoch that this process does not see yet, of another one of the cluster.
    resumes: bool,
    _seat: Seat,
}

impl Subscription {
    pub(super) fn new(serving: Arc<Serving>, query: ChangesQuery, seat: Seat) -> Self {
        let since = query.since.and_then(|token| serving.lineage.epoch_of(token));
        let now = Instant::now();
        Self {
            epochs: serving.feed.epochs(),
            serving,
            filter: Arc::new(query.filter),
            snapshot: query.snapshot.min(FEED_SNAPSHOT_MAX),
            interval: query.interval,
            looked: since,
            told: since,
            told_at: now,
            next_look: now,
            resumes: since.is_some(),
            _seat: seat,
        }
    }

    /// When it is told the epoch though nothing changed; none when it knows it.
    fn progress_at(&self) -> Option<Instant> {
        (self.told < self.looked).then(|| self.told_at + FEED_PROGRESS)
    }

    /// Whether the epoch has to be told although nothing changed.
    fn needs_progress(&self) -> bool {
        let soon = || self.told.is_some_and(|told| self.serving.feed.forgets_soon(told));
        self.progress_at().is_some_and(|at| at <= Instant::now() || soon())
    }

    async fn wait(&mut self) -> bool {
        loop {
            if self.serving.fate.is_stopped() {
                return false;
            }
            let newest = *self.epochs.borrow_and_update();
            let is_new = self.looked.is_none_or(|looked| looked < newest);
            if is_new || self.resumes || self.needs_progress() {
                tokio::time::sleep_until(self.next_look).await;
                return !self.serving.fate.is_stopped();
            }
            let progress_at = self.progress_at();
            let moved = self.epochs.changed();
            let moved = match progress_at {
                Some(at) => tokio::time::timeout_at(at, moved).await.unwrap_or(Ok(())),
                None => moved.await,
            };
            if moved.is_err() {
                return false;
            }
        }
    }

    async fn look(&mut self) -> Result<Option<Event>, ServiceError> {
        let serving = Arc::clone(&self.serving);
        let (filter, looked, snapshot) = (Arc::clone(&self.filter), self.looked, self.snapshot);
        self.next_look = Instant::now() + self.pace();
        // Filters may look at the disk, and a snapshot does.
        let work = tokio::task::spawn_blocking(move || look(&serving, &filter, looked, snapshot));
        let event = work.await.map_err(|_| ServiceError::Stopped)??;
        self.resumes = false;
        self.looked = Some(event.epoch());
        let event = if !event.is_empty() {
            event
        } else if self.needs_progress() {
            Event::Progress { epoch: event.epoch() }
        } else {
            return Ok(None);
        };
        self.told = self.looked;
        self.told_at = Instant::now();
        self.next_look = self.told_at + self.interval.max(self.pace());
        Ok(Some(event))
    }

    /// Least time between two looks. Other processes are never asked more often.
    fn pace(&self) -> Duration {
        match self.serving.cluster() {
            Some(_) => FEED_PACE,
            None => FEED_PACE.min(self.interval),
        }
    }
}

impl Changes for Subscription {
    fn ready(&mut self) -> BoxFuture<'_, bool> {
        Box::pin(self.wait())
    }

    fn take(&mut self) -> BoxFuture<'_, Result<Option<Event>, ServiceError>> {
        Box::pin(self.look())
    }
}
