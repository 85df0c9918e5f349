//! How many bytes of session state the workers hold, for the status.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes by worker.
#[derive(Debug)]
pub struct HotBytes(Vec<AtomicU64>);

impl HotBytes {
    /// Nothing is held.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| AtomicU64::new(0)).collect())
    }

    /// What a worker holds now.
    pub fn set(&self, worker: usize, bytes: u64) {
        self.0[worker].store(bytes, Ordering::Relaxed);
    }

    /// What all hold.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum()
    }
}
