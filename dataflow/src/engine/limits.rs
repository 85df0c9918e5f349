//! Limits of the engine, in one place.

use std::time::Duration;

/// Refused lines a push is told of.
pub const PUSH_ERRORS_MAX: usize = 100;
/// Dead letters kept of one chunk; more are counted only.
pub const DEAD_LETTERS_PER_CHUNK_MAX: usize = 1000;
/// Closed epochs that wait for their commit before input waits too.
pub const EPOCHS_IN_FLIGHT_MAX: usize = 4;
/// Chunks that wait for an epoch.
pub const CHUNKS_WAITING_MAX: usize = 4;
/// An epoch is closed at this age when nothing waits and the one before it is committed.
pub const EPOCH_AGE_MIN: Duration = Duration::from_millis(10);
/// An epoch is closed at this age whatever waits.
pub const EPOCH_AGE_MAX: Duration = Duration::from_secs(1);
/// An epoch is closed at this many bytes of input. Measured on a replay: larger ones fall out of
/// the caches and cost memory, smaller ones cost commits.
pub const EPOCH_BYTES_MAX: usize = 32 << 20;
/// Requests a worker looks at in one slice of a regroup.
pub const REGROUP_SLICE: usize = 20_000;
/// Epochs whose changes are remembered for subscribers that resume.
pub const FEED_EPOCHS_MAX: usize = 1024;
/// Changes remembered for subscribers that resume.
pub const FEED_CHANGES_MAX: usize = 100_000;
/// Sessions of which a slow subscriber's changes are kept apart; past that it gets a snapshot.
pub const FEED_PENDING_MAX: usize = 20_000;
/// Subscribers at a time.
pub const FEED_SUBSCRIBERS_MAX: usize = 1000;
/// Sessions in a snapshot.
pub const FEED_SNAPSHOT_MAX: usize = 10_000;
/// Answers remembered for repeated pushes and mutations.
pub const REMEMBERED_ANSWERS_MAX: usize = 10_000;
/// Longest time a worker sleeps when nothing wakes it.
pub const PARK_MAX: Duration = Duration::from_millis(20);
/// How long a process that fails goes on so that the others of its cluster hear why.
pub const FAREWELL: Duration = Duration::from_millis(300);
/// Pushes that wait for an epoch; one more is refused.
pub const PUSHES_WAITING_MAX: usize = 64;
