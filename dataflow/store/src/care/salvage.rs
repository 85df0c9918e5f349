//! The last whole epoch of a damaged store, as a store of its own.
//!
//! RocksDB writes an epoch as one record of its log, so a log read up to its damage gives the state
//! of an epoch or, where newer files already depend on what is lost, an error. Only such a state is
//! copied, row by row, and checked; a damaged table file cannot be made good, and is said so.

use std::path::Path;

use rocksdb::{Cache, DB, ReadOptions, WriteBatch, WriteBufferManager, WriteOptions};

use super::super::options::Recovery;
use super::super::staged::Writer;
use super::super::{StoreError, StoreOptions, secret};
use super::check::{self, CheckReport};
use super::{KeptRows, Lock, Watch, check_is_store, copy, open, witness};

/// Bytes written at a time.
const BATCH_BYTES: usize = 4 << 20;

/// What was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salvaged {
    /// The last epoch in it.
    pub epoch: u64,
    /// The last epoch that was acknowledged, as far as it is known.
    pub acknowledged: Option<u64>,
    /// Rows copied.
    pub rows: u64,
}

/// Writes the last whole epoch of a store that is not in use to a new directory. What others keep in
/// it is read by `kept`.
///
/// # Errors
/// [`StoreError::Damaged`] when there is no whole epoch, [`StoreError::InUse`],
/// [`StoreError::NotEmpty`], failed writes.
pub fn salvage(
    directory: &Path,
    to: &Path,
    kept: &dyn KeptRows,
    watch: Watch<'_>,
) -> Result<Salvaged, StoreError> {
    check_is_store(directory)?;
    let _lock = Lock::take_to_read(directory)?;
    let source = open::to_read(directory, Recovery::UpToDamage).map_err(no_epoch)?;
    let mut report = CheckReport::default();
    let standing = check::standing(&source, directory, &mut report);
    if let Some((committed, zone)) = &standing {
        check::rows(&source, (zone, kept), committed, &mut report, watch);
    }
    // What is staged is saved with the rest, and promoted or discarded as it would have been.
    let staged = Writer::load(&source).map(|writer| writer.staged).unwrap_or_default();
    let epoch = standing.and_then(|(committed, _)| committed.epoch.max(staged));
    let (Some(epoch), 0) = (epoch, report.problems) else {
        let first = report.listed.into_iter().next();
        let text = first.unwrap_or_else(|| "nothing was committed in it".into());
        return Err(no_epoch(StoreError::Damaged(text)));
    };
    copy::make_empty(to)?;
    let rows = copy_rows(&source, to, watch)?;
    if directory.join(secret::FILE).exists() {
        copy::file((directory, to), secret::FILE, &mut |_| true)?;
    }
    let acknowledged = witness::read(directory).map(|epoch| epoch.0);
    witness::write(to, epoch)?;
    copy::sync(to)?;
    Ok(Salvaged { epoch: epoch.0, acknowledged, rows })
}

fn no_epoch(error: StoreError) -> StoreError {
    match error {
        StoreError::Damaged(text) => StoreError::Damaged(format!(
            "{text}; no epoch can be saved: restore a backup, or begin a new store and read the \
             sources again"
        )),
        other => other,
    }
}

fn copy_rows(source: &DB, to: &Path, watch: Watch<'_>) -> Result<u64, StoreError> {
    let settings = StoreOptions::default();
    let cache = Cache::new_lru_cache(settings.cache_bytes);
    let buffers = WriteBufferManager::new_write_buffer_manager(settings.write_buffer_bytes, false);
    let target = open::to_write(to, &settings, &cache, &buffers)?;
    // What is not finished is not kept, so a log would save nothing.
    let mut unlogged = WriteOptions::default();
    unlogged.disable_wal(true);
    let mut rows = 0;
    for family in open::families(source) {
        let cf = open::cf(&target, family)?;
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        options.fill_cache(false);
        let mut found = source.raw_iterator_cf_opt(open::cf(source, family)?, options);
        let mut batch = WriteBatch::default();
        found.seek_to_first();
        while let Some((key, value)) = found.item() {
            batch.put_cf(cf, key, value);
            rows += 1;
            if batch.size_in_bytes() > BATCH_BYTES {
                target.write_opt(std::mem::take(&mut batch), &unlogged)?;
                watch("saving", rows, 0);
            }
            found.next();
        }
        found.status()?;
        target.write_opt(batch, &unlogged)?;
        target.flush_cf(cf)?;
    }
    Ok(rows)
}
