//! Limits of the engine, in one place. Some are small in tests, so that they are reached.

use std::time::Duration;

/// Refused lines a push is told of.
pub const PUSH_ERRORS_MAX: usize = 100;
/// Dead letters kept of one chunk; more are counted only.
pub const DEAD_LETTERS_PER_CHUNK_MAX: usize = 1000;
/// Closed epochs that wait for their commit before input waits too.
pub const EPOCHS_IN_FLIGHT_MAX: usize = 4;
/// Threads that read files to their ends; more files wait for their turn.
pub const READER_THREADS_MAX: usize = 8;
/// Chunks that wait for an epoch.
pub const CHUNKS_WAITING_MAX: usize = 4;
/// An epoch is closed at this age when nothing waits and the one before it is committed.
pub const EPOCH_AGE_MIN: Duration = Duration::from_millis(10);
/// An epoch is closed at this age whatever waits.
pub const EPOCH_AGE_MAX: Duration = Duration::from_secs(1);
/// An epoch is closed at this many bytes of input. Measured on a replay: larger ones fall out of
/// the caches and cost memory, smaller ones cost commits.
pub const EPOCH_BYTES_MAX: usize = 32 << 20;
/// The same for one process of a cluster. Measured with two on one machine: 8 MiB cost more commits,
/// 32 MiB twice the memory.
pub const EPOCH_BYTES_CLUSTER_MAX: usize = 16 << 20;
/// Requests a worker looks at in one slice of a regroup.
pub const REGROUP_SLICE: usize = 20_000;
/// Bytes of the requests a worker looks at in one slice of a regroup.
pub const REGROUP_SLICE_BYTES: usize = 32 << 20;
/// Epochs whose changes are remembered for subscribers that resume.
pub const FEED_EPOCHS_MAX: usize = if cfg!(test) { 16 } else { 65_536 };
/// Bytes of the changes that are remembered for them.
pub const FEED_BYTES_MAX: usize = 64 << 20;
/// A session with more bytes is not kept with its changes; it is read again when it is told.
pub const FEED_SESSION_BYTES_MAX: usize = if cfg!(test) { 8 << 10 } else { 256 << 10 };
/// Sessions a subscriber is told of at once; when more have changed it gets a snapshot.
pub const FEED_PENDING_MAX: usize = 20_000;
/// Changed sessions that are looked at for one event; when there are more it is a snapshot.
pub const FEED_MERGED_MAX: usize = 100_000;
/// Bytes of the sessions of one event. Changes that have more become a snapshot, and a snapshot ends
/// before the session that goes beyond, unless it is the first.
pub const FEED_EVENT_BYTES_MAX: usize = if cfg!(test) { 64 << 10 } else { 16 << 20 };
/// Sessions a snapshot reads at first, to see how large they are.
pub const FEED_SNAPSHOT_STEP: usize = 4;
/// A subscriber that is told of no change is told the epoch this often, or sooner when the epoch it
/// was told last is about to be forgotten.
pub const FEED_PROGRESS: Duration = Duration::from_secs(10);
/// Subscribers at a time.
pub const FEED_SUBSCRIBERS_MAX: usize = 1000;
/// Sessions in a snapshot.
pub const FEED_SNAPSHOT_MAX: usize = 10_000;
/// Longest time a worker sleeps when nothing wakes it.
pub const PARK_MAX: Duration = Duration::from_millis(20);
/// How long a process that fails goes on so that the others of its cluster hear why.
pub const FAREWELL: Duration = Duration::from_millis(300);
/// How long an engine that was stopped, or has failed, may take to end. What has not ended then is
/// left behind: the process ends without it.
pub const END_MAX: Duration = Duration::from_secs(8);
/// How long its end waits for a source that does not notice that nobody reads it any more.
pub const SOURCE_END_MAX: Duration = Duration::from_secs(2);
/// Pushes that wait for an epoch; one more is refused.
pub const PUSHES_WAITING_MAX: usize = 64;
/// Bytes of a question or an answer between processes: a page of the longest sessions fits.
pub const MESSAGE_BYTES_MAX: u64 = 256 << 20;
/// Epochs of which a process of a cluster keeps its view, so that all can answer as of one.
pub const VIEWS_KEPT_MAX: usize = if cfg!(test) { 4 } else { 256 };
/// How long it keeps them, the newest apart.
pub const VIEWS_KEPT_AGE: Duration = Duration::from_secs(if cfg!(test) { 600 } else { 5 });
/// Epochs that are kept because a list is read at them; one more takes the place of one whose list
/// nobody read on.
pub const LISTS_KEPT_MAX: usize = if cfg!(test) { 2 } else { 64 };
/// How long such an epoch is kept after a page was read at it.
pub const LIST_IDLE: Duration = Duration::from_secs(120);
/// How long such an epoch is kept at all. Until then what retention drops stays on the disk.
pub const LIST_AGE: Duration = Duration::from_secs(600);
/// Bytes that may be written while such an epoch is kept: what they replace stays on the disk.
pub const LIST_WRITTEN_BYTES: u64 = if cfg!(test) { 256 << 10 } else { 4 << 30 };
/// How long a process waits for an epoch that another one sees already.
pub const EPOCH_WAIT: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 5 });
/// How long a process waits for the answer of another one to a read.
pub const ANSWER_WAIT: Duration = Duration::from_secs(if cfg!(test) { 4 } else { 20 });
/// How long a process waits for the leader to commit a change or a push.
pub const MUTATION_WAIT: Duration = Duration::from_secs(60);
/// Times a read is begun anew because its epoch was forgotten.
pub const READ_BEGINNINGS_MAX: usize = 4;
/// Questions of other processes answered at a time.
pub const ANSWER_THREADS_MAX: usize = 32;
/// Changes and pushes of this process that wait for the leader; one more is refused.
pub const FORWARDED_MAX: usize = 64;
/// A subscription looks for changes no more often than this.
pub const FEED_PACE: Duration = Duration::from_millis(50);
/// Bytes of lines in one page of an export.
pub const EXPORT_PAGE_BYTES: usize = if cfg!(test) { 1000 } else { 4 << 20 };
