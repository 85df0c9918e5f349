//! The commit: everything of an epoch in one atomic write.
//!
//! The parts' batches are joined byte by byte: a batch is a header (sequence number, count of
//! records) and its records, so joining is adding counts and appending records. The counters live
//! in [`Committed`], whose state is that of the last write; a failed write leaves it as it was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rocksdb::{ColumnFamily, DB, Direction, IteratorMode, WriteBatch, WriteOptions};
use spoor_operators::rules::RuleSet;
use spoor_operators::time::{Day, Epoch, EventTime};
use spoor_operators::totals::Totals;
use spoor_operators::wire::put_i64;

use super::batch::minute_of;
use super::limits::IDEMPOTENCY_KEPT;
use super::meta::{self, DayCount, Standing};
use super::{Family, Part, Store, StoreError, StoreNumbers, dead_letters, keys};
use crate::query::DeadLetter;

/// Everything of an epoch.
#[derive(Default)]
pub struct Commit {
    /// Which; greater than the last one.
    pub epoch: Epoch,
    /// What each worker changed.
    pub parts: Vec<Part>,
    /// Rules that are in force from this epoch on.
    pub rules: Option<Arc<RuleSet>>,
    /// States of the sources that moved, by name.
    pub sources: Vec<(String, Vec<u8>)>,
    /// Refused records; they get their sequence numbers here.
    pub dead_letters: Vec<DeadLetter>,
    /// New totals of `(minute since the Unix epoch, app)`; none: nothing is left.
    pub totals: Vec<((i64, String), Option<Totals>)>,
    /// Least watermark of the live sources; none: as before.
    pub watermark: Option<EventTime>,
    /// Answers to remember under idempotency keys.
    pub answers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The engine's own values; none: deleted.
    pub blobs: Vec<(String, Option<Vec<u8>>)>,
    /// Days before this one are dropped.
    pub expire_before: Option<Day>,
}

/// State as of the last write, and counters kept with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Committed {
    pub(super) standing: Standing,
    pub(super) days: BTreeMap<Day, DayCount>,
    /// Sessions by the minute they close in, minutes after the watermark's only.
    pub(super) closing: BTreeMap<i64, i64>,
}

impl std::ops::Deref for Committed {
    type Target = Standing;

    fn deref(&self) -> &Standing {
        &self.standing
    }
}

impl Committed {
    /// Reads what was committed last.
    pub(super) fn load(db: &DB) -> Result<Self, StoreError> {
        let cf = db.cf_handle(Family::Meta.name()).expect("every column family was opened");
        let mut loaded = Self::default();
        if let Some(bytes) = db.get_pinned_cf(cf, meta::COMMITTED_KEY)? {
            loaded.standing = Standing::decode(&bytes)?;
        }
        for entry in of_kind(db, cf, meta::DAYS) {
            let (key, value) = entry?;
            let day = keys::day_of(key.get(1..).unwrap_or_default())?;
            loaded.days.insert(day, DayCount::decode(&value)?);
        }
        for entry in of_kind(db, cf, meta::CLOSING) {
            let (key, value) = entry?;
            let sessions = spoor_operators::wire::Reader(&value).i64()?;
            loaded.closing.insert(meta::parse_numbered(&key)?.0, sessions);
        }
        Ok(loaded)
    }

    pub(super) fn numbers(&self) -> StoreNumbers {
        let positive = |count: i64| u64::try_from(count).unwrap_or(0);
        StoreNumbers {
            sessions: positive(self.days.values().map(|day| day.sessions).sum()),
            requests: positive(self.days.values().map(|day| day.requests).sum()),
            open_sessions: positive(self.closing.values().sum()),
            ..StoreNumbers::default()
        }
    }

    /// Adds a part's counters; returns what was touched.
    fn add(&mut self, part: &Part) {
        for (&day, more) in &part.days {
            let count = self.days.entry(day).or_default();
            count.sessions += more.sessions;
            count.requests += more.requests;
        }
        let closed = self.watermark.map_or(i64::MIN, minute_of);
        for (&minute, more) in part.closing.iter().filter(|(minute, _)| **minute > closed) {
            *self.closing.entry(minute).or_default() += more;
        }
    }
}

/// A key and its value.
pub(super) type Entry = Result<(Box<[u8]>, Box<[u8]>), rocksdb::Error>;

fn of_kind<'a>(db: &'a DB, cf: &ColumnFamily, kind: u8) -> impl Iterator<Item = Entry> + use<'a> {
    let entries = db.iterator_cf(cf, IteratorMode::From(&[kind], Direction::Forward));
    entries
        .take_while(move |entry| entry.as_ref().map_or(true, |(key, _)| key.first() == Some(&kind)))
}

/// Bytes of a batch before its records: sequence number, then their count.
const HEADER_BYTES: usize = 12;

/// One batch of the records of several.
fn join(batches: &[&WriteBatch]) -> WriteBatch {
    let room = batches.iter().map(|batch| batch.size_in_bytes()).sum();
    let mut bytes = Vec::with_capacity(room);
    bytes.resize(HEADER_BYTES, 0);
    let mut records = 0_u32;
    for batch in batches {
        records += batch.len() as u32;
        bytes.extend_from_slice(batch.data().get(HEADER_BYTES..).unwrap_or_default());
    }
    bytes[8..HEADER_BYTES].copy_from_slice(&records.to_le_bytes());
    WriteBatch::from_data(&bytes)
}

impl Store {
    /// Writes an epoch, whole or not at all. With [`super::StoreOptions::sync`] it is on the disk
    /// when this returns.
    ///
    /// # Errors
    /// [`StoreError::Order`] for an epoch not after the last one, failures of RocksDB.
    pub fn commit(&self, mut commit: Commit) -> Result<(), StoreError> {
        let mut committed = self.inner.committed.lock();
        if let Some(last) = committed.epoch
            && commit.epoch <= last
        {
            return Err(StoreError::Order { committed: last.0, given: commit.epoch.0 });
        }
        let mut next = committed.clone();
        commit.parts.iter().for_each(|part| next.add(part));
        next.standing.epoch = Some(commit.epoch);
        next.standing.watermark = next.watermark.max(commit.watermark);
        let mut rest = WriteBatch::default();
        self.lists(&commit, &mut rest, &mut next)?;
        self.counters(&commit, &mut rest, &mut next);
        rest.put_cf(self.inner.cf(Family::Meta), meta::COMMITTED_KEY, next.standing.encode());
        let mut batches: Vec<_> = commit.parts.iter_mut().map(Part::batch).collect();
        let largest = batches.iter().map(|batch| batch.size_in_bytes()).max().unwrap_or(0);
        self.inner.part_bytes.store(largest, Ordering::Relaxed);
        batches.push(&rest);
        let mut options = WriteOptions::default();
        options.set_sync(self.inner.sync);
        // Each part is sorted.
        options.set_memtable_insert_hint_per_batch(true);
        self.inner.db.write_opt(join(&batches), &options)?;
        *committed = next;
        drop(committed);
        if let Some(day) = commit.expire_before {
            self.inner.views.lock().dropped(commit.epoch, day);
        }
        self.reclaim()
    }

    /// Rules, sources, dead letters, totals, answers and the engine's own.
    fn lists(
        &self,
        commit: &Commit,
        batch: &mut WriteBatch,
        next: &mut Committed,
    ) -> Result<(), StoreError> {
        let meta = self.inner.cf(Family::Meta);
        if let Some(rules) = &commit.rules {
            let key = rules.version.to_be_bytes();
            batch.put_cf(
                self.inner.cf(Family::Rules),
                key,
                meta::encode_rules(rules, commit.epoch)?,
            );
        }
        for (name, state) in &commit.sources {
            batch.put_cf(self.inner.cf(Family::Offsets), name, state);
        }
        let letters = self.inner.cf(Family::DeadLetters);
        dead_letters::append(batch, letters, &mut next.standing.letters, &commit.dead_letters);
        for ((minute, app), totals) in &commit.totals {
            let key = meta::totals_key(*minute, app);
            match totals {
                Some(totals) => batch.put_cf(meta, key, meta::encode_totals(*totals)),
                None => batch.delete_cf(meta, key),
            }
        }
        for (name, value) in &commit.blobs {
            match value {
                Some(value) => batch.put_cf(meta, meta::blob_key(name), value),
                None => batch.delete_cf(meta, meta::blob_key(name)),
            }
        }
        // The oldest go first: their keys may come again here.
        let answers = &mut next.standing.answers;
        let kept_from = (answers.1 + commit.answers.len() as u64).saturating_sub(IDEMPOTENCY_KEPT);
        while answers.0 < kept_from.min(answers.1) {
            meta::forget_answer(batch, &self.inner.db, answers.0)?;
            answers.0 += 1;
        }
        for (key, answer) in &commit.answers {
            meta::put_answer(batch, meta, answers.1, (key, answer));
            answers.1 += 1;
        }
        Ok(())
    }

    /// Counters that changed, and what retention drops.
    fn counters(&self, commit: &Commit, batch: &mut WriteBatch, next: &mut Committed) {
        let cf = self.inner.cf(Family::Meta);
        let closed = next.watermark.map_or(i64::MIN, minute_of);
        let minutes = commit.parts.iter().flat_map(|part| part.closing.keys());
        for minute in minutes.filter(|minute| **minute > closed) {
            let mut value = Vec::new();
            put_i64(&mut value, next.closing.get(minute).copied().unwrap_or(0));
            batch.put_cf(cf, meta::numbered(meta::CLOSING, *minute), value);
        }
        while let Some(entry) = next.closing.first_entry().filter(|entry| *entry.key() <= closed) {
            batch.delete_cf(cf, meta::numbered(meta::CLOSING, *entry.key()));
            entry.remove();
        }
        if let Some(before) = commit.expire_before {
            next.standing.floor = next.floor.max(Some(before));
        }
        let floor = next.floor.unwrap_or(Day(i32::MIN));
        for day in commit.parts.iter().flat_map(|part| part.days.keys()).filter(|d| **d >= floor) {
            let count = next.days.get(day).copied().unwrap_or_default();
            batch.put_cf(cf, day_count_key(*day), count.encode());
        }
        while let Some(entry) = next.days.first_entry().filter(|entry| *entry.key() < floor) {
            batch.delete_cf(cf, day_count_key(*entry.key()));
            entry.remove();
        }
        if commit.expire_before.is_some() {
            self.drop_ranges(floor, batch);
        }
    }

    /// Drops everything of the days before `floor`, this epoch's writes to them included.
    fn drop_ranges(&self, floor: Day, batch: &mut WriteBatch) {
        let until = keys::day_prefix(floor);
        for family in Family::BY_DAY {
            batch.delete_range_cf(self.inner.cf(family), [0; keys::DAY_BYTES], until);
        }
        let minute = minute_of(self.inner.zone.start_of(floor));
        let totals = [i64::MIN, minute].map(|minute| meta::numbered(meta::TOTALS, minute));
        let [from, until] = totals;
        batch.delete_range_cf(self.inner.cf(Family::Meta), from, until);
    }
}

fn day_count_key(day: Day) -> Vec<u8> {
    let mut key = vec![meta::DAYS];
    key.extend_from_slice(&keys::day_prefix(day));
    key
}
