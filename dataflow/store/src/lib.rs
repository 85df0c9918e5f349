//! The store: committed state in RocksDB, written by one atomic batch an epoch, read as of one.
//!
//! Workers encode what an epoch changed into [`Part`]s; the committer joins them with everything
//! else of the epoch into a [`Commit`], which becomes one write: rows, request log, index, offsets,
//! counters, rules, dead letters. A [`StoreView`] is a snapshot after one such write, so a reader
//! sees epochs whole. Hot reads (`hot.rs`) see the latest commit. `keys.rs` has the layout,
//! `plan.rs` how a question is answered. Whatever is read from disk is untrusted: what is not
//! understood is [`StoreError::Damaged`], never a panic and never a guess.
//!
//! The store knows no engine, cluster or source: what the engine keeps here are bytes under names it
//! chose, and it registers how they are read ([`care::KeptRows`]) with the tools that look at every
//! row.

mod batch;
pub mod care;
mod closing;
mod commit;
mod dead_letters;
mod engine_state;
mod error;
mod export;
mod facets;
pub mod failpoint;
mod find;
mod hot;
mod keys;
pub mod limits;
mod log;
mod meta;
mod moving;
mod options;
mod overview;
mod plan;
mod postings;
mod requests;
mod retention;
pub mod secret;
mod spill;
mod staged;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod upgrade;
mod view;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use rocksdb::{Cache, ColumnFamily, DB, FlushOptions, WriteBufferManager};
use spoor_operators::sessionize::spill::Spilling;
use spoor_operators::time::{DayZone, Epoch, EventTime};

pub use batch::Part;
pub use commit::Commit;
pub use error::StoreError;
pub use hot::{LogLimit, LogPiece, Scanned};
pub use log::peek as peek_stored;
pub use moving::{BucketTotals, MovingDay, RawRow};
pub use options::{Keep, KeptOfRefused, StoreOptions, WriteHook};
pub use overview::check_steps;
pub use spill::{SpillCodec, SpillOptions};
pub use staged::Staged;
pub use view::{LettersBefore, StoreView, ViewContext};

use commit::Committed;
use options::Family;
use spoor_api::lineage::Lineage;

/// Format of everything on disk. A store of an older one is upgraded (`upgrade.rs`), of any other
/// refused.
pub const FORMAT: u32 = 2;

/// The open store. Cheap to clone; closed when the last clone and the last view are gone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    db: DB,
    directory: PathBuf,
    zone: DayZone,
    sync: bool,
    index_request_ids: bool,
    spill: SpillOptions,
    incarnation: u64,
    lineage: Lineage,
    cache: Cache,
    buffers: WriteBufferManager,
    /// Whoever writes holds it; taken before the others.
    writer: Mutex<staged::Writer>,
    committed: Mutex<Committed>,
    views: Mutex<retention::Views>,
    witness: care::Witness,
    place: care::Place,
    dead_letters: KeptOfRefused,
    keep: Keep,
    before_write: Option<WriteHook>,
    /// Size of the last epoch's largest part: what to expect of the next.
    part_bytes: AtomicUsize,
    /// Bytes of the batches written since it was opened.
    written: AtomicU64,
    /// Goes last: until then the database may write.
    _lock: care::Lock,
}

impl Inner {
    fn cf(&self, family: Family) -> &ColumnFamily {
        self.db.cf_handle(family.name()).expect("every column family was opened")
    }

    /// Lets whoever stands between the engine and the disk have a say.
    fn before_write(&self, epoch: Epoch) -> Result<(), StoreError> {
        self.before_write.as_ref().map_or(Ok(()), |hook| hook.0(epoch))
    }

    /// Bytes on disk, without the write-ahead log.
    fn disk_bytes(&self) -> u64 {
        let files = Family::ALL.into_iter().map(|family| {
            let name = "rocksdb.total-sst-files-size";
            self.db.property_int_value_cf(self.cf(family), name).ok().flatten().unwrap_or(0)
        });
        files.sum()
    }
}

/// Numbers of the whole, as of the last commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreNumbers {
    /// Sessions retained.
    pub sessions: u64,
    /// Requests retained, those in no session included.
    pub requests: u64,
    /// Bytes on disk, without the write-ahead log.
    pub disk_bytes: u64,
    /// Bytes of block cache and write buffers in use.
    pub memory_bytes: u64,
}

impl Store {
    /// Opens the store in a directory, or makes one there.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Format`], [`StoreError::NotAStore`],
    /// [`StoreError::Zone`], [`StoreError::Damaged`], [`StoreError::Lost`], [`StoreError::NoRoom`]
    /// and failures of the file system.
    pub fn open(directory: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let path = directory.join("db");
        let lock = care::enter(directory)?;
        check_families(directory, &path)?;
        let cache = Cache::new_lru_cache(options.cache_bytes);
        // It never makes a write wait: one that waits for memory nobody gives back waits for ever
        // (seen, with everything flushed and idle). The number of write buffers bounds what is held.
        let buffers =
            WriteBufferManager::new_write_buffer_manager(options.write_buffer_bytes, false);
        let db = care::open_database(directory, &options, &cache, &buffers)?;
        let (incarnation, lineage) = meta::begin(&db, directory, options.zone.name())?;
        let (committed, writer) = (Committed::load(&db)?, staged::Writer::load(&db)?);
        if writer.staged.is_none() {
            upgrade::run(&db, &options.zone, &committed)?;
        }
        care::check_witness(directory, committed.epoch.max(writer.staged))?;
        let witness = care::Witness::open(directory, committed.epoch.filter(|_| options.sync))?;
        care::finish_making(directory)?;
        let inner = Inner {
            db,
            directory: directory.into(),
            zone: options.zone,
            sync: options.sync,
            index_request_ids: options.index_request_ids,
            spill: options.spill,
            incarnation,
            lineage,
            cache,
            buffers,
            writer: Mutex::new(writer),
            committed: Mutex::new(committed),
            views: Mutex::default(),
            witness,
            place: care::Place::of(directory)?,
            dead_letters: options.dead_letters,
            keep: options.keep,
            before_write: options.before_write,
            part_bytes: AtomicUsize::new(0),
            written: AtomicU64::new(0),
            _lock: lock,
        };
        let store = Self { inner: Arc::new(inner) };
        store.reclaim_dropped()?;
        Ok(store)
    }

    /// Counts the openings of this store.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.inner.incarnation
    }

    /// Which epochs are part of this store's history.
    #[must_use]
    pub fn lineage(&self) -> &Lineage {
        &self.inner.lineage
    }

    /// Bytes of the epochs written since it was opened: how much a view may keep that is not
    /// current any more.
    #[must_use]
    pub fn written_bytes(&self) -> u64 {
        self.inner.written.load(Ordering::Relaxed)
    }

    /// The last committed epoch; none in a new store.
    #[must_use]
    pub fn committed(&self) -> Option<Epoch> {
        self.inner.committed.lock().epoch
    }

    /// The watermark of the last commit.
    #[must_use]
    pub fn watermark(&self) -> Option<EventTime> {
        self.inner.committed.lock().watermark
    }

    /// The zone days are counted in.
    #[must_use]
    pub fn zone(&self) -> &DayZone {
        &self.inner.zone
    }

    /// The key of the keyed hashes, made once a store and kept in a file beside the database that
    /// only its owner may read.
    ///
    /// # Errors
    /// [`StoreError::SecretKey`].
    pub fn secret_key(&self) -> Result<[u8; 32], StoreError> {
        secret::read_or_make(&self.inner.directory)
    }

    /// Moves what is in memory to files, so that the next opening has no log to read. Nothing is lost
    /// without it.
    ///
    /// # Errors
    /// Failures of RocksDB.
    pub fn settle(&self) -> Result<(), StoreError> {
        let families: Vec<_> = Family::ALL.map(|family| self.inner.cf(family)).into();
        let families: Vec<_> = families.iter().collect();
        Ok(self.inner.db.flush_cfs_opt(&families, &FlushOptions::default())?)
    }

    /// Makes another key the store's: that of the cluster a new store belongs to.
    ///
    /// # Errors
    /// [`StoreError::SecretKey`].
    pub fn keep_secret_key(&self, key: &[u8; 32]) -> Result<(), StoreError> {
        secret::keep(&self.inner.directory, key)
    }

    /// Where one of so many workers keeps hot state that has no room in memory, if the options say
    /// so.
    ///
    /// # Errors
    /// [`StoreError::File`]: its file cannot be made.
    pub fn spilling(&self, workers: usize) -> Result<Option<Spilling>, StoreError> {
        let directory = &self.inner.directory;
        spill::spilling(directory, self.inner.spill, workers)
            .map_err(|error| StoreError::File { path: directory.clone(), error })
    }

    /// An empty part for what one worker changes in one epoch. `number` tells the parts of an
    /// epoch apart.
    #[must_use]
    pub fn part(&self, epoch: Epoch, number: u16) -> Part {
        Part::new(self.inner.clone(), epoch, number)
    }

    /// Numbers of the whole, as of the last commit.
    #[must_use]
    pub fn numbers(&self) -> StoreNumbers {
        let mut numbers = self.inner.committed.lock().numbers();
        numbers.disk_bytes = self.inner.disk_bytes();
        numbers.memory_bytes =
            (self.inner.cache.get_usage() + self.inner.buffers.get_usage()) as u64;
        numbers
    }
}

/// Refuses a store of unknown column families before RocksDB writes into it.
fn check_families(directory: &Path, path: &Path) -> Result<(), StoreError> {
    if !path.join("CURRENT").exists() {
        return Ok(());
    }
    let found = DB::list_cf(&rocksdb::Options::default(), path)
        .map_err(|error| StoreError::opening(directory, error))?;
    let unknown = found
        .into_iter()
        .find(|name| name != "default" && !Family::ALL.iter().any(|family| family.name() == name));
    match unknown {
        None => Ok(()),
        Some(name) => Err(StoreError::Format {
            path: directory.into(),
            found: format!("with `{name}`"),
            known: FORMAT,
        }),
    }
}
