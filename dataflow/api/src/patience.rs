//! How long somebody waits for a read: what lets a scan end when nobody wants its answer any more.
//!
//! A read runs on one thread from its beginning to its end, so its patience belongs to the thread
//! while it runs ([`Patience::while_waiting`]) and needs no place in the signatures of what it
//! calls. What walks through many rows asks [`has_ended`] now and then. A thread that was given no
//! patience never gives up.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Questions after which the clock is looked at again.
const CLOCK_EVERY: u32 = 256;

thread_local! {
    static CURRENT: RefCell<Option<Patience>> = const { RefCell::new(None) };
    static ASKED: Cell<u32> = const { Cell::new(0) };
}

/// Whether somebody still waits.
#[derive(Clone, Debug, Default)]
pub struct Patience {
    ended: Arc<AtomicBool>,
    until: Option<Instant>,
}

impl Patience {
    /// Until it is told to end.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Until an instant.
    #[must_use]
    pub fn until(instant: Instant) -> Self {
        Self { until: Some(instant), ..Self::default() }
    }

    /// Nobody waits any more.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Ends it when it is dropped.
    #[must_use]
    pub fn ends_with(&self) -> Ends {
        Ends(self.clone())
    }

    /// Runs a read on this thread, which may give up when this patience ends.
    pub fn while_waiting<T>(self, read: impl FnOnce() -> T) -> T {
        /// Gives the thread back what it had, also when the read panics.
        struct Restore(Option<Patience>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _restore = Restore(CURRENT.replace(Some(self)));
        read()
    }

    fn is_over(&self) -> bool {
        let asked = ASKED.replace(ASKED.get().wrapping_add(1));
        let asks_clock = self.until.is_some() && asked.is_multiple_of(CLOCK_EVERY);
        let is_late = || self.until.is_some_and(|until| Instant::now() >= until);
        self.ended.load(Ordering::Relaxed) || (asks_clock && is_late())
    }
}

/// See [`Patience::ends_with`].
#[derive(Debug)]
pub struct Ends(Patience);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Whether nobody waits any more for what this thread reads.
#[must_use]
pub fn has_ended() -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(Patience::is_over))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gives_up_only_what_nobody_waits_for() {
        assert!(!has_ended());
        let patience = Patience::new();
        let ends = patience.ends_with();
        patience.clone().while_waiting(|| {
            assert!(!has_ended());
            drop(ends);
            assert!(has_ended());
            // A read within a read has its own.
            assert!(!Patience::new().while_waiting(has_ended));
            assert!(has_ended());
        });
        assert!(!has_ended());
        let late = Patience::until(Instant::now());
        let gave_up = late.while_waiting(|| (0..=CLOCK_EVERY).any(|_| has_ended()));
        assert!(gave_up);
    }
}
