//! The exchange by identity: which worker gets which request, in which batches.
//!
//! A route says for each virtual partition which worker owns it. Requests for a worker are gathered
//! into batches of bounded count and bytes, so that a message never makes timely's buffers large.
//! A lone worker gets what is sent as it is. The operator at the receiving end sees plain vectors;
//! [`Batch`] is what they are on the way.

use std::cell::Cell;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;

use timely::communication::{Pull, Push};
use timely::dataflow::channels::pact::{LogPuller, LogPusher, ParallelizationContract};
use timely::dataflow::channels::pushers::Exchange;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{Message, Stamp};
use timely::logging::TimelyLogger;
use timely::progress::Timestamp;
use timely::worker::Worker;

use super::batch::{Batch, Update};
use crate::identity::PARTITIONS;
use crate::wire::Malformed;

/// Requests in a batch, at most.
const BATCH_REQUESTS: usize = 256;
/// A batch whose payloads have reached so many bytes is sent; timely's buffers are of 1 MiB.
const BATCH_BYTES: usize = 1 << 18;

/// The worker that owns each virtual partition: [`PARTITIONS`] indexes.
pub type Route = Arc<[u32]>;

/// The route without a cluster: the partition modulo the workers.
#[must_use]
pub fn modulo(workers: usize) -> Route {
    (0..PARTITIONS).map(|partition| u32::from(partition) % workers as u32).collect()
}

/// Sends each request to the worker that owns its identity's partition.
#[derive(Debug, Default)]
pub struct ByOwner {
    /// The owners; none: [`modulo`].
    pub route: Option<Route>,
    /// Set when something was received that is no batch. What it held is lost, and its epoch will
    /// never be complete.
    pub refused: Rc<Cell<Option<Malformed>>>,
}

impl<T: Timestamp> ParallelizationContract<T, Vec<Update<T>>> for ByOwner {
    type Pusher =
        Exchange<T, Packed<LogPusher<Box<dyn Push<Message<T, Batch<T>>>>>>, Distribute<T>>;
    type Puller = Unpacked<T, LogPuller<Box<dyn Pull<Message<T, Batch<T>>>>>>;

    /// # Panics
    /// When the route has not [`PARTITIONS`] entries, or names a worker that is not there.
    fn connect(
        self,
        worker: &Worker,
        channel: usize,
        address: Rc<[usize]>,
        logging: Option<TimelyLogger>,
    ) -> (Self::Pusher, Self::Puller) {
        let (peers, index) = (worker.peers(), worker.index());
        let route = self.route.unwrap_or_else(|| modulo(peers));
        assert_eq!(route.len(), usize::from(PARTITIONS), "a route has an owner for each partition");
        assert!(route.iter().all(|owner| (*owner as usize) < peers), "a route names a worker");
        let (senders, receiver) = worker.allocate::<Message<T, Batch<T>>>(channel, address);
        let log = |(to, sender)| LogPusher::new(sender, index, to, channel, logging.clone());
        let pushers = senders.into_iter().enumerate().map(log).map(Packed).collect();
        let gathering = (0..peers).map(|_| Gathering::default()).collect();
        let puller = LogPuller::new(receiver, index, channel, logging.clone());
        (
            Exchange::new(pushers, Distribute { route, gathering }),
            Unpacked { inner: puller, current: None, refused: self.refused },
        )
    }
}

/// Gathers batches, one for each worker.
#[derive(Debug)]
pub struct Distribute<T> {
    route: Route,
    gathering: Vec<Gathering<T>>,
}

#[derive(Debug)]
struct Gathering<T> {
    updates: Vec<Update<T>>,
    bytes: usize,
}

impl<T> Default for Gathering<T> {
    fn default() -> Self {
        Self { updates: Vec::new(), bytes: 0 }
    }
}

impl<T: Clone> Gathering<T> {
    fn is_full(&self) -> bool {
        self.updates.len() >= BATCH_REQUESTS || self.bytes >= BATCH_BYTES
    }

    fn send<S: Clone>(
        &mut self,
        stamp: &Stamp<S>,
        pusher: &mut impl Push<Message<S, Vec<Update<T>>>>,
    ) {
        Message::push_at(&mut self.updates, stamp.clone(), pusher);
        // What was written for another process comes back, and must not keep its payloads.
        self.updates.clear();
        self.bytes = 0;
    }
}

impl<T: Clone> Distributor<Vec<Update<T>>> for Distribute<T> {
    fn partition<S: Clone, P: Push<Message<S, Vec<Update<T>>>>>(
        &mut self,
        updates: &mut Vec<Update<T>>,
        stamp: &Stamp<S>,
        pushers: &mut [P],
    ) {
        for update in updates.drain(..) {
            let owner = self.route[usize::from(update.0.identity.partition())] as usize;
            let gathering = &mut self.gathering[owner];
            if gathering.updates.capacity() == 0 {
                gathering.updates.reserve_exact(BATCH_REQUESTS);
            }
            gathering.bytes += update.0.payload.len();
            gathering.updates.push(update);
            if gathering.is_full() {
                gathering.send(stamp, &mut pushers[owner]);
            }
        }
    }

    fn flush<S: Clone, P: Push<Message<S, Vec<Update<T>>>>>(
        &mut self,
        stamp: &Stamp<S>,
        pushers: &mut [P],
    ) {
        for (gathering, pusher) in self.gathering.iter_mut().zip(pushers) {
            if !gathering.updates.is_empty() {
                gathering.send(stamp, pusher);
            }
        }
    }
}

/// Sends vectors as batches.
#[derive(Debug)]
pub struct Packed<P>(P);

impl<T, P: Push<Message<T, Batch<T>>>> Push<Message<T, Vec<Update<T>>>> for Packed<P> {
    fn push(&mut self, message: &mut Option<Message<T, Vec<Update<T>>>>) {
        let mut packed = message.take().map(|message| with(message, Batch::from));
        self.0.push(&mut packed);
        *message = packed.map(|message| with(message, |batch| batch.updates));
    }
}

/// Receives batches as vectors.
pub struct Unpacked<T, P> {
    inner: P,
    current: Option<Message<T, Vec<Update<T>>>>,
    refused: Rc<Cell<Option<Malformed>>>,
}

impl<T, P: Pull<Message<T, Batch<T>>>> Pull<Message<T, Vec<Update<T>>>> for Unpacked<T, P> {
    fn pull(&mut self) -> &mut Option<Message<T, Vec<Update<T>>>> {
        self.current = self.inner.recv().map(|mut message| {
            if let Some(error) = mem::take(&mut message.data.refused) {
                self.refused.set(Some(error));
            }
            with(message, |batch| batch.updates)
        });
        &mut self.current
    }
}

/// The message with other data.
fn with<T, C, D>(message: Message<T, C>, data: impl FnOnce(C) -> D) -> Message<T, D> {
    let Message { stamp, data: old, from, seq } = message;
    Message { stamp, data: data(old), from, seq }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use bytes::Bytes;

    use super::*;
    use crate::facts::Assigned;
    use crate::identity::IdentityId;
    use crate::time::{Day, EventTime};

    /// Keeps what is pushed; gives it back like one that writes it for another process.
    #[derive(Default)]
    struct Written(Vec<Vec<Update>>);

    impl Push<Message<u64, Vec<Update>>> for Written {
        fn push(&mut self, message: &mut Option<Message<u64, Vec<Update>>>) {
            self.0.extend(message.as_ref().map(|message| message.data.clone()));
        }
    }

    struct Given(VecDeque<Batch>, Option<Message<u64, Batch>>);

    impl Pull<Message<u64, Batch>> for Given {
        fn pull(&mut self) -> &mut Option<Message<u64, Batch>> {
            self.1 = self.0.pop_front().map(|batch| Message::new(Stamp::from_elem(0), batch));
            &mut self.1
        }
    }

    fn update(partition: u16, payload: &Bytes) -> Update {
        let item = Assigned {
            day: Day(0),
            identity: IdentityId(u128::from(partition) << 118 | 1),
            ts: EventTime(0),
            id_hash: 0,
            gap_ms: 0,
            origin: 0,
            head_len: 0,
            payload: payload.clone(),
        };
        (item, 0, 1)
    }

    /// Sends so many requests of a size to each of two workers; the batches of the first.
    fn batches(requests: usize, bytes: usize) -> Vec<usize> {
        let payload = Bytes::from(vec![0; bytes]);
        let mut route = modulo(2).to_vec();
        route[7] = 0;
        let gathering = (0..2).map(|_| Gathering::default()).collect();
        let mut distribute = Distribute { route: route.into(), gathering };
        let mut pushers = [Written::default(), Written::default()];
        let one_of_each = [8, 1].map(|partition| update(partition, &payload));
        let mut updates: Vec<_> = (0..requests).flat_map(|_| one_of_each.clone()).collect();
        updates.push(update(7, &payload));
        drop(one_of_each);
        let stamp = Stamp::from_elem(0);
        distribute.partition(&mut updates, &stamp, &mut pushers);
        distribute.flush(&stamp, &mut pushers);
        let [first, second] = pushers.map(|pushed| pushed.0);
        assert!(second.iter().flatten().all(|(item, _, _)| item.identity.partition() == 1));
        assert_eq!(second.iter().map(Vec::len).sum::<usize>(), requests);
        let found = first.iter().map(Vec::len).collect();
        drop((first, second));
        assert!(payload.is_unique(), "what was sent is kept by nobody");
        found
    }

    #[test]
    fn batches_go_to_their_owners_and_are_bounded_in_count_and_bytes() {
        assert_eq!(batches(10, 100), [11]);
        assert_eq!(batches(2 * BATCH_REQUESTS, 100), [BATCH_REQUESTS, BATCH_REQUESTS, 1]);
        assert_eq!(batches(4, BATCH_BYTES / 2), [2, 2, 1]);
        assert_eq!(batches(2, 2 * BATCH_BYTES), [1, 1, 1]);
    }

    #[test]
    fn a_refused_batch_is_told() {
        let good = Batch::from(vec![update(0, &Bytes::new())]);
        let bad = Batch { updates: Vec::new(), refused: Some(Malformed("damaged")) };
        let refused = Rc::default();
        let inner = Given([good, bad].into(), None);
        let mut puller = Unpacked { inner, current: None, refused: Rc::clone(&refused) };
        assert_eq!(puller.recv().map(|message| message.data.len()), Some(1));
        assert_eq!(refused.get(), None);
        assert_eq!(puller.recv().map(|message| message.data.len()), Some(0));
        assert_eq!(refused.get(), Some(Malformed("damaged")));
    }
}
