//! An adapter that makes a full collection of the change stream of [`Keyed`] logic.
//!
//! [`Hydrated`] wraps the logic. At the first time it visits it inserts what the backend held when
//! it was opened; when keys are about to be dropped by retention it retracts what they stood for.
//! With that the output accumulates, at every time, to exactly what the kept state stands for: a
//! collection that `join`, `count` and `reduce` may follow. It costs a read of the whole backend at
//! the opening, and of the dropped keys at each drop.

use std::ops::Bound;

use super::{Cache, Keyed, Memory, Updates};

/// Logic that can list what it keeps.
pub trait Contents: Keyed {
    /// Every key that is kept, for this worker.
    fn keys(&mut self) -> Vec<Self::Key>;

    /// The keys that [`Keyed::begin`] drops at a time. Asked before it, once.
    fn dropping(&mut self, time: &Self::Time) -> Vec<Self::Key>;

    /// Adds to `out` all that the state of a key stands for, or takes it back with a negative
    /// `sign`. Other outputs than the [collection](Keyed::collection) belong here as well.
    fn contribute(
        &mut self,
        key: &Self::Key,
        state: &Self::State,
        sign: isize,
        out: &mut Self::Output,
    );
}

/// The logic, its output being a full collection. See the module's description.
#[derive(Debug)]
pub struct Hydrated<L> {
    inner: L,
    opened: bool,
}

impl<L: Contents> Hydrated<L> {
    /// A full collection of what the logic gives.
    pub fn new(inner: L) -> Self {
        Self { inner, opened: false }
    }

    /// The logic.
    pub fn inner(&mut self) -> &mut L {
        &mut self.inner
    }

    fn contribute(
        &mut self,
        keys: Vec<L::Key>,
        states: &Cache<L::Key, L::State>,
        sign: isize,
        out: &mut L::Output,
    ) {
        for key in keys {
            match states.get(&key) {
                Some(state) => self.inner.contribute(&key, state, sign, out),
                None => {
                    let state = self.inner.load(&key);
                    self.inner.contribute(&key, &state, sign, out);
                }
            }
        }
    }
}

impl<L: Contents> Keyed for Hydrated<L> {
    type Time = L::Time;
    type Key = L::Key;
    type Input = L::Input;
    type State = L::State;
    type Item = L::Item;
    type Output = L::Output;

    fn key(input: &Self::Input) -> Self::Key {
        L::key(input)
    }

    fn ready(&mut self, time: &Self::Time) -> bool {
        self.inner.ready(time)
    }

    fn due(&self, from: Bound<&Self::Time>) -> Option<Self::Time> {
        self.inner.due(from)
    }

    /// What was kept appears at the first time.
    fn opens(&self) -> bool {
        true
    }

    fn begin(
        &mut self,
        time: &Self::Time,
        states: &mut Cache<Self::Key, Self::State>,
        out: &mut Self::Output,
    ) {
        if !self.opened {
            self.opened = true;
            let kept = self.inner.keys();
            self.contribute(kept, states, 1, out);
        }
        let dropped = self.inner.dropping(time);
        self.contribute(dropped, states, -1, out);
        self.inner.begin(time, states, out);
    }

    fn load(&mut self, key: &Self::Key) -> Self::State {
        self.inner.load(key)
    }

    fn warm<'a>(states: &[&Self::State], inputs: impl Iterator<Item = &'a Self::Input>)
    where
        Self::Input: 'a,
    {
        L::warm(states, inputs);
    }

    fn step(
        &mut self,
        time: &Self::Time,
        key: &Self::Key,
        state: &mut Self::State,
        updates: &mut Updates<'_, Self::Key, Self::Input>,
        out: &mut Self::Output,
    ) {
        self.inner.step(time, key, state, updates, out);
    }

    fn collection(key: &Self::Key, state: &Self::State) -> Vec<Self::Item> {
        L::collection(key, state)
    }

    fn is_empty(state: &Self::State) -> bool {
        L::is_empty(state)
    }

    fn bytes(state: &Self::State) -> usize {
        L::bytes(state)
    }

    fn overhead(&self) -> usize {
        self.inner.overhead()
    }

    fn evict(&mut self, key: Self::Key, state: Self::State) {
        self.inner.evict(key, state);
    }

    fn end(&mut self, time: &Self::Time, memory: Memory, out: &mut Self::Output) {
        self.inner.end(time, memory, out);
    }
}
