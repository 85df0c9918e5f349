//! Requests in, sessions out: an insertion costs O(log sessions of that identity and day).
//!
//! In plain differential dataflow sessions are a `reduce`, and each new request costs all requests
//! of its identity. Here a new request finds its neighbour, extends it, or merges two; only a
//! retraction, a changed gap, or the first other request with a known explicit id makes an
//! identity-day anew from its retained requests ([`dispute`] has what further ones cost). Either way
//! the sessions are a function of the set of requests.
//!
//! [`Sessionizer`] is the state machine, with no timely in it: one call takes an epoch's events and
//! answers the epoch's differences, already consolidated. [`operator`] hosts it in a dataflow,
//! [`backend`] is the seam to whatever keeps its state, [`memory`] keeps it in memory. A worker owns
//! the partitions the route gives it ([`exchange`]); between processes requests are a [`batch`].
//!
//! Days are dropped whole, by everyone: sessions and totals of a dropped day are not retracted.

pub mod backend;
pub mod batch;
pub mod codec;
mod dispute;
pub mod exchange;
mod hot;
pub mod memory;
pub mod operator;
mod rebuild;
pub mod spill;
mod state;
mod totals;

use std::hint::black_box;
use std::mem;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::facts::{Assigned, Facts, Field};
use crate::identity::Identity;
use crate::interner::Interner;
use crate::session::Session;
use crate::summary::Summary;
use crate::time::{Day, Epoch, EventTime};
use crate::totals::Totals;
use backend::{DayChange, DayKey, EpochCounts, Known, LogChange, SessionBackend, SessionChange};
use dispute::Dispute;
use hot::Hot;
use rebuild::count_duplicate;
use spill::Spilling;
use state::{DayState, Edits};
use totals::EpochTotals;
pub use totals::MinuteApp;

/// Hot state of a worker, unless said otherwise: 1 GiB.
pub const HOT_BYTES_DEFAULT: usize = 1 << 30;

/// Identity-days whose state is brought into the processor's cache together.
const WARMED: usize = 16;
/// Bytes the processor reads at once.
const CACHE_LINE: usize = 64;

/// An epoch's differences, consolidated.
#[derive(Debug, Default)]
pub struct Differences {
    /// Sessions that came (1) and went (-1), by identity-day.
    pub sessions: Vec<(Arc<Session>, isize)>,
    /// What is added to the totals of a minute and app.
    pub totals: Vec<(MinuteApp, Totals)>,
}

/// The state machine of one worker.
pub struct Sessionizer<B> {
    backend: B,
    hot: Hot,
    hot_bytes_max: usize,
    spilling: Option<Spilling>,
    work: Work,
}

/// What is reused from epoch to epoch.
#[derive(Default)]
struct Work {
    order: Vec<Place>,
    kept: Vec<u32>,
    edits: Edits,
    totals: EpochTotals,
    texts: Interner,
    counts: EpochCounts,
}

/// Where an event of an epoch belongs. Ordered as the epoch is processed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    key: DayKey,
    /// Position in the epoch's events, in the order they arrived.
    at: u32,
}

type Events = Vec<(Assigned, isize)>;

impl<B: SessionBackend> Sessionizer<B> {
    /// A state machine that keeps about `hot_bytes_max` bytes of state in memory, and somewhat
    /// more within an epoch.
    pub fn new(backend: B, hot_bytes_max: usize) -> Self {
        let (hot, work) = (Hot::default(), Work::default());
        Self { backend, hot, hot_bytes_max, spilling: None, work }
    }

    /// The same, but what has no room in memory is kept in a spill.
    #[must_use]
    pub fn with_spill(mut self, spilling: Option<Spilling>) -> Self {
        self.spilling = spilling;
        self
    }

    /// Who keeps the state.
    pub fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    /// Approximate bytes of state in memory.
    #[must_use]
    pub fn hot_bytes(&self) -> usize {
        self.hot.bytes()
    }

    /// Forgets the days before one, without retracting anything.
    pub fn drop_before(&mut self, day: Day) {
        self.hot.drop_before(day);
        if let Some(spilling) = &mut self.spilling {
            spilling.drop_before(day);
        }
    }

    /// Processes an epoch, which the backend must be ready for: takes its events, adds its
    /// differences to `out`, tells the backend, and seals it.
    ///
    /// Epochs must come in order, each at most once. An event's difference says how often the
    /// request is added or, negative, taken back.
    pub fn process(&mut self, epoch: Epoch, events: &mut Events, out: &mut Differences) {
        if let Some(day) = self.backend.expire_before(epoch) {
            self.drop_before(day);
        }
        // Everything before this epoch is durable: what is hot is clean, until it is touched.
        self.make_room();
        let mut order = mem::take(&mut self.work.order);
        let place = |(at, (item, _)): (usize, &(Assigned, isize))| Place {
            key: DayKey { day: item.day, identity: item.identity },
            at: at as u32,
        };
        order.extend(events.iter().enumerate().map(place));
        order.sort_unstable();
        let mut groups = order.chunk_by(|a, b| a.key == b.key);
        loop {
            let ahead: SmallVec<[&[Place]; WARMED]> = groups.by_ref().take(WARMED).collect();
            if ahead.is_empty() {
                break;
            }
            self.warm(&ahead, events);
            for group in ahead {
                self.identity_day(epoch, group, events, out);
            }
        }
        order.clear();
        self.work.order = order;
        events.clear();
        self.work.totals.drain_into(&mut out.totals);
        let mut counts = mem::take(&mut self.work.counts);
        counts.hot_bytes = (self.hot.bytes() + self.spill_bytes()) as u64;
        counts.hot_days = self.hot.len() as u64;
        self.backend.seal(epoch, counts);
    }

    /// Forgets what has no room, or lets the spill keep it. What the spill itself needs in memory
    /// counts as hot state.
    fn make_room(&mut self) {
        let budget = self.hot_bytes_max.saturating_sub(self.spill_bytes());
        let spilling = &mut self.spilling;
        self.hot.shrink_to(budget, |key, state| {
            if let Some(spilling) = spilling {
                spilling.keep(key, state);
            }
        });
    }

    fn spill_bytes(&self) -> usize {
        self.spilling.as_ref().map_or(0, Spilling::memory_bytes)
    }

    /// Reads a little of everything the next identity-days will need. Most of it is not in the
    /// processor's cache, and reads that do not wait for one another overlap.
    fn warm(&self, groups: &[&[Place]], events: &Events) {
        let mut states = SmallVec::<[&DayState; WARMED]>::new();
        states.extend(groups.iter().filter_map(|group| self.hot.get(group[0].key)));
        let mut sessions = SmallVec::<[&Session; WARMED]>::new();
        sessions.extend(states.iter().filter_map(|state| state.last()));
        let read = sessions.iter().map(|session| session.end.0 as u64).fold(0, u64::wrapping_add);
        let deep = sessions.iter().map(|session| session.summary.warm());
        let read = deep.fold(read, u64::wrapping_add);
        let payload = |place: &Place| {
            let payload = &events[place.at as usize].0.payload;
            payload.iter().step_by(CACHE_LINE).take(4).map(|byte| u64::from(*byte)).sum::<u64>()
        };
        let payloads = groups.iter().flat_map(|group| group.iter().take(WARMED)).map(payload);
        black_box(payloads.fold(read, u64::wrapping_add));
    }

    fn identity_day(
        &mut self,
        epoch: Epoch,
        group: &[Place],
        events: &mut Events,
        out: &mut Differences,
    ) {
        let key = group[0].key;
        let (log, sessions) = if key.identity.is_limbo() {
            (self.retain_only(key, group, events), SmallVec::new())
        } else {
            let Self { backend, spilling, work, .. } = self;
            let at = self.hot.position(key, || {
                let spilled = spilling.as_mut().and_then(|spill| spill.give(key, &mut work.counts));
                spilled.unwrap_or_else(|| DayState::loaded(backend.sessions(key)))
            });
            let changed = if !self.only_inserts(at, group, events) {
                None
            } else if self.hot.state(at).dispute.is_some() {
                self.settle(at, group, events)
            } else if self.ids_are_new(key, at, group, events) {
                Some(self.insert(at, events))
            } else {
                None
            };
            let changed = changed.unwrap_or_else(|| self.rebuild(key, at, group, events));
            self.hot.settle(at);
            changed
        };
        for change in &sessions {
            self.work.totals.session(change);
            let SessionChange { old, new } = change;
            out.sessions.extend(old.iter().map(|old| (Arc::clone(old), -1)));
            out.sessions.extend(new.iter().map(|new| (Arc::clone(new), 1)));
        }
        if log != LogChange::None || !sessions.is_empty() {
            self.work.counts.days += 1;
            self.backend.change(epoch, DayChange { key, log, sessions });
        }
    }

    /// Requests that are in no session: only the log knows them.
    fn retain_only(&mut self, key: DayKey, group: &[Place], events: &mut Events) -> LogChange {
        let taken = take(group.iter().map(|place| place.at), events);
        if taken.iter().all(|(_, diff)| *diff == 1) {
            self.work.counts.inserted += taken.len() as u64;
            return LogChange::Append(taken.into_iter().map(|(item, _)| item).collect());
        }
        let before = self.backend.requests(key);
        rebuild::apply(before, taken, false, &mut self.work.counts).log_change()
    }

    /// Whether the group's events are plain insertions, under the gap in force.
    fn only_inserts(&mut self, at: usize, group: &[Place], events: &Events) -> bool {
        let first = &events[group[0].at as usize].0;
        let gap_ms = self.hot.state(at).gap_ms().unwrap_or(first.gap_ms);
        let mut items = group.iter().map(|place| &events[place.at as usize]);
        items.all(|(item, diff)| *diff == 1 && item.gap_ms == gap_ms)
    }

    /// Whether no event has the explicit id of another request; if so, `work.kept` are those that
    /// are no duplicates, and all ids are known.
    fn ids_are_new(&mut self, key: DayKey, at: usize, group: &[Place], events: &Events) -> bool {
        let state = self.hot.state(at);
        let items = || group.iter().map(|place| (place.at, &events[place.at as usize]));
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
        at: usize,
        events: &mut Events,
    ) -> (LogChange, SmallVec<[SessionChange; 1]>) {
        let Work { kept, edits, totals, texts, counts, .. } = &mut self.work;
        let state = self.hot.state(at);
        let mut log = Vec::with_capacity(kept.len());
        for &place in &*kept {
            let item = &mut events[place as usize].0;
            let Ok(facts) = item.facts() else {
                counts.malformed += 1;
                continue;
            };
            let new = |known: Option<&Arc<Identity>>| {
                let identity = known.map_or_else(|| own(item, texts), Arc::clone);
                empty_session(identity, item, item.gap_ms)
            };
            let session = state.session_at(item.ts, item.gap_ms, edits, new);
            let app = session.summary.add_noting(&facts, Field::App);
            totals.request(item.ts, app.as_ref(), &facts, 1);
            log.push(mem::replace(item, nothing()));
        }
        counts.inserted += log.len() as u64;
        let mut changes = SmallVec::new();
        state.finish(edits, &mut changes);
        (if log.is_empty() { LogChange::None } else { LogChange::Append(log) }, changes)
    }

    /// Insertions into an identity-day in which requests share explicit ids. None, with nothing
    /// changed: it must be made anew.
    fn settle(
        &mut self,
        at: usize,
        group: &[Place],
        events: &mut Events,
    ) -> Option<(LogChange, SmallVec<[SessionChange; 1]>)> {
        let Work { edits, totals, texts, counts, .. } = &mut self.work;
        let state = self.hot.state(at);
        let gap_ms = events[group[0].at as usize].0.gap_ms;
        let requests = group.iter().map(|place| (place.at, &events[place.at as usize].0));
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
        let taken = |place: u32| mem::replace(&mut events[place as usize].0, nothing());
        let log: Vec<_> = settled.retained.into_iter().map(taken).collect();
        let mut changes = SmallVec::new();
        state.finish(edits, &mut changes);
        Some((if log.is_empty() { LogChange::None } else { LogChange::Append(log) }, changes))
    }

    fn rebuild(
        &mut self,
        key: DayKey,
        at: usize,
        group: &[Place],
        events: &mut Events,
    ) -> (LogChange, SmallVec<[SessionChange; 1]>) {
        let Work { totals, texts, counts, .. } = &mut self.work;
        counts.rebuilt += 1;
        let taken = take(group.iter().map(|place| place.at), events);
        let mut retained = rebuild::apply(self.backend.requests(key), taken, true, counts);
        for request in rebuild::counted(&retained.before) {
            totals.add(request, -1);
        }
        let state = self.hot.state(at);
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
        state.replace(sessions, &mut changes);
        (state.ids, state.ids_loaded) = (mem::take(&mut retained.ids), true);
        (retained.log_change(), changes)
    }
}

/// Takes events out of an epoch.
fn take(places: impl Iterator<Item = u32>, events: &mut Events) -> Events {
    let nothing = || (nothing(), 0);
    places.map(|at| mem::replace(&mut events[at as usize], nothing())).collect()
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
