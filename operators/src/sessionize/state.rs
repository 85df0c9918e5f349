//! The state of one identity-day: its sessions in order, and the explicit ids it knows.
//!
//! Within an epoch a session is copied at its first change and then changed in place; what it was
//! at the end of the epoch before is kept beside it until [`DayState::finish`] turns the pair into
//! a [`SessionChange`]. Sessions never overlap and neighbours are at least a gap apart, so the
//! neighbours of an instant are found by binary search.

use std::mem;
use std::sync::Arc;

use smallvec::SmallVec;

use super::backend::{IdSet, SessionChange, Sessions};
use super::backfill::Backfill;
use super::codec::HotDay;
use super::dispute::{Dispute, Timeline};
use crate::facts::{Assigned, Facts, NO_GAP};
use crate::identity::Identity;
use crate::session::Session;
use crate::summary::Subtracted;
use crate::time::EventTime;

/// Sessions and explicit ids of an identity-day.
#[derive(Debug, Default)]
pub struct DayState {
    slots: SmallVec<[Slot; 1]>,
    /// Explicit ids, complete only if `ids_loaded`.
    pub(super) ids: IdSet,
    /// Whether the backend was asked for the ids, or need not be.
    pub(super) ids_loaded: bool,
    /// Which requests count, where several have one explicit id.
    pub(super) dispute: Option<Box<Dispute>>,
    /// A change of rules that takes the day in pieces. The state is not forgotten meanwhile.
    pub(super) backfill: Option<Box<Backfill>>,
    session_bytes: usize,
}

#[derive(Debug)]
struct Slot {
    session: Arc<Session>,
    touch: Touch,
}

/// What this epoch did to a session so far.
#[derive(Debug)]
enum Touch {
    Clean,
    New,
    Was(Arc<Session>),
}

/// What this epoch did to the identity-day in work so far; reused for the next one.
#[derive(Debug, Default)]
pub(super) struct Edits {
    /// For every touched session an instant inside it.
    touched: Vec<EventTime>,
    /// Sessions that were merged into others, or whose last request was taken out.
    gone: Vec<Arc<Session>>,
}

/// Whether a step from one instant to a later one stays within a session.
pub(super) fn within_gap(from: EventTime, to: EventTime, gap_ms: u32) -> bool {
    gap_ms == NO_GAP || to.0.saturating_sub(from.0) < i64::from(gap_ms.max(1))
}

impl DayState {
    /// What a backend had. Where there are no sessions there are no requests, and so no ids.
    pub(super) fn loaded(sessions: Sessions) -> Self {
        let session_bytes = sessions.iter().map(|session| session.memory_bytes()).sum();
        let ids_loaded = sessions.is_empty();
        let clean = |session| Slot { session, touch: Touch::Clean };
        let slots = sessions.into_iter().map(clean).collect();
        Self { slots, ids_loaded, session_bytes, ..Self::default() }
    }

    /// What a spill had. Complete ids stay complete.
    pub(super) fn restored(day: HotDay) -> Self {
        let mut state = Self::loaded(day.sessions);
        if let Some(ids) = day.ids {
            (state.ids, state.ids_loaded) = (ids, true);
        }
        state
    }

    /// All that is worth keeping, at the end of an epoch.
    pub(super) fn into_hot_day(self) -> HotDay {
        let sessions = self.slots.into_iter().map(|slot| slot.session).collect();
        HotDay { sessions, ids: self.ids_loaded.then_some(self.ids) }
    }

    /// The gap in force, if there is a session.
    pub(super) fn gap_ms(&self) -> Option<u32> {
        Some(self.slots.first()?.session.gap_ms)
    }

    /// Whose sessions they are, if there is one.
    pub(super) fn identity(&self) -> Option<&Arc<Identity>> {
        Some(&self.slots.first()?.session.identity)
    }

    /// The sessions, ascending by start.
    pub(super) fn sessions(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.slots.iter().map(|slot| &slot.session)
    }

    /// The session an instant lies in.
    pub(super) fn session_of(&self, ts: EventTime) -> Option<&Arc<Session>> {
        let after = self.slots.partition_point(|slot| slot.session.start <= ts);
        let slot = &self.slots[after.checked_sub(1)?];
        Some(&slot.session).filter(|session| session.contains(ts))
    }

    /// The last session, the likeliest to go on.
    pub(super) fn last(&self) -> Option<&Session> {
        Some(&self.slots.last()?.session)
    }

    /// Whether a session's breakdown is in parts.
    pub(super) fn has_large(&self) -> bool {
        self.slots.iter().any(|slot| slot.session.summary.breakdown.is_large())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Approximate bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        let dispute = self.dispute.as_ref().map_or(0, |dispute| dispute.heap_bytes());
        let backfill = self.backfill.as_ref().map_or(0, |backfill| backfill.heap_bytes());
        size_of::<Self>() + self.session_bytes + self.ids.heap_bytes() + dispute + backfill
    }

    /// The session a request at `ts` belongs to, extended to it: a neighbour, the two neighbours
    /// merged, or a new one that `new` makes (given whose, if there is a session already).
    pub(super) fn session_at(
        &mut self,
        ts: EventTime,
        gap_ms: u32,
        edits: &mut Edits,
        new: impl FnOnce(Option<&Arc<Identity>>) -> Session,
    ) -> &mut Session {
        let next = self.slots.partition_point(|slot| slot.session.start <= ts);
        let after = |before: usize| within_gap(self.slots[before].session.end, ts, gap_ms);
        let joins_before = next.checked_sub(1).is_some_and(after);
        let before = |slot: &Slot| within_gap(ts, slot.session.start, gap_ms);
        let joins_next = self.slots.get(next).is_some_and(before);
        let at = match (joins_before, joins_next) {
            (true, true) => {
                self.merge_with_next(next - 1, edits);
                next - 1
            }
            (true, false) => next - 1,
            (false, true) => next,
            (false, false) => {
                edits.touched.push(ts);
                let session = Arc::new(new(self.identity()));
                self.slots.insert(next, Slot { session, touch: Touch::New });
                next
            }
        };
        let session = self.slots[at].edit(ts, edits);
        session.start = session.start.min(ts);
        session.end = session.end.max(ts);
        session
    }

    /// Raises the gap in force, which joins what is nearer now. Sessions of a greater gap follow from
    /// those of a lesser one, whatever their requests are.
    pub(super) fn widen(&mut self, gap_ms: u32, edits: &mut Edits) {
        let mut at = 0;
        while at < self.slots.len() {
            let near = |slots: &[Slot]| {
                let next = slots.get(at + 1)?;
                Some(within_gap(slots[at].session.end, next.session.start, gap_ms))
            };
            while near(&self.slots) == Some(true) {
                self.merge_with_next(at, edits);
            }
            let start = self.slots[at].session.start;
            self.slots[at].edit(start, edits).gap_ms = gap_ms;
            at += 1;
        }
    }

    fn merge_with_next(&mut self, at: usize, edits: &mut Edits) {
        let (right, left) = (self.slots.remove(at + 1), self.slots.remove(at));
        let olds = (left.old(), right.old());
        let (start, end) = (left.session.start, right.session.end);
        let size = |slot: &Slot| slot.session.summary.breakdown.len();
        let (small, large) = if size(&left) < size(&right) { (left, right) } else { (right, left) };
        let mut merged = Arc::unwrap_or_clone(large.session);
        merged.summary.merge(&small.session.summary);
        (merged.start, merged.end) = (start, end);
        let touch = match olds {
            (Some(left), Some(right)) => {
                // What the merged one is compared with should be what it has most of.
                let breakdown = &right.summary.breakdown;
                let goes_on =
                    breakdown.is_large() && breakdown.len() > left.summary.breakdown.len();
                let (old, gone) = if goes_on { (right, left) } else { (left, right) };
                edits.gone.push(gone);
                Touch::Was(old)
            }
            (Some(old), None) | (None, Some(old)) => Touch::Was(old),
            (None, None) => Touch::New,
        };
        edits.touched.push(start);
        self.slots.insert(at, Slot { session: Arc::new(merged), touch });
    }

    /// Takes a request that counted out of its session. Whether that was exact: not where a session
    /// falls apart, or a sum of it had saturated. Otherwise [`DayState::revert`] is to follow.
    pub(super) fn remove(&mut self, request: &Assigned, gap_ms: u32, edits: &mut Edits) -> bool {
        let (Ok(facts), Some(mut dispute)) = (request.facts(), self.dispute.take()) else {
            return false;
        };
        let exact = self.remove_from(dispute.timeline(), request.ts, &facts, gap_ms, edits);
        self.dispute = Some(dispute);
        exact
    }

    fn remove_from(
        &mut self,
        timeline: &mut Timeline,
        ts: EventTime,
        facts: &Facts<'_>,
        gap_ms: u32,
        edits: &mut Edits,
    ) -> bool {
        let after = self.slots.partition_point(|slot| slot.session.start <= ts);
        let Some(at) = after.checked_sub(1).filter(|at| self.slots[*at].session.contains(ts))
        else {
            return false;
        };
        let duration = facts.numbers.duration_ns;
        if !timeline.remove(ts, duration) {
            return false;
        }
        if self.slots[at].session.summary.requests == 1 {
            edits.gone.extend(self.slots.remove(at).old());
            return true;
        }
        let session = self.slots[at].edit(ts, edits);
        let longest = session.summary.duration_max_ns;
        let longest = if duration.is_some_and(|duration| duration >= longest) {
            timeline.longest(session.start, session.end)
        } else {
            longest
        };
        if session.summary.subtract_leaving(facts, Some(longest)) != Subtracted::Exact {
            return false;
        }
        let (before, next) = timeline.around(ts);
        match (before.filter(|at| *at >= session.start), next.filter(|at| *at <= session.end)) {
            (Some(before), Some(next)) => return within_gap(before, next, gap_ms),
            (None, Some(next)) => session.start = next,
            (Some(before), None) => session.end = before,
            (None, None) => return false,
        }
        edits.touched.push(session.start);
        true
    }

    /// Takes back what this epoch did to the identity-day so far.
    pub(super) fn revert(&mut self, edits: &mut Edits) {
        edits.touched.clear();
        let old = self.slots.iter().filter_map(Slot::old).chain(edits.gone.drain(..));
        let mut old: Vec<_> = old.collect();
        old.sort_unstable_by_key(|session| session.start);
        let clean = |session| Slot { session, touch: Touch::Clean };
        self.slots = old.into_iter().map(clean).collect();
    }

    /// Ends the epoch for this identity-day: what changed.
    pub(super) fn finish(&mut self, edits: &mut Edits, changes: &mut SmallVec<[SessionChange; 1]>) {
        for ts in edits.touched.drain(..) {
            // A session may have been taken out since, or begin later than when it was touched.
            let after = self.slots.partition_point(|slot| slot.session.start <= ts);
            let Some(at) = after.checked_sub(1) else { continue };
            let slot = &mut self.slots[at];
            if !matches!(slot.touch, Touch::Clean) {
                let session = Arc::get_mut(&mut slot.session).expect("not shared before");
                session.summary.breakdown.anchor(session.start, session.end);
            }
            let old = match mem::replace(&mut slot.touch, Touch::Clean) {
                Touch::Clean => continue,
                Touch::New => None,
                // One request was replaced by another that counts for the same.
                Touch::Was(old) if old == slot.session => {
                    slot.session = old;
                    continue;
                }
                Touch::Was(old) => Some(old),
            };
            changes.push(SessionChange { old, new: Some(Arc::clone(&slot.session)) });
        }
        let gone = |old| SessionChange { old: Some(old), new: None };
        changes.extend(edits.gone.drain(..).map(gone));
        self.account(changes);
    }

    /// Replaces the sessions by others, ascending by start: what changed. Sessions that are as they
    /// were stay the same allocation.
    pub(super) fn replace(
        &mut self,
        new: Vec<Arc<Session>>,
        changes: &mut SmallVec<[SessionChange; 1]>,
    ) {
        let old: Vec<_> = mem::take(&mut self.slots).into_iter().map(|slot| slot.session).collect();
        let mut old = old.into_iter().peekable();
        for mut session in new {
            while let Some(gone) = old.next_if(|old| old.end < session.start) {
                changes.push(SessionChange { old: Some(gone), new: None });
            }
            let overlapped = old.next_if(|old| old.start <= session.end);
            let session = match overlapped {
                Some(same) if same == session => same,
                old => {
                    anchor(&mut session, old.as_deref());
                    changes.push(SessionChange { old, new: Some(Arc::clone(&session)) });
                    session
                }
            };
            self.slots.push(Slot { session, touch: Touch::Clean });
        }
        changes.extend(old.map(|gone| SessionChange { old: Some(gone), new: None }));
        self.account(changes);
    }

    fn account(&mut self, changes: &[SessionChange]) {
        let bytes =
            |session: &Option<Arc<Session>>| session.as_ref().map_or(0, |s| s.memory_bytes());
        for change in changes {
            self.session_bytes =
                (self.session_bytes + bytes(&change.new)).saturating_sub(bytes(&change.old));
        }
    }
}

/// Names the parts of a large session as those of the one it takes the place of, where that can be,
/// so that only parts that differ are written.
fn anchor(session: &mut Arc<Session>, old: Option<&Session>) {
    if session.summary.breakdown.is_large() {
        let session = Arc::make_mut(session);
        let (start, end, breakdown) = (session.start, session.end, &mut session.summary.breakdown);
        breakdown.anchor_as(old.map(|old| &old.summary.breakdown));
        breakdown.anchor(start, end);
    }
}

impl Slot {
    /// The session as it was at the end of the epoch before.
    fn old(&self) -> Option<Arc<Session>> {
        match &self.touch {
            Touch::Clean => Some(Arc::clone(&self.session)),
            Touch::New => None,
            Touch::Was(old) => Some(Arc::clone(old)),
        }
    }

    fn edit(&mut self, ts: EventTime, edits: &mut Edits) -> &mut Session {
        if matches!(self.touch, Touch::Clean) {
            let copy = Arc::new(Session::clone(&self.session));
            self.touch = Touch::Was(mem::replace(&mut self.session, copy));
            edits.touched.push(ts);
        }
        Arc::get_mut(&mut self.session).expect("shared only at the end of the epoch")
    }
}
