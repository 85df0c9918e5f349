//! What only an engine that starts reads: its own values by prefix, and the totals.

use rocksdb::{Direction, IteratorMode};
use spoor_operators::totals::Totals;
use std::sync::Arc;

use super::{Family, Store, StoreError, meta};

/// A minute (since the Unix epoch) and an app, with its totals.
pub type MinuteTotals = ((i64, Arc<str>), Totals);

impl Store {
    /// Values of the engine's own whose names begin so.
    ///
    /// # Errors
    /// [`StoreError::Rocks`].
    pub fn blobs_with_prefix(&self, prefix: &str) -> Result<Vec<Vec<u8>>, StoreError> {
        let prefix = meta::blob_key(prefix);
        let cf = self.inner.cf(Family::Meta);
        let mode = IteratorMode::From(&prefix, Direction::Forward);
        let mut values = Vec::new();
        for entry in self.inner.db.iterator_cf(cf, mode) {
            let (key, value) = entry?;
            if !key.starts_with(&prefix) {
                break;
            }
            values.push(value.into_vec());
        }
        Ok(values)
    }

    /// Totals of the minutes before `end`, or all, as of the last commit.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`].
    pub fn totals_before(&self, end: Option<i64>) -> Result<Vec<MinuteTotals>, StoreError> {
        let from = [meta::TOTALS];
        let cf = self.inner.cf(Family::Meta);
        let mode = IteratorMode::From(&from, Direction::Forward);
        let mut totals = Vec::new();
        for entry in self.inner.db.iterator_cf(cf, mode) {
            let (key, value) = entry?;
            if !key.starts_with(&from) {
                break;
            }
            let (minute, app, sums) = meta::parse_totals(&key, &value)?;
            if end.is_some_and(|end| minute >= end) {
                break;
            }
            totals.push(((minute, Arc::from(app)), sums));
        }
        Ok(totals)
    }
}
