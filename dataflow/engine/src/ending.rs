//! The end of an engine, bounded: what does not end in time is left behind.
//!
//! A thread may hang in a read of a dead disk, in a library, or in a bug. Everything that was
//! answered is committed, so the process may end without it, and a supervisor start it again.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use crate::Engine;
use crate::limits::{END_MAX, SOURCE_END_MAX};

impl Engine {
    /// Waits for the threads that commit, within what is left of the time to end.
    pub(super) fn await_threads(&mut self) {
        loop {
            join_finished(&mut self.threads);
            if self.threads.is_empty() {
                return;
            }
            if self.context.time_to_end().is_some_and(|left| left.is_zero()) {
                let names = names(&self.threads);
                tracing::error!("left behind: {names}");
                // One that has failed keeps its reason.
                return self.context.fail(format!("{names} did not end within {END_MAX:?}"));
            }
            std::thread::sleep(JOIN_STEP);
        }
    }

    /// Waits a moment for the threads of sources: everything they read is committed.
    pub(super) fn await_readers(&mut self) {
        let begin = Instant::now();
        while begin.elapsed() < SOURCE_END_MAX && !self.readers.is_empty() {
            join_finished(&mut self.readers);
            std::thread::sleep(JOIN_STEP);
        }
        if !self.readers.is_empty() {
            tracing::warn!("left behind, it hangs in a read: {}", names(&self.readers));
        }
    }

    /// Leaves the store such that the next start is quick, if there is time for it.
    pub(super) fn settle(&self) {
        let store = self.context.store.clone();
        let (tell, told) = bounded(1);
        std::thread::spawn(move || {
            let settled = store.settle();
            // Whoever is told may open it again.
            drop(store);
            // Nobody may be waiting any more.
            let _ = tell.send(settled);
        });
        match told.recv_timeout(self.context.time_to_end().unwrap_or(END_MAX)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the next start has to read the log of the store");
            }
            Err(_) => {
                tracing::warn!("no time left: the next start has to read the log of the store")
            }
        }
    }
}

/// How often it is looked whether threads have ended.
const JOIN_STEP: Duration = Duration::from_millis(5);

fn join_finished(threads: &mut Vec<JoinHandle<()>>) {
    for thread in threads.extract_if(.., |thread| thread.is_finished()) {
        // One that panicked has failed the engine.
        let _ = thread.join();
    }
}

fn names(threads: &[JoinHandle<()>]) -> String {
    let names = threads.iter().map(|thread| thread.thread().name().unwrap_or("a thread"));
    names.collect::<Vec<_>>().join(", ")
}
