//! When a session closes, asked once for every changed session: the day's end is remembered.

use std::cell::Cell;

use spoor_operators::session::Session;
use spoor_operators::time::{Day, DayZone, EventTime};

use super::Store;
use super::batch::closes_at;

/// Tells when sessions close.
pub struct Closing {
    zone: DayZone,
    next_day: Cell<Option<(Day, EventTime)>>,
}

impl Closing {
    /// `end + gap`, or the start of the next day if that is sooner.
    #[must_use]
    pub fn at(&self, session: &Session) -> EventTime {
        let next_day = match self.next_day.get() {
            Some((day, start)) if day == session.day => start,
            _ => self.zone.start_of(Day(session.day.0.saturating_add(1))),
        };
        self.next_day.set(Some((session.day, next_day)));
        closes_at(session.end, session.gap_ms, next_day)
    }
}

impl Store {
    /// Tells when sessions close.
    #[must_use]
    pub fn closing(&self) -> Closing {
        Closing { zone: self.zone().clone(), next_day: Cell::new(None) }
    }
}
