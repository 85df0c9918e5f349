//! A backend that keeps everything in memory: `sessionize` by itself, in any dataflow.

use hashbrown::HashMap;

use super::backend::{
    DayChange, DayKey, EpochCounts, IdSet, LogChange, SessionBackend, SessionChange, Sessions,
};
use crate::facts::Assigned;
use crate::time::{Day, Epoch};

/// Sessions and requests in maps. Always ready.
#[derive(Debug, Default)]
pub struct MemoryBackend {
    days: HashMap<DayKey, Kept>,
    expire_before: Option<Day>,
    totals: EpochCounts,
}

#[derive(Debug, Default)]
struct Kept {
    sessions: Sessions,
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
        self.days.get(&key).map_or_else(Sessions::new, |kept| kept.sessions.clone())
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
        for SessionChange { old, new } in change.sessions {
            kept.sessions.retain(|known| Some(&*known) != old.as_ref());
            kept.sessions.extend(new);
        }
        kept.sessions.sort_unstable_by_key(|session| session.start);
        if kept.requests.is_empty() {
            self.days.remove(&change.key);
        }
    }

    fn seal(&mut self, _: Epoch, counts: EpochCounts) {
        self.totals = counts;
    }
}
