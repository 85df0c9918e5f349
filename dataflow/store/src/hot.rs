//! Reads for the workers: the latest commit, not a snapshot.
//!
//! `sessionize` asks these while the epoch before its own is the last committed one. The first
//! sight of an identity on a day asks for sessions that are not there: prefix filters answer that
//! without reading a block.

use std::sync::Arc;

use bytes::Bytes;
use rocksdb::{DBRawIterator, ReadOptions};
use spoor_operators::breakdown::{Assembly, PartKey};
use spoor_operators::facts::Field;
use spoor_operators::identity::{IdentityId, PARTITIONS};
use spoor_operators::session::Session;
use spoor_operators::sessionize::backend::{DayKey, Sessions};
use spoor_operators::time::{Day, Epoch, EventTime};

use super::error::keep_on;
use super::limits::LOG_BYTES_MAX;
use super::{Family, Inner, Store, StoreError, keys, log};

/// A row's session; of a large breakdown the head, as the row has it.
pub(super) fn decode_row(key: &[u8], row: &[u8]) -> Result<Session, StoreError> {
    let (day, identity, start) = keys::parse_session(key)?;
    let session = Session::decode(row)?;
    if (session.day, session.identity.id, session.start) == (day, identity, start) {
        Ok(session)
    } else {
        Err(StoreError::Damaged("a session row lies under another's key".into()))
    }
}

impl Inner {
    /// Visits the entries of one identity-day in order of their keys.
    pub(super) fn of_identity_day(
        &self,
        family: Family,
        key: DayKey,
        mut options: ReadOptions,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let prefix = keys::identity_day(key.day, key.identity);
        options.set_prefix_same_as_start(true);
        let mut entries = self.db.raw_iterator_cf_opt(self.cf(family), options);
        entries.seek(prefix);
        while let Some((key, value)) = entries.item().filter(|(key, _)| key.starts_with(&prefix)) {
            keep_on()?;
            visit(key, value)?;
            entries.next();
        }
        Ok(entries.status()?)
    }

    /// Visits the stored parts of a breakdown, or those of a field, in order of their keys.
    pub(super) fn breakdown_parts(
        &self,
        key: DayKey,
        anchor: EventTime,
        field: Option<Field>,
        mut options: ReadOptions,
        mut visit: impl FnMut(PartKey, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut prefix = keys::session(key.day, key.identity, anchor).to_vec();
        prefix.extend(field.map(|field| field as u8));
        options.set_prefix_same_as_start(true);
        let mut parts = self.db.raw_iterator_cf_opt(self.cf(Family::Parts), options);
        parts.seek(&prefix);
        while let Some((key, part)) = parts.item().filter(|(key, _)| key.starts_with(&prefix)) {
            visit(keys::parse_part(key)?.3, part)?;
            parts.next();
        }
        Ok(parts.status()?)
    }

    /// A session with all its values.
    pub(super) fn whole(
        &self,
        mut session: Session,
        options: ReadOptions,
    ) -> Result<Session, StoreError> {
        let breakdown = &mut session.summary.breakdown;
        if let Some(head) = breakdown.head().filter(|_| breakdown.is_head()) {
            let key = DayKey { day: session.day, identity: session.identity.id };
            let mut read = Assembly::new(head);
            self.breakdown_parts(key, head.anchor, None, options, |key, part| {
                Ok(read.part(key, part)?)
            })?;
            *breakdown = read.finish()?;
        }
        Ok(session)
    }

    /// Visits the blocks of the log of an identity-day from an epoch on, until `visit` says no.
    pub(super) fn blocks_from(
        &self,
        key: DayKey,
        from: Epoch,
        mut visit: impl FnMut(Epoch, &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let prefix = keys::identity_day(key.day, key.identity);
        let mut options = ReadOptions::default();
        options.set_prefix_same_as_start(true);
        options.fill_cache(false);
        let mut blocks = self.db.raw_iterator_cf_opt(self.cf(Family::Requests), options);
        blocks.seek(keys::block(key.day, key.identity, from));
        while let Some((key, block)) = blocks.item().filter(|(key, _)| key.starts_with(&prefix)) {
            if !visit(keys::parse_block(key)?.2, block)? {
                return Ok(());
            }
            blocks.next();
        }
        Ok(blocks.status()?)
    }

    /// What `visit` answers for each block of the log of an identity-day.
    pub(super) fn blocks<T>(
        &self,
        key: DayKey,
        mut visit: impl FnMut(Epoch, &[u8]) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut answers = Vec::new();
        self.of_identity_day(Family::Requests, key, ReadOptions::default(), |key, block| {
            answers.push(visit(keys::parse_block(key)?.2, block)?);
            Ok(())
        })?;
        Ok(answers)
    }
}

impl Store {
    /// The sessions of an identity-day with all their values, ascending by start. None for a dropped
    /// day.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn load_sessions(&self, key: DayKey) -> Result<Sessions, StoreError> {
        let mut sessions = Sessions::new();
        let options = ReadOptions::default();
        self.inner.of_identity_day(Family::Sessions, key, options, |key, row| {
            let session = self.inner.whole(decode_row(key, row)?, ReadOptions::default())?;
            sessions.push(Arc::new(session));
            Ok(())
        })?;
        Ok(sessions)
    }

    /// The stored requests of an identity-day in arrival order.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn load_log(&self, key: DayKey) -> Result<Vec<Bytes>, StoreError> {
        let mut requests = Vec::new();
        self.inner.blocks(key, |_, block| {
            Ok(log::split(&Bytes::copy_from_slice(block), &mut requests)?)
        })?;
        Ok(requests)
    }

    /// Visits the stored requests of an identity-day that have an explicit id, with that id.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn each_explicit_id(
        &self,
        key: DayKey,
        mut visit: impl FnMut(&str, &[u8]),
    ) -> Result<(), StoreError> {
        self.inner.blocks(key, |_, block| {
            let mut from = spoor_operators::wire::Reader(block);
            while !from.is_empty() {
                let stored = from.block()?;
                let (_, id, explicit) = log::peek(stored)?;
                if explicit {
                    visit(id, stored);
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Visits every stored request: in order of days, partitions and identities, those of an
    /// identity-day in arrival order. Requests that are in no session are among them.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB, and what `visit` fails with.
    pub fn walk_log(
        &self,
        mut visit: impl FnMut(DayKey, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        options.fill_cache(false);
        let cf = self.inner.cf(Family::Requests);
        let mut blocks = self.inner.db.raw_iterator_cf_opt(cf, options);
        blocks.seek_to_first();
        while let Some((key, block)) = blocks.item() {
            let (day, identity, _) = keys::parse_block(key)?;
            let mut from = spoor_operators::wire::Reader(block);
            while !from.is_empty() {
                visit(DayKey { day, identity }, from.block()?)?;
            }
            blocks.next();
        }
        Ok(blocks.status()?)
    }

    /// The sessions of an identity-day with all their values, one after another, ascending by start.
    ///
    /// # Errors
    /// Each item: [`StoreError::Damaged`], failures of RocksDB.
    pub fn each_session(
        &self,
        key: DayKey,
    ) -> impl Iterator<Item = Result<Session, StoreError>> + '_ {
        let prefix = keys::identity_day(key.day, key.identity);
        let mut options = ReadOptions::default();
        options.set_prefix_same_as_start(true);
        let cf = self.inner.cf(Family::Sessions);
        let mut rows = self.inner.db.raw_iterator_cf_opt(cf, options);
        rows.seek(prefix);
        std::iter::from_fn(move || match rows.item() {
            Some((key, row)) if key.starts_with(&prefix) => {
                let session = decode_row(key, row)
                    .and_then(|session| self.inner.whole(session, ReadOptions::default()));
                rows.next();
                Some(session)
            }
            Some(_) => None,
            None => rows.status().err().map(|error| Err(error.into())),
        })
    }

    /// The next identity-days of the request log in order of their keys (days ascending, then
    /// partitions, then identities), those of the partitions `owned` says only, after `after`:
    /// whole identity-days until `limit` is reached. None at the end. Requests that are in no session
    /// are among them, under unassigned identities. An identity-day that has more by itself is not
    /// read to its end.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn scan_log(
        &self,
        owned: impl Fn(u16) -> bool,
        after: Option<DayKey>,
        limit: LogLimit,
    ) -> Result<Scanned, StoreError> {
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        options.fill_cache(false);
        let cf = self.inner.cf(Family::Requests);
        let mut blocks = self.inner.db.raw_iterator_cf_opt(cf, options);
        match after.and_then(|key| keys::after(&keys::identity_day(key.day, key.identity))) {
            Some(next) => blocks.seek(next),
            None if after.is_none() => blocks.seek_to_first(),
            None => return Ok(Scanned::Days(Vec::new())),
        }
        let mut days: Vec<(DayKey, Vec<Bytes>)> = Vec::new();
        let (mut found, mut of_day) = (LogLimit::NOTHING, LogLimit::NOTHING);
        while let Some((key, block)) = blocks.item() {
            let (day, identity, _) = keys::parse_block(key)?;
            let partition = identity.partition();
            if !owned(partition) {
                skip(&mut blocks, day, partition, &owned);
                continue;
            }
            let key = DayKey { day, identity };
            if days.last().is_none_or(|(last, _)| *last != key) {
                if found.is_beyond(limit) {
                    break;
                }
                days.push((key, Vec::new()));
                of_day = LogLimit::NOTHING;
            }
            let (_, log) = days.last_mut().expect("pushed when there was none");
            let before = log.len();
            log::split(&Bytes::copy_from_slice(block), log)?;
            for read in [&mut found, &mut of_day] {
                read.add(log.len() - before, block.len());
            }
            if of_day.is_beyond(limit) {
                days.pop();
                match days.is_empty() {
                    true => return Ok(Scanned::Large(key)),
                    false => break,
                }
            }
            blocks.next();
        }
        blocks.status()?;
        Ok(Scanned::Days(days))
    }
}

/// How much of the log is read at once, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimit {
    /// Requests.
    pub requests: usize,
    /// Bytes of their stored form.
    pub bytes: usize,
}

impl LogLimit {
    const NOTHING: Self = Self { requests: 0, bytes: 0 };

    fn add(&mut self, requests: usize, bytes: usize) {
        (self.requests, self.bytes) = (self.requests + requests, self.bytes + bytes);
    }

    fn is_beyond(self, limit: Self) -> bool {
        self.requests > limit.requests || self.bytes > limit.bytes
    }
}

/// What a scan of the log finds next.
#[derive(Debug, PartialEq, Eq)]
pub enum Scanned {
    /// Identity-days with all their requests; none at the end.
    Days(Vec<(DayKey, Vec<Bytes>)>),
    /// One with more requests than are read at once.
    Large(DayKey),
}

/// Some blocks of an identity-day's log.
#[derive(Debug, Default)]
pub struct LogPiece {
    /// Their requests, in arrival order.
    pub requests: Vec<Bytes>,
    /// The first and the last of them; none, if there is none.
    pub blocks: Option<(Epoch, Epoch)>,
    /// Whether there are no more.
    pub is_last: bool,
}

impl Store {
    /// The next whole blocks of an identity-day's log, of epochs after `after` and before `until`: as
    /// many as go beyond `limit`, at least one. The same blocks give the same piece.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], failures of RocksDB.
    pub fn log_piece(
        &self,
        key: DayKey,
        after: Option<Epoch>,
        until: Epoch,
        limit: LogLimit,
    ) -> Result<LogPiece, StoreError> {
        let from = after.map_or(Epoch(0), |after| Epoch(after.0 + 1));
        let (mut piece, mut read) = (LogPiece::default(), LogLimit::NOTHING);
        piece.is_last = true;
        self.inner.blocks_from(key, from, |epoch, block| {
            if epoch >= until {
                return Ok(false);
            }
            if read.is_beyond(limit) {
                piece.is_last = false;
                return Ok(false);
            }
            let before = piece.requests.len();
            log::split(&Bytes::copy_from_slice(block), &mut piece.requests)?;
            read.add(piece.requests.len() - before, block.len());
            piece.blocks = Some((piece.blocks.map_or(epoch, |(first, _)| first), epoch));
            Ok(true)
        })?;
        Ok(piece)
    }
}

/// Goes to the next owned partition of a day, or past the day.
pub(super) fn skip(
    blocks: &mut DBRawIterator<'_>,
    day: Day,
    partition: u16,
    owned: impl Fn(u16) -> bool,
) {
    match (partition + 1..PARTITIONS).find(|next| owned(*next)) {
        Some(next) => blocks.seek(keys::partition_prefix(day, next)),
        None => {
            let past = keys::identity_day(day, IdentityId(u128::MAX));
            match keys::after(&past) {
                Some(next) => blocks.seek(next),
                None => blocks.seek([u8::MAX; keys::ROW_KEY_BYTES + 1]),
            }
        }
    }
}

/// Refuses to read more of a log at once than memory is meant for.
pub(super) fn check_bytes(bytes: usize) -> Result<(), StoreError> {
    if bytes <= LOG_BYTES_MAX {
        return Ok(());
    }
    Err(StoreError::Limit(format!(
        "this identity has more than {} MB of requests on that day, too many to list at once",
        LOG_BYTES_MAX >> 20
    )))
}
