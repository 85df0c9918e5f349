//! State by key in memory, within a budget.
//!
//! Everything here can be loaded again, so an entry is evicted by dropping it (its owner may keep a
//! copy somewhere cheaper). Entries lie in one vector behind a table of positions. Eviction follows
//! the clock algorithm: a hand goes round the entries and spares each one that was used since it
//! last came by, which approximates least recently used at constant cost.

use std::hash::Hash;

use hashbrown::HashTable;

use crate::seeded;

/// State by key, with the bytes each entry takes.
#[derive(Debug)]
pub struct Cache<K, S> {
    entries: Vec<Entry<K, S>>,
    index: HashTable<u32>,
    hand: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<K, S> {
    key: K,
    used: bool,
    /// What `Cache::bytes` holds for it.
    bytes: usize,
    state: S,
}

impl<K, S> Entry<K, S> {
    /// Bytes of an entry whose state takes `state` bytes, its own size included.
    fn size(state: usize) -> usize {
        state + size_of::<Self>() - size_of::<S>()
    }
}

impl<K, S> Default for Cache<K, S> {
    fn default() -> Self {
        Self { entries: Vec::new(), index: HashTable::new(), hand: 0, bytes: 0 }
    }
}

/// Keys may be chosen by outsiders: hashed with a secret seed.
fn hash<K: Hash>(key: &K) -> u64 {
    seeded::hash(key)
}

impl<K: Clone + Eq + Hash, S> Cache<K, S> {
    /// Approximate bytes of all entries.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The state of a key, if it is here.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&S> {
        Some(&self.entries[self.find(key)?].state)
    }

    /// The position of a key, if it is here. Good until the next call.
    pub(crate) fn find(&self, key: &K) -> Option<usize> {
        let at = self.index.find(hash(key), |at| self.entries[*at as usize].key == *key)?;
        Some(*at as usize)
    }

    /// The position of a key, loaded if it is not here. `load` answers the state and its bytes.
    /// Good until the next call.
    pub(crate) fn position(&mut self, key: &K, load: impl FnOnce() -> (S, usize)) -> usize {
        let hash = hash(key);
        let entries = &self.entries;
        if let Some(&at) = self.index.find(hash, |at| entries[*at as usize].key == *key) {
            return at as usize;
        }
        let at = self.entries.len();
        let (state, bytes) = load();
        let bytes = Entry::<K, S>::size(bytes);
        self.bytes += bytes;
        self.entries.push(Entry { key: key.clone(), used: true, bytes, state });
        let entries = &self.entries;
        let rehash = |at: &u32| self::hash(&entries[*at as usize].key);
        self.index.insert_unique(hash, at as u32, rehash);
        at
    }

    /// The state at a position.
    pub(crate) fn state(&mut self, at: usize) -> &mut S {
        &mut self.entries[at].state
    }

    /// Ends work on a position: accounts for its size.
    pub(crate) fn settle(&mut self, at: usize, bytes: usize) {
        let entry = &mut self.entries[at];
        let bytes = Entry::<K, S>::size(bytes);
        self.bytes = self.bytes + bytes - entry.bytes;
        (entry.bytes, entry.used) = (bytes, true);
    }

    /// Evicts until the budget is kept, or only what is pinned is left, and says what. Everything in
    /// here must be clean.
    pub(super) fn shrink_to(
        &mut self,
        budget: usize,
        is_pinned: impl Fn(&S) -> bool,
        mut evicted: impl FnMut(K, S),
    ) {
        // Seen since one was evicted: twice round, and all that is left is pinned.
        let mut seen = 0;
        while self.bytes > budget && seen <= 2 * self.entries.len() && !self.entries.is_empty() {
            if self.hand >= self.entries.len() {
                self.hand = 0;
            }
            let entry = &mut self.entries[self.hand];
            if entry.used || is_pinned(&entry.state) {
                entry.used = false;
                self.hand += 1;
                seen += 1;
            } else {
                let (key, state) = self.remove(self.hand);
                evicted(key, state);
                seen = 0;
            }
        }
    }

    /// Drops the entries whose key does not pass.
    pub fn retain(&mut self, mut keep: impl FnMut(&K) -> bool) {
        let mut at = 0;
        while at < self.entries.len() {
            if keep(&self.entries[at].key) {
                at += 1;
            } else {
                self.remove(at);
            }
        }
    }

    /// Takes out the entry at a position; the last one takes its place.
    pub(crate) fn remove(&mut self, at: usize) -> (K, S) {
        let last = self.entries.len() - 1;
        let hash_at = hash(&self.entries[at].key);
        let hash_last = hash(&self.entries[last].key);
        if let Ok(found) = self.index.find_entry(hash_at, |known| *known as usize == at) {
            found.remove();
        }
        if let Some(moved) = self.index.find_mut(hash_last, |known| *known as usize == last) {
            *moved = at as u32;
        }
        let entry = self.entries.swap_remove(at);
        self.bytes -= entry.bytes;
        (entry.key, entry.state)
    }
}
