//! What the last epochs changed, for subscribers that come back for it.
//!
//! Bounded by [`FEED_BYTES_MAX`], counted as what the changes keep in memory, and by
//! [`FEED_EPOCHS_MAX`]: the oldest epochs are forgotten first. A session is counted once however
//! many changes share it. One larger than [`FEED_SESSION_BYTES_MAX`] is not kept at all, only that
//! it changed: its state is read from the store again when a subscriber is told of it, and whether
//! it matched a filter before is not known. So one large session that changes in every epoch
//! neither fills the ring nor pushes the changes of all others out.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use foldhash::{HashMap, HashMapExt};
use parking_lot::Mutex;
use spoor_operators::identity::{Identity, SessionId};
use spoor_operators::session::Session;
use spoor_operators::sessionize::backend::SessionChange;
use spoor_operators::time::Epoch;

use crate::limits::{FEED_BYTES_MAX, FEED_EPOCHS_MAX, FEED_SESSION_BYTES_MAX};

/// What keeping a change costs besides the sessions it names.
const CHANGE_BYTES: usize = size_of::<Change>();
/// What keeping an epoch costs besides its changes.
const EPOCH_BYTES: usize = size_of::<EpochChanges>() + 4 * size_of::<usize>();

/// Bytes a session keeps in memory, its identity included.
pub(super) fn session_bytes(session: &Session) -> usize {
    let Identity { namespace, value, qualifier, .. } = &*session.identity;
    session.memory_bytes() + namespace.len() + value.len() + qualifier.len()
}

/// A session as it was at some epoch.
#[derive(Clone, Debug)]
pub(super) enum Version {
    /// As it was.
    Whole(Arc<Session>),
    /// Too large to be kept.
    Large(Arc<LargeSession>),
}

/// What is kept of a large session.
#[derive(Debug)]
pub(super) struct LargeSession {
    /// Whose.
    pub(super) identity: Arc<Identity>,
    /// Its id.
    pub(super) id: SessionId,
    /// The session as it was read again, while somebody holds it.
    pub(super) read: Mutex<Weak<Session>>,
}

impl Version {
    fn of(session: Arc<Session>) -> Self {
        if session_bytes(&session) <= FEED_SESSION_BYTES_MAX {
            return Self::Whole(session);
        }
        let identity = Arc::clone(&session.identity);
        Self::Large(Arc::new(LargeSession { identity, id: session.id(), read: Mutex::default() }))
    }

    pub(super) fn id(&self) -> SessionId {
        match self {
            Self::Whole(session) => session.id(),
            Self::Large(large) => large.id,
        }
    }

    /// Where it lies in memory, and the bytes it takes there.
    fn place(&self) -> (usize, usize) {
        match self {
            Self::Whole(session) => (Arc::as_ptr(session).addr(), session_bytes(session)),
            Self::Large(large) => {
                let bytes = size_of::<LargeSession>() + large.identity.value.len();
                (Arc::as_ptr(large).addr(), bytes)
            }
        }
    }
}

/// What an epoch did to a session.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) old: Option<Version>,
    pub(super) new: Option<Version>,
}

impl Change {
    fn of(change: SessionChange) -> Self {
        Self { old: change.old.map(Version::of), new: change.new.map(Version::of) }
    }

    /// Whose session changed: an old and a new one are of one identity.
    pub(super) fn identity(&self) -> &Identity {
        let version = self.new.as_ref().or(self.old.as_ref());
        match version.expect("a change has an old session, a new one, or both") {
            Version::Whole(session) => &session.identity,
            Version::Large(large) => &large.identity,
        }
    }

    fn versions(&self) -> impl Iterator<Item = &Version> {
        self.old.iter().chain(&self.new)
    }
}

/// What an epoch changed.
#[derive(Clone, Debug)]
pub(super) struct EpochChanges {
    pub(super) epoch: Epoch,
    pub(super) changes: Arc<[Change]>,
}

impl EpochChanges {
    pub(super) fn of(epoch: Epoch, changes: Vec<SessionChange>) -> Self {
        Self { epoch, changes: changes.into_iter().map(Change::of).collect() }
    }
}

/// See the module's description.
pub(super) struct Ring {
    epochs: VecDeque<EpochChanges>,
    /// How many of the changes name a session, and its bytes, by where it lies.
    named: HashMap<usize, (u32, usize)>,
    bytes: usize,
    bytes_max: usize,
    /// Everything after this epoch is remembered.
    since: Epoch,
}

impl Ring {
    /// One that remembers everything after an epoch.
    pub(super) fn after(epoch: Epoch) -> Self {
        Self {
            epochs: VecDeque::new(),
            named: HashMap::new(),
            bytes: 0,
            bytes_max: FEED_BYTES_MAX,
            since: epoch,
        }
    }

    #[cfg(test)]
    pub(super) fn with_bytes_max(mut self, bytes_max: usize) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// Bytes of what is remembered.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Remembers an epoch, and forgets the oldest ones as far as there is no room.
    pub(super) fn remember(&mut self, changes: EpochChanges) {
        self.bytes += EPOCH_BYTES;
        for change in &*changes.changes {
            self.bytes += CHANGE_BYTES;
            for version in change.versions() {
                let (place, bytes) = version.place();
                let (names, _) = self.named.entry(place).or_insert((0, bytes));
                if *names == 0 {
                    self.bytes += bytes;
                }
                *names += 1;
            }
        }
        self.epochs.push_back(changes);
        while self.bytes > self.bytes_max || self.epochs.len() > FEED_EPOCHS_MAX {
            let Some(oldest) = self.epochs.pop_front() else { break };
            self.since = oldest.epoch;
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, changes: &EpochChanges) {
        self.bytes -= EPOCH_BYTES;
        for change in &*changes.changes {
            self.bytes -= CHANGE_BYTES;
            for version in change.versions() {
                let (place, _) = version.place();
                let known = self.named.get_mut(&place).expect("what is remembered was counted");
                known.0 -= 1;
                if known.0 == 0 {
                    self.bytes -= known.1;
                    self.named.remove(&place);
                }
            }
        }
    }

    /// The changes after an epoch, up to and with another; none when they are no longer remembered.
    pub(super) fn between(&self, after: Epoch, until: Epoch) -> Option<Vec<EpochChanges>> {
        if after < self.since {
            return None;
        }
        let from = self.epochs.partition_point(|changes| changes.epoch <= after);
        let wanted = self.epochs.range(from..).take_while(|changes| changes.epoch <= until);
        Some(wanted.cloned().collect())
    }

    /// Whether what comes after an epoch is among what is forgotten next.
    pub(super) fn forgets_soon(&self, epoch: Epoch) -> bool {
        let half_full = self.bytes > self.bytes_max / 2 || self.epochs.len() > FEED_EPOCHS_MAX / 2;
        half_full
            && self.epochs.get(self.epochs.len() / 2).is_some_and(|middle| epoch < middle.epoch)
    }
}
