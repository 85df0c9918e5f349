//! One budget for the subscribers of every transport: how many subscriptions run, and what is held
//! for those that do not read, by client address and in all.
//!
//! A subscription takes a [`Seat`]; an event that was made for it is a [`Hold`] of its bytes until
//! its client has taken it. When a client, or all clients together, hold more than they may, the
//! connection among them that has read nothing for the longest time is cut. Its bytes stop counting
//! at once; its transport learns of it from [`Seat::cut`] and gives the client a moment to read why.
//! Only a few events are made at a time, so what is not yet counted is bounded too.
//!
//! Clients are told apart by the address of their connection (of an IPv6 address its first half,
//! which is one subscriber's). Behind a proxy all are one client: raise the limits by client there.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::options::SubscriberLimits;

/// A client, as far as limits distinguish them: its address; none where that is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Client(Option<IpAddr>);

impl Client {
    /// The client of a connection from an address.
    #[must_use]
    pub fn of(address: Option<IpAddr>) -> Self {
        Self(address.map(|address| match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) >> 64 << 64;
                IpAddr::V6(Ipv6Addr::from(network))
            }
            address => address,
        }))
    }
}

/// A limit on subscriptions that was hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    /// Of one client.
    #[error("this client has {0} subscriptions already")]
    OfClient(usize),
    /// Of all.
    #[error("there are {0} subscriptions already; try again later")]
    OfAll(usize),
}

/// What a client that reads too slowly is told.
pub const TOO_SLOW: &str = "closed because too much is unread; reconnect and resume with `since`";

/// The subscribers of a server.
pub struct Subscribers {
    limits: SubscriberLimits,
    state: Mutex<State>,
    turns: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    connections: HashMap<u64, Connection>,
    clients: HashMap<Client, Usage>,
    all: Usage,
    /// A logical clock: the connection that read least recently has the least number.
    now: u64,
    /// Connections that have not read everything, by when they read last.
    unread: BTreeMap<u64, u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usage {
    subscriptions: usize,
    bytes: usize,
}

struct Connection {
    client: Client,
    bytes: usize,
    /// Its place in [`State::unread`].
    since: u64,
    cut: watch::Sender<bool>,
}

impl State {
    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    /// Notes that a connection has just read; it leaves `unread` when nothing is left to read.
    fn touch(&mut self, id: u64) {
        let now = self.tick();
        let Some(connection) = self.connections.get_mut(&id) else { return };
        self.unread.remove(&connection.since);
        if connection.bytes > 0 {
            connection.since = now;
            self.unread.insert(now, id);
        }
    }

    /// Cuts the slowest connection, of one client or of all.
    fn cut_slowest(&mut self, client: Option<Client>) -> bool {
        let of = |id: &u64| client.is_none_or(|client| self.connections[id].client == client);
        let Some(id) = self.unread.values().copied().find(|id| of(id)) else { return false };
        self.forget(id);
        true
    }

    /// Stops counting a connection's bytes, and tells its transport to end.
    fn forget(&mut self, id: u64) {
        let Some(connection) = self.connections.remove(&id) else { return };
        self.unread.remove(&connection.since);
        self.all.bytes -= connection.bytes;
        let usage = self.clients.entry(connection.client).or_default();
        usage.bytes -= connection.bytes;
        self.tidy(connection.client);
        connection.cut.send_replace(true);
    }

    /// Drops the entry of a client that has no subscriptions and holds nothing.
    fn tidy(&mut self, client: Client) {
        if self.clients.get(&client) == Some(&Usage::default()) {
            self.clients.remove(&client);
        }
    }
}

impl Subscribers {
    /// No subscribers yet.
    #[must_use]
    pub fn new(limits: SubscriberLimits) -> Arc<Self> {
        let turns = Arc::new(Semaphore::new(limits.events_made_max));
        Arc::new(Self { limits, state: Mutex::default(), turns })
    }

    /// A connection that may have subscriptions: a WebSocket, an event stream.
    #[must_use]
    pub fn connect(self: &Arc<Self>, client: Client) -> Arc<Seat> {
        let (cut, is_cut) = watch::channel(false);
        let mut state = self.state.lock();
        let id = state.tick();
        state.connections.insert(id, Connection { client, bytes: 0, since: id, cut });
        drop(state);
        Arc::new(Seat { subscribers: Arc::clone(self), id, client, is_cut })
    }

    /// Waits for a turn to make an event.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    /// Subscriptions that run, and bytes that are held for them.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        let all = self.state.lock().all;
        (all.subscriptions, all.bytes)
    }
}

/// A connection among those that have subscriptions.
pub struct Seat {
    subscribers: Arc<Subscribers>,
    id: u64,
    client: Client,
    is_cut: watch::Receiver<bool>,
}

impl Seat {
    /// Begins a subscription.
    ///
    /// # Errors
    /// There are too many, of this client or of all.
    pub fn subscribe(self: &Arc<Self>) -> Result<Subscribed, TooMany> {
        let limits = &self.subscribers.limits;
        let mut state = self.subscribers.state.lock();
        let of_client = state.clients.get(&self.client).map_or(0, |usage| usage.subscriptions);
        if of_client >= limits.subscriptions_by_client_max {
            return Err(TooMany::OfClient(of_client));
        }
        if state.all.subscriptions >= limits.subscriptions_max {
            return Err(TooMany::OfAll(state.all.subscriptions));
        }
        state.all.subscriptions += 1;
        state.clients.entry(self.client).or_default().subscriptions += 1;
        Ok(Subscribed(Arc::clone(self)))
    }

    /// Counts bytes that are held until the client has taken them. If they do not fit, the slowest
    /// connections are cut, possibly this one.
    #[must_use]
    pub fn hold(self: &Arc<Self>, bytes: usize) -> Hold {
        let limits = &self.subscribers.limits;
        let mut state = self.subscribers.state.lock();
        let state = &mut *state;
        let Some(connection) = state.connections.get_mut(&self.id) else {
            // It is being cut: what it holds does not count any more.
            return Hold { seat: Arc::clone(self), bytes: 0 };
        };
        let was_idle = connection.bytes == 0;
        connection.bytes += bytes;
        state.all.bytes += bytes;
        state.clients.entry(self.client).or_default().bytes += bytes;
        if was_idle {
            state.touch(self.id);
        }
        let of_client =
            |state: &State| state.clients.get(&self.client).map_or(0, |usage| usage.bytes);
        while of_client(state) > limits.bytes_by_client_max && state.cut_slowest(Some(self.client))
        {
        }
        while state.all.bytes > limits.bytes_max && state.cut_slowest(None) {}
        Hold { seat: Arc::clone(self), bytes }
    }

    /// Waits until the connection has to end because it is too slow.
    pub async fn cut(&self) {
        self.until_cut().await;
    }

    /// As [`Seat::cut`], without keeping the seat.
    pub fn until_cut(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut is_cut = self.is_cut.clone();
        async move {
            if is_cut.wait_for(|cut| *cut).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether it has to end.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        *self.is_cut.borrow()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.subscribers.state.lock().forget(self.id);
    }
}

/// A subscription that runs.
pub struct Subscribed(Arc<Seat>);

impl Drop for Subscribed {
    fn drop(&mut self) {
        let Seat { subscribers, client, .. } = &*self.0;
        let mut state = subscribers.state.lock();
        state.all.subscriptions -= 1;
        if let Some(usage) = state.clients.get_mut(client) {
            usage.subscriptions -= 1;
        }
        state.tidy(*client);
    }
}

/// Bytes that are held until a client has taken them.
pub struct Hold {
    seat: Arc<Seat>,
    bytes: usize,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Seat { subscribers, id, client, .. } = &*self.seat;
        let mut state = subscribers.state.lock();
        let state = &mut *state;
        let Some(connection) = state.connections.get_mut(id) else { return };
        connection.bytes -= self.bytes;
        state.all.bytes -= self.bytes;
        if let Some(usage) = state.clients.get_mut(client) {
            usage.bytes -= self.bytes;
        }
        state.touch(*id);
        state.tidy(*client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Client {
        Client::of(Some(address.parse().unwrap()))
    }

    fn subscribers() -> Arc<Subscribers> {
        Subscribers::new(SubscriberLimits {
            subscriptions_max: 5,
            subscriptions_by_client_max: 3,
            bytes_max: 100,
            bytes_by_client_max: 60,
            ..SubscriberLimits::default()
        })
    }

    #[test]
    fn clients_are_told_apart_by_address() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            assert_eq!(client(one) == client(other), same, "{one} {other}");
        }
    }

    #[test]
    fn subscriptions_are_bounded_by_client_and_in_all() {
        let subscribers = subscribers();
        let seats = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"]
            .map(|address| subscribers.connect(client(address)));
        let subscribe = |seat: usize| seats[seat].subscribe();
        let first: Vec<_> = [0, 0, 1].map(|seat| subscribe(seat).unwrap()).into();
        // Of another connection of the same client, too.
        assert_eq!(subscribe(1).err(), Some(TooMany::OfClient(3)));
        let _second = [2, 3].map(|seat| subscribe(seat).unwrap());
        assert_eq!(subscribe(3).err(), Some(TooMany::OfAll(5)));
        drop(first);
        assert_eq!(subscribers.held(), (2, 0));
        assert!(subscribe(0).is_ok());
    }

    #[test]
    fn the_connection_that_read_least_recently_goes_first() {
        let subscribers = subscribers();
        let [slow, reads, other, fourth] = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"]
            .map(|address| subscribers.connect(client(address)));
        let cut = || [&slow, &reads, &other, &fourth].map(|seat| seat.is_cut());
        let (_slow, first) = (slow.hold(20), reads.hold(20));
        drop((first, other.hold(30)));
        let second = reads.hold(30);
        assert_eq!((cut(), subscribers.held().1), ([false; 4], 50));
        // The client has more than it may.
        let third = reads.hold(15);
        assert_eq!((cut(), subscribers.held().1), ([true, false, false, false], 45));
        // All have more than they may: of those that hold something `reads` has waited longest.
        let _other = other.hold(50);
        let _fourth = fourth.hold(20);
        assert_eq!((cut(), subscribers.held().1), ([true, true, false, false], 70));
        // What they held is not counted twice when it goes, and nothing of them is held any more.
        drop((second, third, slow.hold(1000)));
        assert_eq!((cut(), subscribers.held().1), ([true, true, false, false], 70));
    }

    #[test]
    fn an_event_larger_than_the_budget_ends_its_own_connection() {
        let subscribers = subscribers();
        let seat = subscribers.connect(client("192.0.2.1"));
        let hold = seat.hold(61);
        assert!(seat.is_cut());
        drop((hold, seat));
        assert_eq!(subscribers.held(), (0, 0));
        assert!(subscribers.state.lock().clients.is_empty());
    }
}
