//! What one read may take: bytes of a page, and time when nobody waits.

use std::time::Instant;

use spoor_operators::request::Request;
use spoor_operators::session::Session;
use spoor_operators::time::EventTime;

use super::{Commit, DAY, Fed, Spec, assign};
use crate::limits::PAGE_BYTES_MAX;
use spoor_api::patience::Patience;
use spoor_api::query::{Cursor, Filter, Order, RequestQuery, SessionQuery, Statistic};
use spoor_api::service::{ServiceError, View};

/// Requests of so many sessions, each with a user agent so long that four fill a page.
fn large(sessions: usize, of_each: usize) -> Fed {
    let mut fed = Fed::new();
    let agent = "x".repeat(PAGE_BYTES_MAX / 4);
    for session in 0..sessions {
        for number in 0..of_each {
            let mut request = Request {
                id: format!("{session}-{number}").into(),
                explicit_id: true,
                ts: EventTime(DAY * 86_400_000 + (session * 60_000 + number) as i64),
                method: "GET".into(),
                path: "/".into(),
                user_agent: agent.clone().into(),
                ..Request::default()
            };
            let value = format!("s{session}");
            request.request.headers.push(("x-session-id".into(), value.into()));
            fed.feed_assigned(assign(&fed.compiled.clone(), request));
        }
    }
    fed
}

#[test]
fn a_page_of_large_sessions_is_short_and_says_that_more_follow() {
    let fed = large(10, 1);
    let view = fed.view();
    for (by, count) in
        [(Statistic::Start, false), (Statistic::Start, true), (Statistic::End, false)]
    {
        let order = Order { by, descending: true };
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let query = SessionQuery { filter: Filter::all(), order, first: 100, after, count };
            let page = view.sessions(&query).unwrap();
            let bytes: usize = page.sessions.iter().map(|session| row_bytes(session)).sum();
            assert!(page.sessions.len() == 1 || bytes <= PAGE_BYTES_MAX, "{bytes}");
            assert!(!page.sessions.is_empty() && page.sessions.len() < 10);
            after = page.sessions.last().map(|last| Cursor { value: by.of(last), id: last.id() });
            seen.extend(page.sessions.iter().map(|session| session.start));
            if !page.has_next {
                break;
            }
        }
        // All of them, once, in the order.
        let mut expected: Vec<_> = fed.sessions.values().map(|session| session.start).collect();
        expected.sort_by_key(|start| std::cmp::Reverse(*start));
        assert_eq!(seen, expected, "{order:?}");
    }
}

fn row_bytes(session: &Session) -> usize {
    let mut row = Vec::new();
    session.encode(&mut row);
    row.len()
}

#[test]
fn a_page_of_large_requests_is_short_and_says_that_more_follow() {
    let fed = large(1, 10);
    let view = fed.view();
    let session = fed.sessions.values().next().unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let query = RequestQuery { first: 100, after, ..RequestQuery::default() };
        let page = view.requests(session, &query).unwrap();
        let bytes: usize = page.requests.iter().map(|request| request.stored.len()).sum();
        assert!(page.requests.len() == 1 || bytes <= PAGE_BYTES_MAX, "{bytes}");
        assert_eq!(page.total, 10);
        let ids = page.requests.iter().map(|request| {
            let request = Request::decode(&request.stored).unwrap();
            (request.ts, request.id.into_owned())
        });
        seen.extend(ids);
        after = seen.last().cloned();
        if !page.has_next {
            break;
        }
    }
    let expected: Vec<_> = (0..10).map(|number| format!("0-{number}")).collect();
    assert_eq!(seen.into_iter().map(|(_, id)| id).collect::<Vec<_>>(), expected);
}

/// Something that is read.
type Read<'a> = &'a dyn Fn() -> Result<(), ServiceError>;

#[test]
fn a_read_that_nobody_waits_for_is_given_up() {
    let mut fed = Fed::new();
    let spec = |identity| Spec { identity, minute: 10, status: 200, ..Spec::default() };
    fed.feed_with(&(0..6).map(spec).collect::<Vec<_>>(), &[], Commit::default());
    let view = fed.view();
    let session = fed.sessions.values().next().unwrap();
    let counting =
        SessionQuery { filter: Filter::all(), count: true, ..listing(Statistic::Requests) };
    let reads: [(&str, Read<'_>); 4] = [
        ("an order", &|| view.sessions(&counting).map(drop)),
        ("a page", &|| view.sessions(&listing(Statistic::Start)).map(drop)),
        ("requests", &|| {
            view.requests(session, &RequestQuery { first: 1, ..RequestQuery::default() }).map(drop)
        }),
        ("an identity", &|| view.identity(session.identity.id).map(drop)),
    ];
    for (name, read) in reads {
        let patience = Patience::new();
        assert_eq!(patience.clone().while_waiting(read), Ok(()), "{name}");
        patience.end();
        assert_eq!(patience.while_waiting(read), Err(ServiceError::Unwanted), "{name}");
        assert_eq!(
            Patience::until(Instant::now()).while_waiting(|| (0..500).try_for_each(|_| read())),
            Err(ServiceError::Unwanted),
            "{name}"
        );
        assert_eq!(read(), Ok(()), "{name}");
    }
}

fn listing(by: Statistic) -> SessionQuery {
    let order = Order { by, descending: true };
    SessionQuery { filter: Filter::all(), order, first: 10, after: None, count: false }
}
