//! A backend that keeps everything in memory: `sessionize` by itself, in any dataflow.
//!
//! Sessions and requests are kept until they are retracted or their day is dropped
//! ([`MemoryState::expire`]); nothing survives the process.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::backend::{
    DayChange, DayKey, EpochCounts, FullBackend, IdSet, LogChange, SessionBackend, Sessions,
};
use crate::facts::Assigned;
use crate::session::Session;
use crate::time::{Day, EventTime};

/// Sessions and requests in maps. Always ready.
#[derive(Debug, Default)]
pub struct MemoryState {
    days: HashMap<DayKey, Kept>,
    expire_before: Option<Day>,
    totals: EpochCounts,
}

#[derive(Debug, Default)]
struct Kept {
    /// By start.
    sessions: BTreeMap<EventTime, Arc<Session>>,
    requests: Vec<Assigned>,
}

impl MemoryState {
    /// Days before this one are dropped when the next epoch begins.
    pub fn expire(&mut self, before: Day) {
        self.expire_before = Some(before);
    }

    /// Number of identity-days with anything retained.
    #[must_use]
    pub fn days(&self) -> usize {
        self.days.len()
    }

    /// The sessions of an identity-day, ascending by start.
    #[must_use]
    pub fn sessions(&self, key: DayKey) -> Sessions {
        self.days.get(&key).into_iter().flat_map(|kept| kept.sessions.values().cloned()).collect()
    }

    /// The retained requests of an identity-day, in the order they came.
    #[must_use]
    pub fn requests(&self, key: DayKey) -> Vec<Assigned> {
        self.days.get(&key).map_or_else(Vec::new, |kept| kept.requests.clone())
    }

    /// Adds the retained requests of an identity-day that have an explicit id.
    pub fn ids(&self, key: DayKey, out: &mut IdSet) {
        let kept = self.days.get(&key).into_iter().flat_map(|kept| &kept.requests);
        for request in kept.filter(|request| request.id_hash != 0) {
            out.insert_also(request.id_hash, request.stored());
        }
    }

    /// The counts of the last sealed epoch.
    #[must_use]
    pub fn counts(&self) -> &EpochCounts {
        &self.totals
    }
}

impl<T> SessionBackend<T> for MemoryState {
    fn ready(&mut self, _: T) -> bool {
        true
    }

    fn expire_before(&mut self, _: T) -> Option<Day> {
        let day = self.expire_before.take()?;
        self.days.retain(|key, _| key.day >= day);
        Some(day)
    }

    fn sessions(&mut self, key: DayKey) -> Sessions {
        Self::sessions(self, key)
    }

    fn ids(&mut self, key: DayKey, out: &mut IdSet) {
        Self::ids(self, key, out);
    }

    fn requests(&mut self, key: DayKey) -> Vec<Assigned> {
        Self::requests(self, key)
    }

    fn change(&mut self, _: T, change: DayChange) {
        let kept = self.days.entry(change.key).or_default();
        match change.log {
            LogChange::None => {}
            LogChange::Append(more) => kept.requests.extend(more),
            LogChange::Replace(all) | LogChange::Derived(all) => kept.requests = all,
            LogChange::Exchange { removed, added } => {
                for gone in &removed {
                    let is = |known: &Assigned| known.stored() == gone.stored();
                    kept.requests.iter().position(is).map(|at| kept.requests.remove(at));
                }
                kept.requests.extend(added);
            }
        }
        // An old session's start may be the start of another change's new one.
        for old in change.sessions.iter().filter_map(|change| change.old.as_ref()) {
            kept.sessions.remove(&old.start);
        }
        let new = change.sessions.into_iter().filter_map(|change| change.new);
        kept.sessions.extend(new.map(|session| (session.start, session)));
        if kept.requests.is_empty() {
            self.days.remove(&change.key);
        }
    }

    fn seal(&mut self, _: T, counts: EpochCounts) {
        self.totals = counts;
    }
}

impl<T> FullBackend<T> for MemoryState {
    fn keys_before(&mut self, day: Option<Day>) -> Vec<DayKey> {
        let keys = self.days.keys().copied();
        let mut keys: Vec<_> = keys.filter(|key| day.is_none_or(|day| key.day < day)).collect();
        keys.sort_unstable();
        keys
    }

    fn will_expire_before(&mut self, _: T) -> Option<Day> {
        self.expire_before
    }
}
