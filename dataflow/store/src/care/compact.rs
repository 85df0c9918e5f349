//! All files of a store rewritten: what was overwritten or dropped gives back its space.

use std::path::Path;

use rocksdb::{Cache, WriteBufferManager};

use super::super::options;
use super::super::staged::Writer;
use super::super::{Family, StoreError, StoreOptions};
use super::check::{self, CheckReport};
use super::{Watch, check_witness, copy, enter, has_database, making, open};

/// Bytes of all files of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

/// Compacts a store that is not in use.
///
/// # Errors
/// [`StoreError::NotAStore`], [`StoreError::InUse`], failures of opening and of RocksDB.
pub fn compact(directory: &Path, watch: Watch<'_>) -> Result<Compacted, StoreError> {
    let path = directory.join("db");
    if !has_database(directory) || making::is_unfinished(directory) {
        return Err(StoreError::NotAStore(directory.into()));
    }
    let _lock = enter(directory)?;
    let settings = StoreOptions::default();
    let cache = Cache::new_lru_cache(settings.cache_bytes);
    let buffers = WriteBufferManager::new_write_buffer_manager(settings.write_buffer_bytes, false);
    let before = total(&path)?;
    let db = open::to_write(directory, &settings, &cache, &buffers)?;
    let mut report = CheckReport::default();
    match check::standing(&db, directory, &mut report) {
        Some((committed, _)) => {
            check_witness(directory, committed.epoch.max(Writer::load(&db)?.staged))?;
        }
        None => return Err(StoreError::Damaged(report.listed.join("; "))),
    }
    let families = Family::ALL.len() as u64;
    for (done, family) in (0..).zip(Family::ALL) {
        watch(family.name(), done, families);
        let cf = open::cf(&db, family)?;
        db.flush_cf(cf)?;
        db.compact_range_cf_opt(cf, None::<&[u8]>, None::<&[u8]>, &options::compaction());
    }
    drop(db);
    Ok(Compacted { before, after: total(&path)? })
}

fn total(path: &Path) -> Result<u64, StoreError> {
    Ok(copy::database_files(path)?.iter().map(|(_, bytes)| bytes).sum())
}
