//! What one worker changes in one epoch, encoded on that worker's thread.
//!
//! A [`Part`] is already a RocksDB batch: rows and log blocks are encoded as the changes come (they
//! come sorted), the index when the part is sealed. The committer only joins the parts' bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use hashbrown::HashMap;
use rocksdb::WriteBatch;
use spoor_operators::breakdown::Breakdown;
use spoor_operators::facts::{Assigned, NO_GAP};
use spoor_operators::session::Session;
use spoor_operators::sessionize::backend::{DayChange, DayKey, LogChange, SessionChange};
use spoor_operators::time::{Day, Epoch, EventTime};
use spoor_operators::wire::Reader;

use super::meta::DayCount;
use super::postings::{self, Additions};
use super::{Family, Inner, Keep, StoreError, keys, log};

/// Changes of one worker in one epoch.
pub struct Part {
    inner: Arc<Inner>,
    epoch: Epoch,
    number: u16,
    batch: WriteBatch,
    additions: Additions,
    buffer: Vec<u8>,
    pub(super) days: BTreeMap<Day, DayCount>,
}

/// When a session closes: `end + gap`, or at the start of the next day if that is sooner.
pub(super) fn closes_at(end: EventTime, gap_ms: u32, next_day: EventTime) -> EventTime {
    if gap_ms == NO_GAP {
        return next_day;
    }
    EventTime(end.0.saturating_add(i64::from(gap_ms))).min(next_day)
}

/// The breakdown of a session, if it is stored in parts, and what names them.
fn anchored(session: Option<&Arc<Session>>) -> Option<(EventTime, &Breakdown)> {
    let breakdown = &session?.summary.breakdown;
    Some((breakdown.head()?.anchor, breakdown))
}

/// The minute, since the Unix epoch, that an instant falls in.
pub(super) fn minute_of(at: EventTime) -> i64 {
    at.0.div_euclid(60_000)
}

impl Part {
    pub(super) fn new(inner: Arc<Inner>, epoch: Epoch, number: u16) -> Self {
        let expected = inner.part_bytes.load(Ordering::Relaxed);
        Self {
            inner,
            epoch,
            number,
            batch: WriteBatch::with_capacity_bytes(expected + expected / 8),
            additions: Additions::default(),
            buffer: Vec::new(),
            days: BTreeMap::new(),
        }
    }

    /// The epoch it belongs to.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Takes up what the epoch does to one identity-day. Once for each in a part; ascending is
    /// fastest.
    ///
    /// # Errors
    /// [`StoreError`] when a replaced log cannot be read.
    pub fn day_change(&mut self, change: &DayChange) -> Result<(), StoreError> {
        self.day_change_within(change, (Epoch(0), Epoch(u64::MAX)))
    }

    /// As [`Part::day_change`], where the requests that are taken out are known to be in the blocks of
    /// these epochs, both included.
    ///
    /// # Errors
    /// [`StoreError`] when the log cannot be read, or has not what is taken out of it.
    pub fn day_change_within(
        &mut self,
        change: &DayChange,
        blocks: (Epoch, Epoch),
    ) -> Result<(), StoreError> {
        if self.inner.keep == Keep::Nothing {
            return Ok(());
        }
        let grown = matches!(change.log, LogChange::Append(_));
        match &change.log {
            LogChange::None | LogChange::Derived(_) => {}
            LogChange::Append(requests) => self.append(change.key, requests),
            LogChange::Replace(requests) => self.replace(change.key, requests)?,
            LogChange::Exchange { removed, added } => {
                self.take_out(change.key, removed, blocks)?;
                self.append(change.key, added);
            }
        }
        // An old session's start may be the start of another change's new one: deletions first.
        for session in &change.sessions {
            self.remove(change.key, session);
        }
        for session in &change.sessions {
            self.session(change.key, session, grown);
        }
        self.parts(change);
        Ok(())
    }

    /// The parts of large breakdowns that changed. Sessions are told apart by the anchors of their
    /// parts: when two are merged, the parts of the larger stay where they are.
    fn parts(&mut self, change: &DayChange) {
        let olds = change.sessions.iter().filter_map(|session| anchored(session.old.as_ref()));
        let news = change.sessions.iter().filter_map(|session| anchored(session.new.as_ref()));
        let mut all: BTreeMap<EventTime, [Option<&Breakdown>; 2]> = BTreeMap::new();
        for (which, found) in [(0, olds.collect::<Vec<_>>()), (1, news.collect())] {
            for (anchor, breakdown) in found {
                all.entry(anchor).or_default()[which] = Some(breakdown);
            }
        }
        let (none, cf) = (Breakdown::default(), self.inner.cf(Family::Parts));
        let DayKey { day, identity } = change.key;
        let (batch, buffer) = (&mut self.batch, &mut self.buffer);
        for (anchor, [old, new]) in all {
            new.unwrap_or(&none).changed_parts(old, &mut |key, part| {
                let key = keys::part(day, identity, anchor, key);
                match part {
                    None => batch.delete_cf(cf, key),
                    Some(part) => {
                        buffer.clear();
                        part.encode(buffer);
                        batch.put_cf(cf, key, &*buffer);
                    }
                }
            });
        }
    }

    fn append(&mut self, key: DayKey, requests: &[Assigned]) {
        if requests.is_empty() {
            return;
        }
        self.buffer.clear();
        for request in requests {
            let stored = request.stored();
            log::push(&mut self.buffer, stored);
            if self.inner.index_request_ids
                && let Ok((_, id, _)) = log::peek(stored)
            {
                self.additions.request_id(key.day, key.identity, id);
            }
        }
        let block = keys::block(key.day, key.identity, self.epoch);
        self.batch.put_cf(self.inner.cf(Family::Requests), block, &self.buffer);
        self.days.entry(key.day).or_default().requests += requests.len() as i64;
    }

    /// Takes over blocks of an identity-day's log as another store has them.
    pub(super) fn append_blocks(
        &mut self,
        key: DayKey,
        blocks: &[(Epoch, Bytes)],
    ) -> Result<(), StoreError> {
        for (epoch, block) in blocks {
            let mut requests = Vec::new();
            log::split(block, &mut requests)?;
            if self.inner.index_request_ids {
                for stored in &requests {
                    let (_, id, _) = log::peek(stored)?;
                    self.additions.request_id(key.day, key.identity, id);
                }
            }
            self.put(Family::Requests, &keys::block(key.day, key.identity, *epoch), block);
            self.days.entry(key.day).or_default().requests += requests.len() as i64;
        }
        Ok(())
    }

    /// A row as it is.
    pub(super) fn put(&mut self, family: Family, key: &[u8], row: &[u8]) {
        self.batch.put_cf(self.inner.cf(family), key, row);
    }

    /// Takes a row away.
    pub(super) fn delete(&mut self, family: Family, key: &[u8]) {
        self.batch.delete_cf(self.inner.cf(family), key);
    }

    fn replace(&mut self, key: DayKey, requests: &[Assigned]) -> Result<(), StoreError> {
        let mut removed = 0;
        let blocks = self.inner.blocks(key, |epoch, block| {
            removed += log::count(block)?;
            Ok(epoch)
        })?;
        let cf = self.inner.cf(Family::Requests);
        for epoch in blocks {
            self.batch.delete_cf(cf, keys::block(key.day, key.identity, epoch));
        }
        self.days.entry(key.day).or_default().requests -= removed as i64;
        self.append(key, requests);
        Ok(())
    }

    /// Takes requests out of the blocks of an identity-day's log, which keep the others in their order.
    fn take_out(
        &mut self,
        key: DayKey,
        removed: &[Assigned],
        (first, last): (Epoch, Epoch),
    ) -> Result<(), StoreError> {
        let mut left = HashMap::<&[u8], usize>::with_capacity(removed.len());
        for request in removed {
            *left.entry(request.stored()).or_default() += 1;
        }
        let (inner, batch, kept) = (Arc::clone(&self.inner), &mut self.batch, &mut self.buffer);
        let cf = inner.cf(Family::Requests);
        inner.blocks_from(key, first, |epoch, block| {
            if epoch > last || left.is_empty() {
                return Ok(false);
            }
            kept.clear();
            let (mut from, mut is_changed) = (Reader(block), false);
            while !from.is_empty() {
                let stored = from.block()?;
                match left.get_mut(stored) {
                    None => log::push(kept, stored),
                    Some(1) => {
                        left.remove(stored);
                        is_changed = true;
                    }
                    Some(times) => {
                        *times -= 1;
                        is_changed = true;
                    }
                }
            }
            let row = keys::block(key.day, key.identity, epoch);
            match (is_changed, kept.is_empty()) {
                (false, _) => {}
                (true, true) => batch.delete_cf(cf, row),
                (true, false) => batch.put_cf(cf, row, &*kept),
            }
            Ok(true)
        })?;
        if !left.is_empty() {
            return Err(StoreError::Damaged("a request that moves is not in the log".into()));
        }
        self.days.entry(key.day).or_default().requests -= removed.len() as i64;
        Ok(())
    }

    fn remove(&mut self, key: DayKey, change: &SessionChange) {
        let Some(old) = change.old.as_deref() else { return };
        self.days.entry(key.day).or_default().sessions -= 1;
        if change.new.as_ref().is_none_or(|new| new.start != old.start) {
            let row = keys::session(key.day, key.identity, old.start);
            self.batch.delete_cf(self.inner.cf(Family::Sessions), row);
        }
    }

    fn session(&mut self, key: DayKey, change: &SessionChange, grown: bool) {
        let (old, Some(new)) = (change.old.as_deref(), change.new.as_deref()) else { return };
        self.days.entry(key.day).or_default().sessions += 1;
        let cf = self.inner.cf(Family::Sessions);
        self.buffer.clear();
        new.encode_stored(&mut self.buffer);
        self.batch.put_cf(cf, keys::session(key.day, key.identity, new.start), &self.buffer);
        if old.is_none_or(|old| old.start != new.start) {
            self.additions.start(new);
        }
        let additions = &mut self.additions;
        postings::new_terms(old, new, grown, |term| additions.term(new, term));
    }

    /// Encodes the index. To be called on the worker's thread when its epoch is complete; a commit
    /// seals what is not sealed.
    pub fn seal(&mut self) {
        let (batch, cf) = (&mut self.batch, self.inner.cf(Family::Index));
        self.additions.write(self.epoch, self.number, |key, value| batch.put_cf(cf, key, value));
        self.buffer = Vec::new();
    }

    /// The encoded changes.
    pub(super) fn batch(&mut self) -> &WriteBatch {
        self.seal();
        &self.batch
    }

    /// Bytes of the encoded changes so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.batch.size_in_bytes()
    }
}
