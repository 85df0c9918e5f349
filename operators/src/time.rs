//! Time: event time in data, days as the unit of sessions and retention, epochs as dataflow time.
//!
//! Event time and epochs are both numbers and must never be mixed up, so each has a type of its
//! own. A [`Day`] is counted in the configured zone: two instants are on the same day when the
//! zone's calendar says so, whatever UTC says.

use serde::{Deserialize, Serialize};

/// Milliseconds in a day without a change of offset.
pub const DAY_MS: i64 = 86_400_000;

/// An instant of event time: milliseconds since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct EventTime(pub i64);

impl EventTime {
    /// Greatest and least accepted instants: years 1 to 9999.
    pub const MIN: Self = Self(-62_135_596_800_000);
    /// See [`EventTime::MIN`].
    pub const MAX: Self = Self(253_402_300_799_999);

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0
    }
}

/// A calendar day in the configured zone: days since 1970-01-01 there.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Day(pub i32);

/// Dataflow time: the number of a batch of input that is committed whole or not at all.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch(pub u64);

/// The zone days are counted in.
#[derive(Clone, Debug)]
pub struct DayZone {
    name: String,
    zone: Option<jiff::tz::TimeZone>,
}

/// The zone's name is not in the time zone database.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown time zone `{0}`; use an IANA name such as `Europe/Berlin`, or `UTC`")]
pub struct UnknownZone(pub String);

impl DayZone {
    /// Days in UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self { name: "UTC".into(), zone: None }
    }

    /// A zone by its IANA name.
    ///
    /// # Errors
    /// [`UnknownZone`] when the time zone database does not have it.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        if name.eq_ignore_ascii_case("utc") {
            return Ok(Self::utc());
        }
        let zone = jiff::tz::TimeZone::get(name).map_err(|_| UnknownZone(name.into()))?;
        Ok(Self { name: name.into(), zone: Some(zone) })
    }

    /// The zone's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The day an instant falls on.
    #[must_use]
    pub fn day_of(&self, ts: EventTime) -> Day {
        let offset = self.zone.as_ref().map_or(0, |zone| {
            jiff::Timestamp::from_millisecond(ts.0)
                .map_or(0, |at| i64::from(zone.to_offset(at).seconds()) * 1000)
        });
        Day(((ts.0 + offset).div_euclid(DAY_MS)) as i32)
    }

    /// The first instant of a day.
    #[must_use]
    pub fn start_of(&self, day: Day) -> EventTime {
        let midnight = i64::from(day.0) * DAY_MS;
        let Some(zone) = &self.zone else { return EventTime(midnight) };
        let start = jiff::Timestamp::from_millisecond(midnight)
            .map(|at| jiff::tz::TimeZone::UTC.to_datetime(at))
            .and_then(|local| zone.to_timestamp(local));
        EventTime(start.map_or(midnight, |at| at.as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_follows_the_zone_and_its_changes_of_offset() {
        let utc = DayZone::utc();
        assert_eq!(utc.day_of(EventTime(-1)), Day(-1));
        assert_eq!(utc.day_of(EventTime(DAY_MS)), Day(1));
        let berlin = DayZone::named("Europe/Berlin").unwrap();
        // 2024-03-31 has 23 hours in Berlin.
        let day = Day(19_813);
        let (start, end) = (berlin.start_of(day), berlin.start_of(Day(day.0 + 1)));
        assert_eq!(end.0 - start.0, 23 * 3_600_000);
        assert_eq!(berlin.day_of(start), day);
        assert_eq!(berlin.day_of(EventTime(start.0 - 1)), Day(day.0 - 1));
        assert!(DayZone::named("Mars/Olympus").is_err());
    }
}
