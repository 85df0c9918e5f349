//! How far each worker is, told to the committer.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::signal::Signal;

/// For each worker the first epoch it has not completed; `u64::MAX` when it has completed all.
pub struct Progress {
    passed: Mutex<Vec<u64>>,
    signal: Arc<Signal>,
}

impl Progress {
    /// No worker has completed anything.
    #[must_use]
    pub fn new(workers: usize, signal: Arc<Signal>) -> Self {
        Self { passed: Mutex::new(vec![0; workers]), signal }
    }

    /// A worker has completed everything before `epoch`.
    pub fn reached(&self, worker: usize, epoch: u64) {
        let mut passed = self.passed.lock();
        if passed[worker] < epoch {
            passed[worker] = epoch;
            drop(passed);
            self.signal.tell();
        }
    }

    /// Waits until all workers have completed an epoch, or `give_up` says so. Whether they have.
    pub fn wait_for(&self, epoch: u64, give_up: impl Fn() -> bool) -> bool {
        let all = || self.passed.lock().iter().all(|&reached| reached > epoch);
        let look = || if all() { Some(true) } else { give_up().then_some(false) };
        self.signal.wait(None, look).unwrap_or(false)
    }
}
