//! What a client is told when another process is slow, ahead, behind or gone.

use std::sync::Arc;
use std::time::Instant;

use super::{Cluster, Happening, Mood, shown, some_requests};
use crate::ask::wire::{self, Question};
use crate::ask::{Answerer, LEADER};
use crate::feed::EngineFeed;
use crate::limits::{ANSWER_WAIT, VIEWS_KEPT_MAX};
use spoor_api::query::{Filter, Order, SessionPage, SessionQuery};
use spoor_api::service::{ChangeFeed, ChangesQuery, Event, ServiceError};
use spoor_operators::identity::SessionId;
use spoor_operators::time::Epoch;

fn all() -> SessionQuery {
    let order = Order::default();
    SessionQuery { filter: Filter::all(), order, first: 100, after: None, count: true }
}

fn fed(count: usize) -> Cluster {
    let mut cluster = Cluster::of(count);
    cluster.feed(some_requests(0));
    cluster
}

#[test]
fn a_process_that_says_nothing_is_named_after_a_while() {
    let cluster = fed(3);
    let (view, begun) = (cluster.processes[0].view(), Instant::now());
    cluster.mood(2, Mood::Silent);
    assert_eq!(view.sessions(&all()).unwrap_err(), ServiceError::Unanswered(2));
    assert!(begun.elapsed() >= ANSWER_WAIT);
    // Who is not asked need not answer.
    let owned = |id: &SessionId| usize::from(id.identity.partition()) % 3 == 1;
    let id = cluster.whole.fed.sessions.keys().copied().find(owned).unwrap();
    assert!(view.session(id).unwrap().is_some());
    let named = SessionQuery { filter: Filter::Identity(id.identity), ..all() };
    assert_eq!(view.sessions(&named).unwrap().total, Some(1));
    cluster.mood(2, Mood::Answers);
    assert!(view.sessions(&all()).is_ok());
}

#[test]
fn when_the_cluster_stops_reads_say_so() {
    let cluster = fed(2);
    let view = cluster.processes[1].view();
    cluster.mood(LEADER, Mood::Gone);
    assert_eq!(view.sessions(&all()).unwrap_err(), ServiceError::Stopped);
    assert_eq!(cluster.processes[1].services.reader.view().err(), Some(ServiceError::Stopped));
    cluster.mood(LEADER, Mood::Answers);
    cluster.processes[LEADER].context.fate.fail("a disk is full".into());
    assert_eq!(view.sessions(&all()).unwrap_err(), ServiceError::Stopped);
    assert_eq!(cluster.processes[1].services.reader.view().err(), Some(ServiceError::Stopped));
}

#[test]
fn a_view_nothing_was_taken_from_moves_on_when_its_epoch_is_forgotten() {
    let mut cluster = fed(3);
    let (begun, told) = (cluster.processes[1].view(), cluster.processes[1].view());
    let first = told.epoch();
    for minute in 1..=VIEWS_KEPT_MAX as i64 + 1 {
        cluster.feed(some_requests(minute));
    }
    let expected = cluster.whole.view().sessions(&all());
    assert_eq!(shown(begun.sessions(&all())), shown(expected));
    assert_eq!(begun.epoch(), Epoch(cluster.epoch));
    assert_eq!(told.sessions(&all()).unwrap_err(), ServiceError::Gone(first.0));
    assert_eq!(told.status().unwrap_err(), ServiceError::Gone(first.0));
}

#[test]
fn a_view_stays_at_its_epoch_while_others_go_on() {
    let mut cluster = fed(2);
    let views: Vec<_> = cluster.processes.iter().map(super::Process::view).collect();
    let expected = shown(cluster.whole.view().sessions(&all()));
    let epochs: Vec<_> = views.iter().map(|view| view.epoch()).collect();
    for minute in 1..=VIEWS_KEPT_MAX as i64 {
        cluster.feed(some_requests(minute));
        for view in &views {
            assert_eq!(shown(view.sessions(&all())), expected);
        }
    }
    assert_eq!(epochs, vec![Epoch(1); 2]);
}

#[test]
fn a_process_waits_for_an_epoch_the_leader_shows_already() {
    let mut cluster = fed(3);
    let changes = cluster.commit(some_requests(5));
    cluster.publish(LEADER, changes[0].clone());
    let view = cluster.processes[LEADER].view();
    assert_eq!(view.epoch(), Epoch(2));
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| view.sessions(&all()));
        cluster.publish(1, changes[1].clone());
        cluster.publish(2, changes[2].clone());
        let sessions = cluster.whole.fed.sessions.len() as u64;
        assert_eq!(reading.join().unwrap().unwrap().total, Some(sessions));
    });
    cluster.commit(Happening::default());
    cluster.publish(LEADER, Vec::new());
    let ahead = cluster.processes[LEADER].view();
    assert_eq!(ahead.sessions(&all()).unwrap_err(), ServiceError::NotYet(3));
    // The leader names it to the others too, who do not have it either.
    let view = cluster.processes[1].services.reader.view();
    assert_eq!(view.err(), Some(ServiceError::NotYet(3)));
}

#[test]
fn a_question_that_is_not_understood_is_answered_with_that() {
    let cluster = fed(2);
    let desks = cluster.net.desks.get().unwrap();
    let good = wire::encode(&Question::Newest).unwrap();
    for question in [vec![], vec![250], [&good[..], &[1]].concat()] {
        let (answer, answered) = crossbeam_channel::bounded(1);
        desks[1].handle(0, question, Box::new(move |bytes| answer.send(bytes).unwrap()));
        let answer = answered.recv().unwrap();
        let answer: Result<SessionPage, ServiceError> = wire::decode(&answer).unwrap();
        assert!(matches!(answer, Err(ServiceError::Peer { process: 1, .. })), "{answer:?}");
    }
}

#[test]
fn a_subscriber_is_told_of_the_changes_of_all_processes() {
    let mut cluster = fed(3);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let feed = EngineFeed(Arc::clone(&cluster.processes[2].context.serving));
    let mut changes = feed.session_changes(ChangesQuery::of(Filter::all(), 100)).unwrap();
    let mut next = || runtime.block_on(changes.next());
    let Some(Ok(Event::Snapshot { epoch, sessions, truncated: false })) = next() else { panic!() };
    assert_eq!((epoch, sessions.len()), (Epoch(1), cluster.whole.fed.sessions.len()));
    // An epoch without changes is not told.
    cluster.feed(Happening::default());
    cluster.feed(some_requests(1));
    let Some(Ok(Event::Changes { epoch, added, updated, removed })) = next() else { panic!() };
    assert_eq!(epoch, Epoch(3));
    assert_eq!((added.len(), removed.len()), (0, 0));
    assert_eq!(updated, cluster.whole.fed.sessions.values().cloned().collect::<Vec<_>>());
    // Everything stops.
    cluster.mood(0, Mood::Gone);
    cluster.feed(some_requests(2));
    assert!(next().is_none());
}

#[test]
fn a_subscriber_to_one_identity_needs_its_owner_only() {
    let mut cluster = fed(3);
    let owned = |id: &SessionId| usize::from(id.identity.partition()) % 3 == 1;
    let id = cluster.whole.fed.sessions.keys().copied().find(owned).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let feed = EngineFeed(Arc::clone(&cluster.processes[0].context.serving));
    cluster.mood(2, Mood::Silent);
    let filter = Filter::Identity(id.identity);
    let mut changes = feed.session_changes(ChangesQuery::of(filter, 100)).unwrap();
    let mut next = || runtime.block_on(changes.next());
    let Some(Ok(Event::Snapshot { sessions, .. })) = next() else { panic!() };
    assert!(!sessions.is_empty());
    cluster.feed(some_requests(1));
    let Some(Ok(Event::Changes { epoch, added, updated, .. })) = next() else { panic!() };
    assert_eq!((epoch, added.len()), (Epoch(2), 0));
    assert!(updated.iter().any(|session| session.id() == id));
    assert!(updated.iter().all(|session| session.identity.id == id.identity));
}

#[test]
fn a_question_for_a_stopped_engine_is_answered() {
    let mut cluster = fed(2);
    drop(cluster.processes.pop());
    let view = cluster.processes[0].view();
    assert_eq!(view.sessions(&all()).unwrap_err(), ServiceError::Stopped);
}
