//! The keyed state of one worker, without timely: groups the updates of a time by key and steps
//! each key's state.
//!
//! Invariants: times ascend, and each is processed at most once; a key's state is in memory while
//! it is stepped; between times everything in memory is clean, so what exceeds the budget is
//! evicted when the next time begins. With debug assertions each step is checked against the
//! contract of [`Keyed`]: what came out is the difference of what the state stands for.

use std::fmt;
use std::ops::Bound;

use smallvec::SmallVec;

#[cfg(debug_assertions)]
use super::Changes;
use super::cache::Cache;
use super::{Keyed, Memory};

/// Keys whose state is brought into the processor's cache together.
const WARMED: usize = 16;
/// States that stand for more records are not checked against the contract.
#[cfg(debug_assertions)]
const CHECKED_MAX: usize = 256;

/// Where an update of a time belongs. Ordered as the time is processed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place<K> {
    key: K,
    /// Position in the updates of the time, in the order they arrived.
    at: u32,
}

/// The updates of one key at one time, in the order they arrived.
pub struct Updates<'a, K, I> {
    places: &'a [Place<K>],
    events: &'a mut [(I, isize)],
}

impl<K, I> Updates<'_, K, I> {
    /// The records, and how often each is added or, negative, taken back.
    pub fn iter(&self) -> impl Iterator<Item = &(I, isize)> {
        self.places.iter().map(|place| &self.events[place.at as usize])
    }

    /// Number of updates; never 0.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Names of the updates, for [`Updates::get`].
    pub(crate) fn positions(&self) -> impl Iterator<Item = u32> + use<'_, K, I> {
        self.places.iter().map(|place| place.at)
    }

    /// An update by its name.
    pub(crate) fn get(&self, at: u32) -> &(I, isize) {
        &self.events[at as usize]
    }

    /// An update by its name, to take things out of.
    pub(crate) fn get_mut(&mut self, at: u32) -> &mut (I, isize) {
        &mut self.events[at as usize]
    }

    /// The first update.
    pub(crate) fn first(&self) -> &(I, isize) {
        &self.events[self.places[0].at as usize]
    }
}

/// The keyed state of one worker.
pub struct Worker<L: Keyed> {
    logic: L,
    states: Cache<L::Key, L::State>,
    bytes_max: usize,
    /// Empty; kept for its allocation.
    order: Vec<Place<L::Key>>,
    last: Option<L::Time>,
}

impl<L: Keyed + fmt::Debug> fmt::Debug for Worker<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("logic", &self.logic).finish_non_exhaustive()
    }
}

impl<L: Keyed> Worker<L> {
    /// A worker that keeps about `bytes_max` bytes of state in memory, and somewhat more within a
    /// time.
    pub fn new(logic: L, bytes_max: usize) -> Self {
        Self { logic, states: Cache::default(), bytes_max, order: Vec::new(), last: None }
    }

    /// The logic and the states in memory.
    pub(crate) fn parts(&mut self) -> (&mut L, &mut Cache<L::Key, L::State>) {
        (&mut self.logic, &mut self.states)
    }

    /// The logic.
    pub fn logic(&mut self) -> &mut L {
        &mut self.logic
    }

    /// See [`Keyed::due`].
    pub(super) fn due(&self, from: Bound<&L::Time>) -> Option<L::Time> {
        self.logic.due(from)
    }

    /// What is in memory.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let bytes = self.states.bytes() + self.logic.overhead();
        Memory { bytes, keys: self.states.len() }
    }

    /// Processes one time, later than all before it: takes its updates and adds what they change
    /// to `out`.
    pub fn process(
        &mut self,
        time: &L::Time,
        updates: &mut Vec<(L::Input, isize)>,
        out: &mut L::Output,
    ) {
        let ascends = self.last.as_ref().is_none_or(|last| last < time);
        debug_assert!(ascends, "times come in order, each once");
        self.last = Some(time.clone());
        self.logic.begin(time, &mut self.states, out);
        self.make_room();
        self.logic.prepare(time, &mut self.states, updates);
        let mut order = std::mem::take(&mut self.order);
        let place = |(at, (input, _)): (usize, &(L::Input, isize))| Place {
            key: L::key(input),
            at: at as u32,
        };
        order.extend(updates.iter().enumerate().map(place));
        order.sort_unstable();
        let mut groups = order.chunk_by(|a, b| a.key == b.key);
        loop {
            let ahead: SmallVec<[&[Place<L::Key>]; WARMED]> =
                groups.by_ref().take(WARMED).collect();
            if ahead.is_empty() {
                break;
            }
            self.warm(&ahead, updates);
            for places in ahead {
                self.step(time, &mut Updates { places, events: updates }, out);
            }
        }
        order.clear();
        self.order = order;
        updates.clear();
        let memory = self.memory();
        self.logic.end(time, memory, out);
    }

    /// Evicts what exceeds the budget.
    fn make_room(&mut self) {
        let budget = self.bytes_max.saturating_sub(self.logic.overhead());
        let logic = &mut self.logic;
        self.states.shrink_to(budget, L::is_pinned, |key, state| logic.evict(key, state));
    }

    fn warm(&self, ahead: &[&[Place<L::Key>]], updates: &[(L::Input, isize)]) {
        let mut states = SmallVec::<[&L::State; WARMED]>::new();
        states.extend(ahead.iter().filter_map(|places| self.states.get(&places[0].key)));
        let places = ahead.iter().flat_map(|places| places.iter().take(WARMED));
        L::warm(&states, places.map(|place| &updates[place.at as usize].0));
    }

    fn step(
        &mut self,
        time: &L::Time,
        updates: &mut Updates<'_, L::Key, L::Input>,
        out: &mut L::Output,
    ) {
        let key = &updates.places[0].key;
        let logic = &mut self.logic;
        let at = self.states.position(key, || {
            let state = logic.load(key);
            let bytes = L::bytes(&state);
            (state, bytes)
        });
        let state = self.states.state(at);
        #[cfg(debug_assertions)]
        let (before, from) = (L::collection(key, state), out.changes().len());
        self.logic.step(time, key, state, updates, out);
        #[cfg(debug_assertions)]
        check::<L>(before, L::collection(key, state), &out.changes()[from..]);
        if L::is_empty(state) {
            self.states.remove(at);
        } else {
            let bytes = L::bytes(state);
            self.states.settle(at, bytes);
        }
    }
}

/// Panics unless the changes lead from what a state stood for to what it stands for, and are
/// consolidated.
#[cfg(debug_assertions)]
fn check<L: Keyed>(before: Vec<L::Item>, after: Vec<L::Item>, changes: &[(L::Item, isize)]) {
    use differential_dataflow::consolidation::consolidate;

    if before.len() + after.len() > CHECKED_MAX {
        return;
    }
    let mut expected: Vec<(L::Item, isize)> = after.into_iter().map(|item| (item, 1)).collect();
    expected.extend(before.into_iter().map(|item| (item, -1)));
    consolidate(&mut expected);
    let mut found = changes.to_vec();
    consolidate(&mut found);
    assert_eq!(found.len(), changes.len(), "the changes of a key are consolidated");
    assert!(found == expected, "the changes of a key are the difference of its states");
}
