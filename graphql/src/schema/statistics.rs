//! The numbers of a session as clients see them. The only place that knows how `Summary` is laid
//! out.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use async_graphql::{Enum, SimpleObject};
use spoor_api::service::{ServiceError, View};
use spoor_api::values::{ValuePage, ValueQuery};
use spoor_operators::facts::Field;
use spoor_operators::request::NANOS_PER_MS;
use spoor_operators::session::Session;
use spoor_operators::time::EventTime;

use super::ids::{CountPlace, value_cursor};
use super::lists::{Page, ReadAt};
use super::page::PageInfo;
use super::scalars::Long;

/// Statistics of a session.
#[derive(Clone, Debug, Default, SimpleObject)]
pub struct Statistics {
    /// Requests.
    pub requests: Long,
    /// Requests with a status of 400 and above.
    pub errors: Long,
    /// Requests with a status of 500 and above.
    pub server_errors: Long,
    /// Attacks detected: each of each request.
    pub detections: Long,
    /// Requests with at least one detection.
    pub malicious: Long,
    /// Requests that were blocked.
    pub blocked: Long,
    /// Bytes of the requests.
    pub request_bytes: Long,
    /// Bytes of the responses.
    pub response_bytes: Long,
    /// Distinct client addresses.
    pub ips: Long,
    /// Distinct endpoints.
    pub endpoints: Long,
    /// Distinct users.
    pub users: Long,
    /// Requests of shadow endpoints: called, and in no description of their app.
    pub shadow: Long,
    /// Requests of zombie endpoints: only in an earlier description, or deprecated.
    pub zombie: Long,
    /// Time to the full response; none when no request has it.
    pub durations: Option<Durations>,
}

/// Times to the full response, in milliseconds. Percentiles have a relative error of at most 1 %.
#[derive(Clone, Debug, Default, SimpleObject)]
pub struct Durations {
    /// Requests that have it.
    pub count: Long,
    /// Sum.
    pub sum_ms: f64,
    /// Mean.
    pub mean_ms: f64,
    /// Greatest.
    pub max_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
}

/// What a session's requests can be counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum BreakdownField {
    /// Request method.
    Method,
    /// Response status; requests without a response have none.
    Status,
    /// Hundreds of the response status, such as `4xx`; `none` when no response was seen.
    StatusClass,
    /// Host.
    Host,
    /// Application.
    App,
    /// Method and path template.
    Endpoint,
    /// Client address.
    Ip,
    /// User agent.
    UserAgent,
    /// Type of attack; a share of all detections.
    Attack,
    /// Business flow.
    Flow,
    /// User.
    User,
    /// Role.
    Role,
    /// `name=value` of a context parameter.
    Parameter,
}

/// Requests (or detections) counted by a value.
#[derive(Clone, Debug, SimpleObject)]
pub struct Breakdown {
    /// Most frequent first; equal counts in order of the value.
    pub values: Vec<BreakdownValue>,
    /// Distinct values in all.
    pub distinct: Long,
    /// What the shares are shares of.
    pub denominator: Denominator,
    /// Where the page of values lies among them.
    pub page_info: PageInfo,
}

/// One value with its count.
#[derive(Clone, Debug, SimpleObject)]
pub struct BreakdownValue {
    /// The value.
    pub value: String,
    /// How often.
    pub count: Long,
    /// Of the denominator: 0 to 1. A request may have several values, so shares may add up to
    /// more than 1, and not every request has one, so to less.
    pub share: f64,
}

/// What a share is a share of.
#[derive(Clone, Debug, SimpleObject)]
pub struct Denominator {
    /// `requests` or `detections`.
    pub name: &'static str,
    /// How many.
    pub count: Long,
}

impl Statistics {
    /// Of a session.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        let summary = &session.summary;
        Self {
            requests: summary.requests.into(),
            errors: summary.errors.into(),
            server_errors: summary.server_errors.into(),
            detections: summary.detections.into(),
            malicious: summary.malicious.into(),
            blocked: summary.blocked.into(),
            request_bytes: summary.request_bytes.into(),
            response_bytes: summary.response_bytes.into(),
            ips: summary.distinct(Field::Ip).into(),
            endpoints: summary.distinct(Field::Endpoint).into(),
            users: summary.distinct(Field::User).into(),
            shadow: summary.shadow.into(),
            zombie: summary.zombie.into(),
            durations: Durations::of(session),
        }
    }
}

impl Durations {
    fn of(session: &Session) -> Option<Self> {
        let summary = &session.summary;
        let count = summary.histogram.count();
        let sum_ms = summary.duration_sum_ns as f64 / NANOS_PER_MS;
        Some(Self {
            count: count.into(),
            sum_ms,
            mean_ms: sum_ms / count as f64,
            max_ms: summary.duration_max_ns as f64 / NANOS_PER_MS,
            p50_ms: summary.quantile_ms(0.50)?,
            p95_ms: summary.quantile_ms(0.95)?,
            p99_ms: summary.quantile_ms(0.99)?,
        })
    }
}

/// More than there can be different statuses.
const STATUSES_MAX: usize = 1 << 16;

/// A page of the values of a field, with the number their shares are taken of.
pub struct Counted {
    start: EventTime,
    found: ValuePage,
    denominator: Denominator,
}

impl Page for Counted {
    fn has_next(&self) -> bool {
        self.found.has_next
    }
}

impl Counted {
    /// Of a session of a view by a field, the `first` most frequent values after a place.
    ///
    /// # Errors
    /// The values cannot be read.
    pub fn of(
        view: &dyn View,
        session: &Session,
        by: BreakdownField,
        first: usize,
        after: Option<&CountPlace>,
    ) -> Result<Self, ServiceError> {
        let summary = &session.summary;
        let denominator = match by {
            BreakdownField::Attack => {
                Denominator { name: "detections", count: summary.detections.into() }
            }
            _ => Denominator { name: "requests", count: summary.requests.into() },
        };
        let known = |(count, value): &CountPlace| {
            (u64::try_from(*count).unwrap_or_default(), value.clone())
        };
        let after = after.map(known);
        let found = match by.field() {
            Some(field) => view.values(session, &ValueQuery { field, first, after })?,
            None => {
                let (field, most) = (Field::Status, STATUSES_MAX);
                let all = ValueQuery { field, first: most, after: None };
                let classes = status_classes(summary.requests, &view.values(session, &all)?);
                page_of(classes, first, after)
            }
        };
        Ok(Self { start: session.start, found, denominator })
    }
}

/// A page of values that are all in memory.
fn page_of(
    mut values: Vec<(String, u64)>,
    first: usize,
    after: Option<(u64, String)>,
) -> ValuePage {
    let distinct = values.len() as u64;
    let place = |(value, count): &(String, u64)| (Reverse(*count), value.clone());
    values.sort_unstable_by_key(place);
    if let Some((count, value)) = after {
        values.retain(|known| place(known) > (Reverse(count), value.clone()));
    }
    let has_next = values.len() > first;
    values.truncate(first);
    ValuePage { values, has_next, distinct }
}

impl Breakdown {
    /// As clients see it.
    #[must_use]
    pub fn new(counted: Counted, by: BreakdownField, is_after: bool, read: &ReadAt) -> Self {
        let Counted { start, found, denominator } = counted;
        let ValuePage { values, has_next, distinct } = found;
        let cursor = |(value, count): &(String, u64)| {
            let place = (i64::try_from(*count).unwrap_or(i64::MAX), value.clone());
            value_cursor(read.list, by.tag(), start, &place)
        };
        let ends: Vec<String> =
            [values.first(), values.last()].into_iter().flatten().map(cursor).collect();
        let whole = (denominator.count.0 as f64).max(1.0);
        let value = |(value, count): (String, u64)| BreakdownValue {
            value,
            count: count.into(),
            share: count as f64 / whole,
        };
        Self {
            page_info: PageInfo::new(has_next, is_after, &ends, read),
            values: values.into_iter().map(value).collect(),
            distinct: distinct.into(),
            denominator,
        }
    }
}

impl BreakdownField {
    /// What cursors call it.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::StatusClass => "StatusClass",
            Self::Method => "Method",
            Self::Status => "Status",
            Self::Host => "Host",
            Self::App => "App",
            Self::Endpoint => "Endpoint",
            Self::Ip => "Ip",
            Self::UserAgent => "UserAgent",
            Self::Attack => "Attack",
            Self::Flow => "Flow",
            Self::User => "User",
            Self::Role => "Role",
            Self::Parameter => "Parameter",
        }
    }

    /// The field whose values it counts; none for classes of the status.
    fn field(self) -> Option<Field> {
        Some(match self {
            Self::StatusClass => return None,
            Self::Method => Field::Method,
            Self::Status => Field::Status,
            Self::Host => Field::Host,
            Self::App => Field::App,
            Self::Endpoint => Field::Endpoint,
            Self::Ip => Field::Ip,
            Self::UserAgent => Field::UserAgent,
            Self::Attack => Field::Attack,
            Self::Flow => Field::Flow,
            Self::User => Field::User,
            Self::Role => Field::Role,
            Self::Parameter => Field::Parameter,
        })
    }
}

/// The classes of the statuses of so many requests.
fn status_classes(requests: u64, statuses: &ValuePage) -> Vec<(String, u64)> {
    let mut classes: BTreeMap<String, u64> = BTreeMap::new();
    let mut unanswered = requests;
    for (status, count) in &statuses.values {
        let status: u16 = status.parse().unwrap_or_default();
        *classes.entry(format!("{}xx", status / 100)).or_default() += count;
        unanswered = unanswered.saturating_sub(*count);
    }
    if unanswered > 0 {
        classes.insert("none".into(), unanswered);
    }
    classes.into_iter().collect()
}
