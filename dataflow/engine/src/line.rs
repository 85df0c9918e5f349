//! A session as a line of a replay, and the key that puts lines in their order.
//!
//! Every process of a cluster makes the lines of its own sessions; whoever writes them sorts them by
//! key: `(namespace, value, start)`, then the identity's id.

use std::collections::BTreeMap;

use serde::Serialize;
use spoor_operators::facts::Field;
use spoor_operators::request::NANOS_PER_MS;
use spoor_operators::session::Session;
use spoor_store::{StoreError, StoreView};

/// The key lines are sorted by, and a session as a line.
///
/// # Errors
/// The ids of its requests cannot be read.
pub(crate) fn line(
    view: &StoreView,
    session: &Session,
    with_requests: bool,
) -> Result<(Vec<u8>, Vec<u8>), StoreError> {
    let identity = &session.identity;
    let mut key = Vec::new();
    for part in [&identity.namespace, &identity.value] {
        key.extend_from_slice(part.as_bytes());
        key.push(0);
    }
    key.extend_from_slice(&(session.start.0.cast_unsigned() ^ (1 << 63)).to_be_bytes());
    key.extend_from_slice(&identity.id.0.to_be_bytes());
    let request_ids = with_requests.then(|| view.request_ids(session)).transpose()?;
    let line = serde_json::to_vec(&Line::of(session, request_ids));
    let line = line.expect("a line is plain data with text keys");
    Ok((key, line))
}

/// A session as a replay writes it; times in milliseconds since the Unix epoch.
#[derive(Serialize)]
struct Line<'a> {
    id: String,
    identity: String,
    namespace: &'a str,
    value: &'a str,
    weak: bool,
    start: i64,
    end: i64,
    requests: u64,
    errors: u64,
    server_errors: u64,
    detections: u64,
    malicious: u64,
    blocked: u64,
    request_bytes: u64,
    response_bytes: u64,
    duration_ms_sum: f64,
    duration_ms_max: f64,
    ips: usize,
    endpoints: usize,
    methods: BTreeMap<&'a str, u64>,
    statuses: BTreeMap<&'a str, u64>,
    attacks: BTreeMap<&'a str, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_ids: Option<Vec<String>>,
}

impl<'a> Line<'a> {
    fn of(session: &'a Session, request_ids: Option<Vec<String>>) -> Self {
        let (identity, summary) = (&session.identity, &session.summary);
        let counters = &summary.counters;
        Self {
            id: session.id().to_string(),
            identity: identity.id.to_string(),
            namespace: &identity.namespace,
            value: &identity.value,
            weak: identity.weak,
            start: session.start.0,
            end: session.end.0,
            requests: counters.requests,
            errors: counters.errors,
            server_errors: counters.server_errors,
            detections: counters.detections,
            malicious: counters.malicious,
            blocked: counters.blocked,
            request_bytes: counters.request_bytes,
            response_bytes: counters.response_bytes,
            duration_ms_sum: milliseconds(counters.duration_sum_ns),
            duration_ms_max: counters.duration_max_ns as f64 / NANOS_PER_MS,
            ips: summary.distinct(Field::Ip),
            endpoints: summary.distinct(Field::Endpoint),
            methods: summary.entries(Field::Method).collect(),
            statuses: summary.entries(Field::Status).collect(),
            attacks: summary.entries(Field::Attack).collect(),
            request_ids,
        }
    }
}

/// A session as a line of a replay's output has it, without the ids of its requests.
#[must_use]
pub fn object(session: &Session) -> serde_json::Value {
    serde_json::to_value(Line::of(session, None)).expect("a line is plain data with text keys")
}

/// Rounded to 3 decimals.
fn milliseconds(ns: u64) -> f64 {
    let microseconds = ns / 1000 + u64::from(ns % 1000 >= 500);
    microseconds as f64 / 1000.0
}
