//! A few counts by `(field, text)`: all of a small breakdown, or one part of a large one.
//!
//! One vector of 24-byte entries and one shared string that holds all their texts, so that a copy
//! (each session changed in an epoch is copied once) is one `memcpy` and one reference count.
//! Entries stay in the order they were first seen: requests of a session repeat their facts in that
//! order, so a scan that begins where the last fact was found usually ends at once. Past
//! [`SCAN_MAX`] entries there is a table over hashes with a [seed](crate::seeded) of the process.
//! Nothing observable depends on the order: the stored form has entries by `(field, hash, text)`.

use std::sync::Arc;

use super::stored::StoredBreakdown;
use crate::facts::{Fact, Field, RawFact};
use crate::seeded;
use crate::wire::{Malformed, put_str, put_u64};

/// Up to this many entries are scanned; beyond, there is a table.
pub const SCAN_MAX: usize = 32;

/// Room made for the entries of a first request.
const FIRST_ENTRIES: usize = 8;
/// Room made for the texts of a first request.
const FIRST_TEXT_BYTES: usize = 160;

/// Counts by `(field, text)`.
#[derive(Debug, Default)]
pub struct Counts {
    entries: Vec<Entry>,
    /// All texts, in the order of `entries`.
    texts: Arc<String>,
    /// Open addressing by seeded hash, positions in `entries` plus 1; empty up to [`SCAN_MAX`]
    /// entries.
    table: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    count: u64,
    /// Field in the highest byte, then where the text ends in `texts`.
    tag: u64,
}

const END_BITS: u32 = 56;

/// Where in a table a value belongs. [`Fact::hash`] is public, so it cannot say that.
fn slot_hash(field: u8, text: &[u8]) -> usize {
    seeded::hash((field, text)) as usize
}

impl Entry {
    fn new(fact: &Fact<'_>, count: u64, end: usize) -> Self {
        Self { hash: fact.hash, count, tag: (fact.field as u64) << END_BITS | end as u64 }
    }

    fn end(self) -> usize {
        (self.tag & ((1 << END_BITS) - 1)) as usize
    }

    fn field_number(self) -> u8 {
        (self.tag >> END_BITS) as u8
    }
}

impl Counts {
    /// Number of entries, of all fields.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Appends a value that is not there.
    pub(super) fn append(&mut self, fact: &Fact<'_>, count: u64) {
        self.push(fact, count);
    }

    /// Adds to a value's count. `hint` is where to look first; answers where to look for the next.
    #[inline]
    pub(super) fn add(&mut self, fact: RawFact<'_>, count: u64, hint: usize) -> usize {
        if let Some(at) = self.find(&fact, hint) {
            let entry = &mut self.entries[at];
            entry.count = entry.count.saturating_add(count);
            at + 1
        } else if let Some(fact) = fact.checked() {
            self.push(&fact, count) + 1
        } else {
            hint
        }
    }

    /// Takes from a value's count; whether that much had been counted.
    pub(super) fn subtract(&mut self, fact: &Fact<'_>, count: u64) -> bool {
        let Some(at) = self.find(&(*fact).into(), 0) else { return false };
        let Some(left) = self.entries[at].count.checked_sub(count) else { return false };
        self.entries[at].count = left;
        if left == 0 {
            let mut rest = Self::default();
            for (fact, count) in self.facts().filter(|(_, count)| *count > 0) {
                rest.push(&fact, count);
            }
            *self = rest;
        }
        true
    }

    /// The count of a value; 0 when there was none. `hint` is where to look first.
    pub(super) fn count(&self, fact: &Fact<'_>, hint: usize) -> u64 {
        self.find(&(*fact).into(), hint).map_or(0, |at| self.entries[at].count)
    }

    /// A value and its count by position.
    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<(Fact<'_>, u64)> {
        let count = self.entries.get(at)?.count;
        Some((self.fact(at), count))
    }

    /// Values and their counts, in no order that means anything.
    pub(super) fn facts(&self) -> impl Iterator<Item = (Fact<'_>, u64)> {
        (0..self.entries.len()).map(|at| (self.fact(at), self.entries[at].count))
    }

    /// A sum that does not depend on the order.
    pub(super) fn sum(&self) -> u64 {
        let mix = |sum: u64, entry: &Entry| sum.wrapping_add(entry.hash.wrapping_mul(entry.count));
        self.entries.iter().fold(0, mix)
    }

    /// See [`crate::summary::Summary::warm`].
    #[inline]
    pub(super) fn warm(&self) -> u64 {
        let entries = self.entries.iter().step_by(2).take(SCAN_MAX / 2).map(|entry| entry.hash);
        let texts = self.texts.as_bytes().iter().step_by(64).take(4).map(|byte| u64::from(*byte));
        entries.chain(texts).fold(0, u64::wrapping_add)
    }

    /// Approximate bytes on the heap that are not shared with an earlier copy.
    pub(super) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + self.texts.capacity()
            + self.table.capacity() * size_of::<u32>()
    }

    fn text(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(0, |before| self.entries[before].end());
        self.texts.get(start..self.entries[at].end()).unwrap_or_default()
    }

    fn fact(&self, at: usize) -> Fact<'_> {
        let entry = self.entries[at];
        let field = Field::from_u8(entry.field_number()).expect("made from a field");
        Fact { field, hash: entry.hash, text: self.text(at) }
    }

    /// Whether an entry with the fact's hash is the fact.
    #[inline]
    fn is(&self, at: usize, fact: &RawFact<'_>) -> bool {
        let start = at.checked_sub(1).map_or(0, |before| self.entries[before].end());
        let entry = self.entries[at];
        entry.field_number() == fact.field as u8
            && self.texts.as_bytes().get(start..entry.end()) == Some(fact.text)
    }

    #[inline]
    fn find(&self, fact: &RawFact<'_>, hint: usize) -> Option<usize> {
        if !self.table.is_empty() {
            let at = |at: &usize| self.is_fact(*at, fact);
            return Some(hint).filter(at).or_else(|| self.look_up(fact));
        }
        let hint = hint.min(self.entries.len());
        self.scan(hint, self.entries.len(), fact).or_else(|| self.scan(0, hint, fact))
    }

    /// Looks at the entries from one position up to another. A plain loop: this is the innermost one
    /// of `sessionize`, and over chained iterators each comparison was a call of a closure.
    #[inline]
    fn scan(&self, from: usize, to: usize, fact: &RawFact<'_>) -> Option<usize> {
        for (at, entry) in (from..to).zip(&self.entries[from..to]) {
            if entry.hash == fact.hash && self.is(at, fact) {
                return Some(at);
            }
        }
        None
    }

    fn is_fact(&self, at: usize, fact: &RawFact<'_>) -> bool {
        self.entries.get(at).is_some_and(|entry| entry.hash == fact.hash) && self.is(at, fact)
    }

    fn look_up(&self, fact: &RawFact<'_>) -> Option<usize> {
        self.probe(fact).find(|at| self.is_fact(*at, fact))
    }

    /// Positions of the entries whose slots are looked at for a fact.
    fn probe(&self, fact: &RawFact<'_>) -> impl Iterator<Item = usize> {
        let mask = self.table.len() - 1;
        let mut slot = slot_hash(fact.field as u8, fact.text) & mask;
        std::iter::from_fn(move || {
            let at = (self.table[slot] as usize).checked_sub(1)?;
            slot = (slot + 1) & mask;
            Some(at)
        })
    }

    /// Entries looked at to find a fact, or to find that it is not there.
    #[cfg(test)]
    pub(super) fn probes(&self, fact: &Fact<'_>) -> usize {
        let fact = (*fact).into();
        if self.table.is_empty() {
            return self.entries.len();
        }
        let found = self.probe(&fact).position(|at| self.is_fact(at, &fact));
        found.map_or_else(|| self.probe(&fact).count(), |before| before + 1)
    }

    fn push(&mut self, fact: &Fact<'_>, count: u64) -> usize {
        let at = self.entries.len();
        if at == 0 {
            self.entries.reserve(FIRST_ENTRIES);
        }
        append_text(&mut self.texts, fact.text);
        self.entries.push(Entry::new(fact, count, self.texts.len()));
        if self.entries.len() * 2 > self.table.len() && self.entries.len() > SCAN_MAX {
            self.rebuild_table();
        } else if !self.table.is_empty() {
            self.enter(at);
        }
        at
    }

    fn rebuild_table(&mut self) {
        self.table.clear();
        self.table.resize((self.entries.len() * 4).next_power_of_two(), 0);
        (0..self.entries.len()).for_each(|at| self.enter(at));
    }

    fn enter(&mut self, at: usize) {
        let mask = self.table.len() - 1;
        let text = self.text(at).as_bytes();
        let mut slot = slot_hash(self.entries[at].field_number(), text) & mask;
        while self.table[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        self.table[slot] = at as u32 + 1;
    }

    /// Positions of the entries sorted by `(field, hash, text)`.
    pub(super) fn sorted(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.entries.len() as u32).collect();
        order.sort_unstable_by(|a, b| {
            let (a, b) = (*a as usize, *b as usize);
            let key = |at: usize| (self.entries[at].field_number(), self.entries[at].hash);
            key(a).cmp(&key(b)).then_with(|| self.text(a).cmp(self.text(b)))
        });
        order
    }

    /// Appends the stored form: the number of entries, then field, count and text of each.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.entries.len() as u64);
        for at in self.sorted() {
            let at = at as usize;
            out.push(self.entries[at].field_number());
            put_u64(out, self.entries[at].count);
            put_str(out, self.text(at));
        }
    }

    /// Reads the stored form, which must be the whole slice.
    ///
    /// # Errors
    /// [`Malformed`] for anything [`Counts::encode`] does not write.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut stored = StoredBreakdown::new(bytes)?;
        let mut read = Self::default();
        // An entry takes at least three bytes, so a forged length reserves little.
        read.entries.reserve(stored.len().min(bytes.len() / 3));
        let mut texts = String::with_capacity(bytes.len());
        for next in &mut stored {
            let (field, text, count) = next?;
            texts.push_str(text);
            read.entries.push(Entry::new(&Fact::new(field, text), count, texts.len()));
        }
        stored.check_end()?;
        read.texts = Arc::new(texts);
        if read.entries.len() > SCAN_MAX {
            read.rebuild_table();
        }
        Ok(read)
    }
}

#[cfg(feature = "abomonation")]
impl Counts {
    /// The entries, hash, count and tag of each, and their texts: all there is to it.
    pub(crate) fn parts(&self) -> (impl Iterator<Item = [u64; 3]>, &str) {
        (self.entries.iter().map(|entry| [entry.hash, entry.count, entry.tag]), &self.texts)
    }

    /// The inverse of [`Counts::parts`]; that hashes are those of the texts is believed.
    ///
    /// # Errors
    /// [`Malformed`] for entries of no field, or whose texts are none.
    pub(crate) fn from_parts(
        parts: impl ExactSizeIterator<Item = [u64; 3]>,
        texts: &str,
    ) -> Result<Self, Malformed> {
        let mut entries = Vec::with_capacity(parts.len());
        let mut start = 0;
        for [hash, count, tag] in parts {
            let entry = Entry { hash, count, tag };
            let text = texts.get(start..entry.end());
            if Field::from_u8(entry.field_number()).is_none() || text.is_none() {
                return Err(Malformed("entry of a breakdown"));
            }
            start = entry.end();
            entries.push(entry);
        }
        let mut read = Self { entries, texts: Arc::new(texts.to_owned()), table: Vec::new() };
        if read.entries.len() > SCAN_MAX {
            read.rebuild_table();
        }
        Ok(read)
    }
}

/// Appends to a text that copies may share.
fn append_text(texts: &mut Arc<String>, more: &str) {
    if let Some(own) = Arc::get_mut(texts) {
        if own.is_empty() {
            own.reserve(FIRST_TEXT_BYTES);
        }
        own.push_str(more);
    } else {
        let room = texts.len() / 8 + 2 * more.len();
        let mut own = String::with_capacity(texts.len() + room);
        own.push_str(texts);
        own.push_str(more);
        *texts = Arc::new(own);
    }
}

impl Clone for Counts {
    /// Leaves room for one more entry: a copy is made to be added to.
    fn clone(&self) -> Self {
        let mut entries = Vec::with_capacity(self.entries.len() + 1);
        entries.extend_from_slice(&self.entries);
        Self { entries, texts: Arc::clone(&self.texts), table: self.table.clone() }
    }
}

impl PartialEq for Counts {
    fn eq(&self, other: &Self) -> bool {
        let same = |(at, (fact, count)): (usize, (Fact<'_>, u64))| {
            other.find(&fact.into(), at).is_some_and(|found| other.entries[found].count == count)
        };
        self.entries.len() == other.entries.len() && self.facts().enumerate().all(same)
    }
}

impl Eq for Counts {}
