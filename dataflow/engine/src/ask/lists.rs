//! The epochs that lists are read at: a page after the first is of the epoch the first was of.
//!
//! Whoever gives out a page that another follows has its epoch kept here, for as long as the list
//! is read on, and not much longer. What is kept is a snapshot of the store: the rows that were
//! overwritten or deleted since stay on the disk until it goes. So it is bounded in number, in time
//! and in what may be written meanwhile. The place of a list that was begun only (most are) is given
//! away before that of one that somebody reads on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use spoor_operators::time::Epoch;

use crate::limits::{LIST_AGE, LIST_IDLE, LIST_WRITTEN_BYTES, LISTS_KEPT_MAX};
use crate::serving::{Published, Serving};
use spoor_api::service::View;

/// See the module's description.
#[derive(Default)]
pub struct Lists(Mutex<Vec<Kept>>);

/// An epoch at which lists are read.
struct Kept {
    at: Arc<Published>,
    since: Instant,
    used: Instant,
    /// Pages were read at it after the first.
    is_read_on: bool,
    /// What the store had written when it was first read at.
    written: u64,
}

impl Kept {
    fn is_over(&self, now: Instant, written: u64) -> bool {
        let idle: Duration = now.saturating_duration_since(self.used);
        idle > LIST_IDLE
            || now.saturating_duration_since(self.since) > LIST_AGE
            || written.saturating_sub(self.written) > LIST_WRITTEN_BYTES
    }
}

impl Lists {
    /// Keeps an epoch for the next page of a list. `written`: what the store has written so far.
    pub(crate) fn keep(&self, at: &Arc<Published>, written: u64) {
        let now = Instant::now();
        let mut kept = self.0.lock();
        let known = kept.iter_mut().find(|known| known.at.view.epoch() == at.view.epoch());
        match known {
            Some(known) => (known.used, known.is_read_on) = (now, true),
            None => kept.push(Kept {
                at: Arc::clone(at),
                since: now,
                used: now,
                is_read_on: false,
                written,
            }),
        }
        // What goes is dropped when nobody waits for the lock.
        let gone = Self::over(&mut kept, now, written);
        drop(kept);
        drop(gone);
    }

    /// Lets go of what was kept long enough.
    pub(crate) fn tidy(&self, written: u64) {
        let gone = Self::over(&mut self.0.lock(), Instant::now(), written);
        drop(gone);
    }

    fn over(kept: &mut Vec<Kept>, now: Instant, written: u64) -> Vec<Kept> {
        let mut gone: Vec<Kept> = kept.extract_if(.., |kept| kept.is_over(now, written)).collect();
        while kept.len() > LISTS_KEPT_MAX {
            // Not the last one, which was asked for just now.
            let others = kept.iter().enumerate().take(kept.len() - 1);
            let least = others.min_by_key(|(_, kept)| (kept.is_read_on, kept.used));
            let Some((at, _)) = least else { break };
            gone.push(kept.remove(at));
        }
        gone
    }

    /// A kept epoch.
    pub(crate) fn find(&self, epoch: Epoch) -> Option<Arc<Published>> {
        let kept = self.0.lock();
        kept.iter().find(|kept| kept.at.view.epoch() == epoch).map(|kept| Arc::clone(&kept.at))
    }
}

impl Serving {
    /// Keeps an epoch for the next page of a list.
    pub(crate) fn keep_for_lists(&self, at: &Arc<Published>) {
        self.lists.keep(at, self.store.written_bytes());
    }
}
