//! How many sessions are open: a count for every instant at which sessions close.
//!
//! A session is open until the watermark reaches its close, so the number of open sessions is the
//! sum of the counts after the watermark. Counts at or before it are forgotten; a late request that
//! reopens a session adds one after it again. Kept in memory, and in the store a row for each
//! second, so that a restart reads what is open and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use spoor_operators::time::EventTime;
use spoor_operators::wire::{Malformed, Reader, put_i64, put_u64};

const SECOND: i64 = 1000;

/// See the module's description.
#[derive(Debug, Default)]
pub struct OpenSessions {
    closing: BTreeMap<i64, i64>,
    open: i64,
    watermark: Option<EventTime>,
}

/// A second's row: none when nothing closes in it any more.
pub type Row = (i64, Option<Vec<u8>>);

impl OpenSessions {
    /// What the rows of a store say, as of its watermark.
    ///
    /// # Errors
    /// [`Malformed`] when a row was not written by [`OpenSessions::apply`].
    pub fn restore<'a>(
        rows: impl IntoIterator<Item = &'a [u8]>,
        watermark: Option<EventTime>,
    ) -> Result<Self, Malformed> {
        // The rows come in order: a map made of all at once takes a fraction of the time.
        let mut counts = Vec::new();
        for row in rows {
            let mut from = Reader(row);
            while !from.is_empty() {
                let at = from.i64()?;
                counts.push((at, i64::try_from(from.u64()?).map_err(|_| Malformed("count"))?));
            }
        }
        let closing: BTreeMap<_, _> = counts.into_iter().collect();
        let open = closing.values().sum();
        Ok(Self { closing, open, watermark })
    }

    /// The seconds in which sessions close, ascending, each once.
    pub(crate) fn seconds(&self) -> impl Iterator<Item = i64> {
        let seconds: BTreeSet<_> = self.closing.keys().map(|at| at.div_euclid(SECOND)).collect();
        seconds.into_iter()
    }

    /// Sessions whose close the watermark has not reached.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::try_from(self.open).unwrap_or(0)
    }

    /// Applies changes of the number of sessions that close at an instant, then moves the
    /// watermark. The rows to write.
    pub fn apply(&mut self, changes: &HashMap<i64, i64>, watermark: Option<EventTime>) -> Vec<Row> {
        let mut seconds = BTreeSet::new();
        for (&at, &change) in changes {
            if change == 0 || self.watermark.is_some_and(|watermark| at <= watermark.0) {
                continue;
            }
            let count = self.closing.entry(at).or_default();
            *count += change;
            debug_assert!(*count >= 0, "a session is forgotten once");
            if *count == 0 {
                self.closing.remove(&at);
            }
            self.open += change;
            seconds.insert(at.div_euclid(SECOND));
        }
        if watermark > self.watermark {
            self.watermark = watermark;
            let passed = watermark.map_or(i64::MIN, |watermark| watermark.0);
            while let Some(entry) = self.closing.first_entry().filter(|e| *e.key() <= passed) {
                seconds.insert(entry.key().div_euclid(SECOND));
                self.open -= entry.remove();
            }
        }
        seconds.into_iter().map(|second| (second, self.row(second))).collect()
    }

    fn row(&self, second: i64) -> Option<Vec<u8>> {
        let mut row = Vec::new();
        for (&at, &count) in self.closing.range(second * SECOND..(second + 1) * SECOND) {
            put_i64(&mut row, at);
            put_u64(&mut row, count.unsigned_abs());
        }
        (!row.is_empty()).then_some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_in_the_middle_counts_the_same() {
        let mut kept: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
        let mut open = OpenSessions::default();
        let mut step = |open: &mut OpenSessions, changes: &[(i64, i64)], watermark: i64| {
            let changes = changes.iter().copied().collect();
            for (second, row) in open.apply(&changes, Some(EventTime(watermark))) {
                match row {
                    Some(row) => kept.insert(second, row),
                    None => kept.remove(&second),
                };
            }
            let rows = kept.values().map(Vec::as_slice);
            let restored = OpenSessions::restore(rows, Some(EventTime(watermark))).unwrap();
            assert_eq!(restored.count(), open.count());
            open.count()
        };
        assert_eq!(step(&mut open, &[(5_000, 2), (5_999, 1), (9_000, 1)], 0), 4);
        assert_eq!(step(&mut open, &[(5_000, -1), (7_000, 1)], 5_500), 3);
        // The one at 5,000 was forgotten when the watermark passed it; a late request reopens it.
        assert_eq!(step(&mut open, &[(5_000, -1), (8_000, 1)], 5_500), 4);
        assert_eq!(step(&mut open, &[], 100_000), 0);
        assert!(OpenSessions::restore([&[0x80_u8][..]], None).is_err());
    }
}
