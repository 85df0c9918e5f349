//! What leaving processes keep besides identity-days goes to process 0; then all stores are
//! settled, at one epoch.
//!
//! Totals are sums, so process 0's mark says, in the commit that adds them, how far they are added.

use spoor_operators::time::Epoch;

use super::{Reshape, ReshapeError, Stage};
use crate::cluster::hello::Shape;
use crate::divide::{owner, read_row};
use crate::marker::{Marker, Merged, UnderWay};
use crate::{LEADER, keys};
use spoor_store::{Commit, StoreError};

/// Rows of totals added at a time.
const TOTALS_SLICE: usize = if cfg!(test) { 16 } else { 50_000 };

impl Reshape<'_> {
    /// Merges what leaving processes keep into process 0.
    pub(super) fn merge_leaving(&mut self) -> Result<(), ReshapeError> {
        for leaving in self.to..self.from {
            while let Some(mut mark) = self.mark_of_leader() {
                let known = mark.merged.entry(leaving).or_default();
                if known.done {
                    break;
                }
                let mut commit = Commit { epoch: self.next_epoch(LEADER), ..Commit::default() };
                self.merge_next(leaving, known, &mut commit)?;
                self.commit_mark(mark, commit)?;
            }
        }
        match self.mark_of_leader() {
            Some(mark) if self.to < self.from && !mark.has_letters => self.merge_letters(mark),
            _ => Ok(()),
        }
    }

    /// One list of refused records in order of their epochs, as pages of them are read. In one
    /// commit: there are so many at most.
    fn merge_letters(&mut self, mut mark: UnderWay) -> Result<(), ReshapeError> {
        let mut letters = self.members[LEADER].store.letters()?;
        for leaving in self.to..self.from {
            letters.extend(self.members[leaving].store.letters()?);
        }
        letters.sort_by_key(|letter| letter.epoch);
        mark.has_letters = true;
        let epoch = self.next_epoch(LEADER);
        let commit = Commit {
            epoch,
            dead_letters: letters,
            replaces_dead_letters: true,
            ..Commit::default()
        };
        self.commit_mark(mark, commit)
    }

    /// A commit of process 0 that also says how far the work is.
    fn commit_mark(&mut self, mark: UnderWay, mut commit: Commit) -> Result<(), ReshapeError> {
        commit.blobs.push(Marker::UnderWay(mark.clone()).blob());
        self.commit(LEADER, commit)?;
        self.members[LEADER].stage = Stage::UnderWay(mark);
        Ok(())
    }

    /// None when process 0 is settled.
    fn mark_of_leader(&self) -> Option<UnderWay> {
        match &self.members[LEADER].stage {
            Stage::UnderWay(mark) => Some(mark.clone()),
            _ => None,
        }
    }

    /// The next slice: totals first, then sources.
    fn merge_next(
        &self,
        leaving: usize,
        known: &mut Merged,
        commit: &mut Commit,
    ) -> Result<(), StoreError> {
        let store = &self.members[leaving].store;
        let totals = store.totals_after(known.totals.as_ref(), TOTALS_SLICE)?;
        if let Some(((minute, app), _)) = totals.last() {
            known.totals = Some((*minute, app.to_string()));
            commit.totals = totals;
            return Ok(());
        }
        let own = self.members[LEADER].store.sources()?;
        for (name, row) in store.sources()? {
            let mut merged = read_row(&name, &row)?;
            if let Some((_, own)) = own.iter().find(|(own, _)| *own == name) {
                merged.merge(&read_row(&name, own)?);
            }
            let merged = serde_json::to_vec(&merged).expect("a source row is plain data");
            commit.sources.push((name, merged));
        }
        known.done = true;
        Ok(())
    }

    /// Gives every store its new place, at one epoch. Process 0 last: with it all is done.
    pub(super) fn settle(&mut self) -> Result<(), ReshapeError> {
        let epoch = self.settling_epoch();
        for process in (0..self.members.len()).rev() {
            if self.members[process].stage == Stage::Settled {
                continue;
            }
            let mut commit = Commit { epoch, ..Commit::default() };
            if process >= self.to {
                commit.blobs.push(Marker::Merged { processes: self.to }.blob());
            } else {
                let shape = Shape { process, processes: self.to };
                let shape = serde_json::to_vec(&shape).expect("a shape is plain data");
                commit.blobs.push((keys::SHAPE.into(), Some(shape)));
                commit.blobs.push((keys::RESHAPE.into(), None));
            }
            if process == LEADER {
                self.forget_given_sources(&mut commit)?;
            }
            self.commit(process, commit)?;
            self.members[process].stage = Stage::Settled;
        }
        Ok(())
    }

    /// That of those that are settled, or one that no store has used.
    fn settling_epoch(&self) -> Epoch {
        let settled = self.members.iter().filter(|member| member.stage == Stage::Settled);
        let settled = settled.filter_map(|member| member.store.committed()).max();
        let next = (0..self.members.len()).map(|process| self.next_epoch(process)).max();
        settled.or(next).unwrap_or(self.base)
    }

    /// New processes have the rows of sources that are theirs alone.
    fn forget_given_sources(&self, commit: &mut Commit) -> Result<(), StoreError> {
        let store = &self.members[LEADER].store;
        let mut part = store.part(commit.epoch, 0);
        for (name, _) in store.sources()? {
            if owner(&name).is_some_and(|process| (self.from..self.to).contains(&process)) {
                part.forget_source(&name);
            }
        }
        commit.parts.push(part);
        Ok(())
    }
}
