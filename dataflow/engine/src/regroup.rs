//! A change of rules on its way through the retained past.
//!
//! Rules in force from epoch `e` on are applied to every request retained before `e`: each worker
//! scans its own partitions of the request log in key order, a slice in every epoch, and emits
//! `(as it was, -1)` and `(as it is now, +1)` for each request that moves, and one such pair for an
//! identity-day whose requests stay but may count differently. An identity-day with more requests
//! than a slice is told first and then retracted a piece in every epoch
//! ([`backfill`](crate::backfill)). The scan begins when `e - 1` is
//! committed, so it sees every request the old rules were applied to; requests that came or moved
//! since are already right, and looking at them again changes nothing. So a scan can begin anew
//! at any time, which is what a restart and a further change of rules do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use differential_dataflow::{AsCollection, VecCollection};
use spoor_operators::assign::{CompiledRules, Scratch};
use spoor_operators::facts::{Assigned, NO_GAP};
use spoor_operators::sessionize::backend::DayKey;
use spoor_operators::time::Epoch;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Scope;
use timely::dataflow::operators::generic::operator::source;

use crate::backfill::{Attempt, SharedSteps, Step, Told};
use crate::plan::{EpochPlan, Plan};
use spoor_api::query::RegroupStatus;
use spoor_store::failpoint;
use spoor_store::{LogLimit, Scanned, Store, StoreError};

/// One change, and how far it is.
#[derive(Debug)]
pub struct Regroup {
    /// The rules it brings about.
    pub version: u64,
    /// The first epoch under them.
    pub effective: Epoch,
    /// Requests there were to look at when it began.
    pub total: u64,
    done: AtomicU64,
    workers_left: AtomicUsize,
    finished: AtomicU64,
    ended: AtomicU64,
}

impl Regroup {
    /// A change that no worker has begun with.
    #[must_use]
    pub fn new(version: u64, effective: Epoch, total: u64, workers: usize) -> Self {
        Self {
            version,
            effective,
            total,
            done: AtomicU64::new(0),
            workers_left: AtomicUsize::new(workers),
            finished: AtomicU64::new(0),
            ended: AtomicU64::new(u64::MAX),
        }
    }

    /// Whether every worker of this process was done in this epoch or before.
    #[must_use]
    pub fn is_done_here(&self, epoch: Epoch) -> bool {
        self.workers_left.load(Ordering::Acquire) == 0
            && self.finished.load(Ordering::Acquire) <= epoch.0
    }

    /// Every worker of every process was done in this epoch: decided by whoever commits.
    pub fn end(&self, epoch: Epoch) {
        self.ended.fetch_min(epoch.0, Ordering::AcqRel);
    }

    /// Whether it had ended in this epoch or before.
    #[must_use]
    pub fn is_done_by(&self, epoch: Epoch) -> bool {
        self.ended.load(Ordering::Acquire) <= epoch.0
    }

    /// For the status.
    #[must_use]
    pub fn status(&self) -> RegroupStatus {
        let done = self.done.load(Ordering::Relaxed);
        RegroupStatus { version: self.version, done: done.min(self.total), total: self.total }
    }

    fn looked_at(&self, requests: u64) {
        self.done.fetch_add(requests, Ordering::Relaxed);
    }

    fn worker_done(&self, epoch: u64) {
        self.finished.fetch_max(epoch, Ordering::AcqRel);
        self.workers_left.fetch_sub(1, Ordering::AcqRel);
    }
}

type Update = (Assigned, u64, isize);

/// Differences of the retained requests under changed rules, a slice in every epoch.
pub fn regroup<'s>(
    scope: Scope<'s, u64>,
    plan: Arc<Plan>,
    store: Store,
    route: Arc<[u32]>,
    steps: SharedSteps,
    options: (LogLimit, u64),
) -> VecCollection<'s, u64, Assigned, isize> {
    let (limit, first) = options;
    let index = scope.index() as u32;
    source::<_, CapacityContainerBuilder<Vec<Update>>, _, _>(
        scope,
        "Regroup",
        move |mut capability, info| {
            plan.on_wake(scope.worker().sync_activator_for(info.address.to_vec()));
            let activator = scope.activator_for(info.address);
            capability.downgrade(&first);
            let mut capability = Some(capability);
            let mut scan = Scan::new(store, (index, route), steps, limit);
            move |output| {
                let Some(held) = &mut capability else { return };
                let epoch = *held.time();
                if plan.has_failed() || plan.is_past_end(epoch) {
                    capability = None;
                    return;
                }
                let Some(here) = plan.get(epoch) else { return };
                if let Some(regroup) = &here.regroup {
                    if plan.committed() + 1 < regroup.effective.0 {
                        return;
                    }
                    match scan.slice(regroup, &here, plan.committed()) {
                        Ok(updates) => output.session(&*held).give_iterator(updates.into_iter()),
                        Err(error) => {
                            tracing::error!(%error, "the request log cannot be read");
                            plan.fail();
                            return;
                        }
                    }
                }
                held.downgrade(&(epoch + 1));
                activator.activate();
            }
        },
    )
    .as_collection()
}

/// A worker's place in the scan.
struct Scan {
    store: Store,
    index: u32,
    route: Arc<[u32]>,
    scratch: Scratch,
    steps: SharedSteps,
    limit: LogLimit,
    version: u64,
    after: Option<DayKey>,
    /// The large identity-day the scan is at.
    large: Option<Large>,
    /// Of large identity-days.
    attempts: u64,
    done: bool,
}

/// A large identity-day, and how far the scan is with it.
#[derive(Clone, Copy)]
struct Large {
    attempt: Attempt,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    /// The state is told its requests.
    Telling,
    /// Its requests up to a block are retracted, and those before `until` will be.
    Retracting { after: Option<Epoch>, until: Epoch },
    /// It is to be retracted at once, when this epoch is committed.
    AtOnce(u64),
}

impl Scan {
    fn new(
        store: Store,
        (index, route): (u32, Arc<[u32]>),
        steps: SharedSteps,
        limit: LogLimit,
    ) -> Self {
        Self {
            store,
            index,
            route,
            scratch: Scratch::default(),
            steps,
            limit,
            version: 0,
            after: None,
            large: None,
            attempts: 0,
            done: true,
        }
    }

    /// The differences of the next identity-days, or of the next piece of one. `committed`: the last
    /// committed epoch.
    fn slice(
        &mut self,
        regroup: &Regroup,
        here: &EpochPlan,
        committed: u64,
    ) -> Result<Vec<Update>, StoreError> {
        let epoch = here.epoch.0;
        if self.version != regroup.version {
            self.leave_large(epoch);
            (self.version, self.after, self.done) = (regroup.version, None, false);
        }
        if self.done {
            return Ok(Vec::new());
        }
        failpoint::hit("regroup-slice");
        let mut updates = Vec::new();
        if let Some(large) = self.large {
            if here.first_day.is_some_and(|first| large.attempt.key.day < first) {
                self.leave_large(epoch);
            } else {
                self.large_day(large, (regroup, here, committed), &mut updates)?;
            }
            return Ok(updates);
        }
        let (index, route) = (self.index, Arc::clone(&self.route));
        let owned = |partition: u16| route[usize::from(partition)] == index;
        match self.store.scan_log(owned, self.after, self.limit)? {
            Scanned::Large(key) => {
                self.attempts += 1;
                let attempt = Attempt { key, number: self.attempts };
                // Of requests in no session nothing is derived that would have to be told.
                let stage = match key.identity.is_unassigned() {
                    true => Stage::Retracting { after: None, until: regroup.effective },
                    false => Stage::Telling,
                };
                self.after = Some(key);
                self.large = Some(Large { attempt, stage });
            }
            Scanned::Days(days) => {
                match days.last() {
                    Some((last, _)) => self.after = Some(*last),
                    None => {
                        self.done = true;
                        regroup.worker_done(epoch);
                    }
                }
                for (key, requests) in &days {
                    regroup.looked_at(requests.len() as u64);
                    if here.first_day.is_none_or(|first| key.day >= first) {
                        self.regroup_day(*key, requests, &here.rules, epoch, &mut updates)?;
                    }
                }
            }
        }
        Ok(updates)
    }

    /// Ends with a large identity-day, wherever it is.
    fn leave_large(&mut self, epoch: u64) {
        if let Some(large) = self.large.take() {
            self.steps.borrow_mut().want(epoch, Step::Drop(large.attempt.key));
        }
    }

    /// The next step of a large identity-day.
    fn large_day(
        &mut self,
        Large { mut attempt, stage }: Large,
        (regroup, here, committed): (&Regroup, &EpochPlan, u64),
        updates: &mut Vec<Update>,
    ) -> Result<(), StoreError> {
        let epoch = here.epoch.0;
        let told = self.steps.borrow().told(attempt);
        let mut next = Some(stage);
        match (stage, told) {
            (Stage::Telling, None) => {
                self.steps.borrow_mut().want(epoch, Step::Tell(attempt));
            }
            (Stage::Telling, Some(Told::Ready { requests, moves: false, .. })) => {
                regroup.looked_at(requests);
                next = None;
            }
            (Stage::Telling, Some(Told::Ready { until, .. })) => {
                next = Some(Stage::Retracting { after: None, until });
            }
            (Stage::Telling, Some(Told::Again)) => {
                self.attempts += 1;
                attempt.number = self.attempts;
            }
            // What was emitted already is to be gone from the log before it is looked at again.
            (Stage::Telling | Stage::Retracting { .. }, Some(Told::AtOnce)) => {
                next = Some(Stage::AtOnce(epoch - 1));
            }
            (Stage::Retracting { after, until }, _) => {
                let piece = self.store.log_piece(attempt.key, after, until, self.limit)?;
                regroup.looked_at(piece.requests.len() as u64);
                for stored in &piece.requests {
                    let now = here.rules.assign_stored(stored, false, &mut self.scratch)?;
                    self.retract(attempt.key, now, stored, epoch, updates);
                }
                if let Some(blocks) = piece.blocks {
                    let step = Step::Retract { key: attempt.key, blocks };
                    self.steps.borrow_mut().want(epoch, step);
                }
                let after = piece.blocks.map(|(_, last)| last);
                next = (!piece.is_last).then_some(Stage::Retracting { after, until });
            }
            (Stage::AtOnce(last), _) if committed < last => {}
            (Stage::AtOnce(_), _) => {
                let requests = self.store.load_log(attempt.key)?;
                self.regroup_day(attempt.key, &requests, &here.rules, epoch, updates)?;
                next = None;
            }
        }
        self.large = next.map(|stage| Large { attempt, stage });
        Ok(())
    }

    /// The differences of a request of a large identity-day. The retraction has facts, as the request
    /// was told with.
    fn retract(
        &self,
        key: DayKey,
        now: Assigned,
        stored: &Bytes,
        epoch: u64,
        updates: &mut Vec<Update>,
    ) {
        if moves(key, &now, stored) {
            let DayKey { day, identity } = key;
            let as_it_was = Assigned { day, identity, ..as_stored(&now, stored) };
            updates.push((as_it_was, epoch, -1));
            updates.push((now, epoch, 1));
        }
    }

    fn regroup_day(
        &mut self,
        key: DayKey,
        requests: &[Bytes],
        rules: &CompiledRules,
        epoch: u64,
        updates: &mut Vec<Update>,
    ) -> Result<(), StoreError> {
        let mut unmoved = None;
        let before = updates.len();
        for stored in requests {
            let now = rules.assign_stored(stored, false, &mut self.scratch)?;
            let as_it_was = as_it_was(key, &now, stored);
            if moves(key, &now, stored) {
                updates.push((as_it_was, epoch, -1));
                updates.push((now, epoch, 1));
            } else if unmoved.is_none() && !key.identity.is_unassigned() {
                unmoved = Some((as_it_was, now));
            }
        }
        if let (true, Some((as_it_was, now))) = (updates.len() == before, unmoved) {
            updates.push((as_it_was, epoch, -1));
            updates.push((now, epoch, 1));
        }
        Ok(())
    }
}

/// Whether a retained request is another one under other rules, or another one's.
#[must_use]
pub fn moves(key: DayKey, now: &Assigned, stored: &Bytes) -> bool {
    (now.identity, now.day) != (key.identity, key.day) || now.stored() != &stored[..]
}

/// A request with the facts it has now and the stored bytes it is known by: where the rules in force
/// would redact more, those are the bytes as they are in the log.
#[must_use]
pub fn as_stored(now: &Assigned, stored: &Bytes) -> Assigned {
    let mut known = now.clone();
    if now.stored() != &stored[..] {
        let head = &now.payload[..now.head_len as usize];
        known.payload = [head, stored].concat().into();
    }
    known
}

/// The retraction of a retained request: its place and its stored bytes, which are what it is
/// known by. Its facts are of no use any more and are left out.
fn as_it_was(key: DayKey, now: &Assigned, stored: &Bytes) -> Assigned {
    Assigned {
        day: key.day,
        identity: key.identity,
        ts: now.ts,
        id_hash: now.id_hash,
        gap_ms: NO_GAP,
        origin: 0,
        head_len: 0,
        payload: stored.clone(),
    }
}

#[cfg(test)]
mod tests;
