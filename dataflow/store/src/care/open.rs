//! Opening the database: never past damage, never silently behind what was acknowledged.
//!
//! The log is first read strictly: only a record that ends early at its very end, as a killed
//! process leaves it, is passed over. If the log is damaged, a look that writes nothing finds the
//! last epoch before the damage. When everything that was acknowledged lies before it (a loss of
//! power may leave garbage in what nobody was told of) the store opens there; otherwise it is
//! refused, with what can still be read, and nothing is written.

use std::path::Path;

use rocksdb::{Cache, DB, WriteBufferManager};

use super::super::commit::Committed;
use super::super::options::{self, Recovery};
use super::super::staged::Writer;
use super::super::{Family, StoreError, StoreOptions};
use super::witness;

/// Memory of a look that only reads.
const READ_CACHE_BYTES: usize = 32 << 20;

/// Opens for writing.
///
/// # Errors
/// [`StoreError::Damaged`], [`StoreError::Lost`], and other failures of opening.
pub(crate) fn to_write(
    directory: &Path,
    options: &StoreOptions,
    cache: &Cache,
    buffers: &WriteBufferManager,
) -> Result<DB, StoreError> {
    let path = directory.join("db");
    let open = |recovery| {
        let families = options::families(cache, buffers, options);
        let database = options::database(buffers, recovery, options.open_files_max)?;
        DB::open_cf_descriptors(&database, &path, families)
    };
    // Without waiting for the disk a loss of power may take the last epochs: nothing was promised.
    let first = if options.sync { Recovery::Strict } else { Recovery::UpToDamage };
    let error = match open(first) {
        Ok(db) => return Ok(db),
        Err(error) => StoreError::opening(directory, error),
    };
    let StoreError::Damaged(said) = error else { return Err(error) };
    match committed(directory, Recovery::UpToDamage) {
        Ok(found) if first == Recovery::Strict && witness::is_all(directory, found) => {
            tracing::warn!(
                "the log of the store ends in an epoch that was never acknowledged; it is left out"
            );
            open(Recovery::UpToDamage).map_err(|error| StoreError::opening(directory, error))
        }
        found => Err(StoreError::Damaged(explain(directory, &said, found))),
    }
}

/// Opens what is there without writing anything. The store may be in use.
///
/// # Errors
/// [`StoreError::NotAStore`], [`StoreError::Damaged`], failures of RocksDB.
pub(crate) fn to_read(directory: &Path, recovery: Recovery) -> Result<DB, StoreError> {
    let path = directory.join("db");
    if !path.is_dir() {
        return Err(StoreError::NotAStore(directory.into()));
    }
    let failed = |error| StoreError::opening(directory, error);
    let cache = Cache::new_lru_cache(READ_CACHE_BYTES);
    let buffers = WriteBufferManager::new_write_buffer_manager(usize::MAX >> 1, false);
    let found = DB::list_cf(&rocksdb::Options::default(), &path).map_err(failed)?;
    let mut families = options::families(&cache, &buffers, &StoreOptions::default());
    families.retain(|family| {
        family.name() != Family::Parts.name() || found.contains(&family.name().into())
    });
    let options = options::reading(&buffers, recovery).map_err(failed)?;
    DB::open_cf_descriptors_read_only(&options, path, families, false).map_err(failed)
}

/// The last epoch that can be read; a staged one can be promoted.
fn committed(
    directory: &Path,
    recovery: Recovery,
) -> Result<Option<spoor_operators::time::Epoch>, StoreError> {
    let db = to_read(directory, recovery)?;
    Ok(Committed::load(&db)?.epoch.max(Writer::load(&db)?.staged))
}

/// What is damaged, and what can still be read.
fn explain(
    directory: &Path,
    said: &str,
    found: Result<Option<spoor_operators::time::Epoch>, StoreError>,
) -> String {
    let shown = directory.display();
    match found {
        Ok(Some(epoch)) => format!(
            "{said}; everything up to epoch {} can still be read: `spoor store check --state \
             {shown} --salvage-to DIR` makes a store of that, or restore a backup",
            epoch.0
        ),
        Ok(None) | Err(_) => format!(
            "{said}; no earlier epoch can be read: restore a backup (`spoor store restore`), or \
             begin a new store and read the sources again"
        ),
    }
}

/// The last row of a column family.
pub(crate) fn last(db: &DB, family: Family) -> Result<Option<Row>, StoreError> {
    let mut rows = db.iterator_cf(cf(db, family)?, rocksdb::IteratorMode::End);
    Ok(rows.next().transpose()?)
}

/// A key and its value.
type Row = (Box<[u8]>, Box<[u8]>);

/// The column families of a database that is open. One that was never opened for writing since
/// breakdowns are stored in parts has none for them.
pub(crate) fn families(db: &DB) -> impl Iterator<Item = Family> {
    let is_there = |family: &Family| *family != Family::Parts || cf(db, *family).is_ok();
    Family::ALL.into_iter().filter(is_there)
}

/// Where a column family lies in a database that is open.
pub(crate) fn cf(db: &DB, family: Family) -> Result<&rocksdb::ColumnFamily, StoreError> {
    db.cf_handle(family.name()).ok_or_else(|| {
        StoreError::Damaged(format!("the column family {} is missing", family.name()))
    })
}
