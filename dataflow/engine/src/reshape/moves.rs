//! Moving identity-days to their new owners.
//!
//! A slice is committed where it goes, then taken away where it was, so a run that was cut off
//! finds each day in one place or in both, and never in none: what is there already is not written
//! again.

use std::collections::{BTreeMap, HashMap};

use spoor_operators::identity::PARTITIONS;

use super::{Reshape, ReshapeError};
use crate::cluster::Ownership;
use crate::keys;
use spoor_store::{Commit, MovingDay, Part, StoreError};

/// Bytes of request log that are moved at a time, beyond which no further identity-day is taken.
const SLICE_BYTES: usize = if cfg!(test) { 4 << 10 } else { 8 << 20 };

/// Takes an identity-day in, or away.
type Change = fn(&mut Part, &MovingDay) -> Result<(), StoreError>;

impl Reshape<'_> {
    /// Moves every identity-day whose owner is another.
    pub(super) fn move_days(&mut self) -> Result<(), ReshapeError> {
        self.progress.total = (0..self.from).map(|process| self.estimated(process)).sum();
        let owner = Ownership::new(self.to, 1);
        for process in 0..self.from {
            let mut after = None;
            loop {
                let moves = |partition| owner.process(partition) != process;
                let store = &self.members[process].store;
                let days = store.moving_days(moves, after, SLICE_BYTES)?;
                let Some(last) = days.last() else { break };
                after = Some(last.key);
                self.move_slice(process, &days)?;
            }
        }
        Ok(())
    }

    /// Requests a process gives away: its share by partitions.
    fn estimated(&self, process: usize) -> u64 {
        let (before, after) = (Ownership::new(self.from, 1), Ownership::new(self.to, 1));
        let owned = (0..PARTITIONS).filter(|partition| before.process(*partition) == process);
        let moving = owned.clone().filter(|partition| after.process(*partition) != process);
        let (owned, moving) = (owned.count() as u128, moving.count() as u128);
        let requests = u128::from(self.members[process].store.numbers().requests);
        (requests * moving / owned.max(1)) as u64
    }

    /// One commit where they go, for each such process, then one where they were.
    fn move_slice(&mut self, from: usize, days: &[MovingDay]) -> Result<(), ReshapeError> {
        let owner = Ownership::new(self.to, 1);
        let mut by_owner: BTreeMap<usize, Vec<&MovingDay>> = BTreeMap::new();
        for day in days {
            let to = owner.process(day.key.identity.partition());
            // What an earlier run brought there is there whole.
            if !self.members[to].store.has_day(day.key)? {
                by_owner.entry(to).or_default().push(day);
            }
        }
        for (to, days) in by_owner {
            self.change_days(to, &days, 1, Part::move_in)?;
        }
        self.change_days(from, &days.iter().collect::<Vec<_>>(), -1, Part::move_out)?;
        for day in days {
            self.done.identity_days += 1;
            self.done.sessions += day.sessions.len() as u64;
            self.done.requests += day.requests;
            self.done.bytes += day.bytes;
        }
        self.progress.requests = self.done.requests;
        self.progress.total = self.progress.total.max(self.done.requests);
        Ok(())
    }

    /// One commit; `sign` says whether their open sessions are more or fewer.
    fn change_days(
        &mut self,
        process: usize,
        days: &[&MovingDay],
        sign: i64,
        change: Change,
    ) -> Result<(), ReshapeError> {
        let epoch = self.next_epoch(process);
        let member = &mut self.members[process];
        let closes = member.store.closing();
        let mut part = member.store.part(epoch, 0);
        let mut closing: HashMap<i64, i64> = HashMap::new();
        for day in days {
            change(&mut part, day)?;
            for session in &day.sessions {
                *closing.entry(closes.at(session).0).or_default() += sign;
            }
        }
        let rows = member.open.apply(&closing, member.store.watermark());
        let blobs = rows.into_iter().map(|(at, row)| (keys::open_second(at), row)).collect();
        self.commit(process, Commit { epoch, parts: vec![part], blobs, ..Commit::default() })
    }
}
