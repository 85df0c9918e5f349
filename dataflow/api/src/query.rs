//! What can be asked of the sessions: filter, order, page, and the shapes of the answers.
//!
//! Nothing here knows how an answer is found: the store plans it, `graphql` only translates into
//! these types. A request-level predicate group ([`RequestFilter`]) holds for a session when one
//! and the same request of it satisfies the whole group.

use std::cmp::Ordering;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, de};
use spoor_operators::facts::Field;
use spoor_operators::identity::{IdentityId, SessionId};
use spoor_operators::request::NANOS_PER_MS;
use spoor_operators::session::Session;
use spoor_operators::time::{Epoch, EventTime};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codes::RefusalCode;

/// A predicate over sessions, as a tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Filter {
    /// All hold; empty: true.
    And(#[serde(deserialize_with = "nested")] Vec<Filter>),
    /// One holds; empty: false.
    Or(#[serde(deserialize_with = "nested")] Vec<Filter>),
    /// Does not hold.
    Not(#[serde(deserialize_with = "nested")] Box<Filter>),
    /// The session has an instant in `[from, until)`: `start < until && end >= from`.
    Time {
        /// Absent: since ever.
        from: Option<EventTime>,
        /// Absent: for ever.
        until: Option<EventTime>,
    },
    /// One identity's sessions.
    Identity(IdentityId),
    /// Exact namespace.
    Namespace(String),
    /// Exact value of the identity (a keyed hash for secret keys).
    Value(String),
    /// The session that contains this id's instant.
    Session(SessionId),
    /// At least one request satisfies the whole group.
    Request(RequestFilter),
    /// Whether the watermark has not reached the session's close.
    Open(bool),
    /// Identity from the client address.
    Weak(bool),
    /// Has at least one malicious request.
    Malicious(bool),
    /// Has at least one blocked request.
    Blocked(bool),
    /// A number is there and lies within bounds, both inclusive. Without any bound: always holds.
    Range(Statistic, Option<f64>, Option<f64>),
}

impl Filter {
    /// Every session.
    #[must_use]
    pub fn all() -> Self {
        Self::And(Vec::new())
    }
}

/// Filters inside filters that another process may send; clients are allowed far fewer.
pub const FILTER_DEPTH_MAX: u32 = 200;

/// Reads filters inside a filter, but not so many that the stack ends.
fn nested<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    thread_local!(static DEPTH: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
    let depth = DEPTH.get();
    if depth >= FILTER_DEPTH_MAX {
        return Err(de::Error::custom("a filter is too deep"));
    }
    DEPTH.set(depth + 1);
    let inner = T::deserialize(from);
    DEPTH.set(depth);
    inner
}

/// Predicates that hold on one and the same request. Empty lists say nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestFilter {
    /// The request's id is one of these.
    pub ids: Vec<String>,
    /// For each entry: the request has the field with one of the texts. `Field::Parameter` texts
    /// are `name=value`.
    pub fields: Vec<(Field, Vec<String>)>,
    /// The status is of one of these classes.
    pub status_classes: Vec<StatusClass>,
    /// The client address lies in one of these networks.
    pub networks: Vec<IpNet>,
    /// The user agent contains this, in any case.
    pub user_agent_contains: Option<String>,
    /// The request has a detection (or has none).
    pub malicious: Option<bool>,
    /// The request was blocked (or was not).
    pub blocked: Option<bool>,
    /// The request's time lies in `[from, until)`.
    pub from: Option<EventTime>,
    /// See `from`.
    pub until: Option<EventTime>,
}

/// Class of a response status. Only a status of 0, as an absent one, is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StatusClass {
    /// No response was seen.
    NoResponse,
    /// Hundreds of the status: 4 for 4xx, 0 for 1 to 99.
    Hundreds(u8),
}

impl StatusClass {
    /// The class of a status.
    #[must_use]
    pub fn of(status: u16) -> Self {
        match status {
            0 => Self::NoResponse,
            status => Self::Hundreds((status / 100).min(9) as u8),
        }
    }
}

/// Whether a number lies within bounds, both inclusive. One that is absent lies within none; no
/// bounds at all say nothing.
#[must_use]
pub fn within(value: Option<f64>, min: Option<f64>, max: Option<f64>) -> bool {
    let inside =
        |value: f64| min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max);
    (min.is_none() && max.is_none()) || value.is_some_and(inside)
}

/// Numeric and time statistics that can bound a filter and order a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "named as in section 6 of the semantics")]
pub enum Statistic {
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
}

impl Statistic {
    /// Its value for a session: what ranges compare, orders sort by and cursors hold. None: the
    /// session does not have it, which is not the same as 0.
    #[must_use]
    pub fn of(self, session: &Session) -> Option<f64> {
        let summary = &session.summary;
        let if_timed =
            |ns: u64| (summary.histogram.count() > 0).then_some(ns as f64 / NANOS_PER_MS);
        let count = match self {
            Self::Start => return Some(session.start.0 as f64),
            Self::End => return Some(session.end.0 as f64),
            Self::DurationMs => return Some(session.duration_ms() as f64),
            Self::DurationSumMs => return if_timed(summary.duration_sum_ns),
            Self::DurationMaxMs => return if_timed(summary.duration_max_ns),
            Self::DurationP50Ms => return summary.quantile_ms(0.50),
            Self::DurationP95Ms => return summary.quantile_ms(0.95),
            Self::DurationP99Ms => return summary.quantile_ms(0.99),
            Self::Requests => summary.requests,
            Self::Errors => summary.errors,
            Self::ServerErrors => summary.server_errors,
            Self::Detections => summary.detections,
            Self::Malicious => summary.malicious,
            Self::Blocked => summary.blocked,
            Self::RequestBytes => summary.request_bytes,
            Self::ResponseBytes => summary.response_bytes,
            Self::Ips => summary.distinct(Field::Ip) as u64,
            Self::Endpoints => summary.distinct(Field::Endpoint) as u64,
            Self::Users => summary.distinct(Field::User) as u64,
            Self::Shadow => summary.shadow,
            Self::Zombie => summary.zombie,
        };
        Some(count as f64)
    }
}

/// Order of a list; ties are broken by session id, so every order is total. What a session does
/// not have comes last, whichever way the list runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// By what.
    pub by: Statistic,
    /// Greatest first.
    pub descending: bool,
}

impl Default for Order {
    /// Newest start first.
    fn default() -> Self {
        Self { by: Statistic::Start, descending: true }
    }
}

impl Order {
    /// Which of two values comes first.
    #[must_use]
    pub fn compare(self, one: Option<f64>, other: Option<f64>) -> Ordering {
        match (one, other) {
            (Some(one), Some(other)) if self.descending => other.total_cmp(&one),
            (Some(one), Some(other)) => one.total_cmp(&other),
            (one, other) => other.is_some().cmp(&one.is_some()),
        }
    }
}

/// A position in an order: the statistic's value and the session's id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// Value of the ordering statistic; none: the session does not have it.
    pub value: Option<f64>,
    /// Breaks ties.
    pub id: SessionId,
}

/// A page of sessions to find.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionQuery {
    /// Which.
    pub filter: Filter,
    /// In what order.
    pub order: Order,
    /// At most this many.
    pub first: usize,
    /// Only those after this position in the order.
    pub after: Option<Cursor>,
    /// Also count all matching sessions (costs a look at each).
    pub count: bool,
}

/// A page that was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionPage {
    /// In order.
    pub sessions: Vec<Arc<Session>>,
    /// More follow.
    pub has_next: bool,
    /// If asked for.
    pub total: Option<u64>,
}

/// Requests of a session to find: those of `filter`, in `(ts, id)` order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RequestQuery {
    /// Which; the default is all.
    pub filter: RequestFilter,
    /// At most this many.
    pub first: usize,
    /// Only those after this `(ts, id)`.
    pub after: Option<(EventTime, String)>,
}

/// One request of a session as shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestDetail {
    /// The record in its stored form: `Request::decode` reads it.
    pub stored: bytes::Bytes,
    /// Milliseconds since the previous request of the session (not of the page); none for the first.
    pub step_ms: Option<i64>,
    /// Method and path template under the rules in force.
    pub endpoint: String,
    /// Flows it touches.
    pub flows: Vec<String>,
    /// Context parameters that worked.
    pub context: Vec<ContextValue>,
    /// Keys in the order they were tried, up to and with the one that worked.
    pub keys_tried: Vec<KeyTried>,
}

/// A context parameter of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextValue {
    /// The parameter's name.
    pub name: String,
    /// What it is about.
    pub kind: spoor_operators::rules::ParameterType,
    /// Its value, or the keyed hash of a secret one.
    pub value: String,
}

/// Why a request is in its session: one key that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyTried {
    /// Name of the grouping key (built-in keys have theirs too).
    pub key: String,
    /// Its namespace.
    pub namespace: String,
    /// Where it looks.
    pub point: String,
    /// It decided.
    pub worked: bool,
    /// Why it did not, in a few words; what it found otherwise.
    pub reason: String,
}

/// A page of a session's requests.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RequestPage {
    /// In `(ts, id)` order.
    pub requests: Vec<RequestDetail>,
    /// More follow.
    pub has_next: bool,
    /// All that match.
    pub total: u64,
}

/// What happened in a range of event time, and when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// As of this epoch.
    pub epoch: Epoch,
    /// Sums over the range.
    pub totals: Totals,
    /// One for each step of the range in which something happened, in order of time; empty unless
    /// asked for.
    pub series: Vec<(EventTime, Totals)>,
    /// The sums of each application: over its requests, and the sessions that have one of them.
    pub apps: Vec<(String, Totals)>,
}

pub use spoor_operators::totals::Totals;

/// A record that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Position in the list of its process; newer ones are greater.
    pub sequence: u64,
    /// Which source.
    pub source: String,
    /// Byte offset in the source, or line number of a push.
    pub offset: u64,
    /// The process that refused it; 0 where there is one only.
    pub process: u32,
    /// Closed code, such as `bad_json`.
    pub code: RefusalCode,
    /// In words.
    pub reason: String,
    /// The record, capped.
    pub raw: Vec<u8>,
    /// The epoch that refused it.
    pub epoch: Epoch,
}

impl DeadLetter {
    /// Its place among all of them.
    #[must_use]
    pub fn place(&self) -> LetterPlace {
        LetterPlace { epoch: self.epoch, process: self.process, sequence: self.sequence }
    }
}

/// A place among the dead letters of all processes. Newer is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LetterPlace {
    /// See [`DeadLetter::epoch`].
    pub epoch: Epoch,
    /// See [`DeadLetter::process`].
    pub process: u32,
    /// See [`DeadLetter::sequence`].
    pub sequence: u64,
}

/// A page of dead letters, newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DeadLetterPage {
    /// Newest first.
    pub letters: Vec<DeadLetter>,
    /// More follow.
    pub has_next: bool,
    /// Kept in all.
    pub total: u64,
}

/// State of one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Its name.
    pub source: String,
    /// Bytes (or pushed records) committed.
    pub offset: u64,
    /// Greatest time seen less the lateness.
    pub watermark: Option<i64>,
    /// Silent for longer than the idle timeout.
    pub idle: bool,
    /// What happened to its records.
    pub counts: SourceCounts,
    /// Why it cannot be read now, or could not be read further.
    pub error: Option<String>,
    /// What of it could not be read any more, since the process started; the latest.
    pub missing: Option<String>,
    /// Why records were refused since the process started, by code.
    pub refusals: Refusals,
}

/// Why records of a source were refused: for each code the number of them and the first one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals(pub BTreeMap<RefusalCode, Refusal>);

/// Where a record is in its source; of one source all places are of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RecordPlace {
    /// It begins at this byte of the uncompressed stream.
    Byte(u64),
    /// It is this entry of an HTTP archive, from 0.
    Entry(u64),
}

/// Records refused for one reason's code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// How many.
    pub count: u64,
    /// Where the first of them is.
    pub first: RecordPlace,
    /// Why the first was refused, in words.
    pub reason: String,
}

impl Refusals {
    /// Adds one refused record.
    pub fn see(&mut self, code: RefusalCode, place: RecordPlace, reason: &str) {
        if let Some(known) = self.0.get_mut(&code) {
            known.count += 1;
            if place < known.first {
                (known.first, known.reason) = (place, reason.into());
            }
        } else {
            self.0.insert(code, Refusal { count: 1, first: place, reason: reason.into() });
        }
    }

    /// Adds other refusals of the same source to these.
    pub fn add(&mut self, more: &Self) {
        for (code, more) in &more.0 {
            match self.0.get_mut(code) {
                Some(known) => {
                    let count = known.count + more.count;
                    if more.first < known.first {
                        known.clone_from(more);
                    }
                    known.count = count;
                }
                None => {
                    self.0.insert(*code, more.clone());
                }
            }
        }
    }
}

/// What happened to the records of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCounts {
    /// Records read, blank lines not among them.
    pub read: u64,
    /// In a session.
    pub accepted: u64,
    /// Refused as bad.
    pub bad: u64,
    /// Out of scope.
    pub excluded: u64,
    /// Nothing to group by.
    pub unkeyed: u64,
    /// For a day already dropped.
    pub expired: u64,
    /// Too far ahead of the wall clock.
    pub future: u64,
    /// Known already.
    pub duplicate: u64,
    /// Taken without a side field that breaks the record's rules; these are counted above too.
    #[serde(default)]
    pub repaired: u64,
}

impl SourceCounts {
    /// Adds other counts to these.
    pub fn add(&mut self, more: &Self) {
        self.read += more.read;
        self.accepted += more.accepted;
        self.bad += more.bad;
        self.excluded += more.excluded;
        self.unkeyed += more.unkeyed;
        self.expired += more.expired;
        self.future += more.future;
        self.duplicate += more.duplicate;
        self.repaired += more.repaired;
    }
}

/// State of the whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Last committed epoch.
    pub epoch: u64,
    /// Least watermark of the live sources.
    pub watermark: Option<i64>,
    /// Wall clock less watermark.
    pub lag_ms: Option<i64>,
    /// Sessions whose close the watermark has not reached.
    pub open_sessions: u64,
    /// Sessions retained.
    pub sessions: u64,
    /// Requests retained, those in no session included.
    pub requests: u64,
    /// By source.
    pub sources: Vec<SourceStatus>,
    /// Bytes of hot state, and its budget.
    pub hot_bytes: u64,
    /// See `hot_bytes`.
    pub hot_budget_bytes: u64,
    /// Resident memory of the process.
    pub resident_bytes: u64,
    /// Bytes of the store on disk.
    pub store_bytes: u64,
    /// Version of the rules in force.
    pub rules_version: u64,
    /// A change of rules on its way through the retained past.
    pub regroup: Option<RegroupStatus>,
    /// Dataflow workers.
    pub workers: usize,
    /// By so many milliseconds the wall clock has jumped since the start: it is not believed.
    pub clock_jump_ms: Option<i64>,
    /// By process; one where there is one only. The numbers above are their sums.
    pub processes: Vec<ProcessStatus>,
}

impl Status {
    /// What it says of the one process it is the status of.
    #[must_use]
    pub fn of_process(&self, process: u32) -> ProcessStatus {
        ProcessStatus {
            process,
            epoch: self.epoch,
            sessions: self.sessions,
            requests: self.requests,
            hot_bytes: self.hot_bytes,
            resident_bytes: self.resident_bytes,
            store_bytes: self.store_bytes,
            workers: self.workers,
        }
    }
}

/// One process of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// Its number.
    pub process: u32,
    /// As of this epoch.
    pub epoch: u64,
    /// Sessions of the identities it owns.
    pub sessions: u64,
    /// Their requests, and its share of those in no session.
    pub requests: u64,
    /// Bytes of its hot state.
    pub hot_bytes: u64,
    /// Its resident memory.
    pub resident_bytes: u64,
    /// Bytes of its store on disk.
    pub store_bytes: u64,
    /// Its dataflow workers.
    pub workers: usize,
}

/// Progress of a change of rules through the retained past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegroupStatus {
    /// The rules it brings about.
    pub version: u64,
    /// Requests looked at.
    pub done: u64,
    /// Requests to look at.
    pub total: u64,
}
