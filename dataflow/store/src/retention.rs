//! Dropped days: exact at once, their files gone as soon as no view can miss them.
//!
//! A commit that drops days writes one range deletion for each column family, so from that epoch on
//! nothing of them is seen. Their files are deleted later, when every view older than that epoch
//! is gone, because deleting files does not respect snapshots, and when the drop is durable,
//! because it is not undone either. A commit deletes the files of a few days at most, so dropping
//! years at once makes no commit long. A file that also holds later days stays until they are
//! dropped too: at most one a level, which is not worth rewriting it.

use std::collections::{BTreeMap, VecDeque};

use spoor_operators::time::{Day, Epoch};

use super::limits::RECLAIM_DAYS;
use super::{Family, Store, StoreError, keys, write};
use crate::failpoint;

/// Views that are held, and the days whose files can go when old ones are not.
#[derive(Debug, Default)]
pub(super) struct Views {
    held: BTreeMap<Epoch, usize>,
    /// Ascending, each with the epoch that dropped it.
    dropped: VecDeque<(Epoch, Day)>,
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

    /// Days that are dropped as of an epoch, ascending.
    pub(super) fn dropped(&mut self, epoch: Epoch, days: impl IntoIterator<Item = Day>) {
        self.dropped.extend(days.into_iter().map(|day| (epoch, day)));
    }

    /// The last of the next `most` days whose files no view needs; answered once.
    fn reclaimable(&mut self, most: usize) -> Option<Day> {
        let oldest = self.held.keys().next().copied();
        let free = |&&(epoch, _): &&(Epoch, Day)| oldest.is_none_or(|oldest| oldest >= epoch);
        let free = self.dropped.iter().take(most).take_while(free).count();
        self.dropped.drain(..free).next_back().map(|(_, day)| day)
    }
}

impl Store {
    /// Deletes the files of a few dropped days that nobody needs any more.
    pub(super) fn reclaim(&self) -> Result<(), StoreError> {
        let next = self.inner.views.lock().reclaimable(RECLAIM_DAYS);
        let Some(last) = next else { return Ok(()) };
        failpoint::hit("retention");
        write::sync(&self.inner.db)?;
        self.delete_files_before(Day(last.0.saturating_add(1)))
    }

    /// Deletes the files of all dropped days that an earlier run left, while there are no views.
    /// What is committed must be durable.
    pub(super) fn reclaim_dropped(&self) -> Result<(), StoreError> {
        let floor = self.inner.committed.lock().floor;
        let free = self.inner.views.lock().held.is_empty();
        floor.filter(|_| free).map_or(Ok(()), |floor| self.delete_files_before(floor))
    }

    fn delete_files_before(&self, day: Day) -> Result<(), StoreError> {
        for family in Family::BY_DAY {
            let (from, until) = ([0; keys::DAY_BYTES], keys::day_prefix(day));
            write::delete_files(&self.inner.db, self.inner.cf(family), from, until)?;
        }
        Ok(())
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
        views.dropped(Epoch(5), (1..4).map(Day));
        views.dropped(Epoch(7), [Day(4)]);
        assert_eq!(views.reclaimable(2), None);
        views.closed(Epoch(1));
        assert_eq!(views.reclaimable(2), Some(Day(2)));
        assert_eq!(views.reclaimable(2), Some(Day(3)));
        assert_eq!(views.reclaimable(2), None);
        views.closed(Epoch(5));
        assert_eq!(views.reclaimable(2), Some(Day(4)));
        assert_eq!(views.reclaimable(2), None);
    }
}
