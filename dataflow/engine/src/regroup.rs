//! A change of rules on its way through the retained past.
//!
//! Rules in force from epoch `e` on are applied to every request retained before `e`: each worker
//! scans its own partitions of the request log in key order, a slice in every epoch, and emits
//! `(as it was, -1)` and `(as it is now, +1)` for each request that moves, and one such pair for an
//! identity-day whose requests stay but may count differently. The scan begins when `e - 1` is
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

use crate::limits::REGROUP_SLICE;
use crate::plan::Plan;
use spoor_api::query::RegroupStatus;
use spoor_store::failpoint;
use spoor_store::{Store, StoreError};

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
    first: u64,
) -> VecCollection<'s, u64, Assigned, isize> {
    let index = scope.index() as u32;
    source::<_, CapacityContainerBuilder<Vec<Update>>, _, _>(
        scope,
        "Regroup",
        move |mut capability, info| {
            plan.on_wake(scope.worker().sync_activator_for(info.address.to_vec()));
            let activator = scope.activator_for(info.address);
            capability.downgrade(&first);
            let mut capability = Some(capability);
            let mut scan = Scan::new(store, index, route);
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
                    match scan.slice(regroup, &here.rules, epoch) {
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
    version: u64,
    after: Option<DayKey>,
    done: bool,
}

impl Scan {
    fn new(store: Store, index: u32, route: Arc<[u32]>) -> Self {
        Self {
            store,
            index,
            route,
            scratch: Scratch::default(),
            version: 0,
            after: None,
            done: true,
        }
    }

    /// The differences of the next identity-days.
    fn slice(
        &mut self,
        regroup: &Regroup,
        rules: &CompiledRules,
        epoch: u64,
    ) -> Result<Vec<Update>, StoreError> {
        if self.version != regroup.version {
            (self.version, self.after, self.done) = (regroup.version, None, false);
        }
        if self.done {
            return Ok(Vec::new());
        }
        failpoint::hit("regroup-slice");
        let (index, route) = (self.index, Arc::clone(&self.route));
        let owned = |partition: u16| route[usize::from(partition)] == index;
        let days = self.store.scan_log(owned, self.after, REGROUP_SLICE)?;
        let Some((last, _)) = days.last() else {
            self.done = true;
            regroup.worker_done(epoch);
            return Ok(Vec::new());
        };
        self.after = Some(*last);
        let mut updates = Vec::new();
        for (key, requests) in &days {
            self.regroup_day(*key, requests, rules, epoch, &mut updates)?;
            regroup.looked_at(requests.len() as u64);
        }
        Ok(updates)
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
            let moved = (now.identity, now.day) != (key.identity, key.day);
            let as_it_was = as_it_was(key, &now, stored);
            if moved || now.stored() != &stored[..] {
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
