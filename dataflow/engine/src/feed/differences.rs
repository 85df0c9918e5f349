//! What a subscriber is told: the changes since an epoch merged by session, or a snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spoor_operators::identity::{Identity, SessionId};
use spoor_operators::session::Session;
use spoor_operators::time::Epoch;

use super::ring::{EpochChanges, LargeSession, Version, session_bytes};
use crate::ask::reads::ChangesAfter;
use crate::ask::view::{ClusterView, only_identity};
use crate::ask::{Peers, asker, merge};
use crate::limits::{
    FEED_EVENT_BYTES_MAX, FEED_MERGED_MAX, FEED_PENDING_MAX, FEED_SNAPSHOT_STEP,
    READ_BEGINNINGS_MAX,
};
use crate::serving::{Published, Serving};
use spoor_api::query::{Cursor, Filter, Order, SessionQuery};
use spoor_api::service::{Event, ServiceError, View};
use spoor_store::StoreView;

/// What happened after an epoch, which may be nothing; or how everything is.
pub(crate) fn look(
    serving: &Arc<Serving>,
    filter: &Filter,
    looked: Option<Epoch>,
    snapshot: usize,
) -> Result<Event, ServiceError> {
    match serving.cluster() {
        None => here(serving, filter, looked, snapshot),
        Some(peers) => everywhere(serving, peers, filter, looked, snapshot),
    }
}

/// As [`look`], in a process alone.
fn here(
    serving: &Serving,
    filter: &Filter,
    looked: Option<Epoch>,
    snapshot: usize,
) -> Result<Event, ServiceError> {
    let at = serving.published();
    let differences = match looked {
        // An epoch that was never committed was never told either.
        Some(looked) if looked <= at.view.epoch() => differences(serving, &at, filter, looked)?,
        _ => None,
    };
    match differences {
        Some(differences) => Ok(differences.event(at.view.epoch())),
        None => snapshot_of(&*serving.view()?, filter, snapshot),
    }
}

/// As [`look`], in all processes.
fn everywhere(
    serving: &Arc<Serving>,
    peers: &Arc<dyn Peers>,
    filter: &Filter,
    looked: Option<Epoch>,
    snapshot: usize,
) -> Result<Event, ServiceError> {
    let mut beginnings = 1..READ_BEGINNINGS_MAX;
    loop {
        let event = event_of_all(serving, peers, filter, looked, snapshot);
        // The newest epoch is another one by now.
        if !matches!(event, Err(ServiceError::Gone(_))) || beginnings.next().is_none() {
            return event;
        }
    }
}

fn event_of_all(
    serving: &Arc<Serving>,
    peers: &Arc<dyn Peers>,
    filter: &Filter,
    looked: Option<Epoch>,
    snapshot: usize,
) -> Result<Event, ServiceError> {
    let mut at = serving.published();
    if looked.is_some_and(|looked| looked > at.view.epoch()) {
        // Another process may have told of it already: the leader sees every epoch first.
        at = asker::newest(serving, peers)?;
    }
    if let Some(after) = looked.filter(|looked| *looked <= at.view.epoch()) {
        let read = ChangesAfter { after, filter: filter.clone() };
        let asked = match only_identity(filter) {
            Some(identity) => {
                let owner = peers.owner(identity.partition());
                owner..owner + 1
            }
            None => 0..peers.count(),
        };
        let parts = asker::parts(serving, peers, &at, &read, asked)?;
        if let Some(whole) = merge::differences(parts)
            && whole.is_one_event()
        {
            return Ok(whole.event(at.view.epoch()));
        }
    }
    snapshot_of(&ClusterView::at(serving, peers, at), filter, snapshot)
}

/// The newest sessions, as many as one event may have. They are read in steps: how large they are
/// is not known before.
fn snapshot_of(view: &dyn View, filter: &Filter, first: usize) -> Result<Event, ServiceError> {
    let order = Order::default();
    let mut sessions: Vec<Arc<Session>> = Vec::new();
    let (mut bytes, mut step, mut after) = (0, FEED_SNAPSHOT_STEP, None);
    let truncated = loop {
        let wanted = step.min(first - sessions.len());
        let filter = filter.clone();
        let page =
            view.sessions(&SessionQuery { filter, order, first: wanted, after, count: false })?;
        for session in page.sessions {
            bytes += session_bytes(&session);
            if bytes > FEED_EVENT_BYTES_MAX && !sessions.is_empty() {
                return Ok(Event::Snapshot { epoch: view.epoch(), sessions, truncated: true });
            }
            sessions.push(session);
        }
        let Some(last) = sessions.last().filter(|_| page.has_next && sessions.len() < first) else {
            break page.has_next;
        };
        after = Some(Cursor { value: order.by.of(last), id: last.id() });
        // As many as there is room for if they are as large as those before.
        let usual = (bytes / sessions.len()).max(1);
        let room = FEED_EVENT_BYTES_MAX.saturating_sub(bytes) / usual;
        step = (sessions.len() * 4).min(room.max(FEED_SNAPSHOT_STEP));
    };
    Ok(Event::Snapshot { epoch: view.epoch(), sessions, truncated })
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
    /// Whether a subscriber may be told all of them at once.
    fn is_one_event(&self) -> bool {
        let sessions = || self.added.iter().chain(&self.updated);
        sessions().count() + self.removed.len() <= FEED_PENDING_MAX
            && sessions().map(|session| session_bytes(session)).sum::<usize>()
                <= FEED_EVENT_BYTES_MAX
    }

    fn event(self, epoch: Epoch) -> Event {
        let Self { added, updated, removed } = self;
        Event::Changes { epoch, added, updated, removed }
    }
}

/// The changes of this process after an epoch up to the published one, merged by session: what a
/// session was before all of them, and what it is after. None when they are no longer remembered,
/// or are more than a subscriber is told at once.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn differences(
    serving: &Serving,
    at: &Published,
    filter: &Filter,
    after: Epoch,
) -> Result<Option<Differences>, ServiceError> {
    let Some(epochs) = serving.feed.between(after, at.view.epoch()) else { return Ok(None) };
    let Some(merged) = merged(&epochs, filter) else { return Ok(None) };
    let mut differences = Differences::default();
    let mut bytes = 0;
    for (id, (before, after)) in merged {
        let now = state(&at.view, filter, after.as_ref())?;
        let matched =
            before.as_ref().map_or(Ok(Matches::No), |old| matches(&at.view, filter, old))?;
        if let Some(session) = &now {
            bytes += session_bytes(session);
            if bytes > FEED_EVENT_BYTES_MAX {
                return Ok(None);
            }
        }
        match (matched, now) {
            (Matches::No, Some(session)) => differences.added.push(session),
            (Matches::Yes | Matches::Unknown, Some(session)) => differences.updated.push(session),
            (Matches::Yes | Matches::Unknown, None) => differences.removed.push(id),
            (Matches::No, None) => {}
        }
    }
    Ok(Some(differences).filter(Differences::is_one_event))
}

/// What is known of a session that is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Matches {
    No,
    Yes,
    Unknown,
}

/// Whether a filter selected what a session was. What depends on the requests it had, or on whether
/// it was open, is not known any more; of a large session only its identity is.
fn matches(view: &StoreView, filter: &Filter, old: &Version) -> Result<Matches, ServiceError> {
    let known = match old {
        Version::Large(large) => by_identity(filter, &large.identity),
        Version::Whole(session) if asks_whether_open(filter) => {
            by_identity(filter, &session.identity)
        }
        Version::Whole(session) => view.matches_by_statistics(filter, session)?,
    };
    Ok(match known {
        Some(true) => Matches::Yes,
        Some(false) => Matches::No,
        None => Matches::Unknown,
    })
}

/// A session as it is now, if a filter selects it.
fn state(
    view: &StoreView,
    filter: &Filter,
    new: Option<&Version>,
) -> Result<Option<Arc<Session>>, ServiceError> {
    let session = match new {
        None => None,
        Some(Version::Whole(session)) => Some(Arc::clone(session)),
        Some(Version::Large(large)) => read_again(view, large)?,
    };
    match session {
        Some(session) if view.matches(filter, &session)? => Ok(Some(session)),
        _ => Ok(None),
    }
}

/// A large session as of the view. Subscribers that are told of it at one time share it.
fn read_again(
    view: &StoreView,
    large: &LargeSession,
) -> Result<Option<Arc<Session>>, ServiceError> {
    let mut read = large.read.lock();
    if let Some(session) = read.upgrade() {
        return Ok(Some(session));
    }
    let session = view.session(large.id)?.filter(|session| session.id() == large.id);
    if let Some(session) = &session {
        *read = Arc::downgrade(session);
    }
    Ok(session)
}

/// Whether a filter selects the sessions of an identity, as far as that alone decides.
fn by_identity(filter: &Filter, identity: &Identity) -> Option<bool> {
    match filter {
        Filter::And(all) => {
            let all = || all.iter().map(|filter| by_identity(filter, identity));
            if all().any(|known| known == Some(false)) {
                return Some(false);
            }
            all().all(|known| known == Some(true)).then_some(true)
        }
        Filter::Or(any) => {
            let any = || any.iter().map(|filter| by_identity(filter, identity));
            if any().any(|known| known == Some(true)) {
                return Some(true);
            }
            any().all(|known| known == Some(false)).then_some(false)
        }
        Filter::Not(filter) => by_identity(filter, identity).map(|known| !known),
        Filter::Identity(id) => Some(*id == identity.id),
        Filter::Namespace(text) => Some(**text == *identity.namespace),
        Filter::Value(text) => Some(**text == *identity.value),
        Filter::Session(id) if id.identity != identity.id => Some(false),
        Filter::Weak(weak) => Some(*weak == identity.weak),
        _ => None,
    }
}

fn asks_whether_open(filter: &Filter) -> bool {
    match filter {
        Filter::And(all) | Filter::Or(all) => all.iter().any(asks_whether_open),
        Filter::Not(filter) => asks_whether_open(filter),
        Filter::Open(_) => true,
        _ => false,
    }
}

type BeforeAfter = (Option<Version>, Option<Version>);

/// By session id: as it was before the first epoch, as it is after the last. Without those whose
/// identity alone decides that the filter does not select them; none when there are too many.
fn merged(epochs: &[EpochChanges], filter: &Filter) -> Option<BTreeMap<SessionId, BeforeAfter>> {
    let mut merged: BTreeMap<SessionId, BeforeAfter> = BTreeMap::new();
    for change in epochs.iter().flat_map(|epoch| &*epoch.changes) {
        if by_identity(filter, change.identity()) == Some(false) {
            continue;
        }
        if let Some(old) = &change.old {
            merged.entry(old.id()).or_insert_with(|| (Some(old.clone()), None)).1 = None;
        }
        if let Some(new) = &change.new {
            merged.entry(new.id()).or_default().1 = Some(new.clone());
        }
        if merged.len() > FEED_MERGED_MAX {
            return None;
        }
    }
    merged.retain(|_, (before, after)| match (before, after) {
        (None, None) => false,
        (Some(Version::Whole(before)), Some(Version::Whole(after))) => before != after,
        _ => true,
    });
    Some(merged)
}
