//! How far each worker is, told to the committer.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// For each worker the first epoch it has not completed; `u64::MAX` when it has completed all.
pub struct Progress {
    passed: Mutex<Vec<u64>>,
    changed: Condvar,
}

impl Progress {
    /// No worker has completed anything.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { passed: Mutex::new(vec![0; workers]), changed: Condvar::new() }
    }

    /// A worker has completed everything before `epoch`.
    pub fn reached(&self, worker: usize, epoch: u64) {
        let mut passed = self.passed.lock();
        if passed[worker] < epoch {
            passed[worker] = epoch;
            drop(passed);
            self.changed.notify_all();
        }
    }

    /// Waits until all workers have completed an epoch, or `give_up` says so. Whether they have.
    pub fn wait_for(&self, epoch: u64, give_up: impl Fn() -> bool) -> bool {
        let mut passed = self.passed.lock();
        while passed.iter().any(|&reached| reached <= epoch) {
            if give_up() {
                return false;
            }
            self.changed.wait_for(&mut passed, Duration::from_millis(50));
        }
        true
    }
}
