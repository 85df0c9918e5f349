//! [`Keyed`] logic in a dataflow: on every worker, behind an exchange by key.
//!
//! Updates wait until the input's frontier has passed their time and the logic is ready for it;
//! then times are processed in ascending order. Only times that exist are visited: those with
//! updates, and those the logic asks for ([`Keyed::due`]), so the work does not depend on how far
//! apart times are. The operator holds a capability for the first time it has not processed, and
//! no other: downstream, no time is complete before every worker has processed it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use differential_dataflow::{AsCollection, Hashable, VecCollection};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, ParallelizationContract};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Stream, operators::generic::OutputBuilderSession};
use timely::order::TotalOrder;
use timely::progress::Timestamp;
use timely::progress::frontier::AntichainRef;
use timely::scheduling::SyncActivator;

use super::{Keyed, Worker};

/// How often logic that is not ready is asked again when no waker was given.
const ASK_AGAIN: Duration = Duration::from_millis(1);
/// State of a worker in memory, unless said otherwise: 1 GiB.
pub const BYTES_DEFAULT: usize = 1 << 30;

/// Takes the activator of an operator when it is built.
pub type Waker = Box<dyn FnOnce(SyncActivator)>;

/// What a keyed operator can be told.
pub struct KeyedOptions<T> {
    /// Its name in logs of the dataflow.
    pub name: &'static str,
    /// Bytes of state in memory, for this worker.
    pub bytes_max: usize,
    /// The first time to be processed; there must be no update before it.
    pub first: T,
    /// Takes the operator's activator, to be used whenever the logic may have become ready.
    /// Without it the logic is asked again every millisecond.
    pub waker: Option<Waker>,
}

impl<T: Timestamp> Default for KeyedOptions<T> {
    fn default() -> Self {
        Self { name: "Keyed", bytes_max: BYTES_DEFAULT, first: T::minimum(), waker: None }
    }
}

/// Hosts logic with state by key.
pub trait KeyedOperator<'scope, T: Timestamp, I> {
    /// The changes the logic makes of a collection: *a change stream relative to the state it was
    /// opened with* (see [`super`]), consolidated by key and time.
    ///
    /// # Examples
    ///
    /// The number of values by key, as [`count`] gives it, at a cost that does not depend on how
    /// many there are:
    ///
    /// [`count`]: https://docs.rs/differential-dataflow
    ///
    /// ```
    /// use differential_dataflow::input::Input;
    /// use spoor_operators::keyed::{Keyed, KeyedOperator, KeyedOptions, Updates};
    ///
    /// struct Count;
    ///
    /// impl Keyed for Count {
    ///     type Time = u64;
    ///     type Key = String;
    ///     type Input = String;
    ///     type State = isize;
    ///     type Item = (String, isize);
    ///     type Output = Vec<((String, isize), isize)>;
    ///
    ///     fn key(word: &String) -> String {
    ///         word.clone()
    ///     }
    ///     fn load(&mut self, _: &String) -> isize {
    ///         0
    ///     }
    ///     fn step(
    ///         &mut self,
    ///         _: &u64,
    ///         key: &String,
    ///         count: &mut isize,
    ///         updates: &mut Updates<'_, String, String>,
    ///         out: &mut Self::Output,
    ///     ) {
    ///         let before = *count;
    ///         *count += updates.iter().map(|(_, diff)| diff).sum::<isize>();
    ///         if before != *count {
    ///             out.extend((before != 0).then(|| ((key.clone(), before), -1)));
    ///             out.extend((*count != 0).then(|| ((key.clone(), *count), 1)));
    ///         }
    ///     }
    ///     fn collection(key: &String, count: &isize) -> Vec<(String, isize)> {
    ///         Vec::from_iter((*count != 0).then(|| (key.clone(), *count)))
    ///     }
    ///     fn is_empty(count: &isize) -> bool {
    ///         *count == 0
    ///     }
    ///     fn bytes(_: &isize) -> usize {
    ///         size_of::<isize>()
    ///     }
    /// }
    ///
    /// timely::example(|scope| {
    ///     let words = scope.new_collection_from(["a", "b", "a"].map(String::from)).1;
    ///     // States that are evicted must be loaded again; this logic keeps them nowhere else.
    ///     let options = KeyedOptions { bytes_max: usize::MAX, ..KeyedOptions::default() };
    ///     words.keyed(Count, options).inspect(|(counted, _, diff)| println!("{diff:+} {counted:?}"));
    /// });
    /// ```
    fn keyed<L>(
        self,
        logic: L,
        options: KeyedOptions<T>,
    ) -> VecCollection<'scope, T, L::Item, isize>
    where
        L: Keyed<Time = T, Input = I> + 'static,
        L::Item: 'static,
        L::Output: Into<Vec<(L::Item, isize)>>;
}

impl<'scope, T, I> KeyedOperator<'scope, T, I> for VecCollection<'scope, T, I, isize>
where
    T: Timestamp + TotalOrder,
    I: timely::ExchangeData + Clone,
{
    fn keyed<L>(
        self,
        logic: L,
        options: KeyedOptions<T>,
    ) -> VecCollection<'scope, T, L::Item, isize>
    where
        L: Keyed<Time = T, Input = I> + 'static,
        L::Item: 'static,
        L::Output: Into<Vec<(L::Item, isize)>>,
    {
        let by_key = Exchange::new(|(input, _, _): &(I, T, isize)| L::key(input).hashed());
        host(
            self.inner,
            by_key,
            logic,
            options,
            |_| true,
            |builder| {
                let (port, stream) = builder.new_output();
                let mut output = OutputBuilder::<_, VecBuilder<(L::Item, T, isize)>>::from(port);
                let emit = move |held: &[Capability<T>], time: &T, out: &mut L::Output| {
                    let changes: Vec<(L::Item, isize)> = std::mem::take(out).into();
                    let changes =
                        changes.into_iter().map(|(item, diff)| (item, time.clone(), diff));
                    give(&mut output.activate(), &held[0], changes);
                };
                (emit, stream.as_collection())
            },
        )
    }
}

/// Builds vectors of the capacity timely prefers.
pub(crate) type VecBuilder<D> = CapacityContainerBuilder<Vec<D>>;

/// Sends updates at the time of a capability.
pub(crate) fn give<T: Timestamp, D: Clone + 'static>(
    output: &mut OutputBuilderSession<'_, T, VecBuilder<D>>,
    held: &Capability<T>,
    updates: impl Iterator<Item = D>,
) {
    output.session(held).give_iterator(updates);
}

/// Builds an operator around logic. `open` makes the outputs: how a time's output is sent on them,
/// given a capability for each, and what the caller gets. `intact` is asked whenever input was
/// read; after it said no, nothing is processed any more.
pub(crate) fn host<'scope, T, I, P, L, E, R>(
    input: Stream<'scope, T, Vec<(I, T, isize)>>,
    exchange: P,
    logic: L,
    options: KeyedOptions<T>,
    mut intact: impl FnMut(&mut L) -> bool + 'static,
    open: impl FnOnce(&mut OperatorBuilder<'scope, T>) -> (E, R),
) -> R
where
    T: Timestamp + TotalOrder,
    I: Clone + 'static,
    P: ParallelizationContract<T, Vec<(I, T, isize)>>,
    P::Puller: 'static,
    L: Keyed<Time = T, Input = I> + 'static,
    E: FnMut(&[Capability<T>], &T, &mut L::Output) + 'static,
{
    let mut builder = OperatorBuilder::new(options.name.to_owned(), input.scope());
    let (worker, info) = (input.scope().worker(), builder.operator_info());
    let activator = worker.activator_for(info.address.clone());
    let woken = options.waker.is_some();
    if let Some(waker) = options.waker {
        waker(worker.sync_activator_for(info.address.to_vec()));
    }
    let mut input = builder.new_input(input, exchange);
    let (mut emit, result) = open(&mut builder);
    let (worker, first) = (Worker::new(logic, options.bytes_max), options.first);
    builder.build(move |capabilities| {
        let mut host = Host::new(worker, first, capabilities);
        move |frontiers| {
            input.for_each(|_, data| host.stash(data));
            if !host.lost && !intact(host.worker.logic()) {
                host.lose();
            }
            if host.run(frontiers[0].frontier(), &mut emit) && !woken {
                activator.activate_after(ASK_AGAIN);
            }
        }
    });
    result
}

/// The operator without its edges.
pub(crate) struct Host<T: Timestamp, L: Keyed<Time = T>> {
    pub(crate) worker: Worker<L>,
    /// Updates of times that are not processed yet.
    stash: BTreeMap<T, Vec<(L::Input, isize)>>,
    /// The first time, until it was visited, if it must be in any case.
    opening: Option<T>,
    /// Where the times begin that are not processed.
    from: Bound<T>,
    /// For the first of those, one an output; none when the input has ended and all is processed.
    capabilities: Vec<Capability<T>>,
    out: L::Output,
    /// An empty buffer to be used again.
    spare: Vec<(L::Input, isize)>,
    /// Some input was lost: nothing is processed any more.
    lost: bool,
}

impl<T: Timestamp + TotalOrder, L: Keyed<Time = T>> Host<T, L> {
    pub(crate) fn new(mut worker: Worker<L>, first: T, capabilities: Vec<Capability<T>>) -> Self {
        let opening = worker.logic().opens().then(|| first.clone());
        let mut host = Self {
            opening,
            worker,
            stash: BTreeMap::new(),
            from: Bound::Included(first.clone()),
            capabilities,
            out: L::Output::default(),
            spare: Vec::new(),
            lost: false,
        };
        host.hold(&first);
        host
    }

    /// Some input was lost: no time from now on would be what it should.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
        self.stash.clear();
    }

    fn stash(&mut self, data: &mut Vec<(L::Input, T, isize)>) {
        if self.lost {
            data.clear();
            return;
        }
        let mut data = data.drain(..).peekable();
        while let Some((_, time, _)) = data.peek() {
            // A batch nearly always has one time: look it up once.
            let (time, spare) = (time.clone(), &mut self.spare);
            let updates = self.stash.entry(time.clone()).or_insert_with(|| std::mem::take(spare));
            while let Some((input, _, diff)) = data.next_if(|(_, other, _)| *other == time) {
                updates.push((input, diff));
            }
        }
    }

    /// Processes every time that is complete. Whether one that is complete waits for the logic.
    pub(crate) fn run(
        &mut self,
        frontier: AntichainRef<'_, T>,
        mut emit: impl FnMut(&[Capability<T>], &T, &mut L::Output),
    ) -> bool {
        if self.lost {
            return false;
        }
        let until = frontier.first();
        while let Some(time) = self.next_to_visit(until) {
            self.hold(&time);
            if !self.worker.logic().ready(&time) {
                return true;
            }
            let mut updates = self.stash.remove(&time).unwrap_or_default();
            self.worker.process(&time, &mut updates, &mut self.out);
            self.spare = updates;
            emit(&self.capabilities, &time, &mut self.out);
            self.opening = None;
            self.from = Bound::Excluded(time);
        }
        match until {
            Some(until) if self.is_ahead(until) => {
                self.from = Bound::Included(until.clone());
                self.hold(until);
            }
            Some(_) => {}
            None => self.capabilities.clear(),
        }
        false
    }

    /// The next time, among those the input has passed, that has updates or is due.
    fn next_to_visit(&self, until: Option<&T>) -> Option<T> {
        let complete = |time: &&T| until.is_none_or(|until| *time < until);
        if let Some(first) = self.opening.as_ref().filter(complete) {
            return Some(first.clone());
        }
        let stashed = self.stash.first_key_value().map(|(time, _)| time).filter(complete);
        let last = self.stash.last_key_value().map(|(time, _)| time);
        let due = self.worker.due(self.from.as_ref()).filter(|due| match (until, last) {
            (Some(until), _) => due < until,
            // The input has ended: nobody waits for times after the last one with updates.
            (None, last) => last.is_some_and(|last| due <= last),
        });
        match (stashed, due) {
            (Some(stashed), Some(due)) => Some(due.min(stashed.clone())),
            (stashed, due) => stashed.cloned().or(due),
        }
    }

    /// Whether a time is later than those that are processed, and than the first one.
    fn is_ahead(&self, time: &T) -> bool {
        match &self.from {
            Bound::Included(from) | Bound::Excluded(from) => from < time,
            Bound::Unbounded => true,
        }
    }

    /// Goes on to a time, and lets those before it pass.
    fn hold(&mut self, time: &T) {
        for capability in &mut self.capabilities {
            if capability.time() < time {
                capability.downgrade(time);
            }
        }
    }
}
