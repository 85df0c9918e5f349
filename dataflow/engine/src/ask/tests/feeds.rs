//! What a subscriber folds of what it is told is what a query answers, however often it goes away
//! and resumes.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use spoor_operators::identity::{IdentityId, SessionId};
use spoor_operators::session::Session;
use tokio::runtime::{Builder, Runtime};

use super::{Cluster, Happening, Process, some_requests, spec};
use crate::feed::EngineFeed;
use crate::limits::{FEED_EPOCHS_MAX, FEED_EVENT_BYTES_MAX};
use spoor_api::lineage::EpochToken;
use spoor_api::query::{Filter, Order, SessionQuery};
use spoor_api::service::{ChangeFeed, Changes, ChangesQuery, Event};
use spoor_store::testing::cases::{epochs, filter};

/// More sessions than a case has.
const ALL: usize = 1_000;

/// A client of one process.
struct Client {
    feed: EngineFeed,
    filter: Filter,
    changes: Box<dyn Changes>,
    runtime: Runtime,
    known: BTreeMap<SessionId, Arc<Session>>,
    /// What it would resume from.
    token: Option<EpochToken>,
    snapshots: usize,
    events: usize,
}

impl Client {
    fn of(process: &Process, filter: Filter) -> Self {
        let feed = EngineFeed(Arc::clone(&process.context.serving));
        let changes = feed.session_changes(ChangesQuery::of(filter.clone(), ALL)).unwrap();
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let (known, token) = (BTreeMap::new(), None);
        Self { feed, filter, changes, runtime, known, token, snapshots: 0, events: 0 }
    }

    /// Takes what there is to be told.
    fn take(&mut self) {
        let Some(event) = self.runtime.block_on(self.changes.take()).unwrap() else { return };
        self.token = Some(self.feed.lineage().token(event.epoch()));
        self.events += 1;
        match event {
            Event::Snapshot { sessions, truncated, .. } => {
                assert!(!truncated);
                self.snapshots += 1;
                self.known = sessions.into_iter().map(|session| (session.id(), session)).collect();
            }
            Event::Changes { added, updated, removed, .. } => {
                removed.iter().for_each(|id| drop(self.known.remove(id)));
                let all = added.into_iter().chain(updated);
                self.known.extend(all.map(|session| (session.id(), session)));
            }
            Event::Progress { .. } => {}
        }
    }

    /// Goes away, and comes back with what it knew when it was told something last.
    fn resume(&mut self) {
        let query = ChangesQuery::of(self.filter.clone(), ALL);
        let query = ChangesQuery { since: self.token, ..query };
        self.changes = self.feed.session_changes(query).unwrap();
    }

    fn check(&self, cluster: &Cluster) {
        let (filter, order) = (self.filter.clone(), Order::default());
        let query = SessionQuery { filter, order, first: ALL, after: None, count: false };
        let found = cluster.whole.view().sessions(&query).unwrap().sessions;
        let found: BTreeMap<_, _> = found.into_iter().map(|found| (found.id(), found)).collect();
        assert_eq!(self.known, found, "{:?}", self.filter);
    }
}

fn mentions_open(filter: &Filter) -> bool {
    match filter {
        Filter::And(all) | Filter::Or(all) => all.iter().any(mentions_open),
        Filter::Not(filter) => mentions_open(filter),
        Filter::Open(_) => true,
        _ => false,
    }
}

/// That a session closes because time passes is not told.
fn told_filter() -> impl Strategy<Value = Filter> {
    filter().prop_filter("judged when a session changes", |filter| !mentions_open(filter))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_folded_subscription_is_what_a_query_answers(
        first in epochs(),
        second in epochs(),
        processes in 1..4_usize,
        filters in prop::collection::vec(told_filter(), 6),
        // What each client does after an epoch: nothing, it looks, it resumes and looks.
        does in prop::collection::vec(0..4_u8, 64),
    ) {
        let mut cluster = Cluster::of(processes);
        let mut clients: Vec<Client> = filters
            .into_iter()
            .chain([Filter::all()])
            .enumerate()
            .map(|(number, filter)| Client::of(&cluster.processes[number % processes], filter))
            .collect();
        let mut does = does.into_iter().cycle();
        for (specs, remove) in first.into_iter().chain(second) {
            cluster.feed(Happening { specs, remove, ..Happening::default() });
            for client in &mut clients {
                match does.next().expect("a cycle") {
                    0 => {}
                    1 => {
                        client.resume();
                        client.take();
                        client.check(&cluster);
                    }
                    _ => {
                        client.take();
                        client.check(&cluster);
                    }
                }
            }
        }
        for client in &mut clients {
            client.take();
            client.check(&cluster);
        }
    }
}

#[test]
fn a_quiet_subscriber_is_told_how_far_it_is_before_that_is_forgotten() {
    for processes in [1, 3] {
        let mut cluster = Cluster::of(processes);
        cluster.feed(some_requests(0));
        let busy = Filter::Identity(IdentityId::of("session-id", "s1", ""));
        let mut client = Client::of(&cluster.processes[0], Filter::Not(Box::new(busy)));
        client.take();
        let first = client.token;
        for minute in 0..4 * FEED_EPOCHS_MAX as i64 {
            let specs = vec![spec(1, minute % 20)];
            cluster.feed(Happening { specs, ..Happening::default() });
            client.take();
        }
        assert!((2..=32).contains(&client.events), "{} events for nothing", client.events);
        client.resume();
        client.take();
        assert_eq!(client.snapshots, 1, "what it resumed from was forgotten");
        client.check(&cluster);
        // What it was told first is forgotten by now.
        client.token = first;
        client.resume();
        client.take();
        assert_eq!(client.snapshots, 2);
    }
}

#[test]
fn a_snapshot_has_as_many_sessions_as_fit() {
    let mut cluster = Cluster::of(2);
    for minute in 0..40 {
        let specs = (0..20).map(|identity| spec(identity, minute * 40)).collect();
        cluster.feed(Happening { specs, ..Happening::default() });
    }
    let bytes: usize = cluster.whole.fed.sessions.values().map(|one| one.memory_bytes()).sum();
    assert!(bytes > FEED_EVENT_BYTES_MAX, "{bytes} bytes are too few for this test");
    let feed = EngineFeed(Arc::clone(&cluster.processes[1].context.serving));
    let mut changes = feed.session_changes(ChangesQuery::of(Filter::all(), ALL)).unwrap();
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let event = runtime.block_on(changes.take()).unwrap().unwrap();
    let Event::Snapshot { sessions, truncated: true, .. } = event else { panic!("{event:?}") };
    let told: usize = sessions.iter().map(|session| session.memory_bytes()).sum();
    assert!((FEED_EVENT_BYTES_MAX / 2..=FEED_EVENT_BYTES_MAX).contains(&told), "{told}");
    let query = SessionQuery {
        filter: Filter::all(),
        order: Order::default(),
        first: sessions.len(),
        after: None,
        count: false,
    };
    assert_eq!(sessions, cluster.whole.view().sessions(&query).unwrap().sessions);
}
