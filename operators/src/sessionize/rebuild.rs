//! Recomputing an identity-day from its retained requests: after a retraction, a changed gap, or the
//! first two requests that share an explicit id.
//!
//! The retained requests are a multiset of stored requests. All of them stay in the log, also
//! those that do not count because another one has their explicit id: a changed rule may tell them
//! apart again. What counts is decided by `(ts, stored request)`, never by arrival.

use std::collections::HashSet;
use std::mem;

use hashbrown::HashMap;

use super::backend::{EpochCounts, IdSet, Known, LogChange};
use super::state::within_gap;
use crate::facts::{Assigned, Facts};
use crate::session::Session;
use crate::summary::Summary;

/// Retained requests of an identity-day after an epoch, and how they came to be.
pub(super) struct Retained {
    /// Before the epoch, in the order of the log.
    pub before: Vec<Assigned>,
    /// After it.
    pub after: Vec<Assigned>,
    /// Explicit ids of `after`.
    pub ids: IdSet,
    /// Requests that are retained no longer, and such that are retained as well.
    exchanged: (Vec<Assigned>, Vec<Assigned>),
    same_stored: bool,
}

/// Applies an epoch's events to the retained requests. Without `dedupe` an explicit id means
/// nothing.
pub(super) fn apply(
    before: Vec<Assigned>,
    events: Vec<(Assigned, isize)>,
    dedupe: bool,
    counts: &mut EpochCounts,
) -> Retained {
    let mut retract = HashMap::<_, usize>::new();
    for (assigned, diff) in events.iter().filter(|(_, diff)| *diff < 0) {
        *retract.entry(assigned.stored()).or_default() += diff.unsigned_abs();
    }
    let mut retracted = |assigned: &Assigned| match retract.get_mut(assigned.stored()) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    };
    let (mut ids, mut removed, mut added) = (IdSet::default(), Vec::new(), Vec::new());
    let mut after = Vec::with_capacity(before.len());
    for assigned in &before {
        if retracted(assigned) {
            removed.push(assigned.clone());
        } else {
            after.push(assigned.clone());
            if assigned.id_hash != 0 {
                ids.insert_also(assigned.id_hash, assigned.stored());
            }
        }
    }
    for (assigned, diff) in events.iter().filter(|(_, diff)| *diff > 0) {
        for _ in 0..*diff {
            if retracted(assigned) {
                continue;
            }
            if dedupe && assigned.id_hash != 0 {
                let known = ids.insert(assigned.id_hash, assigned.stored());
                if known != Known::New {
                    count_duplicate(counts, assigned.origin);
                }
                if known == Known::Same {
                    continue;
                }
                ids.insert_also(assigned.id_hash, assigned.stored());
            }
            added.push(assigned.clone());
            after.push(assigned.clone());
        }
    }
    counts.unmatched += retract.values().map(|left| *left as u64).sum::<u64>();
    let exchanged = (removed, added);
    let stored = |requests: &[Assigned]| {
        let mut stored: Vec<_> =
            requests.iter().map(|one| one.payload.slice(one.head_len as usize..)).collect();
        stored.sort_unstable();
        stored
    };
    let same_stored = stored(&exchanged.0) == stored(&exchanged.1);
    if !same_stored {
        counts.removed += exchanged.0.len() as u64;
        counts.inserted += exchanged.1.len() as u64;
    }
    Retained { before, after, ids, exchanged, same_stored }
}

/// Counts a duplicate where it came from.
pub(super) fn count_duplicate(counts: &mut EpochCounts, origin: u32) {
    match counts.duplicates.iter_mut().find(|(known, _)| *known == origin) {
        Some((_, count)) => *count += 1,
        None => counts.duplicates.push((origin, 1)),
    }
}

impl Retained {
    /// What the log is told.
    pub fn log_change(&mut self) -> LogChange {
        let after = mem::take(&mut self.after);
        match self.same_stored {
            true if after.is_empty() => LogChange::None,
            true => LogChange::Derived(after),
            // What stays need not be written again.
            false if self.exchanged.0.is_empty() => {
                LogChange::exchanged(Vec::new(), mem::take(&mut self.exchanged.1))
            }
            false => LogChange::Replace(after),
        }
    }

    /// What the log of requests in no session is told, of which nothing is derived.
    pub fn log_exchange(self) -> LogChange {
        match self.same_stored {
            true => LogChange::None,
            false => LogChange::exchanged(self.exchanged.0, self.exchanged.1),
        }
    }
}

/// The requests that count, by `(ts, stored request)`: of those with one explicit id, the first.
pub(super) fn counted(requests: &[Assigned]) -> Vec<&Assigned> {
    let mut counted: Vec<_> = requests.iter().collect();
    counted.sort_unstable_by(|a, b| (a.ts, a.stored()).cmp(&(b.ts, b.stored())));
    let mut ids = HashSet::new();
    counted.retain(|request| request.id_hash == 0 || ids.insert(request.id_hash));
    counted
}

/// The sessions of requests that count, in their order. `new` makes one without requests.
///
/// Rules give all requests of an identity one gap. Where the given ones differ, because a changed
/// rule has not reached all of them, the greatest is in force, so that their order never matters.
pub(super) fn sessions(
    counted: &[&Assigned],
    counts: &mut EpochCounts,
    mut new: impl FnMut(&Assigned, u32) -> Session,
    mut seen: impl FnMut(&Assigned, &Facts<'_>, &mut Summary),
) -> Vec<Session> {
    let gap_ms = counted.iter().map(|request| request.gap_ms).max().unwrap_or_default();
    let mut sessions: Vec<Session> = Vec::new();
    for request in counted {
        let Ok(facts) = request.facts() else {
            counts.malformed += 1;
            continue;
        };
        let continues = |last: &Session| within_gap(last.end, request.ts, gap_ms);
        if !sessions.last().is_some_and(continues) {
            sessions.push(new(request, gap_ms));
        }
        let session = sessions.last_mut().expect("just pushed, if there was none");
        session.end = request.ts;
        seen(request, &facts, &mut session.summary);
    }
    sessions
}
