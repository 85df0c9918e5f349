//! The hot state: identity-days in memory, within a budget.
//!
//! Everything here can be asked back from the backend, so that forgetting is free; a spill may keep
//! what is forgotten, to have it back for less. Entries lie in
//! one vector behind a table of positions. Who is forgotten is decided by the clock algorithm: a
//! hand goes round, spares an entry once for having been used since it last came by, and so
//! approximates least recently used at constant cost.

use hashbrown::HashTable;

use super::backend::DayKey;
use super::state::DayState;
use crate::seeded;
use crate::time::Day;

/// Identity-days in memory.
#[derive(Debug, Default)]
pub(super) struct Hot {
    entries: Vec<Entry>,
    index: HashTable<u32>,
    hand: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    key: DayKey,
    used: bool,
    /// What `Hot::bytes` holds for it.
    bytes: usize,
    state: DayState,
}

/// An identity's bits can be chosen by trying values, some twenty of them at no cost.
fn hash(key: DayKey) -> u64 {
    seeded::hash(key)
}

impl Hot {
    /// Approximate bytes of all entries.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The state of an identity-day, if it is here.
    pub fn get(&self, key: DayKey) -> Option<&DayState> {
        let at = self.index.find(hash(key), |at| self.entries[*at as usize].key == key)?;
        Some(&self.entries[*at as usize].state)
    }

    /// The position of an identity-day, loaded if it is not here. Good until the next call.
    pub fn position(&mut self, key: DayKey, load: impl FnOnce() -> DayState) -> usize {
        let hash = hash(key);
        let entries = &self.entries;
        if let Some(&at) = self.index.find(hash, |at| entries[*at as usize].key == key) {
            return at as usize;
        }
        let at = self.entries.len();
        let state = load();
        let bytes = state.bytes() + size_of::<Entry>() - size_of::<DayState>();
        self.bytes += bytes;
        self.entries.push(Entry { key, used: true, bytes, state });
        let entries = &self.entries;
        let rehash = |at: &u32| self::hash(entries[*at as usize].key);
        self.index.insert_unique(hash, at as u32, rehash);
        at
    }

    /// The state at a position.
    pub fn state(&mut self, at: usize) -> &mut DayState {
        &mut self.entries[at].state
    }

    /// Ends work on a position: accounts for its size, or forgets it when nothing is left.
    pub fn settle(&mut self, at: usize) {
        let entry = &mut self.entries[at];
        if entry.state.is_empty() {
            self.remove(at);
            return;
        }
        let bytes = entry.state.bytes() + size_of::<Entry>() - size_of::<DayState>();
        self.bytes = self.bytes + bytes - entry.bytes;
        (entry.bytes, entry.used) = (bytes, true);
    }

    /// Forgets until the budget is kept, and says what. Everything in here must be clean.
    pub fn shrink_to(&mut self, budget: usize, mut forgotten: impl FnMut(DayKey, DayState)) {
        while self.bytes > budget && !self.entries.is_empty() {
            if self.hand >= self.entries.len() {
                self.hand = 0;
            }
            let entry = &mut self.entries[self.hand];
            if entry.used {
                entry.used = false;
                self.hand += 1;
            } else {
                let entry = self.remove(self.hand);
                forgotten(entry.key, entry.state);
            }
        }
    }

    /// Forgets the days before one.
    pub fn drop_before(&mut self, day: Day) {
        let mut at = 0;
        while at < self.entries.len() {
            if self.entries[at].key.day < day {
                self.remove(at);
            } else {
                at += 1;
            }
        }
    }

    fn remove(&mut self, at: usize) -> Entry {
        let last = self.entries.len() - 1;
        let (key, last_key) = (self.entries[at].key, self.entries[last].key);
        if let Ok(found) = self.index.find_entry(hash(key), |known| *known as usize == at) {
            found.remove();
        }
        if let Some(moved) = self.index.find_mut(hash(last_key), |known| *known as usize == last) {
            *moved = at as u32;
        }
        let entry = self.entries.swap_remove(at);
        self.bytes -= entry.bytes;
        entry
    }
}
