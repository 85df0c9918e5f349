//! `sessionize` in a dataflow: the state machine on every worker, behind an exchange by identity.
//!
//! Time is the epoch: any ascending numbers, such as a counter or milliseconds. A worker owns the
//! partitions the route gives it: those congruent to its index, unless the options say otherwise.
//! Every worker must be given the same route, and a partition's state must be where the route says
//! before its first event. A worker's events wait until the input has passed their epoch and the
//! backend is ready for it; then epochs are processed in order. Only epochs with events are visited,
//! and the last one before each frontier the operator sees: the work does not depend on how far
//! apart epochs are. A backend that has to hear of every number asks for it
//! ([`SessionBackend::seals_every_epoch`]). The operator holds a capability for the first epoch it
//! has not sealed, so that downstream no epoch is complete before every worker has sealed it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use differential_dataflow::{AsCollection, VecCollection};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::frontier::AntichainRef;
use timely::scheduling::SyncActivator;

use super::backend::SessionBackend;
use super::batch::Update;
use super::exchange::{ByOwner, Route};
use super::spill::Spilling;
use super::{Differences, HOT_BYTES_DEFAULT, MinuteApp, Sessionizer};
use crate::facts::Assigned;
use crate::session::Session;
use crate::time::Epoch;
use crate::totals::Totals;
use crate::wire::Malformed;

/// How often a backend that is not ready is asked again when nobody took the activator.
const ASK_AGAIN: Duration = Duration::from_millis(1);

/// What the operator can be told.
pub struct SessionizeOptions {
    /// Bytes of state in memory, for this worker.
    pub hot_bytes_max: usize,
    /// The first epoch to be processed; there must be no event before it.
    pub first: Epoch,
    /// Takes the activator of the operator when it is built: to be used whenever the backend may
    /// have become ready. Without it the operator asks again every millisecond.
    pub waker: Option<Box<dyn FnOnce(SyncActivator)>>,
    /// The worker that owns each of the [`PARTITIONS`](crate::identity::PARTITIONS) virtual
    /// partitions, the same on every worker; a route of another length, or to a worker that is not
    /// there, panics. None: the partition modulo the number of workers.
    pub route: Option<Route>,
    /// Keeps hot state that has no room in memory; none: it is forgotten, and asked of the backend
    /// when it is needed again.
    pub spilling: Option<Spilling>,
}

impl Default for SessionizeOptions {
    fn default() -> Self {
        Self {
            hot_bytes_max: HOT_BYTES_DEFAULT,
            first: Epoch(0),
            waker: None,
            route: None,
            spilling: None,
        }
    }
}

/// What comes out, consolidated for every epoch.
pub struct Sessionized<'scope> {
    /// The sessions.
    pub sessions: VecCollection<'scope, u64, Arc<Session>, isize>,
    /// Sums by minute and app; see [`MinuteApp`].
    pub totals: VecCollection<'scope, u64, MinuteApp, Totals>,
}

/// Joins requests into sessions.
pub trait Sessionize<'scope> {
    /// The sessions of a collection of requests, and totals by minute and app.
    ///
    /// # Examples
    ///
    /// ```
    /// use differential_dataflow::input::Input;
    /// use spoor_operators::facts::{Assigned, Fact, Field, IdentityText, Numbers, encode_head};
    /// use spoor_operators::identity::IdentityId;
    /// use spoor_operators::sessionize::memory::MemoryBackend;
    /// use spoor_operators::sessionize::operator::{Sessionize, SessionizeOptions};
    /// use spoor_operators::time::{Day, EventTime};
    ///
    /// // What `assign` makes of a request: here by hand.
    /// fn request(user: &str, seconds: i64) -> Assigned {
    ///     let identity = IdentityText {
    ///         namespace: "user",
    ///         value: user,
    ///         qualifier: "",
    ///         weak: false,
    ///         secret: false,
    ///     };
    ///     let mut payload = Vec::new();
    ///     let facts = [Fact::new(Field::Method, "GET"), Fact::new(Field::App, "shop")];
    ///     encode_head(&mut payload, identity, &Numbers::default(), &facts);
    ///     let head_len = payload.len() as u32;
    ///     payload.extend_from_slice(&seconds.to_le_bytes());
    ///     Assigned {
    ///         day: Day(0),
    ///         identity: IdentityId::of("user", user, ""),
    ///         ts: EventTime(seconds * 1000),
    ///         id_hash: 0,
    ///         gap_ms: 60_000,
    ///         origin: 0,
    ///         head_len,
    ///         payload: payload.into(),
    ///     }
    /// }
    ///
    /// timely::execute_directly(|worker| {
    ///     let mut requests = worker.dataflow::<u64, _, _>(|scope| {
    ///         let (input, requests) = scope.new_collection();
    ///         let sessionized =
    ///             requests.sessionize(MemoryBackend::default(), SessionizeOptions::default());
    ///         sessionized.sessions.inspect(|(session, epoch, diff)| {
    ///             println!("{epoch}: {diff:+} {} x{}", session.id(), session.summary.requests);
    ///         });
    ///         input
    ///     });
    ///     requests.insert(request("ann", 0));
    ///     requests.insert(request("ann", 90));
    ///     requests.advance_to(1);
    ///     // It comes late, and makes one session of two.
    ///     requests.insert(request("ann", 45));
    /// });
    /// ```
    fn sessionize<B: SessionBackend + 'static>(
        self,
        backend: B,
        options: SessionizeOptions,
    ) -> Sessionized<'scope>;
}

impl<'scope> Sessionize<'scope> for VecCollection<'scope, u64, Assigned, isize> {
    fn sessionize<B: SessionBackend + 'static>(
        self,
        backend: B,
        options: SessionizeOptions,
    ) -> Sessionized<'scope> {
        let mut builder = OperatorBuilder::new("Sessionize".to_owned(), self.inner.scope());
        let (worker, info) = (self.inner.scope().worker(), builder.operator_info());
        let activator = worker.activator_for(info.address.clone());
        let woken = options.waker.is_some();
        if let Some(waker) = options.waker {
            waker(worker.sync_activator_for(info.address.to_vec()));
        }
        let by_owner = ByOwner { route: options.route, ..ByOwner::default() };
        let refused = Rc::clone(&by_owner.refused);
        let mut input = builder.new_input(self.inner, by_owner);
        let (sessions_port, sessions) = builder.new_output();
        let (totals_port, totals) = builder.new_output();
        let mut sessions_out =
            OutputBuilder::<_, CapacityContainerBuilder<Vec<_>>>::from(sessions_port);
        let mut totals_out =
            OutputBuilder::<_, CapacityContainerBuilder<Vec<_>>>::from(totals_port);
        let sessionizer =
            Sessionizer::new(backend, options.hot_bytes_max).with_spill(options.spilling);
        builder.build(move |capabilities| {
            let mut host = Host::new(sessionizer, options.first, capabilities);
            move |frontiers| {
                input.for_each(|_, data| host.stash(data));
                if let Some(error) = refused.take() {
                    host.lose(error);
                }
                let (mut sessions, mut totals) = (sessions_out.activate(), totals_out.activate());
                let waits = host.run(frontiers[0].frontier(), |capabilities, epoch, out| {
                    sessions.session(&capabilities[0]).give_iterator(
                        out.sessions.drain(..).map(|(session, diff)| (session, epoch, diff)),
                    );
                    totals.session(&capabilities[1]).give_iterator(
                        out.totals.drain(..).map(|(minute_app, sums)| (minute_app, epoch, sums)),
                    );
                });
                if waits && !woken {
                    activator.activate_after(ASK_AGAIN);
                }
            }
        });
        Sessionized { sessions: sessions.as_collection(), totals: totals.as_collection() }
    }
}

/// The operator without its edges.
struct Host<B> {
    sessionizer: Sessionizer<B>,
    /// Events of epochs that are not processed yet.
    stash: BTreeMap<u64, Vec<(Assigned, isize)>>,
    /// The first epoch that is not sealed.
    next: u64,
    /// For `next`, one an output; none when the input has ended and all is sealed.
    capabilities: Vec<Capability<u64>>,
    out: Differences,
    /// An empty buffer to be used again.
    spare: Vec<(Assigned, isize)>,
    /// Nothing is processed any more.
    lost: bool,
}

impl<B: SessionBackend> Host<B> {
    fn new(
        sessionizer: Sessionizer<B>,
        first: Epoch,
        mut capabilities: Vec<Capability<u64>>,
    ) -> Self {
        capabilities.iter_mut().for_each(|capability| capability.downgrade(&first.0));
        Self {
            sessionizer,
            stash: BTreeMap::new(),
            next: first.0,
            capabilities,
            out: Differences::default(),
            spare: Vec::new(),
            lost: false,
        }
    }

    /// Requests from another process were lost: no epoch from now on would be what it should.
    fn lose(&mut self, error: Malformed) {
        self.lost = true;
        self.stash.clear();
        self.sessionizer.backend().lost(error);
    }

    fn stash(&mut self, data: &mut Vec<Update>) {
        let mut data = data.drain(..).peekable();
        while let Some(&(_, epoch, _)) = data.peek() {
            // A batch nearly always has one epoch: look it up once.
            let spare = &mut self.spare;
            let events =
                self.stash.entry(epoch.max(self.next)).or_insert_with(|| std::mem::take(spare));
            while let Some((item, _, diff)) = data.next_if(|(_, time, _)| *time == epoch) {
                events.push((item, diff));
            }
        }
    }

    /// Processes every epoch that is complete; whether one that is complete waits for the backend.
    fn run(
        &mut self,
        frontier: AntichainRef<'_, u64>,
        mut emit: impl FnMut(&[Capability<u64>], u64, &mut Differences),
    ) -> bool {
        if self.lost {
            return false;
        }
        let until = frontier.first().copied();
        while let Some(epoch) = self.next_to_visit(until) {
            if !self.sessionizer.backend().ready(Epoch(epoch)) {
                return true;
            }
            self.hold(epoch);
            let mut events = self.stash.remove(&epoch).unwrap_or_default();
            self.sessionizer.process(Epoch(epoch), &mut events, &mut self.out);
            self.spare = events;
            emit(&self.capabilities, epoch, &mut self.out);
            match epoch.checked_add(1) {
                Some(next) => self.hold(next),
                // No epoch can come after this one.
                None => self.capabilities.clear(),
            }
        }
        if until.is_none() {
            self.capabilities.clear();
        }
        false
    }

    /// The next epoch, among those the input has passed, that has events or must be sealed.
    fn next_to_visit(&mut self, until: Option<u64>) -> Option<u64> {
        let stashed = self.stash.first_key_value().map(|(epoch, _)| *epoch);
        let Some(until) = until else {
            // The input has ended: nobody waits for epochs after the last one with events.
            let all = self.sessionizer.backend().seals_every_epoch();
            return stashed.map(|epoch| if all { self.next } else { epoch });
        };
        if self.next >= until {
            return None;
        }
        if self.sessionizer.backend().seals_every_epoch() {
            return Some(self.next);
        }
        Some(stashed.filter(|epoch| *epoch < until).unwrap_or(until - 1))
    }

    /// Goes on to an epoch, and lets those before it pass.
    fn hold(&mut self, epoch: u64) {
        self.next = epoch;
        for capability in &mut self.capabilities {
            capability.downgrade(&epoch);
        }
    }
}

#[cfg(test)]
mod tests {
    use timely::progress::Antichain;

    use super::super::backend::{DayChange, DayKey, EpochCounts, IdSet, Sessions};
    use super::*;

    /// Notes what was lost; must not be asked anything.
    struct Noting(Option<Malformed>);

    impl SessionBackend for Noting {
        fn ready(&mut self, _: Epoch) -> bool {
            unreachable!("no epoch is processed")
        }
        fn sessions(&mut self, _: DayKey) -> Sessions {
            unreachable!("no epoch is processed")
        }
        fn ids(&mut self, _: DayKey, _: &mut IdSet) {}
        fn requests(&mut self, _: DayKey) -> Vec<Assigned> {
            unreachable!("no epoch is processed")
        }
        fn change(&mut self, _: Epoch, _: DayChange) {}
        fn seal(&mut self, _: Epoch, _: EpochCounts) {}
        fn lost(&mut self, error: Malformed) {
            self.0 = Some(error);
        }
    }

    #[test]
    fn after_a_loss_the_backend_is_told_and_no_epoch_is_processed() {
        let mut host = Host::new(Sessionizer::new(Noting(None), 0), Epoch(0), Vec::new());
        host.lose(Malformed("damaged"));
        let frontier = Antichain::from_elem(5);
        let waits = host.run(frontier.borrow(), |_, _, _| unreachable!("no epoch is processed"));
        assert!(!waits);
        assert_eq!(host.sessionizer.backend().0, Some(Malformed("damaged")));
    }
}
