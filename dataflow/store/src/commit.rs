//! The commit: everything of an epoch in one atomic write.
//!
//! The parts' batches are joined byte by byte: a batch is a header (sequence number, count of
//! records) and its records, so joining is adding counts and appending records. The counters live
//! in [`Committed`], whose state is that of the last write; a failed write leaves it as it was.
//! [`Store::commit`] is for one process; several stage and promote instead (`staged.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use differential_dataflow::difference::{IsZero, Semigroup};
use rocksdb::{ColumnFamily, DB, Direction, IteratorMode, WriteBatch};
use spoor_operators::rules::RuleSet;
use spoor_operators::time::{Day, Epoch, EventTime};
use spoor_operators::totals::Totals;

use super::batch::minute_of;
use super::limits::IDEMPOTENCY_KEPT;
use super::meta::{self, DayCount, Standing};
use super::write::{self, Durability};
use super::{Family, Keep, Part, Store, StoreError, StoreNumbers, dead_letters, keys};
use crate::failpoint;
use spoor_api::query::DeadLetter;

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
    /// They are all there are from now on: those kept so far are dropped.
    pub replaces_dead_letters: bool,
    /// What the epoch adds to the totals of `(minute since the Unix epoch, app)`, or takes away;
    /// each of them once.
    pub totals: Vec<((i64, Arc<str>), Totals)>,
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
        Ok(loaded)
    }

    pub(super) fn numbers(&self) -> StoreNumbers {
        let positive = |count: i64| u64::try_from(count).unwrap_or(0);
        StoreNumbers {
            sessions: positive(self.days.values().map(|day| day.sessions).sum()),
            requests: positive(self.days.values().map(|day| day.requests).sum()),
            ..StoreNumbers::default()
        }
    }

    /// Adds a part's counters.
    fn add(&mut self, part: &Part) {
        for (&day, more) in &part.days {
            let count = self.days.entry(day).or_default();
            count.sessions += more.sessions;
            count.requests += more.requests;
        }
    }
}

/// A commit ready to be written.
pub(super) struct Prepared {
    pub(super) epoch: Epoch,
    pub(super) batch: WriteBatch,
    next: Committed,
    /// Days it drops.
    dropped: Vec<Day>,
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
    /// [`StoreError::Order`] for an epoch not after the last one, [`StoreError::Staged`] while one
    /// is staged, [`StoreError::Moved`], failures of RocksDB.
    pub fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let writer = self.inner.writer.lock();
        writer.check_free(commit.epoch)?;
        let prepared = self.prepare(commit)?;
        failpoint::hit("before-batch");
        self.apply(prepared, Durability::when(self.inner.sync), self.inner.sync)?;
        failpoint::hit("after-batch");
        self.reclaim()
    }

    /// Everything of an epoch as one batch, and the counters after it.
    pub(super) fn prepare(&self, mut commit: Commit) -> Result<Prepared, StoreError> {
        let mut next = self.inner.committed.lock().clone();
        if let Some(last) = next.epoch
            && commit.epoch <= last
        {
            return Err(StoreError::Order { committed: last.0, given: commit.epoch.0 });
        }
        commit.parts.iter().for_each(|part| next.add(part));
        next.standing.epoch = Some(commit.epoch);
        next.standing.watermark = next.watermark.max(commit.watermark);
        let mut rest = WriteBatch::default();
        self.lists(&commit, &mut rest, &mut next)?;
        let dropped = self.counters(&commit, &mut rest, &mut next);
        self.totals_rows(&commit, &mut rest, next.floor)?;
        rest.put_cf(self.inner.cf(Family::Meta), meta::COMMITTED_KEY, next.standing.encode());
        let mut batches: Vec<_> = commit.parts.iter_mut().map(Part::batch).collect();
        let largest = batches.iter().map(|batch| batch.size_in_bytes()).max().unwrap_or(0);
        self.inner.part_bytes.store(largest, Ordering::Relaxed);
        batches.push(&rest);
        Ok(Prepared { epoch: commit.epoch, batch: join(&batches), next, dropped })
    }

    /// Writes a prepared epoch and lets readers see it. `is_safe`: no loss of power takes it.
    pub(super) fn apply(
        &self,
        prepared: Prepared,
        durability: Durability,
        is_safe: bool,
    ) -> Result<(), StoreError> {
        let Prepared { epoch, batch, next, dropped } = prepared;
        self.inner.before_write(epoch)?;
        self.inner.written.fetch_add(batch.size_in_bytes() as u64, Ordering::Relaxed);
        let mut committed = self.inner.committed.lock();
        if self.inner.keep == Keep::Everything {
            write::write(&self.inner.db, batch, durability)?;
        }
        self.inner.place.check()?;
        if is_safe {
            self.inner.witness.note(epoch)?;
        }
        *committed = next;
        drop(committed);
        self.inner.views.lock().dropped(epoch, dropped);
        Ok(())
    }

    /// Rules, sources, dead letters, answers and the engine's own.
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
        if commit.replaces_dead_letters {
            dead_letters::drop_all(batch, letters, &mut next.standing.letters);
        }
        let kept = &mut next.standing.letters;
        let text = self.inner.dead_letters;
        dead_letters::append(batch, letters, kept, &commit.dead_letters, text);
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

    /// Counters that changed, and what retention drops. The days that are dropped.
    fn counters(&self, commit: &Commit, batch: &mut WriteBatch, next: &mut Committed) -> Vec<Day> {
        let cf = self.inner.cf(Family::Meta);
        if let Some(before) = commit.expire_before {
            next.standing.floor = next.floor.max(Some(before));
        }
        let floor = next.floor.unwrap_or(Day(i32::MIN));
        for day in commit.parts.iter().flat_map(|part| part.days.keys()).filter(|d| **d >= floor) {
            let count = next.days.get(day).copied().unwrap_or_default();
            batch.put_cf(cf, day_count_key(*day), count.encode());
        }
        let mut dropped = Vec::new();
        while let Some(entry) = next.days.first_entry().filter(|entry| *entry.key() < floor) {
            batch.delete_cf(cf, day_count_key(*entry.key()));
            dropped.push(*entry.key());
            entry.remove();
        }
        if commit.expire_before.is_some() {
            self.drop_ranges(floor, batch);
        }
        dropped
    }

    /// The rows of totals that changed: what was committed and the difference. Where nothing is
    /// left there is no row, and minutes of dropped days get none again.
    fn totals_rows(
        &self,
        commit: &Commit,
        batch: &mut WriteBatch,
        floor: Option<Day>,
    ) -> Result<(), StoreError> {
        let cf = self.inner.cf(Family::Meta);
        let first = floor.map_or(i64::MIN, |floor| self.first_minute(floor));
        for ((minute, app), difference) in &commit.totals {
            if *minute < first {
                continue;
            }
            let mut totals = self.totals(*minute, app)?.unwrap_or_default();
            totals.plus_equals(difference);
            let key = meta::totals_key(*minute, app);
            if totals.is_zero() {
                batch.delete_cf(cf, key);
            } else {
                batch.put_cf(cf, key, meta::encode_totals(totals));
            }
        }
        Ok(())
    }

    fn first_minute(&self, day: Day) -> i64 {
        minute_of(self.inner.zone.start_of(day))
    }

    /// Drops everything of the days before `floor`, this epoch's writes to them included.
    fn drop_ranges(&self, floor: Day, batch: &mut WriteBatch) {
        let until = keys::day_prefix(floor);
        for family in Family::BY_DAY {
            batch.delete_range_cf(self.inner.cf(family), [0; keys::DAY_BYTES], until);
        }
        let minutes = [i64::MIN, self.first_minute(floor)];
        let totals = minutes.map(|minute| meta::numbered(meta::TOTALS, minute));
        let [from, until] = totals;
        batch.delete_range_cf(self.inner.cf(Family::Meta), from, until);
    }
}

fn day_count_key(day: Day) -> Vec<u8> {
    let mut key = vec![meta::DAYS];
    key.extend_from_slice(&keys::day_prefix(day));
    key
}
