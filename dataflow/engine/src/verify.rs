//! Recomputes the sessions of a store in batch from its request log, and compares.
//!
//! What is computed comes from the oracle (`tests/oracle`), which shares no code with the engine;
//! from the engine come only the rows: of the log, decoded into what the oracle reads, and of
//! sessions. Every request must lie under the identity and day the rules give it, and the sessions
//! of each identity-day must be the rows of the store. Rows of identity-days without a log are found
//! by counting.
//!
//! Every request is read once. An identity-day's requests are sorted in runs on disk, so memory does
//! not grow with them, but for one hash of each explicit id.

use std::borrow::Cow;
use std::io;
use std::iter::Peekable;

use spoor_operators::assign::CompiledRules;
use spoor_operators::facts::{Field, NO_GAP};
use spoor_operators::inventory::Descriptions;
use spoor_operators::point::Point;
use spoor_operators::request::{Body, Message, Request};
use spoor_operators::session::Session;
use spoor_operators::sessionize::backend::DayKey;
use spoor_oracle::described::{Described, Endpoint};
use spoor_oracle::record::{Body as OracleBody, Record, Side};
use spoor_oracle::rules::{Decision, Identity, Rules};
use spoor_oracle::tally::{Day, Tally};

use crate::sorted::{RUN_BYTES, Sorter};
use spoor_store::{Store, StoreError, peek_stored};

/// Requests between two calls of whoever watches.
const WATCH_EVERY: u64 = 50_000;
/// How far a percentile may be from the exact one.
const QUANTILE_ERROR: f64 = 0.01;

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Requests in the log, those in no session included.
    pub requests: u64,
    /// Sessions recomputed.
    pub sessions: u64,
    /// Number of differences.
    pub differences: u64,
    /// The first of them, in words.
    pub listed: Vec<String>,
}

/// Compares a store with a batch run over its log. At most `most` differences are listed; `watch`
/// is called now and then with the number of requests looked at.
///
/// # Errors
/// The store cannot be read, or a temporary file not written.
pub fn verify(
    store: &Store,
    rules: &CompiledRules,
    most: usize,
    watch: &mut dyn FnMut(u64),
) -> Result<Report, StoreError> {
    verify_in_runs_of(RUN_BYTES, store, rules, most, watch)
}

/// As [`verify`], with runs of so many bytes.
fn verify_in_runs_of(
    run_bytes: usize,
    store: &Store,
    rules: &CompiledRules,
    most: usize,
    watch: &mut dyn FnMut(u64),
) -> Result<Report, StoreError> {
    let rules = oracle_rules(rules).map_err(StoreError::Damaged)?;
    let mut comparing = Comparing { store, rules: &rules, most, report: Report::default() };
    let mut gathered: Option<(DayKey, Sorter)> = None;
    store.walk_log(|key, stored| {
        if gathered.as_ref().is_none_or(|(known, _)| *known != key) {
            let new = (key, Sorter::with_run_bytes(run_bytes));
            if let Some((key, requests)) = gathered.replace(new) {
                comparing.identity_day(key, requests)?;
            }
        }
        comparing.report.requests += 1;
        if comparing.report.requests.is_multiple_of(WATCH_EVERY) {
            watch(comparing.report.requests);
        }
        let (_, requests) = gathered.as_mut().expect("one was just put there");
        requests.push(sort_key(stored)?, Vec::new()).map_err(unsorted)
    })?;
    if let Some((key, requests)) = gathered {
        comparing.identity_day(key, requests)?;
    }
    let counted = store.numbers();
    let mut report = comparing.report;
    for (what, kept, found) in [
        ("sessions", counted.sessions, report.sessions),
        ("requests", counted.requests, report.requests),
    ] {
        if kept != found {
            report
                .differ(most, || format!("the store counts {kept} {what}, its log gives {found}"));
        }
    }
    watch(report.requests);
    Ok(report)
}

impl Report {
    fn differ(&mut self, most: usize, text: impl FnOnce() -> String) {
        self.differences += 1;
        if self.listed.len() < most {
            self.listed.push(text());
        }
    }
}

/// A temporary file could not be written or read.
fn unsorted(error: io::Error) -> StoreError {
    StoreError::file(&std::env::temp_dir(), error)
}

/// Bytes of the time in a key.
const TIME_BYTES: usize = 8;

/// Orders requests by `(ts, stored request)`.
fn sort_key(stored: &[u8]) -> Result<Vec<u8>, StoreError> {
    let (ts, _, _) = peek_stored(stored)?;
    let mut key = Vec::with_capacity(TIME_BYTES + stored.len());
    key.extend_from_slice(&(ts.0.cast_unsigned() ^ (1 << 63)).to_be_bytes());
    key.extend_from_slice(stored);
    Ok(key)
}

/// A comparison on its way.
struct Comparing<'a> {
    store: &'a Store,
    rules: &'a Rules,
    most: usize,
    report: Report,
}

impl Comparing<'_> {
    /// Compares the sessions of one identity-day.
    fn identity_day(&mut self, key: DayKey, requests: Sorter) -> Result<(), StoreError> {
        let (store, rules) = (self.store, self.rules);
        let mut rows = store.each_session(key).peekable();
        let mut day: Option<Day<'_>> = None;
        // The first failure that is not one of the sorting.
        let mut failed: Option<StoreError> = None;
        let mut give_up = |error: StoreError| {
            failed = Some(error);
            io::Error::other("not to be sorted further")
        };
        requests
            .finish(&mut |sort_key, _| {
                let stored = sort_key.get(TIME_BYTES..).unwrap_or_default();
                let request = Request::decode(stored).map_err(|error| give_up(error.into()))?;
                let record = record_of(&request);
                let Some(identity) = self.whose(key, &record) else { return Ok(()) };
                let day = day.get_or_insert_with(|| Day::new(rules, identity));
                if let Some(ended) = day.next(&record) {
                    let compared = self.session(key, day.identity(), &ended, &mut rows);
                    compared.map_err(&mut give_up)?;
                }
                Ok(())
            })
            .map_err(|error| failed.unwrap_or_else(|| unsorted(error)))?;
        if let Some(mut day) = day
            && let Some(last) = day.finish()
        {
            self.session(key, day.identity(), &last, &mut rows)?;
        }
        for row in rows {
            self.only_in_store(key, &row?);
        }
        Ok(())
    }

    /// Whose request it is, if it lies where it should and is in a session.
    fn whose(&mut self, key: DayKey, record: &Record) -> Option<Identity> {
        let day = self.rules.day_of(record.ts);
        let found = match self.rules.decide(record) {
            Decision::Identity(identity) => Some(identity),
            Decision::Excluded | Decision::Unkeyed => None,
        };
        let is_there = match &found {
            Some(identity) => identity.id == key.identity.to_string(),
            None => key.identity.is_unassigned(),
        };
        if day == i64::from(key.day.0) && is_there {
            return found;
        }
        self.report.differ(self.most, || {
            let whose = found.map_or_else(|| "nobody".into(), |identity| identity.id);
            format!("a request of {whose} on day {day} lies under {key:?}")
        });
        None
    }

    /// Compares a session with the next row.
    fn session(
        &mut self,
        key: DayKey,
        identity: &Identity,
        expected: &Tally,
        rows: &mut Peekable<impl Iterator<Item = Result<Session, StoreError>>>,
    ) -> Result<(), StoreError> {
        self.report.sessions += 1;
        let is_later = |row: &Result<Session, StoreError>| {
            row.as_ref().is_ok_and(|row| row.start.0 > expected.start)
        };
        while let Some(row) = rows.next_if(|row| !is_later(row)) {
            let row = row?;
            if row.start.0 < expected.start {
                self.only_in_store(key, &row);
                continue;
            }
            if let Some(what) = difference(identity, expected, &row) {
                self.not_in_store(identity, expected);
                self.report.differ(self.most, || {
                    format!("only in the store: {} ({key:?}), which differs in {what}", shown(&row))
                });
            }
            return Ok(());
        }
        self.not_in_store(identity, expected);
        Ok(())
    }

    fn not_in_store(&mut self, identity: &Identity, expected: &Tally) {
        let Tally { start, end, requests, .. } = expected;
        self.report.differ(self.most, || {
            format!("not in the store: {}.{start} to {end} with {requests} requests", identity.id)
        });
    }

    fn only_in_store(&mut self, key: DayKey, session: &Session) {
        self.report
            .differ(self.most, || format!("only in the store: {} ({key:?})", shown(session)));
    }
}

fn shown(session: &Session) -> String {
    let requests = session.summary.requests;
    format!("{} to {} with {requests} requests", session.id(), session.end.0)
}

/// In what a row differs from what was computed; none: in nothing.
fn difference(identity: &Identity, expected: &Tally, row: &Session) -> Option<&'static str> {
    let gap = identity.gap_ms.map_or(NO_GAP, |gap| u32::try_from(gap).unwrap_or(NO_GAP));
    let whose = &row.identity;
    let words = (&*whose.namespace, &*whose.value, &*whose.qualifier, whose.weak, whose.secret);
    let expected_words = (
        identity.namespace.as_str(),
        identity.value.as_str(),
        identity.qualifier.as_str(),
        identity.weak,
        identity.secret,
    );
    let checks = [
        ("its identity", whose.id.to_string() == identity.id && words == expected_words),
        ("its times", (row.start.0, row.end.0) == (expected.start, expected.end)),
        ("its gap", row.gap_ms == gap),
        ("its sums", sums_of(row) == sums(expected)),
        ("its durations", durations_agree(expected, row)),
        ("its counts by value", counts_agree(expected, row)),
    ];
    checks.into_iter().find(|(_, same)| !same).map(|(what, _)| what)
}

/// The sums as they are shown: at most 2^64 - 1.
fn sums(expected: &Tally) -> [u64; 12] {
    [
        expected.requests,
        expected.detections,
        expected.malicious,
        expected.blocked,
        expected.errors,
        expected.server_errors,
        expected.request_bytes,
        expected.response_bytes,
        expected.durations.iter().sum(),
        expected.durations.last().copied().unwrap_or(0),
        expected.shadow,
        expected.zombie,
    ]
    .map(|sum| u64::try_from(sum).unwrap_or(u64::MAX))
}

fn sums_of(row: &Session) -> [u64; 12] {
    row.summary.counters.to_array()
}

fn durations_agree(expected: &Tally, row: &Session) -> bool {
    let summary = &row.summary;
    summary.histogram.count() == expected.durations.len() as u64
        && [0.5, 0.95, 0.99].into_iter().all(|q| match expected.quantile(q) {
            None => summary.quantile_ms(q).is_none(),
            Some(exact) => summary.quantile_ms(q).is_some_and(|found| {
                let exact = exact as f64 / 1e6;
                (found - exact).abs() <= exact * QUANTILE_ERROR
            }),
        })
}

fn counts_agree(expected: &Tally, row: &Session) -> bool {
    let fields = [
        (Field::Method, "method"),
        (Field::Status, "status"),
        (Field::Host, "host"),
        (Field::App, "app"),
        (Field::Endpoint, "endpoint"),
        (Field::Ip, "ip"),
        (Field::UserAgent, "user_agent"),
        (Field::Attack, "attack"),
        (Field::Flow, "flow"),
        (Field::User, "user"),
        (Field::Role, "role"),
        (Field::Parameter, "parameter"),
    ];
    let mut found = 0;
    let known = fields.into_iter().all(|(field, name)| {
        row.summary.entries(field).all(|(text, count)| {
            found += 1;
            expected.counts.get(&(name, text.to_owned())) == Some(&count)
        })
    });
    known && found == expected.counts.len()
}

/// The rules for the oracle, as text; points by the name under which values of theirs are kept.
fn oracle_rules(compiled: &CompiledRules) -> Result<Rules, String> {
    let mut rules = compiled.rules().clone();
    let points = rules.grouping.iter_mut().map(|key| &mut key.point);
    for text in points.chain(rules.context.iter_mut().map(|rule| &mut rule.point)) {
        *text = Point::parse(text).map_err(|error| format!("point {text}: {error}"))?.to_string();
    }
    let rules = serde_json::to_value(&rules).map_err(|error| error.to_string())?;
    Rules::of_store(rules, compiled.secret_key().0, described(compiled.descriptions()))
}

fn described(descriptions: &Descriptions) -> Described {
    let endpoint = |known: &spoor_operators::inventory::Endpoint| Endpoint {
        method: known.method.clone(),
        template: known.template.clone(),
        deprecated: known.deprecated,
    };
    let apps = descriptions.listing().into_iter().map(|(app, versions)| {
        let versions = versions.into_iter();
        let versions = versions.map(|(_, endpoints)| endpoints.iter().map(endpoint).collect());
        (app.to_owned(), versions.collect())
    });
    Described(apps.collect())
}

/// A decoded row of the log as the oracle reads requests.
fn record_of(request: &Request<'_>) -> Record {
    let pairs = |fields: &spoor_operators::request::Fields<'_>| {
        let pair =
            |(name, value): &(Cow<'_, str>, Cow<'_, str>)| (name.to_string(), value.to_string());
        fields.iter().map(pair).collect()
    };
    let side = |message: &Message<'_>| Side {
        headers: pairs(&message.headers),
        cookies: pairs(&message.cookies),
        form: pairs(&message.form),
        body: match &message.body {
            Body::Absent => OracleBody::Absent,
            Body::Json(text) => OracleBody::Json(text.to_string()),
            Body::Text(text) => OracleBody::Text(text.to_string()),
        },
    };
    Record {
        id: request.id.to_string(),
        explicit_id: request.explicit_id,
        ts: request.ts.0,
        app: request.app.to_string(),
        method: request.method.to_string(),
        host: request.host.to_string(),
        path: request.path.to_string(),
        query: request.query.to_string(),
        status: request.status.into(),
        duration_ns: request.duration_ns.map(u128::from),
        request_bytes: request.request_bytes,
        response_bytes: request.response_bytes,
        ip: request.ip.to_string(),
        user_agent: request.user_agent.to_string(),
        request: side(&request.request),
        response: side(&request.response),
        attacks: request.attacks.iter().map(|attack| attack.kind.to_string()).collect(),
        blocked: request.blocked,
        archive: request.archive.to_string(),
        is_stored: true,
        kept: pairs(&request.kept),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use spoor_operators::assign::{Applications, Scratch, SecretKey};
    use spoor_operators::breakdown::WHOLE_MAX;
    use spoor_operators::facts::Assigned;
    use spoor_operators::identity::IdentityId;
    use spoor_operators::request::Attack;
    use spoor_operators::rules::RuleSet;
    use spoor_operators::time::EventTime;

    use super::*;
    use spoor_store::Commit;
    use spoor_store::testing::{Fed, assign};

    const POINTS: [&str; 42] = [
        "$method",
        "$host",
        "$path",
        "$url",
        "$status",
        "$app",
        "$client.ip",
        "$client.user_agent",
        "$request.header.X-User",
        "$request.header.authorization",
        "$request.header.authorization | jwt.payload#/sub",
        "$request.header.authorization | jwt.header#/alg",
        "$request.header.authorization | split(\" \",1)",
        "$request.header.authorization | basic.username",
        "$request.header.x-json | json#/a/0",
        "$request.header.x-base64 | base64",
        "$request.header.x-user | prefix(2)",
        "$request.header.x-user | lower | trim",
        "$request.header.x-user | split(-,-1)",
        "$request.header.x-user | regex(\"([A-Z])[|](.)\", 2)",
        "$request.header.x-user | regex(\"(?i)a.*\",0)",
        "$request.cookie.sid",
        "$request.cookie.\"a b\"",
        "$request.query.q",
        "$request.query.q | url",
        "$request.query.nothing",
        "$request.segment.0",
        "$request.segment.-1",
        "$request.segment.9",
        "$request.form.f",
        "$request.body",
        "$request.body#/n",
        "$request.body#/a~1b/1",
        "$request.body#/params/name",
        "$request.rpc.method",
        "$request.mcp.tool",
        "$request.mcp.arg#/user",
        "$request.gql.operation",
        "$request.gql.var#/id",
        "$response.header.x-token",
        "$response.cookie.sid",
        "$response.body#/token",
    ];

    fn pairs(of: &[(&'static str, &'static str)]) -> spoor_operators::request::Fields<'static> {
        of.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    fn requests() -> Vec<Request<'static>> {
        // {"alg":"none"} . {"sub":"ann"}
        let jwt = "bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.c2ln";
        let full = Request {
            id: "r1".into(),
            explicit_id: true,
            ts: EventTime(90_000_000),
            method: "POST".into(),
            host: "Shop.example".into(),
            path: "/users/42/x".into(),
            query: "q=a%2Bb+c&q=second&variables=%7B%22id%22%3A7%7D&operationName=Op".into(),
            status: 404,
            duration_ns: Some(7),
            ip: "192.0.2.1".into(),
            user_agent: "curl".into(),
            request: Message {
                headers: pairs(&[
                    ("x-user", "Ann-B|c "),
                    ("x-user", "other"),
                    ("Authorization", jwt),
                    ("x-json", r#"{"a":[1.50]}"#),
                    ("x-base64", "aGVsbG8"),
                ]),
                cookies: pairs(&[("sid", "s1"), ("sid", "s2"), ("a b", "c")]),
                form: pairs(&[("f", "v")]),
                body: Body::Json(
                    r#"{"method":"tools/call","n":1e2,"n":2,"a/b":[0,"x\ty"],
                        "params":{"name":"find","arguments":{"user":"ann"}}}"#
                        .into(),
                ),
            },
            response: Message {
                headers: pairs(&[("x-token", "t")]),
                cookies: pairs(&[("sid", "from-server")]),
                form: pairs(&[]),
                body: Body::Text(r#"{"token":"abcd"}"#.into()),
            },
            attacks: vec![Attack { kind: "sqli".into(), ..Attack::default() }; 2],
            blocked: true,
            ..Request::default()
        };
        let mut graphql = full.clone();
        graphql.request.body = Body::Text(
            r##"[{"query":"# query No\n{ a(s: \"query Not\") } query Yes { b }","variables":{"id":"v"}}]"##
                .into(),
        );
        let mut form = full.clone();
        form.request.form = pairs(&[]);
        form.request
            .headers
            .push(("content-type".into(), "application/x-www-form-urlencoded".into()));
        form.request.headers[2].1 = "Basic YW5uOnB3".into();
        form.request.body = Body::Text("f=from+body&g=1".into());
        form.explicit_id = false;
        let bare = Request {
            method: "GET".into(),
            path: "/a/".into(),
            ip: "::1".into(),
            ..Request::default()
        };
        vec![full, graphql, form, bare]
    }

    fn rules(point: &str, secret: bool, more: &str) -> RuleSet {
        let text = serde_json::json!({
            "grouping": [{"name": "k", "point": point, "secret": secret, "per": "host", "min_length": 2}],
            "context": [
                {"name": "u", "point": point, "type": "user", "secret": secret},
                {"name": "v", "point": point, "type": "user", "secret": secret},
                {"name": "w", "point": more},
            ],
            "flows": [{"name": "f", "endpoints": [{"path": "/users/*/x", "method": "p*"}]}],
        });
        serde_json::from_value(text).unwrap()
    }

    /// What the oracle and the engine make of one request, new and as it is stored.
    fn check(rules: &RuleSet, request: &Request<'_>) {
        let mut descriptions = Descriptions::default();
        let document =
            r#"{"openapi":"3.0.0","paths":{"/users/{id}/x":{"post":{"deprecated":true}}}}"#;
        descriptions.add("default", document).unwrap();
        let key = SecretKey([7; 32]);
        let compiled =
            CompiledRules::new(rules, &key, &Applications::default(), &descriptions).unwrap();
        let oracle = oracle_rules(&compiled).unwrap();
        let mut arena = Vec::new();
        let assigned = compiled
            .assign(&mut request.clone(), true, &mut Scratch::default(), &mut arena)
            .into_assigned(arena.into());
        let record = record_of(&Request::decode(assigned.stored()).unwrap());
        let Decision::Identity(identity) = oracle.decide(&record) else {
            assert!(assigned.identity.is_unassigned(), "{rules:?}");
            return;
        };
        let (words, facts) = assigned.head().unwrap();
        assert_eq!(identity.id, assigned.identity.to_string(), "{words:?} {identity:?} {record:?}");
        assert_eq!(
            (&*identity.namespace, &*identity.value, &*identity.qualifier),
            (words.namespace, words.value, words.qualifier)
        );
        assert_eq!((identity.weak, identity.secret), (words.weak, words.secret), "{identity:?}");
        let mut day = Day::new(&oracle, identity);
        assert_eq!(day.next(&record), None);
        let counted = day.finish().unwrap();
        let mut expected = spoor_operators::summary::Summary::default();
        expected.add(&facts);
        let row = Session {
            identity: std::sync::Arc::new(spoor_operators::identity::Identity {
                id: assigned.identity,
                namespace: words.namespace.into(),
                value: words.value.into(),
                qualifier: words.qualifier.into(),
                weak: words.weak,
                secret: words.secret,
            }),
            day: assigned.day,
            start: assigned.ts,
            end: assigned.ts,
            gap_ms: assigned.gap_ms,
            summary: expected,
        };
        let found = difference(day.identity(), &counted, &row);
        assert_eq!(found, None, "{rules:?}\n{counted:?}\n{row:?}");
    }

    #[test]
    fn the_oracle_reads_stored_requests_as_the_engine_reads_new_ones() {
        for request in requests() {
            for (number, point) in POINTS.iter().enumerate() {
                for secret in [false, true] {
                    let rules = rules(point, secret, POINTS[(number + 7) % POINTS.len()]);
                    if rules.check().is_ok() {
                        check(&rules, &request);
                    }
                }
            }
            check(&RuleSet::default(), &request);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// A busy identity-day: whatever the size of the runs, every request is read once.
        #[test]
        fn what_a_store_should_hold_is_found_in_runs_of_any_size(
            run_bytes in 1_usize..20_000,
            requests in 1_usize..400,
        ) {
            let mut fed = Fed::new();
            let busy = |at: usize| Request {
                id: format!("r{}", at % 300).into(),
                explicit_id: at.is_multiple_of(3),
                ts: EventTime((at as i64 * 7919 % 40_000) * 1000),
                method: "GET".into(),
                path: format!("/{}", at % 5).into(),
                ip: "192.0.2.1".into(),
                duration_ns: Some(at as u64 * 1000),
                ..Request::default()
            };
            let all: Vec<_> = (0..requests).map(busy).collect();
            for some in all.chunks(37) {
                let assigned = some.iter().map(|request| assign(&fed.compiled, request.clone()));
                let events = assigned.map(|request| (request, 1)).collect();
                fed.feed_events(events, Commit::default());
            }
            let report = |fed: &Fed| {
                verify_in_runs_of(run_bytes, &fed.store, &fed.compiled, 5, &mut |_| {}).unwrap()
            };
            let good = report(&fed);
            prop_assert_eq!(&good.listed, &Vec::<String>::new());
            prop_assert!(good.requests <= requests as u64 && good.sessions > 0);
            prop_assert_eq!(good.requests, fed.store.numbers().requests);
        }
    }

    /// Breakdowns in parts are read back whole: a session with more values than one row holds.
    #[test]
    fn a_session_whose_values_lie_in_parts_is_verified() {
        let mut fed = Fed::new();
        let with_agent = |second: i64| {
            let mut request = Request {
                id: format!("r{second}").into(),
                explicit_id: true,
                ts: EventTime(3_600_000 + second * 1000),
                method: "GET".into(),
                path: "/".into(),
                user_agent: format!("agent {second}").into(),
                ..Request::default()
            };
            request.request.headers.push(("x-session-id".into(), "large".into()));
            request
        };
        let all: Vec<_> = (0..2 * WHOLE_MAX as i64).map(with_agent).collect();
        for some in all.chunks(300) {
            let assigned = some.iter().map(|request| assign(&fed.compiled, request.clone()));
            let events = assigned.map(|request| (request, 1)).collect();
            fed.feed_events(events, Commit::default());
        }
        assert_eq!(fed.sessions.len(), 1);
        let report = verify(&fed.store, &fed.compiled, 10, &mut |_| ()).unwrap();
        assert_eq!((report.listed, report.differences), (Vec::new(), 0));
        assert_eq!((report.sessions, report.requests), (1, all.len() as u64));
    }

    #[test]
    fn what_is_wrong_in_a_store_is_named() {
        let request = |status: u16| Request {
            id: "r".into(),
            method: "GET".into(),
            path: "/".into(),
            ip: "192.0.2.1".into(),
            status,
            ..Request::default()
        };
        let check = |wrong: &dyn Fn(&CompiledRules) -> Assigned, expected: &str| {
            let mut fed = Fed::new();
            let wrong = wrong(&fed.compiled);
            fed.feed_events(vec![(wrong, 1)], Commit::default());
            let report = verify(&fed.store, &fed.compiled, 5, &mut |_| {}).unwrap();
            let found = report.listed.iter().any(|line| line.contains(expected));
            assert!(found && report.differences > 0, "{expected}: {:?}", report.listed);
        };
        let mixed = |rules: &CompiledRules, counted: Request<'static>| {
            let (stored, counted) = (assign(rules, request(200)), assign(rules, counted));
            let head = &counted.payload[..counted.head_len as usize];
            let payload = [head, stored.stored()].concat().into();
            Assigned { head_len: counted.head_len, payload, ..stored }
        };
        check(&|rules| mixed(rules, request(500)), "differs in its sums");
        let slow =
            |rules: &CompiledRules| mixed(rules, Request { duration_ns: Some(0), ..request(200) });
        check(&slow, "differs in its durations");
        let agent =
            |rules: &CompiledRules| mixed(rules, Request { host: "h".into(), ..request(200) });
        check(&agent, "differs in its counts by value");
        check(&|rules| Assigned { gap_ms: 5, ..assign(rules, request(200)) }, "differs in its gap");
        let elsewhere = IdentityId::of("client-ip", "192.0.2.2", "");
        check(
            &|rules| Assigned { identity: elsewhere, ..assign(rules, request(200)) },
            "lies under",
        );
    }
}
