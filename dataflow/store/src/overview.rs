//! Totals of a range of event time: the rows by minute and app, summed, and put into steps.
//!
//! A range is whole minutes: its begin is rounded down to one, its end up. Under the empty app are
//! all sessions, each once; under an app those that touch it, which count for the app alone. Steps
//! follow the zone the store counts days in, so that a step of a day is one of its days.

use std::collections::BTreeMap;

use differential_dataflow::difference::Semigroup;
use rocksdb::{Direction, IteratorMode};
use spoor_operators::time::{Day, DayZone, EventTime};
use spoor_operators::totals::Totals;

use super::batch::minute_of;
use super::error::keep_on;
use super::limits::OVERVIEW_STEPS_MAX;
use super::view::StoreView;
use super::{Family, StoreError, meta};
use spoor_api::query::Overview;
use spoor_api::service::View;

const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 1440;
/// Days from a Monday to the first day of the Unix epoch: steps of weeks begin on Mondays.
const DAYS_AFTER_MONDAY: i64 = 3;

/// Where steps of a length begin.
struct Steps<'a> {
    zone: &'a DayZone,
    minutes: i64,
}

impl Steps<'_> {
    /// Begin of the step a minute lies in. Steps shorter than a day are counted from the begin of
    /// the day, whole days from a Monday, all others from the Unix epoch.
    fn begin(&self, minute: i64) -> EventTime {
        let at = EventTime(minute.saturating_mul(MINUTE_MS));
        let length = self.minutes * MINUTE_MS;
        if self.minutes % DAY_MINUTES == 0 {
            let days = self.minutes / DAY_MINUTES;
            let day = i64::from(self.zone.day_of(at).0) + DAYS_AFTER_MONDAY;
            let first = day.div_euclid(days) * days - DAYS_AFTER_MONDAY;
            self.zone.start_of(Day(first as i32))
        } else if self.minutes < DAY_MINUTES {
            let midnight = self.zone.start_of(self.zone.day_of(at)).0;
            EventTime(midnight + (at.0 - midnight).div_euclid(length) * length)
        } else {
            EventTime(at.0.div_euclid(length) * length)
        }
    }
}

impl StoreView {
    /// See [`View::overview`].
    pub(super) fn find_overview(
        &self,
        from: Option<EventTime>,
        until: Option<EventTime>,
        step_minutes: Option<u32>,
    ) -> Result<Overview, StoreError> {
        let mut overview = Overview { epoch: self.epoch(), ..Overview::default() };
        if from.zip(until).is_some_and(|(from, until)| until <= from) {
            return Ok(overview);
        }
        let steps = step_minutes
            .map(|step| Steps { zone: &self.inner().zone, minutes: i64::from(step.max(1)) });
        let first = from.map_or(i64::MIN, minute_of);
        let last = until.map_or(i64::MAX, |until| minute_of(EventTime(until.0.saturating_sub(1))));
        let mut apps: BTreeMap<String, Totals> = BTreeMap::new();
        let (mut of, mut begin) = (None, EventTime(0));
        let cf = self.inner().cf(Family::Meta);
        let start = meta::numbered(meta::TOTALS, first);
        let mode = IteratorMode::From(&start, Direction::Forward);
        for entry in self.inner().db.iterator_cf_opt(cf, self.options(), mode) {
            let (key, value) = entry?;
            if key.first() != Some(&meta::TOTALS) {
                break;
            }
            keep_on()?;
            let (minute, app, totals) = meta::parse_totals(&key, &value)?;
            if minute > last {
                break;
            }
            let whole = if app.is_empty() { totals } else { totals.of_requests() };
            overview.totals.plus_equals(&whole);
            match apps.get_mut(app) {
                Some(sum) => sum.plus_equals(&totals),
                None if app.is_empty() => {}
                None => drop(apps.insert(app.into(), totals)),
            }
            let Some(steps) = &steps else { continue };
            if of.replace(minute) != Some(minute) {
                begin = steps.begin(minute);
            }
            match overview.series.last_mut() {
                Some((last, sum)) if *last == begin => sum.plus_equals(&whole),
                _ => overview.series.push((begin, whole)),
            }
            check_steps(overview.series.len())?;
        }
        overview.apps = apps.into_iter().collect();
        Ok(overview)
    }

    /// See [`View::retained`].
    pub(super) fn retained_days(&self) -> Option<(EventTime, EventTime)> {
        let (first, last) = (self.days().keys().next()?, self.days().keys().next_back()?);
        let zone = &self.inner().zone;
        Some((zone.start_of(*first), zone.start_of(Day(last.0.saturating_add(1)))))
    }
}

/// Refuses a series longer than memory is meant for.
///
/// # Errors
/// [`StoreError::Limit`].
pub fn check_steps(steps: usize) -> Result<(), StoreError> {
    if steps as u64 <= OVERVIEW_STEPS_MAX {
        return Ok(());
    }
    Err(StoreError::Limit(format!(
        "the range has more than {OVERVIEW_STEPS_MAX} steps; ask for longer steps or a shorter range"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(zone: &str, minutes: i64, at: &str, begin: &str) {
        let instant = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let steps = Steps { zone: &DayZone::named(zone).unwrap(), minutes };
        let found = steps.begin(minute_of(EventTime(instant(at))));
        assert_eq!(found, EventTime(instant(begin)), "{zone}, {minutes} minutes, {at}");
    }

    #[test]
    fn steps_follow_the_zone() {
        for (zone, minutes, at, begin) in [
            ("UTC", 1, "2026-07-01T10:17:00Z", "2026-07-01T10:17:00Z"),
            ("UTC", 60, "2026-07-01T10:17:00Z", "2026-07-01T10:00:00Z"),
            ("UTC", 1440, "2026-07-01T10:17:00Z", "2026-07-01T00:00:00Z"),
            ("Europe/Berlin", 1440, "2026-07-01T22:30:00Z", "2026-07-01T22:00:00Z"),
            ("Europe/Berlin", 1440, "2026-07-01T21:59:00Z", "2026-06-30T22:00:00Z"),
            ("Asia/Kolkata", 60, "2026-07-01T10:17:00Z", "2026-07-01T09:30:00Z"),
            ("America/New_York", 1440, "2026-07-01T03:59:00Z", "2026-06-30T04:00:00Z"),
            // The day of the change to winter time has 25 hours.
            ("Europe/Berlin", 1440, "2026-10-25T22:59:00Z", "2026-10-24T22:00:00Z"),
            ("Europe/Berlin", 60, "2026-10-25T22:59:00Z", "2026-10-25T22:00:00Z"),
            // Weeks begin on Mondays.
            ("UTC", 7 * 1440, "2026-07-05T23:59:00Z", "2026-06-29T00:00:00Z"),
            ("UTC", 7 * 1440, "2026-07-06T00:00:00Z", "2026-07-06T00:00:00Z"),
            ("UTC", 7 * 1440, "1969-12-31T00:00:00Z", "1969-12-29T00:00:00Z"),
            // A step that does not divide a day begins anew with each.
            ("UTC", 7, "2026-07-01T00:06:00Z", "2026-07-01T00:00:00Z"),
            ("UTC", 1439, "2026-07-01T23:59:00Z", "2026-07-01T23:59:00Z"),
        ] {
            check(zone, minutes, at, begin);
        }
    }
}
