//! The change feed: what each committed epoch changed, to any number of subscribers.
//!
//! Changes of the last epochs are remembered in a ring, bounded in epochs and changes, so that a
//! subscriber can resume. A subscriber holds no queue: it has the epoch it was told of last, and
//! when it comes back the changes since are merged by session, so a slow one gets the latest value
//! of each. One that is behind the ring gets a snapshot again. Nobody waits for a subscriber.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_core::future::BoxFuture;
use parking_lot::Mutex;
use spoor_operators::identity::SessionId;
use spoor_operators::session::Session;
use spoor_operators::sessionize::backend::SessionChange;
use spoor_operators::time::Epoch;
use tokio::sync::watch;

use crate::engine::Context;
use crate::engine::limits::{
    FEED_CHANGES_MAX, FEED_EPOCHS_MAX, FEED_PENDING_MAX, FEED_SNAPSHOT_MAX, FEED_SUBSCRIBERS_MAX,
};
use crate::query::{Filter, Order, SessionQuery};
use crate::service::{ChangeFeed, Changes, Event, ServiceError, View};

type EpochChanges = (Epoch, Arc<[SessionChange]>);

/// Remembers what changed lately and says when there is more.
pub struct Feed {
    ring: Mutex<Ring>,
    newest: watch::Sender<Epoch>,
    subscribers: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Ring {
    epochs: VecDeque<EpochChanges>,
    changes: usize,
    /// Everything after this epoch is remembered.
    since: Epoch,
}

impl Feed {
    /// A feed that remembers everything after `epoch`.
    #[must_use]
    pub fn after(epoch: Epoch) -> Self {
        Self {
            ring: Mutex::new(Ring { since: epoch, ..Ring::default() }),
            newest: watch::channel(epoch).0,
            subscribers: Arc::default(),
        }
    }

    /// Tells everybody of a committed epoch.
    pub fn publish(&self, epoch: Epoch, changes: Vec<SessionChange>) {
        let mut ring = self.ring.lock();
        ring.changes += changes.len();
        ring.epochs.push_back((epoch, changes.into()));
        while ring.epochs.len() > FEED_EPOCHS_MAX || ring.changes > FEED_CHANGES_MAX {
            let Some((epoch, changes)) = ring.epochs.pop_front() else { break };
            ring.changes -= changes.len();
            ring.since = epoch;
        }
        drop(ring);
        self.newest.send_replace(epoch);
    }

    /// The newest committed epoch, as it moves.
    #[must_use]
    pub fn epochs(&self) -> watch::Receiver<Epoch> {
        self.newest.subscribe()
    }

    /// The changes after an epoch; none when they are no longer remembered.
    fn after_epoch(&self, epoch: Epoch) -> Option<Vec<EpochChanges>> {
        let ring = self.ring.lock();
        if epoch < ring.since {
            return None;
        }
        Some(ring.epochs.iter().filter(|(at, _)| *at > epoch).cloned().collect())
    }
}

/// The engine's [`ChangeFeed`].
pub struct EngineFeed(pub Arc<Context>);

impl ChangeFeed for EngineFeed {
    fn session_changes(
        &self,
        filter: Filter,
        since: Option<Epoch>,
        snapshot: usize,
    ) -> Result<Box<dyn Changes>, ServiceError> {
        let feed = &self.0.feed;
        let seat = Seat::take(&feed.subscribers)?;
        Ok(Box::new(Subscription {
            context: Arc::clone(&self.0),
            filter: Arc::new(filter),
            told: since,
            snapshot: snapshot.min(FEED_SNAPSHOT_MAX),
            epochs: feed.epochs(),
            _seat: seat,
        }))
    }

    fn epochs(&self) -> watch::Receiver<Epoch> {
        self.0.feed.epochs()
    }
}

/// One of the limited number of subscribers.
struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(taken: &Arc<AtomicUsize>) -> Result<Self, ServiceError> {
        let seat = Self(Arc::clone(taken));
        if taken.fetch_add(1, Ordering::AcqRel) >= FEED_SUBSCRIBERS_MAX {
            let most = FEED_SUBSCRIBERS_MAX;
            return Err(ServiceError::Limit(format!("there are {most} subscribers already")));
        }
        Ok(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

struct Subscription {
    context: Arc<Context>,
    filter: Arc<Filter>,
    /// The last epoch it was told of.
    told: Option<Epoch>,
    snapshot: usize,
    epochs: watch::Receiver<Epoch>,
    _seat: Seat,
}

impl Changes for Subscription {
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Event, ServiceError>>> {
        Box::pin(async move {
            loop {
                let newest = *self.epochs.borrow_and_update();
                let event = match self.told {
                    Some(told) if told >= newest => None,
                    told => match self.event(told).await {
                        Ok(event) => event,
                        Err(error) => return Some(Err(error)),
                    },
                };
                if let Some(event) = event {
                    return Some(Ok(event));
                }
                if self.epochs.changed().await.is_err() || self.context.is_stopped() {
                    return None;
                }
            }
        })
    }
}

impl Subscription {
    /// What to tell somebody who was told of `told` last; none when nothing it selects changed.
    async fn event(&mut self, told: Option<Epoch>) -> Result<Option<Event>, ServiceError> {
        let context = Arc::clone(&self.context);
        let (filter, snapshot) = (Arc::clone(&self.filter), self.snapshot);
        // Filters may look at the disk, and a snapshot does.
        let work = tokio::task::spawn_blocking(move || {
            let remembered = told.and_then(|told| context.feed.after_epoch(told));
            match remembered {
                Some(epochs) if pending(&epochs) <= FEED_PENDING_MAX => {
                    differences(&context, &filter, &epochs)
                }
                _ => snapshot_of(&context, &filter, snapshot).map(Some),
            }
        });
        let event = work.await.map_err(|_| ServiceError::Stopped)??;
        match &event {
            Some(Event::Snapshot { epoch, .. } | Event::Changes { epoch, .. }) => {
                self.told = Some(*epoch);
            }
            None => self.told = self.told.max(Some(*self.epochs.borrow())),
        }
        Ok(event)
    }
}

fn pending(epochs: &[EpochChanges]) -> usize {
    epochs.iter().map(|(_, changes)| changes.len()).sum()
}

fn snapshot_of(context: &Context, filter: &Filter, first: usize) -> Result<Event, ServiceError> {
    let view = context.view()?;
    let page = view.sessions(&SessionQuery {
        filter: filter.clone(),
        order: Order::default(),
        first,
        after: None,
        count: false,
    })?;
    Ok(Event::Snapshot { epoch: view.epoch(), sessions: page.sessions, truncated: page.has_next })
}

/// The changes of several epochs merged by session: what a session was before all of them, and
/// what it is after.
fn differences(
    context: &Context,
    filter: &Filter,
    epochs: &[EpochChanges],
) -> Result<Option<Event>, ServiceError> {
    let Some((newest, _)) = epochs.last() else { return Ok(None) };
    let view = context.view()?;
    let (mut added, mut updated, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    for (before, after) in merged(epochs).into_values() {
        let selected = |session: &Option<Arc<Session>>| match session {
            Some(session) => view.matches(filter, session),
            None => Ok(false),
        };
        match (selected(&before)?, selected(&after)?) {
            (false, true) => added.extend(after),
            (true, true) => updated.extend(after),
            (true, false) => removed.extend(before.map(|before| before.id())),
            (false, false) => {}
        }
    }
    if added.is_empty() && updated.is_empty() && removed.is_empty() {
        return Ok(None);
    }
    Ok(Some(Event::Changes { epoch: *newest, added, updated, removed }))
}

type BeforeAfter = (Option<Arc<Session>>, Option<Arc<Session>>);

/// By session id: as it was before the first epoch, as it is after the last.
fn merged(epochs: &[EpochChanges]) -> BTreeMap<SessionId, BeforeAfter> {
    let mut merged: BTreeMap<SessionId, BeforeAfter> = BTreeMap::new();
    for (_, changes) in epochs {
        for old in changes.iter().filter_map(|change| change.old.as_ref()) {
            merged.entry(old.id()).or_insert_with(|| (Some(Arc::clone(old)), None)).1 = None;
        }
        for new in changes.iter().filter_map(|change| change.new.as_ref()) {
            merged.entry(new.id()).or_default().1 = Some(Arc::clone(new));
        }
    }
    merged.retain(|_, (before, after)| before != after);
    merged
}
