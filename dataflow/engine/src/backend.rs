//! `sessionize`'s state over the store: a worker's cold reads, and its part of each epoch's batch.
//!
//! An epoch may be processed once the one before it is committed, so a read from the store sees
//! everything before the epoch, on this worker and on every other. A read that fails stops the
//! engine: nothing that was computed from a wrong answer is committed.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use spoor_operators::assign::Scratch;
use spoor_operators::facts::Assigned;
use spoor_operators::sessionize::backend::{
    BackfillStep, Backfilled, DayChange, DayKey, EpochCounts, IdSet, Piece, SessionBackend,
    Sessions,
};
use spoor_operators::time::{Day, Epoch};
use spoor_operators::wire::Malformed;

use crate::backfill::{Attempt, SharedSteps, Step, Told};
use crate::hot::HotBytes;
use crate::plan::{EpochPlan, Origin, Plan};
use crate::regroup::{as_stored, moves};
use spoor_store::{LogLimit, Part, Store, StoreError};

/// One worker's state.
pub struct StoreBackend {
    plan: Arc<Plan>,
    store: Store,
    worker: usize,
    hot: Arc<HotBytes>,
    scratch: Scratch,
    current: Option<(Arc<EpochPlan>, Part)>,
    remembers_changes: bool,
    steps: SharedSteps,
    limit: LogLimit,
    telling: Option<Telling>,
    /// In this epoch requests of these blocks of an identity-day are retracted.
    retracted: Option<(DayKey, (Epoch, Epoch))>,
}

/// How far a large identity-day is told.
struct Telling {
    attempt: Attempt,
    /// The epoch it began in: what came later was never missed.
    until: Epoch,
    after: Option<Epoch>,
    requests: u64,
    moves: bool,
    is_told: bool,
}

impl StoreBackend {
    /// State of a worker. `remembers_changes`: subscribers may want them; `backfill`: what the
    /// worker's scan wants of it, and how much of the log is read at once.
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        store: Store,
        worker: usize,
        hot: Arc<HotBytes>,
        remembers_changes: bool,
        (steps, limit): (SharedSteps, LogLimit),
    ) -> Self {
        Self {
            plan,
            store,
            worker,
            hot,
            scratch: Scratch::default(),
            current: None,
            remembers_changes,
            steps,
            limit,
            telling: None,
            retracted: None,
        }
    }

    /// What to go on with after a read: nothing, if it failed, and the engine stops.
    fn or_fail<T: Default>(&self, what: &str, read: Result<T, StoreError>) -> T {
        read.unwrap_or_else(|error| {
            tracing::error!(%error, "{what} cannot be read or written; stopping");
            self.plan.fail();
            T::default()
        })
    }

    /// The epoch being processed and the part it goes to.
    fn enter(&mut self, epoch: Epoch) -> Option<&mut (Arc<EpochPlan>, Part)> {
        if self.current.as_ref().is_none_or(|(plan, _)| plan.epoch != epoch) {
            let plan = self.plan.get(epoch.0)?;
            let number = u16::try_from(self.worker).expect("workers are few");
            self.current = Some((plan, self.store.part(epoch, number)));
        }
        self.current.as_mut()
    }

    fn reassigned(&mut self, key: DayKey) -> Result<Vec<Assigned>, StoreError> {
        let Some((plan, _)) = &self.current else { return Ok(Vec::new()) };
        let rules = Arc::clone(&plan.rules);
        let stored = match self.retracted.filter(|(retracted, _)| *retracted == key) {
            // Of requests in no session, only those.
            Some((_, (first, last))) if key.identity.is_unassigned() => {
                let (after, until) = (first.0.checked_sub(1).map(Epoch), Epoch(last.0 + 1));
                let limit = LogLimit { requests: usize::MAX, bytes: usize::MAX };
                self.store.log_piece(key, after, until, limit)?.requests
            }
            _ => self.store.load_log(key)?,
        };
        let as_known = |stored: &Bytes| {
            let now = rules.assign_stored(stored, false, &mut self.scratch)?;
            Ok(as_stored(&now, stored))
        };
        stored.iter().map(as_known).collect()
    }

    /// The next piece of a large identity-day; none when all of it is told.
    fn tell(&mut self, epoch: Epoch, attempt: Attempt) -> Result<Option<Piece>, StoreError> {
        let Some((plan, _)) = &self.current else { return Ok(None) };
        let rules = Arc::clone(&plan.rules);
        if self.telling.as_ref().is_none_or(|telling| telling.attempt != attempt) {
            self.telling = Some(Telling {
                attempt,
                until: epoch,
                after: None,
                requests: 0,
                moves: false,
                is_told: false,
            });
        }
        let telling = self.telling.as_mut().expect("just made, if there was none");
        if telling.is_told {
            return Ok(None);
        }
        let key = attempt.key;
        if plan.first_day.is_some_and(|first| key.day < first) {
            // It is dropped; the scan will see that, too.
            return Ok(None);
        }
        let read = self.store.log_piece(key, telling.after, telling.until, self.limit)?;
        let mut piece =
            Piece { is_first: telling.after.is_none(), is_last: read.is_last, ..Piece::default() };
        for stored in &read.requests {
            let now = rules.assign_stored(stored, false, &mut self.scratch)?;
            if moves(key, &now, stored) {
                piece.leaves.push(as_stored(&now, stored));
            } else {
                piece.stays.push(now);
            }
        }
        telling.after = read.blocks.map(|(_, last)| last);
        telling.requests += read.requests.len() as u64;
        telling.moves |= !piece.leaves.is_empty();
        Ok(Some(piece))
    }
}

impl SessionBackend for StoreBackend {
    fn ready(&mut self, epoch: Epoch) -> bool {
        !self.plan.has_failed()
            && self.plan.committed() + 1 >= epoch.0
            && self.enter(epoch).is_some()
    }

    fn expire_before(&mut self, epoch: Epoch) -> Option<Day> {
        let (plan, _) = self.enter(epoch)?;
        plan.first_day.filter(|_| plan.drops_days)
    }

    fn sessions(&mut self, key: DayKey) -> Sessions {
        let read = self.store.load_sessions(key);
        self.or_fail("sessions", read)
    }

    fn ids(&mut self, key: DayKey, out: &mut IdSet) {
        let Some((plan, _)) = &self.current else { return };
        let rules = Arc::clone(&plan.rules);
        let read = self.store.each_explicit_id(key, |id, stored| {
            out.insert_also(rules.id_hash(id), stored);
        });
        self.or_fail("the request log", read);
    }

    fn requests(&mut self, key: DayKey) -> Vec<Assigned> {
        let read = self.reassigned(key);
        self.or_fail("the request log", read)
    }

    fn backfill(&mut self, epoch: Epoch) -> Vec<BackfillStep> {
        self.retracted = None;
        let wanted = self.steps.borrow_mut().take(epoch);
        let mut steps = Vec::new();
        for step in wanted {
            match step {
                Step::Drop(key) => steps.push(BackfillStep::Drop(key)),
                Step::Retract { key, blocks } => self.retracted = Some((key, blocks)),
                Step::Tell(attempt) => {
                    let piece = self.tell(epoch, attempt);
                    let piece = self.or_fail("the request log", piece);
                    steps.extend(piece.map(|piece| BackfillStep::Tell(attempt.key, piece)));
                }
            }
        }
        steps
    }

    fn backfilled(&mut self, key: DayKey, outcome: Backfilled) {
        let Some(telling) = self.telling.as_mut().filter(|telling| telling.attempt.key == key)
        else {
            return;
        };
        telling.is_told = true;
        let Telling { until, requests, moves, .. } = *telling;
        let told = match outcome {
            Backfilled::Ready => Told::Ready { until, requests, moves },
            Backfilled::Again => Told::Again,
            Backfilled::AtOnce => Told::AtOnce,
        };
        self.steps.borrow_mut().tell(telling.attempt, told);
    }

    fn change(&mut self, epoch: Epoch, change: DayChange) {
        let retracted = self.retracted.filter(|(key, _)| *key == change.key);
        let Some((_, part)) = self.enter(epoch) else { return };
        let written = match retracted {
            Some((_, blocks)) => part.day_change_within(&change, blocks),
            None => part.day_change(&change),
        };
        self.or_fail("the request log", written);
        if self.remembers_changes
            && let Some((plan, _)) = &self.current
        {
            plan.findings.lock().changes.extend(change.sessions);
        }
    }

    fn seal(&mut self, epoch: Epoch, counts: EpochCounts) {
        self.hot.set(self.worker, counts.hot_bytes);
        if counts.refused > 0 {
            let (refused, epoch) = (counts.refused, epoch.0);
            tracing::warn!(refused, epoch, "spilled state was refused and read from the store");
        }
        if self.enter(epoch).is_none() {
            return;
        }
        let Some((plan, mut part)) = self.current.take() else { return };
        part.seal();
        let mut findings = plan.findings.lock();
        findings.parts.push(part);
        let duplicates: HashMap<u32, u64> = counts.duplicates.into_iter().collect();
        for (origin, count) in duplicates {
            *findings.duplicates.entry(Origin(origin)).or_default() += count;
        }
    }

    fn lost(&mut self, error: Malformed) {
        tracing::error!(%error, "requests of another process cannot be read; stopping");
        self.plan.fail();
    }
}
