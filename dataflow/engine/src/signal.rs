//! The one way threads of an engine wait for each other: for a condition, looked at again whenever
//! something it may depend on has changed.
//!
//! An engine has one [`Signal`]. Whoever changes what somebody may wait for (an epoch is committed or
//! published, a worker has passed one, all processes have staged one, a thread has ended, the engine
//! fails) makes the change and then calls [`Signal::tell`]; nothing is polled. Waiting threads are
//! few and changes come by the epoch, so all of them look again at each. What carries values is a
//! channel instead.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// See the module's description.
#[derive(Debug, Default)]
pub struct Signal {
    changes: Mutex<u64>,
    changed: Condvar,
}

impl Signal {
    /// Something changed that somebody may wait for. Called after the change can be seen, with no
    /// lock held.
    pub fn tell(&self) {
        let mut changes = self.changes.lock();
        *changes = changes.wrapping_add(1);
        drop(changes);
        self.changed.notify_all();
    }

    /// Waits until `look` finds something; none when it does not by `deadline`. `look` is called
    /// with no lock held.
    pub fn wait<T>(
        &self,
        deadline: Option<Instant>,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let mut seen = *self.changes.lock();
        loop {
            if let Some(found) = look() {
                return Some(found);
            }
            let mut changes = self.changes.lock();
            while *changes == seen {
                match deadline {
                    None => self.changed.wait(&mut changes),
                    Some(deadline) => {
                        if self.changed.wait_until(&mut changes, deadline).timed_out() {
                            drop(changes);
                            return look();
                        }
                    }
                }
            }
            seen = *changes;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn whatever_is_told_after_a_look_is_looked_at() {
        let (signal, number) = (Signal::default(), AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for next in 1..=1000 {
                    number.store(next, Ordering::Release);
                    signal.tell();
                }
            });
            for wanted in [1, 500, 1000] {
                let look = || Some(number.load(Ordering::Acquire)).filter(|now| *now >= wanted);
                assert!(signal.wait(None, look).is_some());
            }
        });
    }

    #[test]
    fn a_change_between_the_look_and_the_wait_is_not_missed() {
        let signal = Signal::default();
        let mut looks = 0;
        let found = signal.wait(None, || {
            looks += 1;
            if looks == 1 {
                // Somebody else's change, told while nobody waits yet.
                signal.tell();
                return None;
            }
            Some(looks)
        });
        assert_eq!(found, Some(2));
    }

    #[test]
    fn a_wait_ends_at_its_deadline_with_a_last_look() {
        let signal = Signal::default();
        let soon = Instant::now() + Duration::from_millis(1);
        assert_eq!(signal.wait(Some(soon), || None::<()>), None);
        let mut looks = 0;
        let last = signal.wait(Some(soon), || {
            looks += 1;
            (looks == 2).then_some(())
        });
        assert_eq!(last, Some(()));
    }
}
