//! The numbers of a session as clients see them. The only place that knows how `Summary` is laid
//! out.

use async_graphql::{Enum, SimpleObject};
use spoor_dataflow::values::{ValuePage, ValueQuery};
use spoor_operators::facts::Field;
use spoor_operators::request::NANOS_PER_MS;
use spoor_operators::session::Session;

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

/// More different statuses than there are.
const STATUSES_MAX: usize = 1 << 16;

impl BreakdownField {
    /// The values to ask for, so that [`Breakdown::of`] has the `first` most frequent ones.
    #[must_use]
    pub fn query(self, first: usize) -> ValueQuery {
        let (field, first) = match self {
            Self::StatusClass => (Field::Status, STATUSES_MAX),
            Self::Method => (Field::Method, first),
            Self::Status => (Field::Status, first),
            Self::Host => (Field::Host, first),
            Self::App => (Field::App, first),
            Self::Endpoint => (Field::Endpoint, first),
            Self::Ip => (Field::Ip, first),
            Self::UserAgent => (Field::UserAgent, first),
            Self::Attack => (Field::Attack, first),
            Self::Flow => (Field::Flow, first),
            Self::User => (Field::User, first),
            Self::Role => (Field::Role, first),
            Self::Parameter => (Field::Parameter, first),
        };
        ValueQuery { field, first, after: None }
    }
}

impl Breakdown {
    /// Of a session by a field, the `first` most frequent values, of those that were asked for.
    #[must_use]
    pub fn of(session: &Session, by: BreakdownField, first: usize, found: ValuePage) -> Self {
        let summary = &session.summary;
        let denominator = match by {
            BreakdownField::Attack => {
                Denominator { name: "detections", count: summary.detections.into() }
            }
            _ => Denominator { name: "requests", count: summary.requests.into() },
        };
        let (mut counts, distinct) = match by {
            BreakdownField::StatusClass => status_classes(session, &found),
            _ => (found.values, found.distinct.into()),
        };
        counts.truncate(first);
        let whole = (denominator.count.0 as f64).max(1.0);
        let value = |(value, count): (String, u64)| BreakdownValue {
            value,
            count: count.into(),
            share: count as f64 / whole,
        };
        Self { values: counts.into_iter().map(value).collect(), distinct, denominator }
    }
}

/// Hundreds of the statuses, the most frequent first, and how many there are.
fn status_classes(session: &Session, statuses: &ValuePage) -> (Vec<(String, u64)>, Long) {
    let mut classes = [0_u64; 10];
    for (status, count) in &statuses.values {
        let status: usize = status.parse().unwrap_or(0);
        if let Some(class) = classes.get_mut(status / 100) {
            *class += count;
        }
    }
    let answered: u64 = classes.iter().sum();
    classes[0] += session.summary.requests.saturating_sub(answered);
    let name = |class: usize| if class == 0 { "none".into() } else { format!("{class}xx") };
    let classes = classes.into_iter().enumerate().filter(|(_, count)| *count > 0);
    let mut counts: Vec<_> = classes.map(|(class, count)| (name(class), count)).collect();
    counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let distinct = counts.len().into();
    (counts, distinct)
}
