//! Whether a session matches, as far as its row tells.
//!
//! A row has counts of single values, so it answers every predicate on sessions and most on
//! requests. Several predicates that must hold on one and the same request it can only refuse (a
//! value is absent) or, where all but one hold for every request, confirm; the rest is for the
//! request log. Answers are therefore yes, no or unknown, and combine as Kleene's logic says.

use std::ops::Deref;

use spoor_operators::address;
use spoor_operators::facts::{Facts, Field};
use spoor_operators::identity::{IdentityId, SessionId};
use spoor_operators::request::NANOS_PER_MS;
use spoor_operators::session::{Session, SessionView};
use spoor_operators::sessionize::backend::DayKey;
use spoor_operators::summary::Counters;
use spoor_operators::time::{Day, DayZone, EventTime};

use super::batch::closes_at;
use super::{StoreError, StoreView};
use spoor_api::query::{Filter, RequestFilter, Statistic, StatusClass, within};

/// What a filter can see of a session, stored or in memory.
pub(super) trait Facets {
    fn identity(&self) -> IdentityId;
    fn namespace(&self) -> &str;
    fn value(&self) -> &str;
    fn weak(&self) -> bool;
    fn span(&self) -> (Day, EventTime, EventTime);
    fn gap_ms(&self) -> u32;
    fn counters(&self) -> &Counters;
    /// See [`Statistic::of`].
    fn statistic(&self, by: Statistic) -> Result<Option<f64>, StoreError>;
    /// Visits the values of a field with their counts.
    fn each(&self, field: Field, visit: &mut dyn FnMut(&str, u64)) -> Result<(), StoreError>;
}

impl Facets for Session {
    fn identity(&self) -> IdentityId {
        self.identity.id
    }

    fn namespace(&self) -> &str {
        &self.identity.namespace
    }

    fn value(&self) -> &str {
        &self.identity.value
    }

    fn weak(&self) -> bool {
        self.identity.weak
    }

    fn span(&self) -> (Day, EventTime, EventTime) {
        (self.day, self.start, self.end)
    }

    fn gap_ms(&self) -> u32 {
        self.gap_ms
    }

    fn counters(&self) -> &Counters {
        &self.summary.counters
    }

    fn statistic(&self, by: Statistic) -> Result<Option<f64>, StoreError> {
        Ok(by.of(self))
    }

    fn each(&self, field: Field, visit: &mut dyn FnMut(&str, u64)) -> Result<(), StoreError> {
        self.summary.entries(field).for_each(|(text, count)| visit(text, count));
        Ok(())
    }
}

/// A session's row, and the view it is read in: values of a large breakdown are in other rows.
pub(super) struct Row<'a> {
    pub(super) session: SessionView<'a>,
    pub(super) view: &'a StoreView,
}

impl<'a> Deref for Row<'a> {
    type Target = SessionView<'a>;

    fn deref(&self) -> &SessionView<'a> {
        &self.session
    }
}

impl Facets for Row<'_> {
    fn identity(&self) -> IdentityId {
        self.identity
    }

    fn namespace(&self) -> &str {
        self.namespace
    }

    fn value(&self) -> &str {
        self.value
    }

    fn weak(&self) -> bool {
        self.weak
    }

    fn span(&self) -> (Day, EventTime, EventTime) {
        (self.day, self.start, self.end)
    }

    fn gap_ms(&self) -> u32 {
        self.gap_ms
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn statistic(&self, by: Statistic) -> Result<Option<f64>, StoreError> {
        let quantile = |q| -> Result<Option<f64>, StoreError> {
            let found = self.histogram()?.quantile(q);
            let within = |found: u64| found.min(self.counters.duration_max_ns);
            Ok(found.map(|found| within(found) as f64 / NANOS_PER_MS))
        };
        let if_timed = |ns: u64| -> Result<Option<f64>, StoreError> {
            // A sum or maximum of 0 may be of durations of 0, or of none.
            let timed = ns > 0 || self.histogram()?.count() > 0;
            Ok(timed.then_some(ns as f64 / NANOS_PER_MS))
        };
        let distinct = |field| -> Result<Option<f64>, StoreError> {
            if let Some(head) = self.session.head()? {
                return Ok(Some(head.distinct(field) as f64));
            }
            let mut values = 0_u64;
            self.each(field, &mut |_, _| values += 1)?;
            Ok(Some(values as f64))
        };
        let counters = &self.counters;
        let count = match by {
            Statistic::Start => return Ok(Some(self.start.0 as f64)),
            Statistic::End => return Ok(Some(self.end.0 as f64)),
            Statistic::DurationMs => return Ok(Some(self.end.0.wrapping_sub(self.start.0) as f64)),
            Statistic::DurationSumMs => return if_timed(counters.duration_sum_ns),
            Statistic::DurationMaxMs => return if_timed(counters.duration_max_ns),
            Statistic::DurationP50Ms => return quantile(0.50),
            Statistic::DurationP95Ms => return quantile(0.95),
            Statistic::DurationP99Ms => return quantile(0.99),
            Statistic::Ips => return distinct(Field::Ip),
            Statistic::Endpoints => return distinct(Field::Endpoint),
            Statistic::Users => return distinct(Field::User),
            Statistic::Requests => counters.requests,
            Statistic::Errors => counters.errors,
            Statistic::ServerErrors => counters.server_errors,
            Statistic::Detections => counters.detections,
            Statistic::Malicious => counters.malicious,
            Statistic::Blocked => counters.blocked,
            Statistic::RequestBytes => counters.request_bytes,
            Statistic::ResponseBytes => counters.response_bytes,
            Statistic::Shadow => counters.shadow,
            Statistic::Zombie => counters.zombie,
        };
        Ok(Some(count as f64))
    }

    fn each(&self, field: Field, visit: &mut dyn FnMut(&str, u64)) -> Result<(), StoreError> {
        if let Some(head) = self.session.head()? {
            let key = DayKey { day: self.day, identity: self.session.identity };
            return self.view.stored_values(key, head.anchor, field, visit);
        }
        for entry in self.entries()? {
            let (found, text, count) = entry?;
            if found == field {
                visit(text, count);
            }
        }
        Ok(())
    }
}

/// What is known besides the session: when days begin, and how far time has come.
pub(super) struct Clock<'a> {
    pub(super) zone: &'a DayZone,
    pub(super) watermark: Option<EventTime>,
}

impl Clock<'_> {
    fn open(&self, session: &impl Facets) -> bool {
        let (day, _, end) = session.span();
        let next_day = self.zone.start_of(Day(day.0.saturating_add(1)));
        let closes = closes_at(end, session.gap_ms(), next_day);
        self.watermark.is_none_or(|watermark| watermark < closes)
    }
}

/// Answers a group of predicates on one and the same request, or that it cannot.
pub(super) type Ask<'a> = &'a mut dyn FnMut(&RequestFilter) -> Result<Option<bool>, StoreError>;

/// Whether a session matches; none when neither its row nor `ask` can tell.
pub(super) fn decide(
    filter: &Filter,
    session: &impl Facets,
    clock: &Clock<'_>,
    ask: Ask<'_>,
) -> Result<Option<bool>, StoreError> {
    let (_, start, end) = session.span();
    let known = match filter {
        Filter::And(all) => return decide_all(all, session, clock, ask, false),
        Filter::Or(any) => return decide_all(any, session, clock, ask, true),
        Filter::Not(inner) => return Ok(decide(inner, session, clock, ask)?.map(|yes| !yes)),
        Filter::Request(group) => {
            let known = decide_group(group, session)?;
            return if known.is_some() { Ok(known) } else { ask(group) };
        }
        Filter::Time { from, until } => overlaps(start, end, *from, *until),
        Filter::Identity(id) => session.identity() == *id,
        Filter::Namespace(text) => session.namespace() == text,
        Filter::Value(text) => session.value() == text,
        Filter::Session(SessionId { identity, start: at }) => {
            session.identity() == *identity && start <= *at && *at <= end
        }
        Filter::Open(open) => clock.open(session) == *open,
        Filter::Weak(weak) => session.weak() == *weak,
        Filter::Malicious(some) => (session.counters().malicious > 0) == *some,
        Filter::Blocked(some) => (session.counters().blocked > 0) == *some,
        Filter::Range(by, min, max) => within(session.statistic(*by)?, *min, *max),
    };
    Ok(Some(known))
}

/// And (`decisive` false) or Or (`decisive` true).
fn decide_all(
    filters: &[Filter],
    session: &impl Facets,
    clock: &Clock<'_>,
    ask: Ask<'_>,
    decisive: bool,
) -> Result<Option<bool>, StoreError> {
    let mut known = Some(!decisive);
    for filter in filters {
        match decide(filter, session, clock, ask)? {
            Some(yes) if yes == decisive => return Ok(Some(decisive)),
            Some(_) => {}
            None => known = None,
        }
    }
    Ok(known)
}

fn overlaps(
    start: EventTime,
    end: EventTime,
    from: Option<EventTime>,
    until: Option<EventTime>,
) -> bool {
    until.is_none_or(|until| start < until) && from.is_none_or(|from| end >= from)
}

/// How many requests of a session a predicate holds on, as far as counts tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    None,
    Some,
    All,
    /// The row cannot tell whether there is one.
    Unknown,
}

impl Share {
    fn of(count: u64, requests: u64) -> Self {
        match count {
            0 => Self::None,
            count if count >= requests => Self::All,
            _ => Self::Some,
        }
    }

    /// Of a value a request may have several times, or together with others: never `All`.
    fn at_most_some(self) -> Self {
        if self == Self::All { Self::Some } else { self }
    }
}

fn decide_group(group: &RequestFilter, session: &impl Facets) -> Result<Option<bool>, StoreError> {
    let (mut some, mut unknown) = (0, false);
    let mut refused = false;
    shares(group, session, &mut |share| {
        match share {
            Share::None => refused = true,
            Share::Some => some += 1,
            Share::Unknown => unknown = true,
            Share::All => {}
        }
        !refused
    })?;
    Ok(match (refused, unknown, some) {
        (true, ..) => Some(false),
        (false, false, 0 | 1) => Some(true),
        _ => None,
    })
}

/// The share of each predicate of a group, until `visit` has heard enough.
fn shares(
    group: &RequestFilter,
    session: &impl Facets,
    visit: &mut dyn FnMut(Share) -> bool,
) -> Result<(), StoreError> {
    let counters = session.counters();
    let requests = counters.requests;
    for (wanted, count) in
        [(group.malicious, counters.malicious), (group.blocked, counters.blocked)]
    {
        if let Some(wanted) = wanted {
            let count = if wanted { count } else { requests.saturating_sub(count) };
            if !visit(Share::of(count, requests)) {
                return Ok(());
            }
        }
    }
    if group.from.is_some() || group.until.is_some() {
        let (_, start, end) = session.span();
        let within = group.from.is_none_or(|from| start >= from)
            && group.until.is_none_or(|until| end < until);
        // The first or the last request is known to be there; those between are not.
        let touches = |at: EventTime| {
            group.from.is_none_or(|from| at >= from) && group.until.is_none_or(|until| at < until)
        };
        let share = match (within, overlaps(start, end, group.from, group.until)) {
            (true, _) => Share::All,
            (_, false) => Share::None,
            _ if touches(start) || touches(end) => Share::Some,
            _ => Share::Unknown,
        };
        if !visit(share) {
            return Ok(());
        }
    }
    if !group.status_classes.is_empty() {
        let (mut matching, mut answered) = (0, 0);
        session.each(Field::Status, &mut |text, count| {
            answered += count;
            let status = text.parse::<u16>().unwrap_or_default();
            if group.status_classes.contains(&StatusClass::of(status)) {
                matching += count;
            }
        })?;
        if group.status_classes.contains(&StatusClass::NoResponse) {
            matching += requests.saturating_sub(answered);
        }
        if !visit(Share::of(matching, requests)) {
            return Ok(());
        }
    }
    for (field, texts) in &group.fields {
        let mut matching = 0;
        session.each(*field, &mut |text, count| {
            if texts.iter().any(|wanted| wanted == text) {
                matching += count;
            }
        })?;
        let share = Share::of(matching, requests);
        let share = if single_valued(*field) { share } else { share.at_most_some() };
        if !visit(share) {
            return Ok(());
        }
    }
    if !group.networks.is_empty() {
        let mut matching = 0;
        session.each(Field::Ip, &mut |text, count| {
            if in_networks(group, text) {
                matching += count;
            }
        })?;
        if !visit(Share::of(matching, requests)) {
            return Ok(());
        }
    }
    if let Some(part) = &group.user_agent_contains {
        let (part, mut matching) = (part.to_lowercase(), 0);
        session.each(Field::UserAgent, &mut |text, count| {
            if text.to_lowercase().contains(&part) {
                matching += count;
            }
        })?;
        if !visit(Share::of(matching, requests)) {
            return Ok(());
        }
    }
    if !group.ids.is_empty() {
        visit(Share::Unknown);
    }
    Ok(())
}

/// Whether a request has at most one value of the field, so that counts are of requests.
fn single_valued(field: Field) -> bool {
    matches!(
        field,
        Field::Method
            | Field::Status
            | Field::Host
            | Field::App
            | Field::Endpoint
            | Field::Ip
            | Field::UserAgent
    )
}

fn in_networks(group: &RequestFilter, ip: &str) -> bool {
    let ip = address::parse(ip);
    ip.is_some_and(|ip| group.networks.iter().any(|network| network.contains(&ip)))
}

/// Whether one request satisfies the whole group.
pub(super) fn request_matches(
    group: &RequestFilter,
    id: &str,
    ts: EventTime,
    facts: &Facts<'_>,
) -> bool {
    let numbers = &facts.numbers;
    let has = |field: Field, test: &dyn Fn(&str) -> bool| {
        facts.iter().any(|fact| fact.field == field && test(fact.text))
    };
    let class = StatusClass::of(numbers.status);
    (group.ids.is_empty() || group.ids.iter().any(|wanted| wanted == id))
        && group.from.is_none_or(|from| ts >= from)
        && group.until.is_none_or(|until| ts < until)
        && group.malicious.is_none_or(|some| (numbers.detections > 0) == some)
        && group.blocked.is_none_or(|blocked| numbers.blocked == blocked)
        && (group.status_classes.is_empty() || group.status_classes.contains(&class))
        && group
            .fields
            .iter()
            .all(|(field, texts)| has(*field, &|text| texts.iter().any(|wanted| wanted == text)))
        && (group.networks.is_empty() || has(Field::Ip, &|ip| in_networks(group, ip)))
        && group.user_agent_contains.as_ref().is_none_or(|part| {
            let part = part.to_lowercase();
            has(Field::UserAgent, &|text| text.to_lowercase().contains(&part))
        })
}
