//! Random epochs and questions, as strategies.

use proptest::prelude::*;
use spoor_api::query::{Filter, RequestFilter, Statistic, StatusClass};
use spoor_operators::facts::Field;
use spoor_operators::identity::{IdentityId, SessionId};
use spoor_operators::time::EventTime;

use super::{AGENTS, APPS, DAY, Spec};

pub fn spec() -> impl Strategy<Value = Spec> {
    let who = (0..6_u8, -1500..3000_i64, 0..3_u8, 0..4_u8);
    let what = (prop::sample::select(vec![0, 42, 200, 200, 302, 404, 503]), 0..4_u8, 0..3_u8);
    (who, what, prop::bool::weighted(0.2), prop::bool::weighted(0.1), any::<bool>()).prop_map(
        |((identity, minute, app, path), (status, ip, agent), attack, blocked, explicit_id)| Spec {
            identity,
            // Bursts, so that sessions have several requests.
            minute: minute / 20 * 20 + minute.rem_euclid(3) * 9,
            app,
            path,
            status,
            ip,
            agent,
            attack,
            blocked,
            explicit_id,
        },
    )
}

pub type EpochSpec = (Vec<Spec>, Vec<usize>);

pub fn epochs() -> impl Strategy<Value = Vec<EpochSpec>> {
    let removed = prop::collection::vec(any::<usize>(), 0..4);
    prop::collection::vec((prop::collection::vec(spec(), 0..40), removed), 1..5)
}

pub fn instant() -> impl Strategy<Value = EventTime> {
    (-1600..3100_i64).prop_map(|minute| EventTime(DAY * 86_400_000 + minute * 60_000))
}

pub fn group() -> impl Strategy<Value = RequestFilter> {
    let field = prop_oneof![
        (0..3_usize).prop_map(|at| (Field::App, vec![APPS[at].to_owned()])),
        (0..5_u8).prop_map(|at| (Field::Endpoint, vec![format!("GET /page{at}")])),
        Just((Field::Status, vec!["404".to_owned(), "503".to_owned()])),
        (0..5_u8).prop_map(|at| (Field::Ip, vec![format!("10.0.0.{at}")])),
        (0..3_usize).prop_map(|at| (Field::UserAgent, vec![AGENTS[at].to_owned()])),
        Just((Field::Attack, vec!["sqli".to_owned()])),
    ];
    let lists = (
        prop::collection::vec(field, 0..3),
        classes(),
        prop::sample::select(vec![vec![], vec![], vec!["10.0.0.0/31"], vec!["10.0.0.3/32"]]),
        prop::option::weighted(0.2, prop::sample::select(vec!["CURL", "app", "none"])),
    );
    let flags =
        (prop::option::weighted(0.2, any::<bool>()), prop::option::weighted(0.1, any::<bool>()));
    let times = (prop::option::weighted(0.1, instant()), prop::option::weighted(0.1, instant()));
    let ids = prop::option::weighted(0.15, prop::collection::vec((1..5_u8, 0..40_u8), 1..3));
    (lists, flags, times, ids).prop_map(
        |((fields, status_classes, networks, agent), (malicious, blocked), (from, until), ids)| {
            let ids = ids.into_iter().flatten();
            RequestFilter {
                ids: ids.map(|(epoch, number)| format!("r{epoch}-{number}")).collect(),
                fields,
                status_classes,
                networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
                user_agent_contains: agent.map(String::from),
                malicious,
                blocked,
                from,
                until,
            }
        },
    )
}

fn classes() -> impl Strategy<Value = Vec<StatusClass>> {
    use StatusClass::{Hundreds, NoResponse};
    prop::sample::select(vec![
        vec![],
        vec![],
        vec![Hundreds(4)],
        vec![Hundreds(5)],
        vec![NoResponse, Hundreds(2)],
        vec![NoResponse],
        vec![Hundreds(0)],
        vec![Hundreds(9)],
    ])
}

pub fn statistic() -> impl Strategy<Value = Statistic> {
    prop::sample::select(vec![
        Statistic::Start,
        Statistic::Start,
        Statistic::End,
        Statistic::DurationMs,
        Statistic::Requests,
        Statistic::Errors,
        Statistic::ServerErrors,
        Statistic::Malicious,
        Statistic::Detections,
        Statistic::Ips,
        Statistic::Endpoints,
        Statistic::DurationSumMs,
        Statistic::DurationMaxMs,
        Statistic::DurationP95Ms,
    ])
}

pub fn filter() -> impl Strategy<Value = Filter> {
    let identity = |at: u8| match at % 3 {
        0 => IdentityId::of("client", &format!("10.0.0.1|{}", AGENTS[0]), ""),
        _ => IdentityId::of("session-id", &format!("s{at}"), ""),
    };
    let leaf = prop_oneof![
        4 => group().prop_map(Filter::Request),
        1 => (prop::option::of(instant()), prop::option::of(instant()))
            .prop_map(|(from, until)| Filter::Time { from, until }),
        1 => (0..7_u8).prop_map(move |at| Filter::Identity(identity(at))),
        1 => (0..7_u8, instant()).prop_map(move |(at, start)| {
            Filter::Session(SessionId { identity: identity(at), start })
        }),
        1 => prop::sample::select(vec!["session-id", "client", "none"])
            .prop_map(|name| Filter::Namespace(name.into())),
        1 => (0..7_u8).prop_map(|at| Filter::Value(format!("s{at}"))),
        1 => any::<bool>().prop_map(Filter::Open),
        1 => any::<bool>().prop_map(Filter::Weak),
        1 => any::<bool>().prop_map(Filter::Malicious),
        1 => any::<bool>().prop_map(Filter::Blocked),
        1 => (statistic(), prop::option::of(0..4_u8), prop::option::of(0..9_u8)).prop_map(
            |(by, min, max)| Filter::Range(by, min.map(f64::from), max.map(f64::from))
        ),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            2 => prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::And),
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::Or),
            1 => inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}
