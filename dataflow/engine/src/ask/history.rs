//! The last epochs everybody may see, so that several processes can answer as of one of them.
//!
//! Bounded by number and by age. A process alone keeps none but the newest, which is always there,
//! and those that lists are read at (`lists.rs`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use spoor_operators::time::Epoch;

use crate::limits::{VIEWS_KEPT_AGE, VIEWS_KEPT_MAX};
use crate::serving::{Published, Serving};
use spoor_api::service::{ServiceError, View};

/// Epochs that were the newest lately, oldest first.
#[derive(Default)]
pub struct History {
    past: Mutex<VecDeque<(Instant, Arc<Published>)>>,
}

impl Serving {
    /// Puts an epoch in the place of the newest, which is kept for a while in a cluster.
    pub(crate) fn let_see(&self, published: Published) {
        let history = &self.history;
        let mut past = history.past.lock();
        let before = self.published.swap(Arc::new(published));
        self.lists.tidy(self.store.written_bytes());
        if self.cluster().is_some() {
            past.push_back((Instant::now(), before));
        }
        let mut gone = Vec::new();
        while past.len() > VIEWS_KEPT_MAX
            || past.front().is_some_and(|(since, _)| since.elapsed() > VIEWS_KEPT_AGE)
        {
            gone.extend(past.pop_front());
        }
        drop(past);
        self.plan.signal().tell();
    }

    /// An epoch that everybody may see here; waits for one that is to come.
    ///
    /// # Errors
    /// [`ServiceError::Gone`] when it is no longer kept, [`ServiceError::NotYet`] when it does not
    /// come in time, [`ServiceError::Stopped`].
    pub(crate) fn published_at(
        &self,
        epoch: Epoch,
        wait: Duration,
    ) -> Result<Arc<Published>, ServiceError> {
        let newest = self.published_from(epoch, wait)?;
        if newest.view.epoch() == epoch {
            return Ok(newest);
        }
        let past = self.history.past.lock();
        let newest = self.published();
        let kept = past.iter().map(|(_, kept)| kept).chain([&newest]);
        let found = kept.into_iter().find(|kept| kept.view.epoch() == epoch);
        let found = found.cloned();
        drop(past);
        found.or_else(|| self.lists.find(epoch)).ok_or(ServiceError::Gone(epoch.0))
    }

    /// The newest epoch here, once it is this one or a later one.
    ///
    /// # Errors
    /// [`ServiceError::NotYet`] when it does not come in time, [`ServiceError::Stopped`].
    pub(crate) fn published_from(
        &self,
        epoch: Epoch,
        wait: Duration,
    ) -> Result<Arc<Published>, ServiceError> {
        let look = || {
            if self.plan.has_failed() {
                return Some(Err(ServiceError::Stopped));
            }
            let newest = self.published();
            if newest.view.epoch() >= epoch {
                return Some(Ok(newest));
            }
            self.fate.is_stopped().then_some(Err(ServiceError::Stopped))
        };
        let found = self.plan.signal().wait(Some(Instant::now() + wait), look);
        found.unwrap_or(Err(ServiceError::NotYet(epoch.0)))
    }
}
