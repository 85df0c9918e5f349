//! A backend that keeps everything in memory: `sessionize` by itself, in any dataflow.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::backend::{DayChange, DayKey, EpochCounts, IdSet, LogChange, SessionBackend, Sessions};
use crate::facts::Assigned;
use crate::session::Session;
use crate::time::{Day, Epoch, EventTime};

/// Sessions and requests in maps. Always ready.
#[derive(Debug, Default)]
pub struct MemoryBackend {
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

impl MemoryBackend {
    /// Days before this one are dropped when the next epoch begins.
    pub fn expire(&mut self, before: Day) {
        self.expire_before = Some(before);
    }

    /// Number of identity-days with anything retained.
    #[must_use]
    pub fn days(&self) -> usize {
        self.days.len()
    }

    /// The counts of the last sealed epoch.
    #[must_use]
    pub fn counts(&self) -> &EpochCounts {
        &self.totals
    }
}

impl SessionBackend for MemoryBackend {
    fn ready(&mut self, _: Epoch) -> bool {
        true
    }

    fn expire_before(&mut self, _: Epoch) -> Option<Day> {
        let day = self.expire_before.take()?;
        self.days.retain(|key, _| key.day >= day);
        Some(day)
    }

    fn sessions(&mut self, key: DayKey) -> Sessions {
        self.days.get(&key).into_iter().flat_map(|kept| kept.sessions.values().cloned()).collect()
    }

    fn ids(&mut self, key: DayKey, out: &mut IdSet) {
        let kept = self.days.get(&key).into_iter().flat_map(|kept| &kept.requests);
        for request in kept.filter(|request| request.id_hash != 0) {
            out.insert_also(request.id_hash, request.stored());
        }
    }

    fn requests(&mut self, key: DayKey) -> Vec<Assigned> {
        self.days.get(&key).map_or_else(Vec::new, |kept| kept.requests.clone())
    }

    fn change(&mut self, _: Epoch, change: DayChange) {
        let kept = self.days.entry(change.key).or_default();
        match change.log {
            LogChange::None => {}
            LogChange::Append(more) => kept.requests.extend(more),
            LogChange::Replace(all) | LogChange::Derived(all) => kept.requests = all,
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

    fn seal(&mut self, _: Epoch, counts: EpochCounts) {
        self.totals = counts;
    }
}
