//! Where hot state waits that has no room in memory: bytes by identity-day, bounded.
//!
//! What is spilled is what the backend holds as well, in a form that is cheaper to have back. It is
//! good only as long as nothing changes that identity-day, and every change goes through hot state:
//! so an entry leaves the spill when it is taken back into memory, dropping a day drops its
//! entries, and a process begins with an empty spill. A spill may lose any entry at any time, and
//! whatever it gives back is checked by the [codec](super::codec): a loss or a refusal is a question
//! to the backend, never another answer.

use std::collections::VecDeque;
use std::fmt;

use hashbrown::HashMap;

use super::backend::{DayKey, EpochCounts};
use super::codec::HotCodec;
use super::state::DayState;
use crate::time::Day;

/// Keeps bytes by identity-day.
pub trait Spill: Send {
    /// Keeps bytes, instead of what was kept of that identity-day. It may forget others for it, or
    /// not keep them at all.
    fn put(&mut self, key: DayKey, bytes: &[u8]);

    /// Gives back and forgets what is kept of an identity-day: into `out`, which is empty; whether
    /// there was something.
    fn take(&mut self, key: DayKey, out: &mut Vec<u8>) -> bool;

    /// Forgets the days before one.
    fn drop_before(&mut self, day: Day);

    /// Bytes in memory.
    fn memory_bytes(&self) -> usize;
}

/// A spill, and the codec that writes for it.
pub struct Spilling {
    spill: Box<dyn Spill>,
    codec: Box<dyn HotCodec>,
    buffer: Vec<u8>,
}

impl fmt::Debug for Spilling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spilling").finish_non_exhaustive()
    }
}

/// An identity-day of more bytes is forgotten: asking the backend costs little more.
const ENTRY_BYTES_MAX: usize = 16 << 20;
/// Room that stays for the next one.
const BUFFER_BYTES: usize = 1 << 16;

impl Spilling {
    /// An empty spill and its codec.
    #[must_use]
    pub fn new(spill: Box<dyn Spill>, codec: Box<dyn HotCodec>) -> Self {
        Self { spill, codec, buffer: Vec::new() }
    }

    /// Bytes in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.spill.memory_bytes()
    }

    /// Offers an evicted state to the spill. Large sessions are not spilled: the parts they
    /// share would be written whole, and the backend has them.
    pub(super) fn keep(&mut self, key: DayKey, state: DayState) {
        if state.has_large() {
            return;
        }
        self.buffer.clear();
        self.codec.encode(key, &state.into_hot_day(), &mut self.buffer);
        if self.buffer.len() <= ENTRY_BYTES_MAX {
            self.spill.put(key, &self.buffer);
        }
        self.buffer.shrink_to(BUFFER_BYTES);
    }

    /// What was kept of an identity-day, which memory has from now on.
    pub(super) fn give(&mut self, key: DayKey, counts: &mut EpochCounts) -> Option<DayState> {
        self.buffer.clear();
        if !self.spill.take(key, &mut self.buffer) {
            return None;
        }
        let read = self.codec.decode(key, &self.buffer);
        self.buffer.shrink_to(BUFFER_BYTES);
        match read {
            Ok(day) => {
                counts.restored += 1;
                Some(DayState::restored(day))
            }
            Err(_) => {
                counts.refused += 1;
                None
            }
        }
    }

    pub(super) fn drop_before(&mut self, day: Day) {
        self.spill.drop_before(day);
    }
}

/// A spill in memory, for tests: the oldest entries make room for new ones.
#[derive(Debug, Default)]
pub struct MemorySpill {
    entries: HashMap<DayKey, Vec<u8>>,
    order: VecDeque<DayKey>,
    bytes: usize,
    bytes_max: usize,
}

impl MemorySpill {
    /// A spill of at most so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    fn forget(&mut self, key: DayKey) -> Option<Vec<u8>> {
        let bytes = self.entries.remove(&key)?;
        self.bytes -= bytes.len();
        Some(bytes)
    }
}

impl Spill for MemorySpill {
    fn put(&mut self, key: DayKey, bytes: &[u8]) {
        self.forget(key);
        self.order.push_back(key);
        self.bytes += bytes.len();
        self.entries.insert(key, bytes.to_vec());
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.order.pop_front() else { break };
            self.forget(oldest);
        }
    }

    fn take(&mut self, key: DayKey, out: &mut Vec<u8>) -> bool {
        let found = self.forget(key);
        found.inspect(|bytes| out.extend_from_slice(bytes)).is_some()
    }

    fn drop_before(&mut self, day: Day) {
        self.order.retain(|key| key.day >= day);
        self.entries.retain(|key, _| key.day >= day);
        self.bytes = self.entries.values().map(Vec::len).sum();
    }

    fn memory_bytes(&self) -> usize {
        0
    }
}
