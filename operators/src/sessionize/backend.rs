//! The seam between `sessionize` and whatever keeps its state.
//!
//! The hot state is a cache: everything in it was given to the backend in an epoch's changes, and
//! can be asked back. A backend answers as of the end of the epoch before the one being processed,
//! which is why it says when an epoch may be processed ([`SessionBackend::ready`]). Per worker,
//! calls come from one thread, epochs in order: `expire_before`, questions and changes, `seal`.
//!
//! A backend cannot fail towards `sessionize`: one that cannot read or write must remember that it
//! failed, answer with nothing, never be `ready` again, and see to it that the process stops.

use std::ops::Bound;
use std::sync::Arc;

use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::facts::Assigned;
use crate::identity::IdentityId;
use crate::seeded;
use crate::session::Session;
use crate::time::{Day, Epoch};
use crate::wire::Malformed;

/// One identity on one day: the unit of state. Ordered as it is stored within a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DayKey {
    /// The day.
    pub day: Day,
    /// Whose.
    pub identity: IdentityId,
}

/// Sessions of an identity-day, ascending by start. Nearly always there is one.
pub type Sessions = SmallVec<[Arc<Session>; 1]>;

/// What an epoch does to the retained requests of an identity-day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogChange {
    /// Nothing.
    None,
    /// These are retained as well, in this order.
    Append(Vec<Assigned>),
    /// Exactly these are retained from now on.
    Replace(Vec<Assigned>),
    /// The stored requests are the ones they were; what is derived from them is this now. A log
    /// that keeps stored requests only has nothing to write.
    Derived(Vec<Assigned>),
    /// Of the retained requests these are retained no longer, and others are retained as well. What
    /// is derived from those that stay may be another thing now.
    Exchange {
        /// Retained until now, each as often as it is named.
        removed: Vec<Assigned>,
        /// In this order.
        added: Vec<Assigned>,
    },
}

impl LogChange {
    /// What takes requests out and adds others.
    pub(super) fn exchanged(removed: Vec<Assigned>, added: Vec<Assigned>) -> Self {
        if removed.is_empty() && added.is_empty() {
            return Self::None;
        }
        Self::Exchange { removed, added }
    }
}

/// What an epoch does for the backfill of an identity-day that is too large to be made anew at once.
///
/// A change of rules on its way through such a day gives all its retained requests once, in pieces,
/// one an epoch. When [`SessionBackend::backfilled`] has been told that the day is ready, what leaves
/// is retracted: in an epoch exactly what left in one piece, pieces in their order, and pieces
/// from which nothing leaves left out. Retractions of such a day carry facts.
#[derive(Clone, Debug)]
pub enum BackfillStep {
    /// A piece of the day's retained requests.
    Tell(DayKey, Piece),
    /// The backfill of the day ends here; what was not retracted stays.
    Drop(DayKey),
}

/// What came of telling an identity-day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backfilled {
    /// What leaves can be retracted in pieces.
    Ready,
    /// It is to be told once more, from the first piece on: requests share ids, and now it is known
    /// which.
    Again,
    /// What leaves has to be retracted at once.
    AtOnce,
}

/// Some of the retained requests of an identity-day as the rules in force see them.
#[derive(Clone, Debug, Default)]
pub struct Piece {
    /// Nothing of the day was told before.
    pub is_first: bool,
    /// Everything retained before this epoch has been told with this.
    pub is_last: bool,
    /// Requests that stay as they are.
    pub stays: Vec<Assigned>,
    /// Requests that will be retracted.
    pub leaves: Vec<Assigned>,
}

/// What an epoch does to an identity-day.
#[derive(Clone, Debug)]
pub struct DayChange {
    /// Of which.
    pub key: DayKey,
    /// Its retained requests.
    pub log: LogChange,
    /// Its sessions; those not named stay as they are.
    pub sessions: SmallVec<[SessionChange; 1]>,
}

/// What an epoch does to a session. An old and a new one that overlap in time are one change.
///
/// At least one is there, and they differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionChange {
    /// What is no more.
    pub old: Option<Arc<Session>>,
    /// What there is instead.
    pub new: Option<Arc<Session>>,
}

/// What a worker did in an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochCounts {
    /// Requests retained that were not before, in sessions or not.
    pub inserted: u64,
    /// Requests no longer retained.
    pub removed: u64,
    /// Requests with an explicit id that their identity-day knew already, by
    /// [`Assigned::origin`].
    pub duplicates: SmallVec<[(u32, u64); 1]>,
    /// Retractions of requests that were not retained; without effect.
    pub unmatched: u64,
    /// Items whose head could not be read; without effect. Always 0 for what `assign` makes.
    pub malformed: u64,
    /// Changed identity-days.
    pub days: u64,
    /// Identity-days that were recomputed from their requests.
    pub rebuilt: u64,
    /// Approximate bytes of hot state.
    pub hot_bytes: u64,
    /// Identity-days in hot state.
    pub hot_days: u64,
    /// Identity-days that came back from the spill.
    pub restored: u64,
    /// Identity-days the spill gave back and the codec refused; asked of the backend instead.
    pub refused: u64,
}

/// Keeps sessions and requests for one worker, in a dataflow whose timestamps are `T`.
///
/// A backend that counts in [`Epoch`]s serves a dataflow of `u64` as [`ByEpoch`].
pub trait SessionBackend<T = Epoch> {
    /// Whether an epoch may be processed: everything before it can be asked for, and is durable
    /// as far as this backend goes. Asked again whenever the operator is activated.
    fn ready(&mut self, time: T) -> bool;

    /// Asked when an epoch begins: days before the answer are gone whole, from the hot state too.
    /// Neither their sessions nor their totals are retracted from the output, unless that is
    /// [hydrated](crate::keyed::Hydrated); consumers drop the same days.
    fn expire_before(&mut self, time: T) -> Option<Day> {
        let _ = time;
        None
    }

    /// The sessions of an identity-day that is not hot. Empty means that nothing is retained of it.
    fn sessions(&mut self, key: DayKey) -> Sessions;

    /// Adds every retained request of an identity-day that has an explicit id. Asked at the first
    /// explicit id for an identity-day that came from [`SessionBackend::sessions`].
    fn ids(&mut self, key: DayKey, out: &mut IdSet);

    /// All retained requests of an identity-day, in the order of the log, as the rules in force in
    /// the epoch being processed see them (as given, when rules never change).
    fn requests(&mut self, key: DayKey) -> Vec<Assigned>;

    /// Those retained requests of an identity-day in no session that an epoch may retract.
    fn retractable(&mut self, key: DayKey) -> Vec<Assigned> {
        self.requests(key)
    }

    /// Asked at the beginning of an epoch: what it does for large identity-days that are being
    /// backfilled. A backend that never says that a day is large has nothing to answer.
    fn backfill(&mut self, time: T) -> Vec<BackfillStep> {
        let _ = time;
        Vec::new()
    }

    /// What came of telling a day, when its last piece was told or it could not go on. That it has to
    /// be retracted at once may also turn out later, and be said repeatedly.
    fn backfilled(&mut self, key: DayKey, outcome: Backfilled) {
        let _ = (key, outcome);
    }

    /// One changed identity-day. Within an epoch at most one for each, ascending.
    fn change(&mut self, time: T, change: DayChange);

    /// The first epoch not before `from` that must be sealed even if nothing comes in it. Others
    /// are sealed only if they have events.
    fn due(&self, from: Bound<&T>) -> Option<T> {
        let _ = from;
        None
    }

    /// The epoch, and every one before it, is complete on this worker. In order.
    fn seal(&mut self, time: T, counts: EpochCounts);

    /// What another process of the cluster sent is no batch of requests: some are lost, and no
    /// epoch will be processed any more. Whoever runs the dataflow should stop it.
    ///
    /// # Panics
    /// Unless it is implemented, as timely does when a process sends what is no message.
    fn lost(&mut self, error: Malformed) {
        panic!("requests of another process cannot be read: {error}");
    }
}

/// A backend that can list what it keeps, for an output that is a full collection
/// ([`crate::keyed::Hydrated`]).
pub trait FullBackend<T = Epoch>: SessionBackend<T> {
    /// The identity-days that are kept for this worker, of the days before one or all of them.
    fn keys_before(&mut self, day: Option<Day>) -> Vec<DayKey>;

    /// What [`SessionBackend::expire_before`] will answer for an epoch. Asked before it.
    fn will_expire_before(&mut self, time: T) -> Option<Day>;
}

/// A backend of [`Epoch`]s in a dataflow whose timestamps are plain numbers, all of them sealed:
/// epochs are consecutive.
#[derive(Clone, Debug, Default)]
pub struct ByEpoch<B>(pub B);

impl<B: SessionBackend<Epoch>> SessionBackend<u64> for ByEpoch<B> {
    fn ready(&mut self, time: u64) -> bool {
        self.0.ready(Epoch(time))
    }

    fn expire_before(&mut self, time: u64) -> Option<Day> {
        self.0.expire_before(Epoch(time))
    }

    fn sessions(&mut self, key: DayKey) -> Sessions {
        self.0.sessions(key)
    }

    fn ids(&mut self, key: DayKey, out: &mut IdSet) {
        self.0.ids(key, out);
    }

    fn requests(&mut self, key: DayKey) -> Vec<Assigned> {
        self.0.requests(key)
    }

    fn retractable(&mut self, key: DayKey) -> Vec<Assigned> {
        self.0.retractable(key)
    }

    fn backfill(&mut self, time: u64) -> Vec<BackfillStep> {
        self.0.backfill(Epoch(time))
    }

    fn backfilled(&mut self, key: DayKey, outcome: Backfilled) {
        self.0.backfilled(key, outcome);
    }

    fn change(&mut self, time: u64, change: DayChange) {
        self.0.change(Epoch(time), change);
    }

    fn due(&self, from: Bound<&u64>) -> Option<u64> {
        match from {
            Bound::Included(from) => Some(*from),
            Bound::Excluded(last) => last.checked_add(1),
            Bound::Unbounded => Some(0),
        }
    }

    fn seal(&mut self, time: u64, counts: EpochCounts) {
        self.0.seal(Epoch(time), counts);
    }

    fn lost(&mut self, error: Malformed) {
        self.0.lost(error);
    }
}

/// The explicit ids known to an identity-day, each with a fingerprint of the stored request.
///
/// An id that comes again with the same stored request is a plain duplicate. One that comes with
/// another is retained, and the least of the two by `(ts, stored request)` counts: so it does not
/// matter which came first.
///
/// Any operation costs the same however many requests have one id.
#[derive(Clone, Debug, Default)]
pub struct IdSet {
    few: SmallVec<[IdEntry; 1]>,
    /// One request of each id, found by the id.
    many: HashTable<IdEntry>,
    /// Further requests of an id, found by both.
    others: HashTable<IdEntry>,
}

type IdEntry = (u64, u64);

/// Up to this many ids are scanned; beyond, there is a table.
const IDS_SCANNED: usize = 16;

/// What an [`IdSet`] knows of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Its id is new, and has been added.
    New,
    /// The very same request is retained.
    Same,
    /// Another request with its id is retained.
    Other,
}

impl IdSet {
    /// Adds a request with an explicit id, unless a request with that id is there.
    pub fn insert(&mut self, id_hash: u64, stored: &[u8]) -> Known {
        let entry = (id_hash, xxhash_rust::xxh3::xxh3_64(stored));
        let known = if self.many.is_empty() {
            known_among(&self.few, entry)
        } else {
            match self.many.find(id_hash, |known| known.0 == id_hash) {
                None => Known::New,
                Some(known) if *known == entry => Known::Same,
                Some(_) if self.others.find(of_both(entry), |known| *known == entry).is_some() => {
                    Known::Same
                }
                Some(_) => Known::Other,
            }
        };
        if known == Known::New {
            self.push(entry);
        }
        known
    }

    /// Adds a request whatever requests with its id are there.
    pub fn insert_also(&mut self, id_hash: u64, stored: &[u8]) {
        if self.insert(id_hash, stored) == Known::Other {
            self.push((id_hash, xxhash_rust::xxh3::xxh3_64(stored)));
        }
    }

    /// Takes a request away, if it is there.
    pub(crate) fn remove(&mut self, id_hash: u64, stored: &[u8]) {
        let entry = (id_hash, xxhash_rust::xxh3::xxh3_64(stored));
        if let Some(at) = self.few.iter().position(|known| *known == entry) {
            self.few.swap_remove(at);
        } else if let Ok(found) = self.others.find_entry(of_both(entry), |known| *known == entry) {
            found.remove();
        } else if let Ok(found) = self.many.find_entry(id_hash, |known| *known == entry) {
            found.remove();
            // Another one with the id takes its place. Shared ids are few.
            let other = self.others.iter().find(|known| known.0 == id_hash).copied();
            if let Some(other) = other {
                self.others
                    .find_entry(of_both(other), |known| *known == other)
                    .map(|it| it.remove())
                    .ok();
                self.many.insert_unique(id_hash, other, |entry| entry.0);
            }
        }
    }

    fn push(&mut self, entry: IdEntry) {
        if self.many.is_empty() && self.few.len() < IDS_SCANNED {
            self.few.push(entry);
            return;
        }
        for entry in std::mem::take(&mut self.few).into_iter().chain([entry]) {
            if self.many.find(entry.0, |known| known.0 == entry.0).is_none() {
                self.many.insert_unique(entry.0, entry, |entry| entry.0);
            } else {
                self.others.insert_unique(of_both(entry), entry, |entry| of_both(*entry));
            }
        }
    }

    /// Id and fingerprint of every request, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.few.iter().chain(&self.many).chain(&self.others).copied()
    }

    /// Number of requests.
    #[must_use]
    pub fn len(&self) -> usize {
        self.few.len() + self.many.len() + self.others.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Approximate bytes on the heap.
    #[must_use]
    pub(crate) fn heap_bytes(&self) -> usize {
        let few = if self.few.spilled() { self.few.capacity() } else { 0 };
        let tables = self.many.capacity() + self.others.capacity();
        few * size_of::<IdEntry>() + tables * (size_of::<IdEntry>() + 2)
    }
}

impl Extend<IdEntry> for IdSet {
    /// Adds what [`IdSet::iter`] gave.
    fn extend<I: IntoIterator<Item = IdEntry>>(&mut self, entries: I) {
        entries.into_iter().for_each(|entry| self.push(entry));
    }
}

impl FromIterator<IdEntry> for IdSet {
    fn from_iter<I: IntoIterator<Item = IdEntry>>(entries: I) -> Self {
        let mut ids = Self::default();
        ids.extend(entries);
        ids
    }
}

/// What a request is found by among those with its id.
fn of_both((id_hash, print): IdEntry) -> u64 {
    seeded::hash((id_hash, print))
}

fn known_among(entries: &[IdEntry], entry: IdEntry) -> Known {
    if entries.contains(&entry) {
        Known::Same
    } else if entries.iter().any(|known| known.0 == entry.0) {
        Known::Other
    } else {
        Known::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_requests_with_one_id_are_told_apart() {
        let mut ids = IdSet::default();
        for n in 0..100_000_u32 {
            let expected = if n == 0 { Known::New } else { Known::Other };
            assert_eq!(ids.insert(7, &n.to_le_bytes()), expected);
            ids.insert_also(7, &n.to_le_bytes());
            assert_eq!(ids.insert(7, &(n / 2).to_le_bytes()), Known::Same);
        }
        let copy: IdSet = ids.iter().collect();
        assert_eq!((ids.len(), copy.len()), (100_000, 100_000));
    }

    #[test]
    fn an_id_is_new_then_the_same_or_another_request_however_many_there_are() {
        let mut ids = IdSet::default();
        for id in 1..=100_u64 {
            let hash = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            assert_eq!(ids.insert(hash, b"a"), Known::New, "{id}");
            assert_eq!(ids.insert(hash, b"a"), Known::Same, "{id}");
            assert_eq!(ids.insert(hash, b"b"), Known::Other, "{id}");
            ids.insert_also(hash, b"b");
            assert_eq!(ids.insert(hash, b"b"), Known::Same, "{id}");
            assert_eq!(ids.insert(hash, b"c"), Known::Other, "{id}");
            assert_eq!(ids.len(), 2 * id as usize);
        }
    }
}
