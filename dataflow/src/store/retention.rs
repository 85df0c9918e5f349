//! Dropped days: exact at once, their files gone as soon as no view can miss them.
//!
//! A commit that drops days writes one range deletion for each column family, so from that epoch on
//! nothing of them is seen. Their files are deleted later, when every view older than that epoch
//! is gone, because deleting files does not respect snapshots.

use std::collections::BTreeMap;

use spoor_operators::time::{Day, Epoch};

use super::{Family, Store, StoreError, keys, options};

/// Views that are held, and the days whose files can go when old ones are not.
#[derive(Debug, Default)]
pub(super) struct Views {
    held: BTreeMap<Epoch, usize>,
    dropped: Option<(Epoch, Day)>,
}

impl Views {
    pub(super) fn opened(&mut self, epoch: Epoch) {
        *self.held.entry(epoch).or_default() += 1;
    }

    pub(super) fn closed(&mut self, epoch: Epoch) {
        if let Some(count) = self.held.get_mut(&epoch) {
            *count -= 1;
            if *count == 0 {
                self.held.remove(&epoch);
            }
        }
    }

    /// Days before `day` are dropped as of an epoch.
    pub(super) fn dropped(&mut self, epoch: Epoch, day: Day) {
        self.dropped = Some((epoch, day));
    }

    /// Days whose files no view needs; answered once.
    fn reclaimable(&mut self) -> Option<Day> {
        let (epoch, day) = self.dropped?;
        if self.held.keys().next().is_some_and(|oldest| *oldest < epoch) {
            return None;
        }
        self.dropped = None;
        Some(day)
    }
}

impl Store {
    /// Deletes the files of dropped days when nobody needs them any more.
    pub(super) fn reclaim(&self) -> Result<(), StoreError> {
        let Some(day) = self.inner.views.lock().reclaimable() else { return Ok(()) };
        for family in Family::BY_DAY {
            let (from, until) = ([0; keys::DAY_BYTES], keys::day_prefix(day));
            self.inner.db.delete_file_in_range_cf(self.inner.cf(family), from, until)?;
        }
        Ok(())
    }

    /// Rewrites what is left of the days before `day` on disk, to have its space back at once.
    /// Takes long; nothing depends on it.
    pub fn compact_before(&self, day: Day) {
        for family in Family::BY_DAY {
            let (from, until) = ([0; keys::DAY_BYTES], keys::day_prefix(day));
            let cf = self.inner.cf(family);
            let options = options::compaction();
            self.inner.db.compact_range_cf_opt(cf, Some(from), Some(until), &options);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_once_and_only_when_older_views_are_gone() {
        let mut views = Views::default();
        views.opened(Epoch(1));
        views.opened(Epoch(5));
        views.dropped(Epoch(5), Day(3));
        assert_eq!(views.reclaimable(), None);
        views.closed(Epoch(1));
        assert_eq!(views.reclaimable(), Some(Day(3)));
        assert_eq!(views.reclaimable(), None);
    }
}
