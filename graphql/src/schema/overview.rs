//! Totals and time series for charts.

use std::cmp::Reverse;

use async_graphql::{Context, InputObject, Object, SimpleObject};
use spoor_api::query::{Overview as Found, Totals as FoundTotals};
use spoor_api::service::{ServiceError, View};
use spoor_operators::request::NANOS_PER_MS;
use spoor_operators::time::{Epoch, EventTime};
use spoor_operators::totals::shown;

use super::filter::{Bounds, TimeRange, bounds};
use super::ids::{CountPlace, app_cursor, read_app_cursor};
use super::lists::{self, Page, ReadAt};
use super::operation::{Nullable, Operation, Snapshot, bad, nullable};
use super::page::{self, PageInfo};
use super::scalars::{DateTime, EpochToken, Long};
use crate::error::ApiError;

/// Most steps of a series.
const STEPS_MAX: i64 = 10_000;
/// Most steps of a series whose step was not given.
const STEPS_DEFAULT: i64 = 400;
/// Steps in minutes that are taken when none is given: up to a week.
const STEPS: [u32; 12] = [1, 2, 5, 10, 15, 30, 60, 120, 360, 720, 1440, 7 * 1440];
/// Widest step, in minutes: a year.
const STEP_MINUTES_MAX: i32 = 366 * 24 * 60;
/// Milliseconds in a minute.
const MINUTE_MS: i64 = 60_000;
/// Most applications of a page.
const APPS_MAX: usize = 1_000;
/// Applications of a page unless asked otherwise.
const APPS_DEFAULT: usize = 100;

/// A range of event time, in whole minutes.
#[derive(Clone, Copy, Default, InputObject)]
pub struct OverviewRange {
    /// From this instant on, rounded down to a whole minute. Absent: no lower bound.
    pub from: Option<DateTime>,
    /// Up to, and without, this instant, rounded up to a whole minute. Absent: no upper bound.
    pub until: Option<DateTime>,
    /// Minutes of a step of the series, from 1 to a year. Steps shorter than a day are counted from
    /// the begin of each day of the configured zone; steps of whole days are days of that zone, and
    /// those of weeks begin on Mondays. Absent: the shortest of 1, 2, 5, 10, 15, 30 minutes, 1, 2, 6,
    /// 12 hours, a day, a week (or as many weeks as it takes) with which the range has no more than
    /// 400.
    pub step_minutes: Option<i32>,
}

/// What happened in a range of event time, and when.
pub struct Overview {
    at: Snapshot,
    range: Bounds,
    step: Option<u32>,
    found: Found,
}

/// What happened in a range of event time, and when.
#[Object]
impl Overview {
    /// The committed epoch it is read at.
    async fn epoch(&self) -> Long {
        self.found.epoch.0.into()
    }

    /// That epoch, to be handed back as `atLeastEpoch`, or as `since` of `sessionChanges`.
    async fn epoch_token(&self, ctx: &Context<'_>) -> Result<EpochToken, ApiError> {
        Ok(Operation::of(ctx)?.token_of(self.found.epoch.0.into()))
    }

    /// Begin of the range that is summed: a whole minute. None: no lower bound.
    async fn from(&self) -> Option<DateTime> {
        self.range.0.map(DateTime)
    }

    /// End of the range that is summed, itself not in it: a whole minute. None: no upper bound.
    async fn until(&self) -> Option<DateTime> {
        self.range.1.map(DateTime)
    }

    /// Minutes of a step of the series; none unless the series is asked for.
    async fn step_minutes(&self) -> Option<Long> {
        self.step.map(Long::from)
    }

    /// Sums over the range: each session counts once.
    async fn totals(&self) -> Totals {
        self.found.totals.into()
    }

    /// One point for each step in which something happened, in order of time; at most 10,000.
    async fn series(&self) -> Vec<OverviewPoint> {
        let point = |(at, totals): &(EventTime, FoundTotals)| OverviewPoint {
            at: (*at).into(),
            totals: (*totals).into(),
        };
        self.found.series.iter().map(point).collect()
    }

    /// The applications, most requests first. `first` is at most 1000; 100 unless given.
    #[graphql(complexity = "page::cost_of(first, APPS_DEFAULT, APPS_MAX, child_complexity)")]
    async fn apps(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most this many; 0 to 1000, 100 unless given.")] first: Option<i32>,
        #[graphql(desc = "Cursor of the entry to go on after; absent: from the beginning.")]
        after: Option<String>,
    ) -> Nullable<AppConnection> {
        nullable(async {
            let first = page::bounded("first", first, APPS_DEFAULT, APPS_MAX)?;
            let after = after.as_deref().map(read_app_cursor).transpose()?;
            let (list, place) = after.map(|after| (after.list, after.place)).unzip();
            let (shown, known) = (self.at.view().epoch(), self.found.apps.clone());
            let ((from, until), is_after) = (self.range, place.is_some());
            let page = move |view: &dyn View| {
                let apps = match view.epoch() == shown {
                    true => known.clone(),
                    false => view.overview(from, until, None)?.apps,
                };
                Ok(AppPage::of(apps, first, place.as_ref()))
            };
            let (found, read) = lists::read(ctx, &self.at, list, Epoch(0), page).await?;
            Ok(Some(AppConnection::new(found, is_after, &read)))
        })
        .await
    }
}

/// Applications of an overview.
#[derive(SimpleObject)]
pub struct AppConnection {
    /// The applications with their cursors.
    pub edges: Vec<AppEdge>,
    /// The applications alone.
    pub nodes: Vec<AppTotals>,
    /// Where the page lies.
    pub page_info: PageInfo,
    /// All applications with something in the range.
    pub total_count: Long,
}

/// An application in a list.
#[derive(SimpleObject)]
pub struct AppEdge {
    /// The application.
    pub node: AppTotals,
    /// Give it as `after` to read on from here.
    pub cursor: String,
}

/// A page of applications.
struct AppPage {
    apps: Vec<(String, FoundTotals)>,
    has_next: bool,
    total: usize,
}

impl Page for AppPage {
    fn has_next(&self) -> bool {
        self.has_next
    }
}

impl AppPage {
    fn of(mut apps: Vec<(String, FoundTotals)>, first: usize, after: Option<&CountPlace>) -> Self {
        let total = apps.len();
        let place = |app: &(String, FoundTotals)| (Reverse(app.1.requests), app.0.clone());
        if let Some((requests, app)) = after {
            let after = (Reverse(*requests), app.clone());
            apps.retain(|app| place(app) > after);
        }
        apps.sort_unstable_by_key(place);
        let has_next = apps.len() > first;
        apps.truncate(first);
        Self { apps, has_next, total }
    }
}

impl AppConnection {
    fn new(page: AppPage, is_after: bool, read: &ReadAt) -> Self {
        let cursor = |(app, totals): &(String, FoundTotals)| {
            app_cursor(read.list, &(totals.requests, app.clone()))
        };
        let cursors: Vec<String> = page.apps.iter().map(cursor).collect();
        let node = |(app, totals): (String, FoundTotals)| AppTotals { app, totals: totals.into() };
        let nodes: Vec<AppTotals> = page.apps.into_iter().map(node).collect();
        let edge = |(node, cursor): (&AppTotals, &String)| AppEdge {
            node: node.clone(),
            cursor: cursor.clone(),
        };
        Self {
            edges: nodes.iter().zip(&cursors).map(edge).collect(),
            page_info: PageInfo::new(page.has_next, is_after, &cursors, read),
            total_count: page.total.into(),
            nodes,
        }
    }
}

/// One step of a series.
#[derive(Clone, Debug, SimpleObject)]
pub struct OverviewPoint {
    /// Begin of the step.
    pub at: DateTime,
    /// Sums over the step.
    pub totals: Totals,
}

/// One application's part.
#[derive(Clone, Debug, SimpleObject)]
pub struct AppTotals {
    /// The application.
    pub app: String,
    /// Sums over the range.
    pub totals: Totals,
}

/// Sums over requests by the minute they start in, and over sessions by the minute they start in.
#[derive(Clone, Copy, Debug, SimpleObject)]
pub struct Totals {
    /// Requests in a session.
    pub requests: Long,
    /// Requests with a status of 400 and above.
    pub errors: Long,
    /// Requests with a status of 500 and above.
    pub server_errors: Long,
    /// Attacks detected.
    pub detections: Long,
    /// Requests with at least one detection.
    pub malicious: Long,
    /// Requests that were blocked.
    pub blocked: Long,
    /// Bytes of the requests.
    pub request_bytes: Long,
    /// Bytes of the responses.
    pub response_bytes: Long,
    /// Time to the full response, summed, in milliseconds.
    pub duration_sum_ms: f64,
    /// Sessions that start here; of an application: those with at least one of its requests, so that
    /// applications may add up to more than the whole.
    pub sessions: Long,
    /// Those of them with a malicious request, of whatever application.
    pub malicious_sessions: Long,
    /// Those of them with a weak identity.
    pub weak_sessions: Long,
}

impl From<FoundTotals> for Totals {
    fn from(totals: FoundTotals) -> Self {
        let sum = |sum: i128| shown(sum).into();
        Self {
            requests: sum(totals.requests.into()),
            errors: sum(totals.errors.into()),
            server_errors: sum(totals.server_errors.into()),
            detections: sum(totals.detections.into()),
            malicious: sum(totals.malicious.into()),
            blocked: sum(totals.blocked.into()),
            request_bytes: sum(totals.request_bytes),
            response_bytes: sum(totals.response_bytes),
            duration_sum_ms: shown(totals.duration_ns) as f64 / NANOS_PER_MS,
            sessions: sum(totals.sessions.into()),
            malicious_sessions: sum(totals.malicious_sessions.into()),
            weak_sessions: sum(totals.weak_sessions.into()),
        }
    }
}

impl Overview {
    /// Reads a range of a view; its series only if it is wanted.
    pub async fn read(
        at: &Snapshot,
        range: OverviewRange,
        wants_series: bool,
    ) -> Result<Self, ApiError> {
        let (from, until) = bounds(TimeRange { from: range.from, until: range.until })?;
        let whole = (
            from.map(floor_minute),
            until.map(|until| floor_minute(EventTime(until.0.saturating_add(MINUTE_MS - 1)))),
        );
        let is_empty = from.is_some() && from == until;
        let asked = range.step_minutes;
        if asked.is_some_and(|step| !(1..=STEP_MINUTES_MAX).contains(&step)) {
            return Err(bad(format!("`stepMinutes` must be from 1 to {STEP_MINUTES_MAX}")));
        }
        let asked = asked.map(i32::unsigned_abs);
        if let (true, Some(step), Some(from), Some(until)) = (wants_series, asked, from, until)
            && (until.0 - from.0) / (i64::from(step) * MINUTE_MS) > STEPS_MAX
        {
            return Err(ApiError::Limit(format!("a series has at most {STEPS_MAX} steps")));
        }
        let (found, step) = at
            .scan(move |view| {
                let step = match (wants_series, asked) {
                    (false, _) => None,
                    (true, Some(step)) => Some(step),
                    (true, None) => Some(default_step(view, from, until)?),
                };
                let until = if is_empty { from } else { whole.1 };
                Ok((view.overview(whole.0, until, step)?, step))
            })
            .await?;
        let range = if is_empty { (whole.0, whole.0) } else { whole };
        Ok(Self { at: at.clone(), range, step, found })
    }
}

fn floor_minute(at: EventTime) -> EventTime {
    EventTime(at.0.div_euclid(MINUTE_MS) * MINUTE_MS)
}

/// The step of a range for which none is given. Where the range has no end, what is retained has.
fn default_step(
    view: &dyn View,
    from: Option<EventTime>,
    until: Option<EventTime>,
) -> Result<u32, ServiceError> {
    let (from, until) = match (from, until) {
        (Some(from), Some(until)) => (from, until),
        (from, until) => {
            let Some((first, last)) = view.retained()? else { return Ok(STEPS[0]) };
            (from.unwrap_or(first), until.unwrap_or(last))
        }
    };
    Ok(step_of(until.0.saturating_sub(from.0)))
}

/// The shortest step with which a range has few enough.
fn step_of(range_ms: i64) -> u32 {
    let minutes = range_ms.max(0).div_euclid(MINUTE_MS) + 1;
    let few = |step: &u32| minutes <= i64::from(*step) * STEPS_DEFAULT;
    STEPS.into_iter().find(few).unwrap_or_else(|| {
        let week = i64::from(STEPS[STEPS.len() - 1]);
        let weeks = (minutes + week * STEPS_DEFAULT - 1) / (week * STEPS_DEFAULT);
        u32::try_from(weeks * week).unwrap_or(u32::MAX / 7 * 7)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_a_step_by_its_length() {
        let hour = 60 * MINUTE_MS;
        for (range_ms, step) in [
            (0, 1),
            (hour, 1),
            (24 * hour, 5),
            (7 * 24 * hour, 30),
            (31 * 24 * hour, 120),
            (366 * 24 * hour, 1440),
            (8 * 366 * 24 * hour, 14 * 1440),
            (-1, 1),
        ] {
            assert_eq!(step_of(range_ms), step, "{range_ms} ms");
        }
        assert!(step_of(i64::MAX) > 0);
    }

    #[test]
    fn sums_are_shown_as_those_of_sessions_are() {
        let most = i128::from(u64::MAX);
        for (duration_ns, shown_ms, bytes, shown_bytes) in [
            (0, 0.0, 0, 0),
            (5 * most, u64::MAX as f64 / 1e6, 5 * most, most),
            (-5, 0.0, -5, 0),
            (1_500_000, 1.5, 3, 3),
        ] {
            let found = FoundTotals { duration_ns, request_bytes: bytes, ..FoundTotals::default() };
            let totals = Totals::from(found);
            assert_eq!(totals.duration_sum_ms.to_bits(), f64::to_bits(shown_ms), "{duration_ns}");
            assert_eq!(totals.request_bytes.0, shown_bytes, "{bytes}");
        }
    }
}
