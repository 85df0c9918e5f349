//! Every kind of question, compared with an evaluation over a list that knows no index.

use std::cmp::Ordering;
use std::sync::Arc;

use proptest::prelude::*;
use spoor_operators::facts::Field;
use spoor_operators::identity::{IdentityId, SessionId};
use spoor_operators::request::Request;
use spoor_operators::session::Session;
use spoor_operators::time::EventTime;

use super::cases::{epochs, filter, group, instant, spec, statistic};
use super::{Commit, Fed, closes_at};
use spoor_api::query::{
    Cursor, Filter, Order, RequestFilter, RequestQuery, SessionQuery, Statistic, StatusClass,
};
use spoor_api::service::View;

/// The naive meaning of a group, read off the record itself.
fn holds_on(group: &RequestFilter, request: &Request<'_>) -> bool {
    let value = |field: Field| match field {
        Field::App => vec![request.app.to_string()],
        Field::Endpoint => vec![format!("{} {}", request.method, request.path)],
        Field::Status if request.status > 0 => vec![request.status.to_string()],
        Field::Ip => vec![request.ip.to_string()],
        Field::UserAgent => vec![request.user_agent.to_string()],
        Field::Attack => request.attacks.iter().map(|attack| attack.kind.to_string()).collect(),
        _ => Vec::new(),
    };
    let agent = request.user_agent.to_lowercase();
    let ip: std::net::IpAddr = request.ip.parse().unwrap();
    let classes = &group.status_classes;
    let class = match request.status {
        0 => StatusClass::NoResponse,
        status => StatusClass::Hundreds((status / 100) as u8),
    };
    (group.ids.is_empty() || group.ids.iter().any(|id| request.id == *id))
        && group
            .fields
            .iter()
            .all(|(field, texts)| value(*field).iter().any(|value| texts.contains(value)))
        && (classes.is_empty() || classes.contains(&class))
        && (group.networks.is_empty() || group.networks.iter().any(|net| net.contains(&ip)))
        && group
            .user_agent_contains
            .as_ref()
            .is_none_or(|part| agent.contains(&part.to_lowercase()))
        && group.malicious.is_none_or(|some| request.attacks.is_empty() != some)
        && group.blocked.is_none_or(|blocked| request.blocked == blocked)
        && group.from.is_none_or(|from| request.ts >= from)
        && group.until.is_none_or(|until| request.ts < until)
}

/// The naive meaning of a filter.
fn holds(fed: &Fed, filter: &Filter, session: &Session, watermark: Option<EventTime>) -> bool {
    let requests = || fed.requests_of(session);
    match filter {
        Filter::And(all) => all.iter().all(|filter| holds(fed, filter, session, watermark)),
        Filter::Or(any) => any.iter().any(|filter| holds(fed, filter, session, watermark)),
        Filter::Not(inner) => !holds(fed, inner, session, watermark),
        Filter::Time { from, until } => {
            from.is_none_or(|from| session.end >= from)
                && until.is_none_or(|until| session.start < until)
        }
        Filter::Identity(id) => session.identity.id == *id,
        Filter::Namespace(name) => *session.identity.namespace == **name,
        Filter::Value(value) => *session.identity.value == **value,
        Filter::Session(id) => session.identity.id == id.identity && session.contains(id.start),
        Filter::Request(group) => requests().iter().any(|request| holds_on(group, request)),
        Filter::Open(open) => watermark.is_none_or(|at| at < closes_at(session)) == *open,
        Filter::Weak(weak) => session.identity.weak == *weak,
        Filter::Malicious(some) => requests().iter().any(|r| !r.attacks.is_empty()) == *some,
        Filter::Blocked(some) => requests().iter().any(|r| r.blocked) == *some,
        Filter::Range(by, min, max) => {
            let unbounded = min.is_none() && max.is_none();
            unbounded
                || number(fed, *by, session).is_some_and(|value| {
                    min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max)
                })
        }
    }
}

/// The naive number of a session: what no request of it has is not there.
fn number(fed: &Fed, by: Statistic, session: &Session) -> Option<f64> {
    let durations = || fed.requests_of(session).into_iter().filter_map(|r| r.duration_ns);
    let ms = |ns: u64| ns as f64 / 1e6;
    match by {
        Statistic::DurationSumMs => durations().reduce(|one, other| one + other).map(ms),
        Statistic::DurationMaxMs => durations().max().map(ms),
        Statistic::DurationP95Ms if durations().next().is_none() => None,
        by => by.of(session),
    }
}

fn expected(fed: &Fed, query: &SessionQuery, watermark: Option<EventTime>) -> Vec<Arc<Session>> {
    let matching = fed.sessions.values();
    let matching = matching.filter(|session| holds(fed, &query.filter, session, watermark));
    let mut matching: Vec<_> = matching.cloned().collect();
    let Order { by, descending } = query.order;
    matching.sort_by(|a, b| {
        let order = match (number(fed, by, a), number(fed, by, b)) {
            (Some(a), Some(b)) if descending => b.total_cmp(&a),
            (Some(a), Some(b)) => a.total_cmp(&b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        order.then(a.id().cmp(&b.id()))
    });
    matching
}

/// Reads page after page and compares all of them together.
fn check(fed: &Fed, query: &SessionQuery) {
    let view = fed.view();
    let expected = expected(fed, query, view.watermark());
    let mut found: Vec<Arc<Session>> = Vec::new();
    let mut query = query.clone();
    loop {
        let page = view.sessions(&query).unwrap();
        if query.count {
            assert_eq!(page.total, Some(expected.len() as u64), "{query:?}");
        }
        found.extend(page.sessions);
        assert_eq!(page.has_next, found.len() < expected.len(), "{query:?}");
        let Some(last) = found.last().filter(|_| page.has_next && query.first > 0) else { break };
        query.after = Some(Cursor { value: query.order.by.of(last), id: last.id() });
    }
    if query.first > 0 {
        assert_eq!(found, expected, "{query:?}");
    }
    for session in fed.sessions.values() {
        let holds = holds(fed, &query.filter, session, view.watermark());
        assert_eq!(view.matches(&query.filter, session).unwrap(), holds, "{query:?}");
    }
}

/// What can be asked of one session.
fn check_sessions(fed: &Fed) {
    let view = fed.view();
    let numbers = fed.store.numbers();
    assert_eq!(numbers.sessions, fed.sessions.len() as u64);
    assert_eq!(numbers.requests, fed.requests.len() as u64);
    for session in fed.sessions.values() {
        assert_eq!(view.session(session.id()).unwrap().as_ref(), Some(session));
        let inside = SessionId { start: session.end, ..session.id() };
        assert_eq!(view.session(inside).unwrap().as_ref(), Some(session));
        let outside = SessionId { start: EventTime(session.start.0 - 1), ..session.id() };
        assert_ne!(view.session(outside).unwrap().as_ref(), Some(session));
        let identity = view.identity(session.identity.id).unwrap();
        assert_eq!(identity.as_ref(), Some(&session.identity));
        assert_eq!(view.closes_at(session), closes_at(session));
        let before = fed.sessions.range(..session.id()).next_back();
        let before = before.filter(|(id, _)| id.identity == session.identity.id);
        let before = before.filter(|(_, before)| {
            before.day != session.day && session.start.0 - before.end.0 < i64::from(session.gap_ms)
        });
        assert_eq!(view.continues(session).unwrap(), before.map(|(id, _)| *id));
        check_requests(fed, session, &RequestFilter::default());
    }
    assert_eq!(view.identity(IdentityId(1)).unwrap(), None);
}

fn check_requests(fed: &Fed, session: &Session, group: &RequestFilter) {
    let view = fed.view();
    let all = fed.requests_of(session);
    let expected: Vec<_> = (0..all.len()).filter(|at| holds_on(group, &all[*at])).collect();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let query = RequestQuery { filter: group.clone(), first: 2, after: after.take() };
        let page = view.requests(session, &query).unwrap();
        assert_eq!(page.total, expected.len() as u64);
        found.extend(page.requests);
        assert_eq!(page.has_next, found.len() < expected.len());
        if !page.has_next {
            break;
        }
        let last: &spoor_api::query::RequestDetail = found.last().unwrap();
        let last = Request::decode(&last.stored).unwrap();
        after = Some((last.ts, last.id.to_string()));
    }
    for (detail, at) in found.iter().zip(&expected) {
        let stored = Request::decode(&detail.stored).unwrap();
        assert_eq!(format!("{stored:?}"), format!("{:?}", all[*at]));
        let step = at.checked_sub(1).map(|before| all[*at].ts.0 - all[before].ts.0);
        assert_eq!(detail.step_ms, step);
        assert_eq!(detail.endpoint, format!("GET {}", all[*at].path));
        assert!(detail.keys_tried.last().is_some_and(|tried| tried.worked));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_question_is_answered_as_by_looking_at_all_sessions(
        epochs in epochs(),
        queries in prop::collection::vec(
            (filter(), statistic(), any::<bool>(), 0..6_usize, any::<bool>()), 24,
        ),
        watermark in prop::option::of(instant()),
        reopened: bool,
        stages: bool,
    ) {
        let mut fed = Fed::new();
        fed.stages = stages;
        for (specs, remove) in &epochs {
            fed.feed_with(specs, remove, Commit { watermark, ..Commit::default() });
        }
        if reopened {
            fed = fed.reopen();
        }
        check_sessions(&fed);
        for (filter, by, descending, first, count) in queries {
            let order = Order { by, descending };
            check(&fed, &SessionQuery { filter, order, first, after: None, count });
        }
    }

    #[test]
    fn requests_of_a_session_are_filtered_one_by_one(
        specs in prop::collection::vec(spec(), 1..60), groups in prop::collection::vec(group(), 4),
    ) {
        let mut fed = Fed::new();
        fed.feed(&specs, &[]);
        for (session, group) in fed.sessions.values().zip(groups.iter().cycle()) {
            check_requests(&fed, session, group);
        }
    }
}
