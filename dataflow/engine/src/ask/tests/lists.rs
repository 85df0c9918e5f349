//! The epoch of a list is kept while it is read on, in every process of a cluster and in one alone.

use super::{Cluster, Happening, shown, some_requests};
use crate::limits::{LIST_WRITTEN_BYTES, LISTS_KEPT_MAX, VIEWS_KEPT_MAX};
use spoor_api::query::{Filter, Order, SessionQuery, Statistic};
use spoor_api::service::{Services, View};
use spoor_operators::time::Epoch;

/// Everything, by number of requests.
fn everything(view: &dyn View) -> String {
    let order = Order { by: Statistic::Requests, descending: true };
    let query = SessionQuery { filter: Filter::all(), order, first: 50, after: None, count: true };
    shown(view.sessions(&query))
}

/// What is read at an epoch, as it is or because it is gone.
fn at(services: &Services, epoch: Epoch) -> Option<String> {
    let view = services.reader.view_at(epoch).ok()?;
    let found = everything(&*view);
    (!found.contains("Gone")).then_some(found)
}

fn go_on(cluster: &mut Cluster, epochs: usize) {
    for _ in 0..epochs {
        let minute = cluster.epoch as i64;
        cluster.feed(some_requests(minute));
    }
}

#[test]
fn the_epoch_of_a_list_is_kept_and_that_of_others_is_not() {
    for processes in 1..=3 {
        let mut cluster = Cluster::of(processes);
        cluster.feed(some_requests(0));
        let begun = cluster.processes[0].view();
        let (epoch, expected) = (begun.epoch(), everything(&*begun));
        begun.keep_for_list();
        drop(begun);
        for process in &cluster.processes {
            // The others are told, and nobody waits for their answer.
            while process.context.serving.lists.find(epoch).is_none() {
                std::thread::yield_now();
            }
        }
        go_on(&mut cluster, 1);
        let other = cluster.processes[0].view().epoch();
        go_on(&mut cluster, VIEWS_KEPT_MAX + 2);
        for process in &cluster.processes {
            assert_eq!(at(&process.services, epoch), Some(expected.clone()));
            assert_eq!(at(&process.services, other), None, "nobody reads a list at it");
            let newest = process.view();
            assert_eq!(at(&process.services, newest.epoch()), Some(everything(&*newest)));
        }
        assert_eq!(at(&cluster.processes[0].services, Epoch(0)), None);
    }
}

#[test]
fn few_are_kept_and_those_that_are_read_on_longest() {
    let mut cluster = Cluster::of(1);
    let mut keep = |times: usize| {
        cluster.feed(some_requests(0));
        let process = &cluster.processes[0];
        let view = process.view();
        (0..times).for_each(|_| view.keep_for_list());
        (process.services.clone(), view.epoch())
    };
    let (services, read_on) = keep(2);
    let begun: Vec<_> = (0..LISTS_KEPT_MAX + 1).map(|_| keep(1).1).collect();
    keep(0);
    assert!(at(&services, read_on).is_some());
    let kept = begun.iter().filter(|epoch| at(&services, **epoch).is_some()).count();
    assert_eq!(kept, LISTS_KEPT_MAX - 1);
    assert!(at(&services, begun[LISTS_KEPT_MAX]).is_some(), "the newest of them");
}

#[test]
fn much_that_is_written_ends_a_list() {
    let mut cluster = Cluster::of(1);
    cluster.feed(some_requests(0));
    let view = cluster.processes[0].view();
    view.keep_for_list();
    let (epoch, services) = (view.epoch(), cluster.processes[0].services.clone());
    drop(view);
    let store = cluster.processes[0].fed.store.clone();
    let begin = store.written_bytes();
    while store.written_bytes() - begin <= LIST_WRITTEN_BYTES {
        assert!(at(&services, epoch).is_some(), "after {} bytes", store.written_bytes() - begin);
        let letters = vec![0; 2_000];
        cluster.feed(Happening { letters, ..Happening::default() });
    }
    assert_eq!(at(&services, epoch), None);
}
