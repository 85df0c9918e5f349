//! Filters as clients write them, translated to `spoor_api::query` one to one.
//!
//! What can be spelled in several ways (addresses, methods) is brought to the form records have it
//! in. Depth and size of a filter are bounded here, before it is looked at.

use std::borrow::Cow;

use async_graphql::{Enum, ID, InputObject};
use spoor_api::query::{Filter, RequestFilter as RequestPredicate, StatusClass as FoundClass};
use spoor_operators::address;
use spoor_operators::facts::Field;
use spoor_operators::time::EventTime;

use super::ids::{identity_id, session_id};
use super::operation::bad;
use super::order::SessionStatistic;
use super::scalars::{Cidr, DateTime};
use crate::error::ApiError;

/// Deepest nesting of a filter.
const FILTER_DEPTH_MAX: usize = 12;
/// Most filter objects in a tree, and most values in a list.
const FILTER_SIZE_MAX: usize = 500;

/// Which sessions. All fields that are given hold at once; a list holds when one of its values
/// does; an empty list, like an absent field, says nothing.
#[derive(Default, InputObject)]
pub struct SessionFilter {
    /// All of these hold.
    pub and: Option<Vec<SessionFilter>>,
    /// One of these holds; an empty list never does.
    pub or: Option<Vec<SessionFilter>>,
    /// This does not hold.
    pub not: Option<Box<SessionFilter>>,
    /// The session has an instant in the range.
    pub time: Option<TimeRange>,
    /// Sessions of these identities: global ids, or 32 hex digits.
    pub identity: Option<Vec<ID>>,
    /// Namespace of the identity.
    pub namespace: Option<Vec<String>>,
    /// Value of the identity (a keyed hash, if the key is secret). An address in it may be spelled
    /// in any way.
    pub value: Option<Vec<String>>,
    /// These sessions: global ids, or `<identity>.<start>`, which finds the session that contains
    /// the instant.
    pub session: Option<Vec<ID>>,
    /// One and the same request of the session satisfies the whole object. To ask for several
    /// requests, combine several filters with `and`.
    pub request: Option<RequestFilter>,
    /// The watermark has not reached the session's close.
    pub open: Option<bool>,
    /// The identity is the client address, alone or with the user agent.
    pub weak: Option<bool>,
    /// At least one request has a detection.
    pub malicious: Option<bool>,
    /// At least one request was blocked.
    pub blocked: Option<bool>,
    /// Numbers within bounds.
    pub range: Option<Vec<StatisticRange>>,
}

/// A range of event time: from the first instant, up to but without the second.
#[derive(Clone, Copy, Default, InputObject)]
pub struct TimeRange {
    /// Absent: no lower bound.
    pub from: Option<DateTime>,
    /// Absent: no upper bound.
    pub until: Option<DateTime>,
}

/// A statistic within bounds, both included. What a session does not have (durations, where no
/// request has one) lies within no bounds; without any bound the range says nothing.
#[derive(Clone, Copy, InputObject)]
pub struct StatisticRange {
    /// Which number. `START` and `END` are in milliseconds since 1970.
    pub by: SessionStatistic,
    /// At least this.
    pub min: Option<f64>,
    /// At most this.
    pub max: Option<f64>,
}

/// Which requests. All fields that are given hold for **one and the same request**; a list holds
/// when one of its values does; an empty list, like an absent field, says nothing.
#[derive(Default, InputObject)]
pub struct RequestFilter {
    /// Ids of requests.
    pub ids: Option<Vec<String>>,
    /// Applications.
    pub app: Option<Vec<String>>,
    /// Hosts.
    pub host: Option<Vec<String>>,
    /// Endpoints: method and path template, such as `GET /users/{int}`.
    pub endpoint: Option<Vec<String>>,
    /// Methods.
    pub method: Option<Vec<String>>,
    /// Response statuses. For requests without a response, see `statusClass`.
    pub status: Option<Vec<i32>>,
    /// Classes of the response status.
    pub status_class: Option<Vec<StatusClass>>,
    /// Types of detected attacks.
    pub attack: Option<Vec<String>>,
    /// Client addresses in any spelling, or the host names logs may have instead. An IPv4-mapped
    /// IPv6 address is the IPv4 address.
    pub ip: Option<Vec<String>>,
    /// Networks the client address lies in.
    pub network: Option<Vec<Cidr>>,
    /// User agents, exactly.
    pub user_agent: Option<Vec<String>>,
    /// Part of the user agent, in any case.
    pub user_agent_contains: Option<String>,
    /// Values of context parameters of type `USER`.
    pub user: Option<Vec<String>>,
    /// Values of context parameters of type `ROLE`.
    pub role: Option<Vec<String>>,
    /// Business flows.
    pub flow: Option<Vec<String>>,
    /// Context parameters of any type. Entries with one name are alternatives; several names must
    /// all hold.
    pub parameter: Option<Vec<ParameterFilter>>,
    /// Has a detection.
    pub malicious: Option<bool>,
    /// Was blocked.
    pub blocked: Option<bool>,
    /// When the request started.
    pub time: Option<TimeRange>,
}

/// A context parameter with a value.
#[derive(Clone, InputObject)]
pub struct ParameterFilter {
    /// The parameter's name.
    pub name: String,
    /// Its value (a keyed hash, if the parameter is secret).
    pub value: String,
}

/// Class of a response status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum StatusClass {
    /// No response was seen: the status is absent or 0.
    NoResponse,
    /// 1xx.
    Informational,
    /// 2xx.
    Success,
    /// 3xx.
    Redirection,
    /// 4xx.
    ClientError,
    /// 5xx.
    ServerError,
    /// Any other: below 100, or 600 and above.
    Other,
}

impl StatusClass {
    fn classes(self) -> &'static [FoundClass] {
        use FoundClass::Hundreds;
        match self {
            Self::NoResponse => &[FoundClass::NoResponse],
            Self::Informational => &[Hundreds(1)],
            Self::Success => &[Hundreds(2)],
            Self::Redirection => &[Hundreds(3)],
            Self::ClientError => &[Hundreds(4)],
            Self::ServerError => &[Hundreds(5)],
            Self::Other => &[Hundreds(0), Hundreds(6), Hundreds(7), Hundreds(8), Hundreds(9)],
        }
    }
}

/// Translates an optional filter; none selects every session.
pub fn sessions(filter: Option<SessionFilter>) -> Result<Filter, ApiError> {
    let mut size = 0;
    filter.map_or_else(|| Ok(Filter::all()), |filter| filter.translate(0, &mut size))
}

impl SessionFilter {
    fn translate(self, depth: usize, size: &mut usize) -> Result<Filter, ApiError> {
        *size += 1;
        if depth > FILTER_DEPTH_MAX || *size > FILTER_SIZE_MAX {
            let limits = format!("{FILTER_DEPTH_MAX} levels and {FILTER_SIZE_MAX} objects");
            return Err(ApiError::Limit(format!("a filter has at most {limits}")));
        }
        let mut all = Vec::new();
        let mut tree = |filters: Vec<SessionFilter>| -> Result<Vec<Filter>, ApiError> {
            filters.into_iter().map(|filter| filter.translate(depth + 1, size)).collect()
        };
        if let Some(filters) = self.and {
            all.extend(tree(filters)?);
        }
        if let Some(filters) = self.or {
            all.push(Filter::Or(tree(filters)?));
        }
        if let Some(filter) = self.not {
            all.push(Filter::Not(Box::new(Filter::And(tree(vec![*filter])?))));
        }
        if let Some((from, until)) = self.time.map(bounds).transpose()? {
            all.push(Filter::Time { from, until });
        }
        all.extend(any(self.identity, |id| identity_id(&id).map(Filter::Identity))?);
        all.extend(any(self.namespace, |name| Ok(Filter::Namespace(name)))?);
        all.extend(any(self.value, |value| Ok(value_filter(value)))?);
        all.extend(any(self.session, |id| session_id(&id).map(Filter::Session))?);
        if let Some(filter) = self.request {
            all.push(Filter::Request(requests(Some(filter))?));
        }
        all.extend(self.open.map(Filter::Open));
        all.extend(self.weak.map(Filter::Weak));
        all.extend(self.malicious.map(Filter::Malicious));
        all.extend(self.blocked.map(Filter::Blocked));
        for range in self.range.unwrap_or_default() {
            if let (Some(min), Some(max)) = (range.min, range.max)
                && min > max
            {
                return Err(bad(format!("a range has `min` {min} above `max` {max}")));
            }
            all.push(Filter::Range(range.by.into(), range.min, range.max));
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Filter::And(all) })
    }
}

/// First instant, and the first after the last.
pub type Bounds = (Option<EventTime>, Option<EventTime>);

/// The bounds of a time range, which must not be the wrong way round.
pub fn bounds(range: TimeRange) -> Result<Bounds, ApiError> {
    let (from, until) = (range.from.map(|at| at.0), range.until.map(|at| at.0));
    if let (Some(from), Some(until)) = (from, until)
        && from > until
    {
        return Err(bad("a time range ends before it begins"));
    }
    Ok((from, until))
}

/// The value of an identity; the address in it may be spelled in any way.
fn value_filter(value: String) -> Filter {
    let mut spellings = spellings(value).into_iter().map(Filter::Value).collect::<Vec<_>>();
    match spellings.len() {
        1 => spellings.remove(0),
        _ => Filter::Or(spellings),
    }
}

/// A text as it is and, if there is an address in it, with that in the form records have it in.
fn spellings(text: String) -> Vec<String> {
    match address::canonical(&text) {
        Cow::Borrowed(_) => vec![text],
        Cow::Owned(canonical) => vec![text, canonical],
    }
}

/// Methods, and the methods of endpoints, are kept in upper case.
fn with_upper_method(text: String) -> String {
    let method = text.split(' ').next().unwrap_or_default();
    if !method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return text;
    }
    let (method, rest) = text.split_at(method.len());
    method.to_ascii_uppercase() + rest
}

fn mapped(values: Option<Vec<String>>, one: impl Fn(String) -> String) -> Option<Vec<String>> {
    values.map(|values| values.into_iter().map(one).collect())
}

fn any<T>(
    values: Option<Vec<T>>,
    one: impl Fn(T) -> Result<Filter, ApiError>,
) -> Result<Option<Filter>, ApiError> {
    let values = limited(values)?;
    let mut filters = values.into_iter().map(one).collect::<Result<Vec<_>, _>>()?;
    Ok(match filters.len() {
        0 => None,
        1 => filters.pop(),
        _ => Some(Filter::Or(filters)),
    })
}

fn limited<T>(values: Option<Vec<T>>) -> Result<Vec<T>, ApiError> {
    let values = values.unwrap_or_default();
    if values.len() > FILTER_SIZE_MAX {
        let text = format!("a list of a filter has at most {FILTER_SIZE_MAX} values");
        return Err(ApiError::Limit(text));
    }
    Ok(values)
}

/// Translates an optional request filter; none selects every request.
pub fn requests(filter: Option<RequestFilter>) -> Result<RequestPredicate, ApiError> {
    let Some(filter) = filter else { return Ok(RequestPredicate::default()) };
    let mut fields = Vec::new();
    for (field, values) in [
        (Field::App, filter.app),
        (Field::Host, filter.host),
        (Field::Endpoint, mapped(filter.endpoint, with_upper_method)),
        (Field::Method, mapped(filter.method, with_upper_method)),
        (Field::Status, filter.status.map(|list| list.iter().map(i32::to_string).collect())),
        (Field::Attack, filter.attack),
        (Field::Ip, filter.ip),
        (Field::UserAgent, filter.user_agent),
        (Field::User, filter.user),
        (Field::Role, filter.role),
        (Field::Flow, filter.flow),
    ] {
        let mut values = limited(values)?;
        if field == Field::Ip {
            values = values.into_iter().flat_map(spellings).collect();
        }
        if !values.is_empty() {
            fields.push((field, values));
        }
    }
    fields.extend(parameters(limited(filter.parameter)?));
    let (from, until) = bounds(filter.time.unwrap_or_default())?;
    let classes = limited(filter.status_class)?;
    Ok(RequestPredicate {
        ids: limited(filter.ids)?,
        fields,
        status_classes: classes.iter().flat_map(|class| class.classes()).copied().collect(),
        networks: limited(filter.network)?.into_iter().map(|network| network.0).collect(),
        user_agent_contains: filter.user_agent_contains.filter(|part| !part.is_empty()),
        malicious: filter.malicious,
        blocked: filter.blocked,
        from,
        until,
    })
}

/// One group of alternatives for each name.
fn parameters(given: Vec<ParameterFilter>) -> Vec<(Field, Vec<String>)> {
    let mut names: Vec<(String, Vec<String>)> = Vec::new();
    for ParameterFilter { name, value } in given {
        let texts = spellings(value).into_iter().map(|value| format!("{name}={value}"));
        match names.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => known.extend(texts),
            None => names.push((name.clone(), texts.collect())),
        }
    }
    names.into_iter().map(|(_, texts)| (Field::Parameter, texts)).collect()
}
