//! `sessionize`'s state over the store: a worker's cold reads, and its part of each epoch's batch.
//!
//! An epoch may be processed once the one before it is committed, so a read from the store sees
//! everything before the epoch, on this worker and on every other. A read that fails stops the
//! engine: nothing that was computed from a wrong answer is committed.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use spoor_operators::assign::{CompiledRules, Scratch};
use spoor_operators::facts::Assigned;
use spoor_operators::sessionize::backend::{
    DayChange, DayKey, EpochCounts, IdSet, SessionBackend, Sessions,
};
use spoor_operators::time::{Day, Epoch};
use spoor_operators::wire::Malformed;

use crate::hot::HotBytes;
use crate::plan::{EpochPlan, Origin, Plan};
use spoor_store::{Part, Store, StoreError};

/// One worker's state.
pub struct StoreBackend {
    plan: Arc<Plan>,
    store: Store,
    worker: usize,
    hot: Arc<HotBytes>,
    scratch: Scratch,
    current: Option<(Arc<EpochPlan>, Part)>,
    remembers_changes: bool,
}

impl StoreBackend {
    /// State of a worker. `remembers_changes`: subscribers may want them.
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        store: Store,
        worker: usize,
        hot: Arc<HotBytes>,
        remembers_changes: bool,
    ) -> Self {
        let scratch = Scratch::default();
        Self { plan, store, worker, hot, scratch, current: None, remembers_changes }
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
        let stored = self.store.load_log(key)?;
        stored.iter().map(|stored| as_stored(stored, &rules, &mut self.scratch)).collect()
    }
}

/// A retained request under the rules in force, with the stored bytes it is known by: where those
/// rules would redact more, a retraction names the bytes as they are in the log.
fn as_stored(
    stored: &Bytes,
    rules: &CompiledRules,
    scratch: &mut Scratch,
) -> Result<Assigned, StoreError> {
    let mut now = rules.assign_stored(stored, false, scratch)?;
    if now.stored() != &stored[..] {
        let head = &now.payload[..now.head_len as usize];
        now.payload = [head, stored].concat().into();
    }
    Ok(now)
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

    fn change(&mut self, epoch: Epoch, change: DayChange) {
        let Some((_, part)) = self.enter(epoch) else { return };
        let written = part.day_change(&change);
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
