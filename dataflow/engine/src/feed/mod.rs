//! The change feed: what each committed epoch changed, to any number of subscribers.
//!
//! Changes of the last epochs are remembered in a ring, bounded in epochs and bytes (`ring.rs`), so
//! that a subscriber can resume. A subscriber holds no queue: it has the epoch it was told of last,
//! and when it comes back the changes since are merged by session (`differences.rs`), so a slow one
//! gets the latest value of each. One that is behind the ring, or comes with an epoch that is not
//! of this store's history, gets a snapshot. One whose filter selects nothing that changes is told
//! the epoch from time to time, so that what it would resume from is not forgotten
//! (`subscription.rs`). Nobody waits for a subscriber. In a cluster every process remembers what it
//! changed itself, and a subscription asks all, or the owner alone when it is about one identity.

mod differences;
mod ring;
mod subscription;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use spoor_operators::sessionize::backend::SessionChange;
use spoor_operators::time::Epoch;
use tokio::sync::watch;

pub use differences::Differences;
pub(crate) use differences::{differences, look};
use ring::{EpochChanges, Ring};
use subscription::Subscription;

use crate::limits::FEED_SUBSCRIBERS_MAX;
use crate::serving::Serving;
use spoor_api::lineage::Lineage;
use spoor_api::service::{ChangeFeed, Changes, ChangesQuery, ServiceError};

/// Remembers what changed lately and says when there is more.
pub struct Feed {
    ring: Mutex<Ring>,
    newest: watch::Sender<Epoch>,
    subscribers: Arc<AtomicUsize>,
}

impl Feed {
    /// A feed that remembers everything after `epoch`.
    #[must_use]
    pub fn after(epoch: Epoch) -> Self {
        Self {
            ring: Mutex::new(Ring::after(epoch)),
            newest: watch::channel(epoch).0,
            subscribers: Arc::default(),
        }
    }

    /// Remembers what a committed epoch changed, before anybody sees it.
    pub fn remember(&self, epoch: Epoch, changes: Vec<SessionChange>) {
        let changes = EpochChanges::of(epoch, changes);
        self.ring.lock().remember(changes);
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

    /// Bytes of the changes that are remembered.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ring.lock().bytes()
    }

    /// See [`Ring::between`].
    fn between(&self, after: Epoch, until: Epoch) -> Option<Vec<EpochChanges>> {
        self.ring.lock().between(after, until)
    }

    /// See [`Ring::forgets_soon`].
    fn forgets_soon(&self, epoch: Epoch) -> bool {
        self.ring.lock().forgets_soon(epoch)
    }
}

/// The engine's [`ChangeFeed`].
pub struct EngineFeed(pub Arc<Serving>);

impl ChangeFeed for EngineFeed {
    fn session_changes(&self, query: ChangesQuery) -> Result<Box<dyn Changes>, ServiceError> {
        let seat = Seat::take(&self.0.feed.subscribers)?;
        Ok(Box::new(Subscription::new(Arc::clone(&self.0), query, seat)))
    }

    fn lineage(&self) -> Arc<Lineage> {
        Arc::clone(&self.0.lineage)
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
