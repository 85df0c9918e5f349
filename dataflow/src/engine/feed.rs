//! The change feed: what each committed epoch changed, to any number of subscribers.
//!
//! Changes of the last epochs are remembered in a ring, bounded in epochs and changes, so that a
//! subscriber can resume. A subscriber holds no queue: it has the epoch it was told of last, and
//! when it comes back the changes since are merged by session, so a slow one gets the latest value
//! of each. One that is behind the ring gets a snapshot again. Nobody waits for a subscriber.
//! In a cluster every process remembers what it changed itself, and a subscription asks all, or the
//! owner alone when it is about one identity.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_core::future::BoxFuture;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use spoor_operators::identity::SessionId;
use spoor_operators::session::Session;
use spoor_operators::sessionize::backend::SessionChange;
use spoor_operators::time::Epoch;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::engine::ask::reads::ChangesAfter;
use crate::engine::ask::view::{ClusterView, only_identity};
use crate::engine::ask::{Peers, asker, merge};
use crate::engine::limits::{
    FEED_CHANGES_MAX, FEED_EPOCHS_MAX, FEED_PACE, FEED_PENDING_MAX, FEED_SNAPSHOT_MAX,
    FEED_SUBSCRIBERS_MAX, READ_BEGINNINGS_MAX,
};
use crate::engine::{Context, Published};
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

    /// Remembers what a committed epoch changed, before anybody sees it.
    pub fn remember(&self, epoch: Epoch, changes: Vec<SessionChange>) {
        let mut ring = self.ring.lock();
        ring.changes += changes.len();
        ring.epochs.push_back((epoch, changes.into()));
        while ring.epochs.len() > FEED_EPOCHS_MAX || ring.changes > FEED_CHANGES_MAX {
            let Some((epoch, changes)) = ring.epochs.pop_front() else { break };
            ring.changes -= changes.len();
            ring.since = epoch;
        }
    }

    /// Tells everybody of an epoch that can be seen.
    pub fn announce(&self, epoch: Epoch) {
        self.newest.send_replace(epoch);
    }

    /// The newest committed epoch, as it moves.
    #[must_use]
    pub fn epochs(&self) -> watch::Receiver<Epoch> {
        self.newest.subscribe()
    }

    /// The changes after an epoch, up to and with another; none when they are no longer remembered.
    fn between(&self, after: Epoch, until: Epoch) -> Option<Vec<EpochChanges>> {
        let ring = self.ring.lock();
        if after < ring.since {
            return None;
        }
        let wanted = |(at, _): &&EpochChanges| after < *at && *at <= until;
        Some(ring.epochs.iter().filter(wanted).cloned().collect())
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
            looked: None,
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
    /// When it asked the other processes last.
    looked: Option<Instant>,
    _seat: Seat,
}

impl Changes for Subscription {
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Event, ServiceError>>> {
        Box::pin(async move {
            loop {
                let newest = *self.epochs.borrow_and_update();
                if self.told.is_none_or(|told| told < newest) {
                    self.pace().await;
                    match self.event(self.told).await {
                        Ok(Some(event)) => return Some(Ok(event)),
                        Ok(None) => {}
                        Err(ServiceError::Stopped) => return None,
                        Err(error) => return Some(Err(error)),
                    }
                }
                if self.epochs.changed().await.is_err() || self.context.is_stopped() {
                    return None;
                }
            }
        })
    }
}

impl Subscription {
    /// In a cluster, waits until the other processes may be asked again.
    async fn pace(&mut self) {
        if self.context.cluster().is_none() {
            return;
        }
        if let Some(looked) = self.looked {
            tokio::time::sleep_until(looked + FEED_PACE).await;
        }
        self.looked = Some(Instant::now());
    }

    /// What to tell somebody who was told of `told` last; none when nothing it selects changed.
    async fn event(&mut self, told: Option<Epoch>) -> Result<Option<Event>, ServiceError> {
        let context = Arc::clone(&self.context);
        let (filter, snapshot) = (Arc::clone(&self.filter), self.snapshot);
        // Filters may look at the disk, and a snapshot does.
        let work = tokio::task::spawn_blocking(move || look(&context, &filter, told, snapshot));
        let event = work.await.map_err(|_| ServiceError::Stopped)??;
        let (Event::Snapshot { epoch, .. } | Event::Changes { epoch, .. }) = &event;
        self.told = Some(*epoch);
        let nothing = matches!(&event, Event::Changes { added, updated, removed, .. }
            if added.is_empty() && updated.is_empty() && removed.is_empty());
        Ok((!nothing).then_some(event))
    }
}

/// What happened after an epoch, which may be nothing; or how everything is.
pub(crate) fn look(
    context: &Arc<Context>,
    filter: &Filter,
    told: Option<Epoch>,
    snapshot: usize,
) -> Result<Event, ServiceError> {
    match context.cluster() {
        None => here(context, filter, told, snapshot),
        Some(peers) => everywhere(context, peers, filter, told, snapshot),
    }
}

/// As [`look`], in a process alone.
fn here(
    context: &Context,
    filter: &Filter,
    told: Option<Epoch>,
    snapshot: usize,
) -> Result<Event, ServiceError> {
    let at = context.published();
    let differences = match told {
        Some(told) => differences(context, &at, filter, told)?,
        None => None,
    };
    match differences {
        Some(differences) => Ok(differences.event(at.view.epoch())),
        None => snapshot_of(&*context.view()?, filter, snapshot),
    }
}

/// As [`look`], in all processes.
fn everywhere(
    context: &Arc<Context>,
    peers: &Arc<dyn Peers>,
    filter: &Filter,
    told: Option<Epoch>,
    snapshot: usize,
) -> Result<Event, ServiceError> {
    let mut beginnings = 1..READ_BEGINNINGS_MAX;
    loop {
        let event = event_of_all(context, peers, filter, told, snapshot);
        // The newest epoch is another one by now.
        if !matches!(event, Err(ServiceError::Gone(_))) || beginnings.next().is_none() {
            return event;
        }
    }
}

fn event_of_all(
    context: &Arc<Context>,
    peers: &Arc<dyn Peers>,
    filter: &Filter,
    told: Option<Epoch>,
    snapshot: usize,
) -> Result<Event, ServiceError> {
    let at = context.published();
    if let Some(after) = told {
        let read = ChangesAfter { after, filter: filter.clone() };
        let asked = match only_identity(filter) {
            Some(identity) => {
                let owner = peers.owner(identity.partition());
                owner..owner + 1
            }
            None => 0..peers.count(),
        };
        let parts = asker::parts(context, peers, &at, &read, asked)?;
        if let Some(whole) = merge::differences(parts)
            && whole.len() <= FEED_PENDING_MAX
        {
            return Ok(whole.event(at.view.epoch()));
        }
    }
    snapshot_of(&ClusterView::at(context, peers, at), filter, snapshot)
}

fn pending(epochs: &[EpochChanges]) -> usize {
    epochs.iter().map(|(_, changes)| changes.len()).sum()
}

fn snapshot_of(view: &dyn View, filter: &Filter, first: usize) -> Result<Event, ServiceError> {
    let page = view.sessions(&SessionQuery {
        filter: filter.clone(),
        order: Order::default(),
        first,
        after: None,
        count: false,
    })?;
    Ok(Event::Snapshot { epoch: view.epoch(), sessions: page.sessions, truncated: page.has_next })
}

/// What began to match a filter, matched and changed, or matches no longer; each by session id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    /// See [`Event::Changes`].
    pub added: Vec<Arc<Session>>,
    /// See [`Event::Changes`].
    pub updated: Vec<Arc<Session>>,
    /// See [`Event::Changes`].
    pub removed: Vec<SessionId>,
}

impl Differences {
    fn len(&self) -> usize {
        self.added.len() + self.updated.len() + self.removed.len()
    }

    fn event(self, epoch: Epoch) -> Event {
        let Self { added, updated, removed } = self;
        Event::Changes { epoch, added, updated, removed }
    }
}

/// The changes of this process after an epoch up to the published one, merged by session: what a
/// session was before all of them, and what it is after. None when they are no longer remembered,
/// or are more than a subscriber is told.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn differences(
    context: &Context,
    at: &Published,
    filter: &Filter,
    after: Epoch,
) -> Result<Option<Differences>, ServiceError> {
    let view = &at.view;
    let remembered = context.feed.between(after, view.epoch());
    let Some(epochs) = remembered.filter(|epochs| pending(epochs) <= FEED_PENDING_MAX) else {
        return Ok(None);
    };
    let mut differences = Differences::default();
    for (before, after) in merged(&epochs).into_values() {
        let selected = |session: &Option<Arc<Session>>| match session {
            Some(session) => view.matches(filter, session),
            None => Ok(false),
        };
        match (selected(&before)?, selected(&after)?) {
            (false, true) => differences.added.extend(after),
            (true, true) => differences.updated.extend(after),
            (true, false) => differences.removed.extend(before.map(|before| before.id())),
            (false, false) => {}
        }
    }
    Ok(Some(differences))
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
