//! One host for operators that keep state by key: what `reduce` does, at the cost of the change.
//!
//! [`Keyed`] is the operator's logic, with no timely in it: load a key's state, apply the updates of
//! one time, say what changed. [`Worker`] drives it for one worker (grouping, [`cache::Cache`] of
//! states within a budget), and [`operator`] hosts that in a dataflow, behind an exchange by key.
//! `sessionize` is an instance; [`hydrated::Hydrated`] turns any instance into a full collection.
//!
//! # Contract of the output
//!
//! The output is *a change stream relative to the state the operator was opened with*. A state
//! stands for a set of records ([`Keyed::collection`]); at every time, for every key, the output is
//! exactly the difference of that set after and before. So within a run the changes accumulate to
//! the collection minus what it was at the opening, and:
//!
//! - after a restart from a backend with state, records are retracted that this run never inserted;
//! - keys that [`Keyed::begin`] drops are dropped without retraction.
//!
//! Whatever is linear in the changes (a sum, a commit, a subscription) can follow directly. Where
//! `join`, `count` or `reduce` is to follow, the stream must be a collection: open with an empty
//! backend and never drop keys, or use [`hydrated::Hydrated`]. Builds with debug assertions check
//! the contract at every step.

pub mod cache;
pub mod hydrated;
pub mod operator;
mod worker;

use std::hash::Hash;
use std::ops::Bound;

pub use self::cache::Cache;
pub use self::hydrated::{Contents, Hydrated};
pub use self::operator::{KeyedOperator, KeyedOptions};
pub use self::worker::{Updates, Worker};

/// The logic of an operator with state by key. One value lives on each worker.
///
/// Calls come from one thread, times in ascending order. For each time: [`Keyed::ready`] until it
/// is true, [`Keyed::begin`], then for every key with updates, ascending, [`Keyed::load`] if its
/// state is not in memory and [`Keyed::step`], and [`Keyed::end`].
pub trait Keyed {
    /// The timestamp of the dataflow, totally ordered.
    type Time: Clone + Ord;
    /// What state is kept by. Exchanged by its hash.
    type Key: Clone + Ord + Hash;
    /// A record of the input.
    type Input;
    /// What is kept for a key.
    type State;
    /// A record of the output whose changes the contract is about.
    type Item: Clone + Ord;
    /// What comes out at one time: `Vec<(Item, isize)>`, or more than one stream of changes.
    type Output: Changes<Self::Item>;

    /// The key of a record.
    fn key(input: &Self::Input) -> Self::Key;

    /// Whether a time may be processed. If not, this is asked again when the operator is activated
    /// by the waker of its options or, without one, every millisecond.
    fn ready(&mut self, time: &Self::Time) -> bool {
        let _ = time;
        true
    }

    /// The first time not before `from` that must be visited even if nothing came for it. Such a
    /// time is visited once the input has passed it, unless the input has ended.
    fn due(&self, from: Bound<&Self::Time>) -> Option<Self::Time> {
        let _ = from;
        None
    }

    /// Whether the first time must be visited in any case, because something comes out of opening.
    fn opens(&self) -> bool {
        false
    }

    /// Begins a time. Everything in `states` is as it was at the end of the time before; keys that
    /// are dropped from now on (retention) must be dropped from it too.
    fn begin(
        &mut self,
        time: &Self::Time,
        states: &mut Cache<Self::Key, Self::State>,
        out: &mut Self::Output,
    ) {
        let _ = (time, states, out);
    }

    /// Told the updates of a time before they are grouped, when there is room for states; may add
    /// some, for keys whose states it changed by itself.
    fn prepare(
        &mut self,
        time: &Self::Time,
        states: &mut Cache<Self::Key, Self::State>,
        updates: &mut Vec<(Self::Input, isize)>,
    ) {
        let _ = (time, states, updates);
    }

    /// Whether a state must stay in memory: something in it cannot be loaded again.
    fn is_pinned(state: &Self::State) -> bool {
        let _ = state;
        false
    }

    /// The state of a key that is not in memory, as of the end of the time before; an empty state
    /// for one that is not known.
    fn load(&mut self, key: &Self::Key) -> Self::State;

    /// Told what the next steps will touch: states in memory, and records. For logic that wants to
    /// have them in the processor's cache.
    fn warm<'a>(states: &[&Self::State], inputs: impl Iterator<Item = &'a Self::Input>)
    where
        Self::Input: 'a,
    {
        let _ = (states, inputs);
    }

    /// Applies the updates of one key at one time: changes the state (and whatever keeps it), and
    /// adds to `out` what that changes in [`Keyed::collection`], consolidated.
    fn step(
        &mut self,
        time: &Self::Time,
        key: &Self::Key,
        state: &mut Self::State,
        updates: &mut Updates<'_, Self::Key, Self::Input>,
        out: &mut Self::Output,
    );

    /// What a state stands for in the output, in any order.
    fn collection(key: &Self::Key, state: &Self::State) -> Vec<Self::Item>;

    /// Whether nothing is left of a state; it is then dropped from memory.
    fn is_empty(state: &Self::State) -> bool;

    /// Approximate bytes of a state in memory, `size_of::<State>()` included.
    fn bytes(state: &Self::State) -> usize;

    /// Bytes of the budget that the logic itself needs.
    fn overhead(&self) -> usize {
        0
    }

    /// A state leaves memory for want of room; [`Keyed::load`] must be able to bring it back.
    fn evict(&mut self, key: Self::Key, state: Self::State) {
        let _ = (key, state);
    }

    /// Ends a time: every key with updates was stepped.
    fn end(&mut self, time: &Self::Time, memory: Memory, out: &mut Self::Output) {
        let _ = (time, memory, out);
    }
}

/// What a worker holds in memory at the end of a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Approximate bytes of states, and of [`Keyed::overhead`].
    pub bytes: usize,
    /// Number of states.
    pub keys: usize,
}

/// An output whose changes of `D` can be looked at.
pub trait Changes<D>: Default {
    /// The changes added so far.
    fn changes(&self) -> &[(D, isize)];
}

impl<D> Changes<D> for Vec<(D, isize)> {
    fn changes(&self) -> &[(D, isize)] {
        self
    }
}
