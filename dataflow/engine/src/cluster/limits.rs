//! Limits of a cluster's connections, in one place. Every wait between processes has its bound here.

use std::time::Duration;

/// Most processes in a cluster.
pub const PROCESSES_MAX: usize = 64;
/// Least length of a shared secret, in bytes.
pub const SECRET_BYTES_MIN: usize = 16;
/// Longest thing a process may say before the dataflow begins.
pub const WORDS_BYTES_MAX: usize = 256 << 20;
/// How long all processes together may take to be there; after that a process ends, and names those
/// it has waited for.
pub const MEETING_MAX: Duration = Duration::from_secs(600);
/// For what a process that is there has to say: it may have to recover its store first.
pub const WORDS_MAX: Duration = Duration::from_secs(600);
/// For a connection to come about.
pub const CONNECT_MAX: Duration = Duration::from_secs(2);
/// For the whole of a handshake.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Handshakes at a time with whoever connects; when there are more, the oldest is cut off.
pub const HANDSHAKES_MAX: usize = 128;
/// Between attempts to reach a process.
pub const RETRY: Duration = Duration::from_millis(100);
/// Before a meeting that was broken off begins again.
pub const PAUSE: Duration = Duration::from_millis(200);
/// Between reports of what is waited for.
pub const REPORT: Duration = Duration::from_secs(5);
/// Between heartbeats.
pub const HEARTBEAT: Duration = Duration::from_secs(1);
/// A process that was not heard of for so long makes the others unready.
pub const SUSPECT_AFTER: Duration = Duration::from_secs(5);
/// One that was not heard of for so long is lost.
pub const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How often it is looked whether a process is silent, or this one has failed.
pub const LOOK: Duration = Duration::from_millis(100);
/// A look that comes so late means that this process was stopped itself.
pub const STALLED: Duration = Duration::from_secs(2);
/// The system probes a silent connection after this long, this often, and gives it up after three.
pub const KEEPALIVE: Duration = Duration::from_secs(5);
