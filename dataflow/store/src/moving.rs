//! What moves between stores when a cluster gets another number of processes.
//!
//! An identity-day moves as it is: its blocks of the request log under their own epochs, its
//! session rows, and new index entries; the source's are hints that lead nowhere. It comes and goes
//! in one commit each, so a store has all of an identity-day or nothing of it.

use std::sync::Arc;

use bytes::Bytes;
use rocksdb::{Direction, IteratorMode, ReadOptions};
use spoor_operators::sessionize::backend::{DayChange, DayKey, LogChange, SessionChange, Sessions};
use spoor_operators::time::{Day, Epoch};
use spoor_operators::totals::Totals;

use super::commit::Entry;
use super::hot::skip;
use super::{Family, Part, Store, StoreError, dead_letters, keys, log, meta, secret};
use spoor_api::query::DeadLetter;

/// What an identity-day counts of a slice's bytes besides its log.
const DAY_OVERHEAD_BYTES: usize = 512;

/// A whole identity-day.
pub struct MovingDay {
    /// Whose, and which day.
    pub key: DayKey,
    /// All sessions of it.
    pub sessions: Sessions,
    /// Blocks of the request log by epoch.
    pub blocks: Vec<(Epoch, Bytes)>,
    /// Requests in the blocks.
    pub requests: u64,
    /// Bytes of the blocks.
    pub bytes: u64,
}

/// A key and its value, as they are.
pub type RawRow = (Vec<u8>, Vec<u8>);

/// A minute and an app, and their totals.
pub type BucketTotals = ((i64, Arc<str>), Totals);

impl Store {
    /// The next identity-days of the partitions `moves` says, in order of their keys after `after`:
    /// whole ones until `bytes` are reached. Empty at the end.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn moving_days(
        &self,
        moves: impl Fn(u16) -> bool,
        after: Option<DayKey>,
        bytes: usize,
    ) -> Result<Vec<MovingDay>, StoreError> {
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        options.fill_cache(false);
        let cf = self.inner.cf(Family::Requests);
        let mut rows = self.inner.db.raw_iterator_cf_opt(cf, options);
        match after.map(|key| keys::after(&keys::identity_day(key.day, key.identity))) {
            None => rows.seek_to_first(),
            Some(Some(next)) => rows.seek(next),
            Some(None) => return Ok(Vec::new()),
        }
        let (mut days, mut found): (Vec<MovingDay>, usize) = (Vec::new(), 0);
        while let Some((key, block)) = rows.item() {
            let (day, identity, epoch) = keys::parse_block(key)?;
            if !moves(identity.partition()) {
                skip(&mut rows, day, identity.partition(), &moves);
                continue;
            }
            let key = DayKey { day, identity };
            if days.last().is_none_or(|last| last.key != key) {
                if found >= bytes {
                    break;
                }
                let sessions = self.load_sessions(key)?;
                days.push(MovingDay { key, sessions, blocks: Vec::new(), requests: 0, bytes: 0 });
                found += DAY_OVERHEAD_BYTES;
            }
            let moving = days.last_mut().expect("pushed when there was none");
            moving.requests += log::count(block)?;
            moving.bytes += block.len() as u64;
            moving.blocks.push((epoch, Bytes::copy_from_slice(block)));
            found += block.len();
            rows.next();
        }
        rows.status()?;
        Ok(days)
    }

    /// Whether anything of an identity-day's log is here.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn has_day(&self, key: DayKey) -> Result<bool, StoreError> {
        let mut found = false;
        let options = ReadOptions::default();
        self.inner.of_identity_day(Family::Requests, key, options, |_, _| {
            found = true;
            Ok(())
        })?;
        Ok(found)
    }

    /// Rows of all versions of the rules, as they are.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn rules_rows(&self) -> Result<Vec<RawRow>, StoreError> {
        let rows = self.inner.db.iterator_cf(self.inner.cf(Family::Rules), IteratorMode::Start);
        let row = |entry: Entry| entry.map(|(key, row)| (key.into_vec(), row.into_vec()));
        Ok(rows.map(row).collect::<Result<_, _>>()?)
    }

    /// The next totals after those of a minute and an app.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn totals_after(
        &self,
        after: Option<&(i64, String)>,
        most: usize,
    ) -> Result<Vec<BucketTotals>, StoreError> {
        let start = match after {
            None => vec![meta::TOTALS],
            Some((minute, app)) => meta::totals_key(*minute, app),
        };
        let cf = self.inner.cf(Family::Meta);
        let mut totals = Vec::new();
        let mode = IteratorMode::From(&start, Direction::Forward);
        for entry in self.inner.db.iterator_cf(cf, mode) {
            let (key, value) = entry?;
            if key.first() != Some(&meta::TOTALS) || totals.len() == most {
                break;
            }
            if after.is_some() && *key == *start {
                continue;
            }
            let (minute, app, row) = meta::parse_totals(&key, &value)?;
            totals.push(((minute, app.into()), row));
        }
        Ok(totals)
    }

    /// All refused records that are kept, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn letters(&self) -> Result<Vec<DeadLetter>, StoreError> {
        let cf = self.inner.cf(Family::DeadLetters);
        let rows = self.inner.db.iterator_cf(cf, IteratorMode::Start);
        let letter = |entry: Entry| {
            let (key, row) = entry?;
            Ok(dead_letters::decode(&key, &row)?)
        };
        rows.map(letter).collect()
    }

    /// Days before it are dropped.
    #[must_use]
    pub fn floor(&self) -> Option<Day> {
        self.inner.committed.lock().floor
    }

    /// The key of the keyed hashes, if the store has one; none is made.
    ///
    /// # Errors
    /// [`StoreError::SecretKey`].
    pub fn known_secret_key(&self) -> Result<Option<[u8; 32]>, StoreError> {
        let directory = &self.inner.directory;
        let has = directory.join(secret::FILE).exists();
        has.then(|| secret::read_or_make(directory)).transpose()
    }

    /// Every row of the store but the number of its openings.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn dump(&self) -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
        let rows = |family: Family| {
            let mut options = ReadOptions::default();
            options.set_total_order_seek(true);
            let cf = self.inner.cf(family);
            let rows = self.inner.db.iterator_cf_opt(cf, options, IteratorMode::Start);
            rows.map(|row| row.expect("a test's store can be read"))
                .map(move |(key, row)| (family.name(), key.into(), row.into()))
        };
        let all = Family::ALL.into_iter().flat_map(rows);
        all.filter(|(_, key, _): &(_, Vec<u8>, _)| key != meta::INCARNATION_KEY).collect()
    }
}

impl Part {
    /// Takes a whole identity-day in. Once for each in a part.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn move_in(&mut self, day: &MovingDay) -> Result<(), StoreError> {
        self.append_blocks(day.key, &day.blocks)?;
        self.change_sessions(day, |session| SessionChange { old: None, new: Some(session) })
    }

    /// Takes a whole identity-day away.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn move_out(&mut self, day: &MovingDay) -> Result<(), StoreError> {
        let log = LogChange::Replace(Vec::new());
        self.day_change(&DayChange { key: day.key, log, sessions: Default::default() })?;
        self.change_sessions(day, |session| SessionChange { old: Some(session), new: None })
    }

    fn change_sessions(
        &mut self,
        day: &MovingDay,
        change: impl Fn(Arc<spoor_operators::session::Session>) -> SessionChange,
    ) -> Result<(), StoreError> {
        let sessions = day.sessions.iter().cloned().map(change).collect();
        self.day_change(&DayChange { key: day.key, log: LogChange::None, sessions })
    }

    /// A row of the rules, as another store has it.
    pub fn put_rules(&mut self, key: &[u8], row: &[u8]) {
        self.put(Family::Rules, key, row);
    }

    /// Forgets a source.
    pub fn forget_source(&mut self, name: &str) {
        self.delete(Family::Offsets, name.as_bytes());
    }
}
