//! How RocksDB is set up: column families, memory, compression, filters.
//!
//! All column families share one block cache, and their write buffers are charged to one manager,
//! so the store's memory is bounded by two numbers. Rows and blocks are looked up by identity-day:
//! prefix filters, in memory too, make the first sight of an identity on a day cheap. Column
//! families are always opened with these options and all of them together, never with defaults.

use std::sync::Arc;

use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamilyDescriptor, DBCompressionType,
    DBRecoveryMode, Options, SliceTransform, WriteBufferManager,
};
use serde::{Deserialize, Serialize};
use spoor_operators::time::{DayZone, Epoch};

use super::StoreError;
use super::keys::IDENTITY_DAY_BYTES;
use super::spill::SpillOptions;

/// A column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Format, incarnation, committed epoch, counters, totals, idempotency, the engine's own.
    Meta,
    /// Rule sets by version.
    Rules,
    /// States of the sources by name.
    Offsets,
    /// Batches of other processes, not promoted yet. Empty with one process.
    Staged,
    /// Refused records by sequence number.
    DeadLetters,
    /// Findings of detection rules. Empty until there are such rules.
    Findings,
    /// The request log.
    Requests,
    /// Session rows.
    Sessions,
    /// Parts of the breakdowns that are too large for a session's row.
    Parts,
    /// Posting lists.
    Index,
}

impl Family {
    /// All of them; a store has exactly these and RocksDB's own `default`.
    pub(super) const ALL: [Self; 10] = [
        Self::Meta,
        Self::Rules,
        Self::Offsets,
        Self::Staged,
        Self::DeadLetters,
        Self::Findings,
        Self::Requests,
        Self::Sessions,
        Self::Parts,
        Self::Index,
    ];
    /// Those whose keys begin with a day.
    pub(super) const BY_DAY: [Self; 4] = [Self::Requests, Self::Sessions, Self::Parts, Self::Index];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Rules => "rules",
            Self::Offsets => "offsets",
            Self::Staged => "staged",
            Self::DeadLetters => "dead_letters",
            Self::Findings => "findings",
            Self::Requests => "requests",
            Self::Sessions => "sessions",
            Self::Parts => "parts",
            Self::Index => "index",
        }
    }
}

/// What the user can set.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Block cache, in bytes.
    pub cache_bytes: usize,
    /// Write buffers of all column families together, in bytes.
    pub write_buffer_bytes: usize,
    /// Files of the database open at one time.
    pub open_files_max: usize,
    /// A commit waits until the disk has it: survives the loss of power, not only of the process.
    pub sync: bool,
    /// Keep an index of request ids: one entry a request.
    pub index_request_ids: bool,
    /// Where hot state goes that has no room in memory.
    pub spill: SpillOptions,
    /// The zone days are counted in.
    pub zone: DayZone,
    /// What dead letters keep of the record.
    pub dead_letters: KeptOfRefused,
    /// What becomes of an epoch; anything but [`Keep::Everything`] is for measurements.
    pub keep: Keep,
    /// Called before each write of an epoch, for tests of disks that are slow or fail.
    pub before_write: Option<WriteHook>,
}

/// What the dead letters keep of a refused record, besides where it was and what was wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeptOfRefused {
    /// Its first bytes, without what is or may be secret.
    #[default]
    Masked,
    /// Nothing.
    Nothing,
}

/// How much of a commit is done, so that its cost can be measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// All of it.
    #[default]
    Everything,
    /// Rows, log and index are encoded, and not written: what leaves the memory is lost.
    Encoded,
    /// Not even that.
    Nothing,
}

/// Stands between the engine and the disk: it may wait, or refuse.
#[derive(Clone)]
pub struct WriteHook(pub Arc<dyn Fn(Epoch) -> Result<(), StoreError> + Send + Sync>);

impl std::fmt::Debug for WriteHook {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("WriteHook")
    }
}

impl StoreOptions {
    /// For a bulk load: more memory, fewer and larger files.
    #[must_use]
    pub fn bulk() -> Self {
        Self { cache_bytes: 128 << 20, write_buffer_bytes: 192 << 20, ..Self::default() }
    }
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 96 << 20,
            write_buffer_bytes: 96 << 20,
            open_files_max: 1_024,
            sync: true,
            index_request_ids: true,
            spill: SpillOptions::default(),
            zone: DayZone::utc(),
            dead_letters: KeptOfRefused::default(),
            keep: Keep::default(),
            before_write: None,
        }
    }
}

/// Background jobs of RocksDB.
const BACKGROUND_JOBS: i32 = 2;
/// Bits of the bloom filters for each key or prefix.
const FILTER_BITS: f64 = 10.0;
/// Share of a write buffer its prefix filter takes.
const MEMTABLE_FILTER_RATIO: f64 = 0.05;
/// Write-ahead log beyond which the oldest write buffer is flushed.
const WAL_BYTES_MAX: u64 = 512 << 20;

/// More than an epoch ever stages before its memory is given back.
const STAGED_WRITE_BUFFER_BYTES: usize = 2 << 30;

/// Level of zstd where most bytes lie: a bulk load is bound by the processor, and level 1 takes half
/// the time of the default.
const ZSTD_LEVEL: i32 = 1;
/// RocksDB's own default: zlib's window, of no meaning to zstd.
const ZSTD_WINDOW_BITS: i32 = -14;

/// How far a write-ahead log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recovery {
    /// Any damage but a record cut short at the end is an error.
    Strict,
    /// Up to the first damage: whole epochs, and none after a missing one.
    UpToDamage,
}

/// Each log names the one before it, with its size and its last record: a log that is missing or
/// cut short is damage, not an end.
const CHAINED_LOGS: &str = "track_and_verify_wals=true";

/// Options of the database.
pub(super) fn database(
    buffers: &WriteBufferManager,
    recovery: Recovery,
    open_files_max: usize,
) -> Result<Options, rocksdb::Error> {
    let mut options = reading(buffers, recovery)?;
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.increase_parallelism(BACKGROUND_JOBS);
    options.set_max_background_jobs(BACKGROUND_JOBS);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_bytes_per_sync(1 << 20);
    options.set_max_open_files(i32::try_from(open_files_max).unwrap_or(i32::MAX));
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(4 << 20);
    options.set_enable_write_thread_adaptive_yield(false);
    Ok(options)
}

/// Options of a database that is only read.
pub(super) fn reading(
    buffers: &WriteBufferManager,
    recovery: Recovery,
) -> Result<Options, rocksdb::Error> {
    let mut options = Options::default().get_options_from_string(CHAINED_LOGS)?;
    options.set_write_buffer_manager(buffers);
    options.set_paranoid_checks(true);
    options.set_wal_recovery_mode(match recovery {
        Recovery::Strict => DBRecoveryMode::TolerateCorruptedTailRecords,
        Recovery::UpToDamage => DBRecoveryMode::PointInTime,
    });
    Ok(options)
}

/// All column families with their options.
pub(super) fn families(
    cache: &Cache,
    buffers: &WriteBufferManager,
    options: &StoreOptions,
) -> Vec<ColumnFamilyDescriptor> {
    let names = Family::ALL.into_iter().map(|family| {
        let set = match family {
            Family::Requests | Family::Sessions | Family::Parts => {
                by_identity(cache, buffers, options)
            }
            Family::Index => by_day(cache, buffers, options, 16 << 10),
            Family::Staged => staged(cache, buffers),
            _ => small(cache, buffers),
        };
        ColumnFamilyDescriptor::new(family.name(), set)
    });
    let default = ColumnFamilyDescriptor::new("default", small(cache, buffers));
    names.chain([default]).collect()
}

fn table(cache: &Cache, block_bytes: usize) -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(block_bytes);
    table.set_format_version(6);
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table
}

fn small(cache: &Cache, buffers: &WriteBufferManager) -> Options {
    let mut options = Options::default();
    options.set_block_based_table_factory(&table(cache, 4 << 10));
    options.set_write_buffer_manager(buffers);
    options.set_write_buffer_size(8 << 20);
    options.set_compression_type(DBCompressionType::Lz4);
    options
}

/// Large values that live for milliseconds: whoever writes them flushes when nothing is staged, and
/// then nothing comes to a file. Never flushed for its size alone, which would be in between.
fn staged(cache: &Cache, buffers: &WriteBufferManager) -> Options {
    let mut options = small(cache, buffers);
    options.set_write_buffer_size(STAGED_WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(4);
    options
}

fn by_day(
    cache: &Cache,
    buffers: &WriteBufferManager,
    options: &StoreOptions,
    block_bytes: usize,
) -> Options {
    let mut set = Options::default();
    let mut table = table(cache, block_bytes);
    table.set_bloom_filter(FILTER_BITS, false);
    set.set_block_based_table_factory(&table);
    set.set_write_buffer_manager(buffers);
    set.set_write_buffer_size((options.write_buffer_bytes / 4).clamp(4 << 20, 256 << 20));
    set.set_max_write_buffer_number(4);
    set.set_compression_type(DBCompressionType::Lz4);
    set.set_bottommost_compression_type(DBCompressionType::Zstd);
    set.set_bottommost_compression_options(ZSTD_WINDOW_BITS, ZSTD_LEVEL, 0, 0, true);
    set.set_level_compaction_dynamic_level_bytes(true);
    set.set_level_zero_file_num_compaction_trigger(6);
    set.set_level_zero_slowdown_writes_trigger(24);
    set.set_level_zero_stop_writes_trigger(40);
    set.set_target_file_size_base(64 << 20);
    set.set_max_bytes_for_level_base(512 << 20);
    set
}

fn by_identity(cache: &Cache, buffers: &WriteBufferManager, options: &StoreOptions) -> Options {
    let mut set = by_day(cache, buffers, options, 16 << 10);
    set.set_prefix_extractor(SliceTransform::create_fixed_prefix(IDENTITY_DAY_BYTES));
    set.set_memtable_prefix_bloom_ratio(MEMTABLE_FILTER_RATIO);
    set
}

/// How a range is compacted after its days were dropped.
pub(super) fn compaction() -> rocksdb::CompactOptions {
    let mut options = rocksdb::CompactOptions::default();
    options.set_exclusive_manual_compaction(false);
    options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
    options
}
