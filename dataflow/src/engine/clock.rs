//! The wall clock: read here and nowhere else, and never inside the dataflow's own logic.

use std::time::{SystemTime, UNIX_EPOCH};

use spoor_operators::time::EventTime;

/// Now, as event time.
#[must_use]
pub fn wall_clock() -> EventTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    EventTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
