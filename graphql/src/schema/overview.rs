//! Totals and time series for charts.

use async_graphql::{ComplexObject, Context, InputObject, SimpleObject};
use spoor_dataflow::query::{Overview as Found, Totals as FoundTotals};
use spoor_operators::request::NANOS_PER_MS;
use spoor_operators::totals::shown;

use super::filter::{TimeRange, bounds};
use super::operation::{Operation, Snapshot, bad};
use super::scalars::{DateTime, EpochToken, Long};
use crate::error::ApiError;

/// Most steps of a series.
const STEPS_MAX: i64 = 10_000;
/// Widest step, in minutes: a year.
const STEP_MINUTES_MAX: i32 = 366 * 24 * 60;
/// Milliseconds in a minute.
const MINUTE_MS: i64 = 60_000;

/// A range of event time, in steps of whole minutes.
#[derive(Clone, Copy, InputObject)]
pub struct OverviewRange {
    /// From this instant on, rounded down to a step. Absent: since ever.
    pub from: Option<DateTime>,
    /// Up to, and without, this instant. Absent: for ever.
    pub until: Option<DateTime>,
    /// Minutes of a step.
    #[graphql(default = 1)]
    pub step_minutes: i32,
}

impl Default for OverviewRange {
    fn default() -> Self {
        Self { from: None, until: None, step_minutes: 60 }
    }
}

/// What happened in a range of event time, and when.
#[derive(Clone, Debug, SimpleObject)]
#[graphql(complex)]
pub struct Overview {
    /// The committed epoch it is read at.
    pub epoch: Long,
    /// Sums over the range.
    pub totals: Totals,
    /// One point for each step in which something happened, in order of time.
    pub series: Vec<OverviewPoint>,
    /// The sums by application, most requests first.
    pub apps: Vec<AppTotals>,
}

#[ComplexObject]
impl Overview {
    /// That epoch, to be handed back as `atLeastEpoch`, or as `since` of `sessionChanges`.
    async fn epoch_token(&self, ctx: &Context<'_>) -> Result<EpochToken, ApiError> {
        Ok(Operation::of(ctx)?.token_of(self.epoch))
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
    /// Sessions that start here.
    pub sessions: Long,
    /// Those of them with a malicious request.
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

impl From<Found> for Overview {
    fn from(found: Found) -> Self {
        let point = |(at, totals): (spoor_operators::time::EventTime, FoundTotals)| OverviewPoint {
            at: at.into(),
            totals: totals.into(),
        };
        let app = |(app, totals): (String, FoundTotals)| AppTotals { app, totals: totals.into() };
        let mut apps: Vec<AppTotals> = found.apps.into_iter().map(app).collect();
        apps.sort_by(|a, b| {
            b.totals.requests.cmp(&a.totals.requests).then_with(|| a.app.cmp(&b.app))
        });
        Self {
            epoch: found.epoch.0.into(),
            totals: found.totals.into(),
            series: found.series.into_iter().map(point).collect(),
            apps,
        }
    }
}

impl Overview {
    /// Reads a range of a view.
    pub async fn read(at: &Snapshot, range: OverviewRange) -> Result<Self, ApiError> {
        let (from, until) = bounds(TimeRange { from: range.from, until: range.until })?;
        if !(1..=STEP_MINUTES_MAX).contains(&range.step_minutes) {
            return Err(bad(format!("`stepMinutes` must be from 1 to {STEP_MINUTES_MAX}")));
        }
        let step = range.step_minutes.unsigned_abs();
        if let (Some(from), Some(until)) = (from, until)
            && (until.0 - from.0) / (i64::from(step) * MINUTE_MS) > STEPS_MAX
        {
            return Err(ApiError::Limit(format!("a series has at most {STEPS_MAX} steps")));
        }
        let found = at.read(move |view| view.overview(from, until, step)).await?;
        Ok(found.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
