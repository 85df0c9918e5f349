//! The end of an engine, bounded: what does not end in time is left behind.
//!
//! A thread may hang in a read of a dead disk, in a library, or in a bug. Everything that was
//! answered is committed, so the process may end without it, and a supervisor start it again.

use std::time::Instant;

use crossbeam_channel::bounded;

use crate::Engine;
use crate::guard::Thread;
use crate::limits::{END_MAX, SOURCE_END_MAX};

impl Engine {
    /// Waits for the threads that commit, within what is left of the time to end.
    pub(super) fn await_threads(&mut self) {
        let (fate, threads) = (&self.context.fate, &self.threads);
        loop {
            // The time to end may begin while they are waited for.
            let left = fate.time_to_end();
            let look = || {
                let ended = threads.iter().all(Thread::has_ended);
                (ended || (left.is_none() && fate.time_to_end().is_some())).then_some(ended)
            };
            match fate.signal().wait(left.map(|left| Instant::now() + left), look) {
                Some(true) => break,
                Some(false) => {}
                None => {
                    let names = names(threads);
                    tracing::error!("left behind: {names}");
                    // One that has failed keeps its reason.
                    return fate.fail(format!("{names} did not end within {END_MAX:?}"));
                }
            }
        }
        self.threads.drain(..).for_each(Thread::join);
    }

    /// Waits a moment for the threads of sources: everything they read is committed.
    pub(super) fn await_readers(&mut self) {
        let ended = || self.readers.iter().all(Thread::has_ended).then_some(());
        let deadline = Instant::now() + SOURCE_END_MAX;
        if self.context.fate.signal().wait(Some(deadline), ended).is_none() {
            tracing::warn!("left behind, it hangs in a read: {}", names(&self.readers));
            return;
        }
        self.readers.drain(..).for_each(Thread::join);
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
        match told.recv_timeout(self.context.fate.time_to_end().unwrap_or(END_MAX)) {
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

/// Those that have not ended.
fn names(threads: &[Thread]) -> String {
    let names = threads.iter().filter(|thread| !thread.has_ended()).map(Thread::name);
    names.collect::<Vec<_>>().join(", ")
}
