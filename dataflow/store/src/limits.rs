//! The store's limits by name: what bounds memory, time and disk of one call or one list.
//!
//! Those that choose a way of looking are small in tests, so that every way is taken.

/// Bytes of one piece of a staged batch.
pub const STAGED_PIECE_BYTES: usize = if cfg!(test) { 1 << 10 } else { 16 << 20 };
/// Bytes that were staged, after which their memory is given back.
pub const STAGED_FLUSH_BYTES: usize = if cfg!(test) { 64 << 10 } else { 32 << 20 };
/// Dropped days whose files one commit deletes.
pub const RECLAIM_DAYS: usize = 1;
/// Refused records that are kept; older ones go.
pub const DEAD_LETTERS_KEPT: u64 = 100_000;
/// Answers to idempotent calls that are kept; older ones go.
pub const IDEMPOTENCY_KEPT: u64 = 100_000;
/// Bytes of one identity-day's request log that one call reads.
pub const LOG_BYTES_MAX: usize = 512 << 20;
/// Entries of a posting list beyond which it narrows nothing and the newest sessions are walked.
pub const POSTINGS_MAX: usize = if cfg!(test) { 8 } else { 50_000 };
/// Keys of a posting list's bucket beyond which reading it costs more than walking.
pub const BUCKET_KEYS_MAX: usize = 20_000;
/// Rows a page looks at one by one before it reads all rows of a day instead.
pub const WALK_MAX: usize = if cfg!(test) { 12 } else { 10_000 };
/// Rows looked up together.
pub const LOOKUP_BATCH: usize = if cfg!(test) { 3 } else { 256 };
/// Starts of one minute that are put in order at first; more when they do not fill the page.
pub const SORT_RUN: usize = if cfg!(test) { 2 } else { 1024 };
/// Steps of an overview.
pub const OVERVIEW_STEPS_MAX: u64 = 10_000;
/// Bytes of rows in a page; one that would have more is shorter than asked for.
pub const PAGE_BYTES_MAX: usize = if cfg!(test) { 1 << 20 } else { 8 << 20 };
/// Longest page of sessions, requests or dead letters.
pub const PAGE_MAX: usize = 100_000;
