//! Requests in, sessions out: an insertion costs O(log sessions of that identity and day).
//!
//! In plain differential dataflow sessions are a `reduce`, and each new request costs all requests
//! of its identity. Here a new request finds its neighbour, extends it, or merges two; only a
//! retraction, a changed gap, or the first other request with a known explicit id recomputes an
//! identity-day from its retained requests ([`dispute`] has what further ones cost). Either way the
//! sessions are a function of the set of requests.
//!
//! It is an instance of [`crate::keyed`], keyed by identity and day; the contract of its output is
//! stated there. [`Sessionizer`] is the state machine, with no timely in it: one call takes an
//! epoch's events and answers the epoch's differences, already consolidated. [`operator`] hosts it
//! in a dataflow, [`backend`] is the seam to whatever keeps its state, [`memory`] keeps it in
//! memory. A worker owns the partitions the route gives it ([`exchange`]); between processes
//! requests are a [`batch`].
//!
//! Days are dropped whole: sessions and totals of a dropped day are not retracted, unless the
//! output is [hydrated](crate::keyed::Hydrated).

pub mod backend;
mod backfill;
#[cfg(feature = "engine")]
pub mod batch;
#[cfg(not(feature = "engine"))]
mod batch;
mod by_session;
#[cfg(feature = "engine")]
pub mod codec;
#[cfg(not(feature = "engine"))]
mod codec;
mod dispute;
#[cfg(feature = "engine")]
pub mod exchange;
#[cfg(not(feature = "engine"))]
mod exchange;
pub mod memory;
pub mod operator;
pub mod own;
mod rebuild;
mod sharing;
#[cfg(feature = "engine")]
pub mod spill;
#[cfg(not(feature = "engine"))]
mod spill;
mod state;
mod totals;

use std::hint::black_box;
use std::marker::PhantomData;
use std::mem;
use std::ops::Bound;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::facts::{Assigned, Facts, Field};
use crate::identity::{Identity, SessionId};
use crate::interner::Interner;
use crate::keyed::{Cache, Changes, Contents, Keyed, Memory, Updates, Worker};
use crate::record::Record;
use crate::session::Session;
use crate::summary::Summary;
use crate::time::{Day, Epoch, EventTime};
use crate::totals::Totals;
use backend::{
    Backfilled, DayChange, DayKey, EpochCounts, FullBackend, Known, LogChange, SessionBackend,
    SessionChange,
};
use by_session::BySession;
use dispute::Dispute;
use rebuild::count_duplicate;
use spill::Spilling;
use state::{DayState, Edits};
use totals::EpochTotals;
pub use totals::MinuteApp;

/// Hot state of a worker, unless said otherwise: 1 GiB.
pub const HOT_BYTES_DEFAULT: usize = 1 << 30;

/// Bytes the processor reads at once.
const CACHE_LINE: usize = 64;

/// An epoch's differences, consolidated.
#[derive(Debug, Default)]
pub struct Differences {
    /// Sessions that came (1) and went (-1), by identity-day.
    pub sessions: Vec<(Arc<Session>, isize)>,
    /// The requests that count, each with the session it is in, if that is wanted
    /// ([`Sessionizer::with_requests`]).
    pub requests: Vec<((SessionId, Record), isize)>,
    /// What is added to the totals of a minute and app.
    pub totals: Vec<(MinuteApp, Totals)>,
}

impl Changes<Arc<Session>> for Differences {
    fn changes(&self) -> &[(Arc<Session>, isize)] {
        &self.sessions
    }
}

/// The state machine of one worker.
pub struct Sessionizer<B: SessionBackend<T>, T: Clone + Ord = Epoch> {
    worker: Worker<SessionLogic<B, T>>,
}

/// The logic of `sessionize`, an instance of [`Keyed`].
pub struct SessionLogic<B, T> {
    backend: B,
    spilling: Option<Spilling>,
    wants_requests: bool,
    work: Work,
    time: PhantomData<T>,
}

/// What is reused from epoch to epoch.
#[derive(Default)]
struct Work {
    kept: Vec<u32>,
    edits: Edits,
    totals: EpochTotals,
    texts: Interner,
    counts: EpochCounts,
    by_session: BySession,
}

type Changed = SmallVec<[SessionChange; 1]>;
type Group<'a> = Updates<'a, DayKey, Assigned>;

impl<B: SessionBackend<T>, T: Clone + Ord> Sessionizer<B, T> {
    /// A state machine that keeps about `hot_bytes_max` bytes of state in memory, and somewhat
    /// more within an epoch.
    pub fn new(backend: B, hot_bytes_max: usize) -> Self {
        Self { worker: Worker::new(SessionLogic::new(backend), hot_bytes_max) }
    }

    /// The same, but what has no room in memory is kept in a spill.
    #[must_use]
    pub fn with_spill(mut self, spilling: Option<Spilling>) -> Self {
        self.worker.logic().spilling = spilling;
        self
    }

    /// The same, but it also tells which requests are in which session.
    #[must_use]
    pub fn with_requests(mut self) -> Self {
        self.worker.logic().wants_requests = true;
        self
    }

    /// Who keeps the state.
    pub fn backend(&mut self) -> &mut B {
        &mut self.worker.logic().backend
    }

    /// Approximate bytes of state in memory.
    #[must_use]
    pub fn hot_bytes(&self) -> usize {
        self.worker.memory().bytes
    }

    /// Forgets the days before one, without retracting anything.
    pub fn drop_before(&mut self, day: Day) {
        let (logic, states) = self.worker.parts();
        logic.drop_before(day, states);
    }

    /// Processes an epoch, which the backend must be ready for: takes its events, adds its
    /// differences to `out`, tells the backend, and seals it.
    ///
    /// Epochs must come in order, each at most once. An event's difference says how often the
    /// request is added or, negative, taken back.
    pub fn process(
        &mut self,
        epoch: T,
        events: &mut Vec<(Assigned, isize)>,
        out: &mut Differences,
    ) {
        self.worker.process(&epoch, events, out);
    }
}

impl<B: SessionBackend<T>, T: Clone + Ord> Keyed for SessionLogic<B, T> {
    type Time = T;
    type Key = DayKey;
    type Input = Assigned;
    type State = DayState;
    type Item = Arc<Session>;
    type Output = Differences;

    fn key(item: &Assigned) -> DayKey {
        DayKey { day: item.day, identity: item.identity }
    }

    fn ready(&mut self, time: &T) -> bool {
        self.backend.ready(time.clone())
    }

    fn due(&self, from: Bound<&T>) -> Option<T> {
        self.backend.due(from)
    }

    fn begin(&mut self, time: &T, states: &mut Cache<DayKey, DayState>, _: &mut Differences) {
        if let Some(day) = self.backend.expire_before(time.clone()) {
            self.drop_before(day, states);
        }
    }

    fn prepare(
        &mut self,
        time: &T,
        states: &mut Cache<DayKey, DayState>,
        updates: &mut Vec<(Assigned, isize)>,
    ) {
        self.backfill(time, states, updates);
    }

    fn is_pinned(state: &DayState) -> bool {
        state.backfill.is_some()
    }

    fn load(&mut self, key: &DayKey) -> DayState {
        if key.identity.is_unassigned() {
            return DayState::default();
        }
        let spilled =
            self.spilling.as_mut().and_then(|spill| spill.give(*key, &mut self.work.counts));
        spilled.unwrap_or_else(|| DayState::loaded(self.backend.sessions(*key)))
    }

    /// Reads a little of everything the next identity-days will need. Most of it is not in the
    /// processor's cache, and reads that do not wait for one another overlap.
    fn warm<'a>(states: &[&DayState], items: impl Iterator<Item = &'a Assigned>) {
        let sessions: SmallVec<[&Session; 16]> =
            states.iter().filter_map(|state| state.last()).collect();
        let read = sessions.iter().map(|session| session.end.0 as u64).fold(0, u64::wrapping_add);
        let deep = sessions.iter().map(|session| session.summary.warm());
        let read = deep.fold(read, u64::wrapping_add);
        let payload = |item: &Assigned| {
            let lines = item.payload.iter().step_by(CACHE_LINE).take(4);
            lines.map(|byte| u64::from(*byte)).sum::<u64>()
        };
        black_box(items.map(payload).fold(read, u64::wrapping_add));
    }

    fn step(
        &mut self,
        time: &T,
        key: &DayKey,
        state: &mut DayState,
        group: &mut Group<'_>,
        out: &mut Differences,
    ) {
        let key = *key;
        let (log, sessions) = if key.identity.is_unassigned() {
            (self.retain_only(key, group), SmallVec::new())
        } else {
            let backfill = state.backfill.as_ref();
            let is_backfilled = backfill.is_some();
            let changed = if backfill.is_some_and(|backfill| backfill.is_told()) {
                self.told_day(state, group)
            } else {
                self.grow(key, state, group)
            };
            changed.unwrap_or_else(|| {
                state.backfill = None;
                if is_backfilled {
                    self.backend.backfilled(key, Backfilled::AtOnce);
                }
                self.rebuild(key, state, group)
            })
        };
        self.work.by_session.drain_into(&mut out.requests);
        for change in &sessions {
            self.work.totals.session(change);
            let SessionChange { old, new } = change;
            out.sessions.extend(old.iter().map(|old| (Arc::clone(old), -1)));
            out.sessions.extend(new.iter().map(|new| (Arc::clone(new), 1)));
        }
        if log != LogChange::None || !sessions.is_empty() {
            self.work.counts.days += 1;
            self.backend.change(time.clone(), DayChange { key, log, sessions });
        }
    }

    fn collection(_: &DayKey, state: &DayState) -> Vec<Arc<Session>> {
        state.sessions().cloned().collect()
    }

    fn is_empty(state: &DayState) -> bool {
        state.is_empty()
    }

    fn bytes(state: &DayState) -> usize {
        state.bytes()
    }

    /// What the spill needs in memory.
    fn overhead(&self) -> usize {
        self.spilling.as_ref().map_or(0, Spilling::memory_bytes)
    }

    fn evict(&mut self, key: DayKey, state: DayState) {
        if let Some(spilling) = &mut self.spilling {
            spilling.keep(key, state);
        }
    }

    fn end(&mut self, time: &T, memory: Memory, out: &mut Differences) {
        self.work.totals.drain_into(&mut out.totals);
        let mut counts = mem::take(&mut self.work.counts);
        counts.hot_bytes = memory.bytes as u64;
        counts.hot_days = memory.keys as u64;
        self.backend.seal(time.clone(), counts);
    }
}

impl<B: FullBackend<T>, T: Clone + Ord> Contents for SessionLogic<B, T> {
    fn keys(&mut self) -> Vec<DayKey> {
        self.backend.keys_before(None)
    }

    fn dropping(&mut self, time: &T) -> Vec<DayKey> {
        let day = self.backend.will_expire_before(time.clone());
        day.map_or_else(Vec::new, |day| self.backend.keys_before(Some(day)))
    }

    fn contribute(&mut self, key: &DayKey, state: &DayState, sign: isize, out: &mut Differences) {
        let Work { totals, by_session, .. } = &mut self.work;
        for session in state.sessions() {
            let session = Some(Arc::clone(session));
            let (old, new) = if sign < 0 { (session, None) } else { (None, session) };
            totals.session(&SessionChange { old, new });
        }
        out.sessions.extend(state.sessions().map(|session| (Arc::clone(session), sign)));
        if key.identity.is_unassigned() {
            return;
        }
        let retained = self.backend.requests(*key);
        for request in rebuild::counted(&retained) {
            totals.add(request, sign as i64);
            if self.wants_requests
                && let Some(session) = state.session_of(request.ts)
            {
                by_session.add(session.id(), request, sign);
            }
        }
        by_session.drain_into(&mut out.requests);
    }
}

impl<B: SessionBackend<T>, T: Clone + Ord> SessionLogic<B, T> {
    /// The logic over a backend.
    pub(crate) fn new(backend: B) -> Self {
        let (wants_requests, work, time) = (false, Work::default(), PhantomData);
        Self { backend, spilling: None, wants_requests, work, time }
    }

    fn drop_before(&mut self, day: Day, states: &mut Cache<DayKey, DayState>) {
        states.retain(|key| key.day >= day);
        if let Some(spilling) = &mut self.spilling {
            spilling.drop_before(day);
        }
    }

    /// Adds requests to what is there. None, with nothing changed: the day must be recomputed.
    fn grow(
        &mut self,
        key: DayKey,
        state: &mut DayState,
        group: &mut Group<'_>,
    ) -> Option<(LogChange, Changed)> {
        if group.iter().any(|(_, diff)| *diff != 1) {
            return None;
        }
        if state.dispute.is_some() {
            return self.settle(key, state, group);
        }
        if !self.ids_are_new(key, state, group) {
            return None;
        }
        self.tell_new(key, state, group);
        Some(self.insert(key, state, group))
    }

    /// Requests that are in no session: only the log knows them.
    fn retain_only(&mut self, key: DayKey, group: &mut Group<'_>) -> LogChange {
        let taken = take(group);
        if taken.iter().all(|(_, diff)| *diff == 1) {
            self.work.counts.inserted += taken.len() as u64;
            return LogChange::Append(taken.into_iter().map(|(item, _)| item).collect());
        }
        let before = self.backend.retractable(key);
        rebuild::apply(before, taken, false, &mut self.work.counts).log_exchange()
    }

    /// Whether no event has the explicit id of another request; if so, `work.kept` are those that
    /// are no duplicates, and all ids are known.
    fn ids_are_new(&mut self, key: DayKey, state: &mut DayState, group: &Group<'_>) -> bool {
        let items = || group.positions().map(|place| (place, group.get(place)));
        let Work { kept, counts, .. } = &mut self.work;
        kept.clear();
        for (place, (item, _)) in items() {
            if item.id_hash != 0 {
                if !state.ids_loaded {
                    self.backend.ids(key, &mut state.ids);
                    state.ids_loaded = true;
                }
                match state.ids.insert(item.id_hash, item.stored()) {
                    Known::New => {}
                    Known::Same => continue,
                    Known::Other => return false,
                }
            }
            kept.push(place);
        }
        if kept.len() < group.len() {
            let mut left = kept.iter().peekable();
            for (place, (item, _)) in items() {
                if left.next_if(|kept| **kept == place).is_none() {
                    count_duplicate(counts, item.origin);
                }
            }
        }
        true
    }

    fn insert(
        &mut self,
        key: DayKey,
        state: &mut DayState,
        group: &mut Group<'_>,
    ) -> (LogChange, Changed) {
        let Work { kept, edits, totals, texts, counts, by_session } = &mut self.work;
        let mut log = Vec::with_capacity(kept.len());
        let known = state.gap_ms();
        let given = kept.iter().map(|place| group.get(*place).0.gap_ms);
        let gap_ms = given.chain(known).max().unwrap_or_default();
        if known.is_some_and(|known| known < gap_ms) {
            state.widen(gap_ms, edits);
        }
        for &place in &*kept {
            let item = &mut group.get_mut(place).0;
            let Ok(facts) = item.facts() else {
                counts.malformed += 1;
                continue;
            };
            let new = |known: Option<&Arc<Identity>>| {
                let identity = known.map_or_else(|| own(item, texts), Arc::clone);
                empty_session(identity, item, gap_ms)
            };
            let session = state.session_at(item.ts, gap_ms, edits, new);
            let app = session.summary.add_noting(&facts, Field::App);
            totals.request(item.ts, app.as_ref(), &facts, 1);
            log.push(mem::replace(item, nothing()));
        }
        counts.inserted += log.len() as u64;
        let mut changes = SmallVec::new();
        state.finish(edits, &mut changes);
        if self.wants_requests {
            by_session.inserted(state, &changes, &log, &[], || self.backend.requests(key));
        }
        (if log.is_empty() { LogChange::None } else { LogChange::Append(log) }, changes)
    }

    /// Insertions into an identity-day in which requests share explicit ids. None, with nothing
    /// changed: it must be recomputed.
    fn settle(
        &mut self,
        key: DayKey,
        state: &mut DayState,
        group: &mut Group<'_>,
    ) -> Option<(LogChange, Changed)> {
        let Work { edits, totals, texts, counts, by_session, .. } = &mut self.work;
        let gap_ms = group.first().0.gap_ms;
        let is_other = |(item, _): &(Assigned, isize)| item.gap_ms != gap_ms;
        if state.gap_ms().is_some_and(|known| known != gap_ms) || group.iter().any(is_other) {
            return None;
        }
        let requests = group.positions().map(|place| (place, &group.get(place).0));
        let settled = dispute::settle(state, requests)?;
        for request in &settled.came {
            let new = |known: Option<&Arc<Identity>>| {
                let identity = known.map_or_else(|| own(request, texts), Arc::clone);
                empty_session(identity, request, gap_ms)
            };
            let session = state.session_at(request.ts, gap_ms, edits, new);
            session.summary.add(&request.facts().ok()?);
        }
        if !settled.went.iter().all(|request| state.remove(request, gap_ms, edits)) {
            state.revert(edits);
            return None;
        }
        for (requests, sign) in [(&settled.went, -1), (&settled.came, 1)] {
            requests.iter().for_each(|request| totals.add(request, sign));
        }
        settled.duplicates.iter().for_each(|origin| count_duplicate(counts, *origin));
        counts.inserted += settled.retained.len() as u64;
        let taken = |place: u32| mem::replace(&mut group.get_mut(place).0, nothing());
        let log: Vec<_> = settled.retained.into_iter().map(taken).collect();
        let mut changes = SmallVec::new();
        state.finish(edits, &mut changes);
        if self.wants_requests {
            let (came, went) = (&settled.came, &settled.went);
            by_session.inserted(state, &changes, came, went, || self.backend.requests(key));
        }
        Some((if log.is_empty() { LogChange::None } else { LogChange::Append(log) }, changes))
    }

    fn rebuild(
        &mut self,
        key: DayKey,
        state: &mut DayState,
        group: &mut Group<'_>,
    ) -> (LogChange, Changed) {
        let Work { totals, texts, counts, by_session, .. } = &mut self.work;
        counts.rebuilt += 1;
        let taken = take(group);
        let mut retained = rebuild::apply(self.backend.requests(key), taken, true, counts);
        for request in rebuild::counted(&retained.before) {
            totals.add(request, -1);
            if self.wants_requests
                && let Some(session) = state.session_of(request.ts)
            {
                by_session.add(session.id(), request, -1);
            }
        }
        let mut identity = state.identity().cloned();
        let new = |item: &Assigned, gap_ms: u32| {
            let identity = identity.get_or_insert_with(|| own(item, texts));
            empty_session(Arc::clone(identity), item, gap_ms)
        };
        let seen = |item: &Assigned, facts: &Facts<'_>, summary: &mut Summary| {
            let app = summary.add_noting(facts, Field::App);
            totals.request(item.ts, app.as_ref(), facts, 1);
        };
        let counted = rebuild::counted(&retained.after);
        let sessions = rebuild::sessions(&counted, counts, new, seen);
        let explicit = |request: &&Assigned| request.id_hash != 0;
        let shared = retained.after.iter().filter(explicit).count()
            > counted.iter().copied().filter(explicit).count();
        state.dispute = shared.then(|| Box::new(Dispute::of(&counted)));
        let mut changes = SmallVec::new();
        state.replace(sessions.into_iter().map(Arc::new).collect(), &mut changes);
        if self.wants_requests {
            by_session.add_all(state, &counted);
        }
        (state.ids, state.ids_loaded) = (mem::take(&mut retained.ids), true);
        (retained.log_change(), changes)
    }
}

/// Takes the events of a group out of their epoch.
fn take(group: &mut Group<'_>) -> Vec<(Assigned, isize)> {
    let places: SmallVec<[u32; 16]> = group.positions().collect();
    places.iter().map(|at| mem::replace(group.get_mut(*at), (nothing(), 0))).collect()
}

/// What is left where an event was taken out.
fn nothing() -> Assigned {
    Assigned {
        day: Day(0),
        identity: crate::identity::IdentityId(0),
        ts: EventTime(0),
        id_hash: 0,
        gap_ms: 0,
        origin: 0,
        head_len: 0,
        payload: bytes::Bytes::new(),
    }
}

/// Whose request it is. Only a payload that `encode_head` did not write has no words for it.
fn own(item: &Assigned, texts: &mut Interner) -> Arc<Identity> {
    let words = item.head().map(|(words, _)| words).unwrap_or_default();
    Arc::new(Identity {
        id: item.identity,
        namespace: texts.get(words.namespace),
        value: words.value.into(),
        qualifier: texts.get(words.qualifier),
        weak: words.weak,
        secret: words.secret,
    })
}

fn empty_session(identity: Arc<Identity>, item: &Assigned, gap_ms: u32) -> Session {
    let (day, start, end) = (item.day, item.ts, item.ts);
    Session { identity, day, start, end, gap_ms, summary: Summary::default() }
}
