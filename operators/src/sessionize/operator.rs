//! `sessionize` in a dataflow: the [keyed host](crate::keyed::operator) around the state machine,
//! behind an exchange by identity.
//!
//! A worker owns the partitions the route gives it: those congruent to its index, unless the options
//! say otherwise. Every worker must be given the same route, and a partition's state must be where
//! the route says before its first event. Timestamps are any totally ordered type: a counter,
//! milliseconds, a `Duration`. The output is a change stream relative to the state the operator was
//! opened with, or, hydrated, a full collection ([`crate::keyed`] says what that means).

use std::rc::Rc;
use std::sync::Arc;

use differential_dataflow::{AsCollection, VecCollection};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::order::TotalOrder;
use timely::progress::Timestamp;

use super::backend::{FullBackend, SessionBackend};
use super::exchange::{ByOwner, Route};
use super::spill::Spilling;
use super::{Differences, MinuteApp, SessionLogic};
use crate::facts::Assigned;
use crate::identity::SessionId;
use crate::keyed::operator::{BYTES_DEFAULT, VecBuilder, Waker, give, host};
use crate::keyed::{Hydrated, Keyed, KeyedOptions};
use crate::record::Record;
use crate::session::Session;
use crate::totals::Totals;

/// What the operator can be told.
pub struct SessionizeOptions<T = u64> {
    /// Bytes of state in memory, for this worker.
    pub hot_bytes_max: usize,
    /// The first time to be processed; there must be no event before it.
    pub first: T,
    /// Whether to say which requests are in which session. That costs a copy of each request, and
    /// where a session's start moves, a read of its identity-day from the backend.
    pub requests: bool,
    /// Takes the activator of the operator when it is built: to be used whenever the backend may
    /// have become ready. Without it the operator asks again every millisecond.
    pub waker: Option<Waker>,
    /// The worker that owns each of the [`PARTITIONS`](crate::identity::PARTITIONS) virtual
    /// partitions, the same on every worker; a route of another length, or to a worker that is not
    /// there, panics. None: the partition modulo the number of workers.
    pub route: Option<Route>,
    /// Keeps hot state that has no room in memory; none: it is forgotten, and asked of the backend
    /// when it is needed again.
    pub spilling: Option<Spilling>,
}

impl<T: Timestamp> Default for SessionizeOptions<T> {
    fn default() -> Self {
        Self {
            hot_bytes_max: BYTES_DEFAULT,
            first: T::minimum(),
            requests: true,
            waker: None,
            route: None,
            spilling: None,
        }
    }
}

/// What comes out, consolidated for every time.
pub struct Sessionized<'scope, T: Timestamp = u64> {
    /// The sessions.
    pub sessions: VecCollection<'scope, T, Arc<Session>, isize>,
    /// The requests that count (duplicates taken out), each with the session it is in. Empty unless
    /// the [options](SessionizeOptions::requests) ask for it.
    pub requests: VecCollection<'scope, T, (SessionId, Record), isize>,
    /// Sums by minute and app; see [`MinuteApp`].
    pub totals: VecCollection<'scope, T, MinuteApp, Totals>,
}

/// Joins requests into sessions.
pub trait Sessionize<'scope, T: Timestamp>: Sized {
    /// The sessions of a collection of requests, as changes relative to what `backend` holds.
    fn sessionize<B: SessionBackend<T> + 'static>(self, backend: B) -> Sessionized<'scope, T> {
        self.sessionize_with(backend, SessionizeOptions::default())
    }

    /// The same, with options.
    fn sessionize_with<B: SessionBackend<T> + 'static>(
        self,
        backend: B,
        options: SessionizeOptions<T>,
    ) -> Sessionized<'scope, T>;

    /// The same, as full collections: what `backend` holds is inserted at the first time, and what
    /// it drops is retracted. For a `join`, `count` or `reduce` behind a backend that has state
    /// already, or drops days.
    fn sessionize_full<B: FullBackend<T> + 'static>(
        self,
        backend: B,
        options: SessionizeOptions<T>,
    ) -> Sessionized<'scope, T>;
}

impl<'scope, T: Timestamp + TotalOrder> Sessionize<'scope, T>
    for VecCollection<'scope, T, Assigned, isize>
{
    fn sessionize_with<B: SessionBackend<T> + 'static>(
        self,
        backend: B,
        options: SessionizeOptions<T>,
    ) -> Sessionized<'scope, T> {
        build(self, backend, options, |logic| logic, |logic| &mut logic.backend)
    }

    fn sessionize_full<B: FullBackend<T> + 'static>(
        self,
        backend: B,
        options: SessionizeOptions<T>,
    ) -> Sessionized<'scope, T> {
        build(self, backend, options, Hydrated::new, |logic| &mut logic.inner().backend)
    }
}

/// Builds the operator around the logic, adapted.
fn build<'scope, T, B, L>(
    requests: VecCollection<'scope, T, Assigned, isize>,
    backend: B,
    options: SessionizeOptions<T>,
    adapt: impl FnOnce(SessionLogic<B, T>) -> L,
    backend_of: impl Fn(&mut L) -> &mut B + 'static,
) -> Sessionized<'scope, T>
where
    T: Timestamp + TotalOrder,
    B: SessionBackend<T> + 'static,
    L: Keyed<Time = T, Input = Assigned, Output = Differences> + 'static,
{
    let mut logic = SessionLogic::new(backend);
    (logic.spilling, logic.wants_requests) = (options.spilling, options.requests);
    let by_owner = ByOwner { route: options.route, ..ByOwner::default() };
    let refused = Rc::clone(&by_owner.refused);
    // What another process sent is no batch: no epoch from now on would be what it should.
    let intact = move |logic: &mut L| match refused.take() {
        Some(error) => {
            backend_of(logic).lost(error);
            false
        }
        None => true,
    };
    let (first, waker) = (options.first, options.waker);
    let keyed = KeyedOptions { name: "Sessionize", bytes_max: options.hot_bytes_max, first, waker };
    host(requests.inner, by_owner, adapt(logic), keyed, intact, open)
}

/// Makes the outputs: how a time's differences are sent, and the collections.
#[allow(clippy::type_complexity, reason = "a closure and a struct")]
fn open<'scope, T: Timestamp>(
    builder: &mut OperatorBuilder<'scope, T>,
) -> (impl FnMut(&[Capability<T>], &T, &mut Differences) + use<T>, Sessionized<'scope, T>) {
    let (port, sessions) = builder.new_output();
    let mut to_sessions = OutputBuilder::<_, VecBuilder<_>>::from(port);
    let (port, requests) = builder.new_output();
    let mut to_requests = OutputBuilder::<_, VecBuilder<_>>::from(port);
    let (port, totals) = builder.new_output();
    let mut to_totals = OutputBuilder::<_, VecBuilder<_>>::from(port);
    let emit = move |held: &[Capability<T>], time: &T, out: &mut Differences| {
        let sessions = out.sessions.drain(..);
        let sessions = sessions.map(|(session, diff)| (session, time.clone(), diff));
        give(&mut to_sessions.activate(), &held[0], sessions);
        let requests = out.requests.drain(..);
        let requests = requests.map(|(request, diff)| (request, time.clone(), diff));
        give(&mut to_requests.activate(), &held[1], requests);
        let totals = out.totals.drain(..);
        let totals = totals.map(|(minute_app, sums)| (minute_app, time.clone(), sums));
        give(&mut to_totals.activate(), &held[2], totals);
    };
    let (sessions, requests) = (sessions.as_collection(), requests.as_collection());
    (emit, Sessionized { sessions, requests, totals: totals.as_collection() })
}

#[cfg(test)]
mod tests {
    use timely::progress::Antichain;

    use super::super::backend::{DayChange, DayKey, EpochCounts, IdSet, Sessions};
    use super::*;
    use crate::keyed::Worker;
    use crate::keyed::operator::Host;

    /// Must not be asked anything.
    struct Untouched;

    impl SessionBackend<u64> for Untouched {
        fn ready(&mut self, _: u64) -> bool {
            unreachable!("no epoch is processed")
        }
        fn sessions(&mut self, _: DayKey) -> Sessions {
            unreachable!("no epoch is processed")
        }
        fn ids(&mut self, _: DayKey, _: &mut IdSet) {}
        fn requests(&mut self, _: DayKey) -> Vec<Assigned> {
            unreachable!("no epoch is processed")
        }
        fn change(&mut self, _: u64, _: DayChange) {}
        fn seal(&mut self, _: u64, _: EpochCounts) {}
    }

    #[test]
    fn after_a_loss_no_epoch_is_processed() {
        let worker = Worker::new(SessionLogic::new(Untouched), 0);
        let mut host = Host::new(worker, 0, Vec::new());
        host.lose();
        let frontier = Antichain::from_elem(5);
        assert!(!host.run(frontier.borrow(), |_, _, _| unreachable!("no epoch is processed")));
    }
}
