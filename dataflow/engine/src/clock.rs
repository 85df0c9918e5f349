//! The wall clock: read here and nowhere else, and never inside the dataflow's own logic.
//!
//! A wall clock can be set. [`Clock`] believes it as far as it agrees with the time since the
//! process started, which nobody can set: after a jump of more than [`JUMP`] the time believed goes
//! on from before the jump, so that no retained day is dropped and no request is refused because of
//! it. A restart believes what the wall clock says then.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use spoor_operators::time::EventTime;

/// A difference between the two clocks that is a jump, not drift.
pub const JUMP: Duration = Duration::from_secs(86_400);

/// Names a file with milliseconds that are added to the wall clock: a testing aid.
pub const OFFSET_VARIABLE: &str = "SPOOR_CLOCK_OFFSET_FILE";

/// Now, as event time.
#[must_use]
pub fn wall_clock() -> EventTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    EventTime(now.saturating_add(test_offset()))
}

/// What a test adds; 0 without the variable.
fn test_offset() -> i64 {
    static FILE: OnceLock<Option<std::ffi::OsString>> = OnceLock::new();
    let Some(file) = FILE.get_or_init(|| std::env::var_os(OFFSET_VARIABLE)) else { return 0 };
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// Time that passes also while the machine sleeps, and that nobody sets.
fn elapsed_clock() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The wall clock of a process, as far as it can be believed.
#[derive(Debug)]
pub struct Clock {
    /// What the wall clock said at the start.
    wall: EventTime,
    /// What the clock that nobody sets said then.
    elapsed: Duration,
    told: AtomicBool,
}

impl Clock {
    /// Believes what the wall clock says now.
    #[must_use]
    pub fn start() -> Self {
        Self { wall: wall_clock(), elapsed: elapsed_clock(), told: AtomicBool::new(false) }
    }

    /// The time that is believed.
    #[must_use]
    pub fn believed(&self) -> EventTime {
        let wall = wall_clock();
        let steady = self.steady(elapsed_clock());
        let jump = jump(steady, wall);
        if jump.is_some() && !self.told.swap(true, Ordering::Relaxed) {
            tracing::error!(
                believed_ms = steady.0,
                wall_ms = wall.0,
                "the wall clock has jumped by more than a day; nothing is dropped or refused because \
                 of it. Set the clock right, or restart to believe it"
            );
        }
        if jump.is_some() { steady } else { wall }
    }

    /// Milliseconds by which the wall clock has jumped since the start and is not believed.
    #[must_use]
    pub fn jump(&self) -> Option<i64> {
        jump(self.steady(elapsed_clock()), wall_clock())
    }

    /// The latest time a request may have that is at most `future_ms` ahead, by whichever of the two
    /// clocks is ahead: a jump refuses nothing.
    #[must_use]
    pub fn latest(&self, future_ms: u64) -> EventTime {
        let ahead = self.believed().max(wall_clock());
        EventTime(ahead.0.saturating_add_unsigned(future_ms))
    }

    fn steady(&self, elapsed: Duration) -> EventTime {
        let passed = elapsed.saturating_sub(self.elapsed).as_millis();
        EventTime(self.wall.0.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX)))
    }
}

fn jump(steady: EventTime, wall: EventTime) -> Option<i64> {
    let by = wall.0.saturating_sub(steady.0);
    (u128::from(by.unsigned_abs()) > JUMP.as_millis()).then_some(by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_believed_and_a_jump_is_not() {
        const DAY: i64 = 86_400_000;
        for (steady, wall, expected) in [
            (DAY, DAY, None),
            (DAY, DAY + 5_000, None),
            (DAY, 2 * DAY, None),
            (DAY, 2 * DAY + 1, Some(DAY + 1)),
            (9 * DAY, 8 * DAY - 1, Some(-DAY - 1)),
            (0, i64::MAX, Some(i64::MAX)),
        ] {
            assert_eq!(jump(EventTime(steady), EventTime(wall)), expected, "{steady} {wall}");
        }
        let clock = Clock { elapsed: Duration::from_secs(7), ..Clock::start() };
        assert_eq!(clock.steady(Duration::from_secs(9)).0 - clock.wall.0, 2_000);
        assert_eq!(clock.steady(Duration::from_secs(1)), clock.wall, "it never goes back");
    }
}
