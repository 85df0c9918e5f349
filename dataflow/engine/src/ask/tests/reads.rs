//! A cluster answers every question as one process with everything does.

use proptest::prelude::*;
use spoor_operators::session::Session;
use spoor_operators::time::{Epoch, EventTime};
use std::sync::Arc;

use super::{Cluster, Happening, some_requests};
use crate::ask::export;
use crate::feed;
use spoor_api::query::{
    Cursor, DeadLetter, Filter, Order, RequestQuery, SessionQuery, SourceStatus, Statistic,
};
use spoor_api::service::View;
use spoor_store::testing::DAY;
use spoor_store::testing::cases::{EpochSpec, epochs, filter, instant, statistic};

/// All pages of a question: sessions, page ends, totals.
fn walk(view: &dyn View, query: &SessionQuery) -> (Vec<Arc<Session>>, Vec<String>) {
    let (mut query, mut found, mut pages) = (query.clone(), Vec::new(), Vec::new());
    loop {
        let page = view.sessions(&query).unwrap();
        pages.push(format!("{} {} {:?}", page.sessions.len(), page.has_next, page.total));
        found.extend(page.sessions);
        let Some(last) = found.last().filter(|_| page.has_next && query.first > 0) else { break };
        query.after = Some(Cursor { value: query.order.by.of(last), id: last.id() });
    }
    (found, pages)
}

/// Everything that can be asked of the sessions there are.
fn check_sessions(cluster: &Cluster, view: &dyn View) {
    let whole = cluster.whole.view();
    for session in cluster.whole.fed.sessions.values() {
        let id = session.identity.id;
        assert_eq!(view.session(session.id()).unwrap().as_ref(), Some(session));
        assert_eq!(view.identity(id).unwrap(), Some(Arc::clone(&session.identity)));
        assert_eq!(view.continues(session).unwrap(), whole.continues(session).unwrap());
        assert_eq!(view.closes_at(session), whole.closes_at(session));
        let query = RequestQuery { first: 2, ..RequestQuery::default() };
        let (found, expected) =
            (view.requests(session, &query).unwrap(), whole.requests(session, &query).unwrap());
        assert_eq!(format!("{found:?}"), format!("{expected:?}"));
    }
}

/// All dead letters, page by page, without what only one process knows.
fn letters(view: &dyn View, first: usize) -> Vec<(u64, Epoch, Vec<u8>)> {
    let (mut found, mut before) = (Vec::<DeadLetter>::new(), None);
    loop {
        let page = view.dead_letters(first, before).unwrap();
        found.extend(page.letters);
        assert_eq!(page.has_next, (found.len() as u64) < page.total);
        if !page.has_next {
            break;
        }
        before = found.last().map(DeadLetter::place);
    }
    found.into_iter().map(|letter| (letter.offset, letter.epoch, letter.raw)).collect()
}

fn check_status(cluster: &Cluster, view: &dyn View) {
    let (found, expected) = (view.status().unwrap(), cluster.whole.view().status().unwrap());
    assert_eq!(
        (found.epoch, found.sessions, found.requests, found.open_sessions, found.watermark),
        (
            expected.epoch,
            expected.sessions,
            expected.requests,
            expected.open_sessions,
            expected.watermark
        ),
    );
    let count = cluster.processes.len();
    assert_eq!(found.workers, expected.workers * count);
    assert_eq!(found.hot_budget_bytes, expected.hot_budget_bytes * count as u64);
    let numbers: Vec<_> = found.processes.iter().map(|process| process.process).collect();
    assert_eq!(numbers, (0..count as u32).collect::<Vec<_>>());
    assert!(found.processes.iter().all(|process| process.epoch == cluster.epoch));
    let sessions: u64 = found.processes.iter().map(|process| process.sessions).sum();
    assert_eq!(sessions, found.sessions);
    let pushed = |sources: &[SourceStatus]| sources.iter().find(|s| s.source == "push").cloned();
    let (pushed, expected) = (pushed(&found.sources).unwrap(), pushed(&expected.sources).unwrap());
    assert_eq!((pushed.counts, pushed.offset), (expected.counts, 10 * count as u64));
    assert_eq!(found.sources.len(), count + 1);
}

fn check_overview(cluster: &Cluster, view: &dyn View, range: (Option<i64>, Option<i64>, u32)) {
    let at = |minute: i64| EventTime(minute * 60_000);
    let (from, until, step) = (range.0.map(at), range.1.map(at), range.2);
    let expected = cluster.whole.view().overview(from, until, Some(step)).unwrap();
    assert_eq!(view.overview(from, until, Some(step)).unwrap(), expected);
}

/// What a subscriber is told, whatever it was told of before.
fn check_changes(cluster: &Cluster, filter: &Filter) {
    for told in (0..=cluster.epoch).map(|epoch| Some(Epoch(epoch))).chain([None]) {
        let whole = feed::look(&cluster.whole.context.serving, filter, told, 3).unwrap();
        for process in &cluster.processes {
            let found = feed::look(&process.context.serving, filter, told, 3).unwrap();
            assert_eq!(format!("{found:?}"), format!("{whole:?}"), "{told:?}");
        }
        assert_eq!(whole.epoch(), Epoch(cluster.epoch));
    }
}

fn exported(cluster: &Cluster, process: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let context = match cluster.processes.get(process) {
        Some(process) => &process.context.serving,
        None => &cluster.whole.context.serving,
    };
    let mut lines = Vec::new();
    let mut visit = |key: bytes::Bytes, line: bytes::Bytes| {
        lines.push((key.to_vec(), line.to_vec()));
        Ok(())
    };
    export::export(context, true, &mut visit).unwrap();
    lines.sort();
    lines
}

type Rest = (Vec<usize>, Vec<(i64, u8, i64, i64)>);

fn happening((specs, remove): EpochSpec, (letters, totals): Rest) -> Happening {
    Happening { specs, remove, letters, totals, watermark: None }
}

fn rest() -> impl Strategy<Value = Rest> {
    let totals = (0..30_i64, 0..3_u8, 0..9_i64, -5..5_i64);
    (prop::collection::vec(0..3_usize, 0..7), prop::collection::vec(totals, 0..9))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn a_cluster_answers_as_one_process_that_has_everything(
        epochs in epochs(),
        rests in prop::collection::vec(rest(), 4),
        count in 2..4_usize,
        queries in prop::collection::vec(
            (filter(), statistic(), any::<bool>(), 0..6_usize, any::<bool>()), 16,
        ),
        overviews in prop::collection::vec(
            (prop::option::of(0..40_i64), prop::option::of(0..40_i64), 1..9_u32), 4,
        ),
        letters_first in 1..5_usize,
        watermark in prop::option::of(instant()),
    ) {
        let mut cluster = Cluster::of(count);
        for (epoch, rest) in epochs.into_iter().zip(rests) {
            cluster.feed(Happening { watermark, ..happening(epoch, rest) });
        }
        let whole = cluster.whole.view();
        for process in &cluster.processes {
            let view = process.view();
            prop_assert_eq!(view.epoch(), Epoch(cluster.epoch));
            prop_assert_eq!(view.watermark(), whole.watermark());
            check_sessions(&cluster, &*view);
            check_status(&cluster, &*view);
            prop_assert_eq!(letters(&*view, letters_first), letters(&*whole, letters_first));
            for (filter, by, descending, first, count) in &queries {
                let order = Order { by: *by, descending: *descending };
                let filter = filter.clone();
                let query = SessionQuery { filter, order, first: *first, after: None, count: *count };
                prop_assert_eq!(walk(&*view, &query), walk(&*whole, &query), "{:?}", query);
            }
            for range in &overviews {
                check_overview(&cluster, &*view, *range);
            }
        }
        for (filter, ..) in queries.iter().take(4) {
            check_changes(&cluster, filter);
        }
        let lines = exported(&cluster, usize::MAX);
        prop_assert_eq!(lines.len(), cluster.whole.fed.sessions.len());
        for process in 0..count {
            prop_assert_eq!(&exported(&cluster, process), &lines);
        }
    }
}

#[test]
fn an_overview_has_no_more_steps_than_one_process_allows() {
    let mut cluster = Cluster::of(2);
    let totals = |from: i64| (from..from + 6000).map(|minute| (minute, 0, 1, 0)).collect();
    for from in [0, 6000] {
        cluster.feed(Happening { totals: totals(from), ..Happening::default() });
    }
    for process in &cluster.processes {
        let error = process.view().overview(None, None, Some(1)).unwrap_err().to_string();
        assert!(error.contains("more than 10000 steps"), "{error}");
        assert_eq!(process.view().overview(None, None, Some(2)).unwrap().series.len(), 6000);
    }
}

#[test]
fn every_order_walks_through_all_sessions() {
    use Statistic::*;
    let mut cluster = Cluster::of(3);
    cluster.feed(some_requests(0));
    cluster.feed(some_requests(700));
    for by in [
        Start,
        End,
        DurationMs,
        Requests,
        Errors,
        ServerErrors,
        Detections,
        Malicious,
        Blocked,
        RequestBytes,
        ResponseBytes,
        DurationSumMs,
        DurationMaxMs,
        DurationP50Ms,
        DurationP95Ms,
        DurationP99Ms,
        Ips,
        Endpoints,
        Users,
        Shadow,
        Zombie,
    ] {
        for (descending, first) in [(false, 3), (true, 7)] {
            let order = Order { by, descending };
            let query =
                SessionQuery { filter: Filter::all(), order, first, after: None, count: true };
            let (found, pages) = walk(&*cluster.processes[1].view(), &query);
            assert_eq!((found, pages), walk(&*cluster.whole.view(), &query), "{order:?}");
        }
    }
    assert!(cluster.whole.fed.sessions.values().all(|session| i64::from(session.day.0) >= DAY));
}
