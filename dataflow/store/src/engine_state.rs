//! What only an engine that starts reads: its own values by prefix.

use rocksdb::{Direction, IteratorMode};

use super::{Family, Store, StoreError, meta};

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
}
