//! Threads of the engine: one that panics stops the engine, and whoever waits for one is told when it
//! has ended.
//!
//! Without the first the others would wait for what that thread was to do: an epoch that is never
//! closed, a commit that never comes, a source whose end is never told.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::fate::Fate;
use crate::signal::Signal;

/// Fails the engine when it is dropped by a panic. Held by a thread as long as it runs.
pub struct StopsOnPanic {
    fate: Arc<Fate>,
    thread: String,
}

impl StopsOnPanic {
    /// For a thread of this name.
    #[must_use]
    pub fn new(fate: &Arc<Fate>, thread: impl Into<String>) -> Self {
        Self { fate: Arc::clone(fate), thread: thread.into() }
    }
}

impl Drop for StopsOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let thread = &self.thread;
            self.fate.fail(format!("the {thread} panicked; its message is in the log"));
        }
    }
}

/// Threads that have not ended, counted; a signal is told when one has.
#[derive(Clone, Default)]
pub struct Running {
    count: Arc<AtomicUsize>,
    signal: Arc<Signal>,
}

impl Running {
    /// So many threads, which are still to be started.
    #[must_use]
    pub fn of(count: usize, signal: &Arc<Signal>) -> Self {
        Self { count: Arc::new(AtomicUsize::new(count)), signal: Arc::clone(signal) }
    }

    /// Whether all have ended.
    #[must_use]
    pub fn have_ended(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Waits until all have ended.
    pub fn wait(&self) {
        self.signal.wait(None, || self.have_ended().then_some(()));
    }

    /// One of them has ended when this is dropped.
    #[must_use]
    pub fn one(&self) -> Ends {
        Ends(self.clone())
    }

    /// The thread that calls this is one of them, and has ended when it is torn down: later than the
    /// function it was given returns, which in timely's workers is not the end.
    pub fn this_thread(&self) {
        thread_local!(static ENDS: RefCell<Option<Ends>> = const { RefCell::new(None) });
        ENDS.set(Some(self.one()));
    }
}

/// See [`Running::one`].
pub struct Ends(Running);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.signal.tell();
    }
}

/// A thread of the engine.
pub struct Thread {
    handle: JoinHandle<()>,
    running: Running,
}

impl Thread {
    /// Starts a thread whose panic stops the engine; `what` names it in the reason.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(
        fate: &Arc<Fate>,
        name: String,
        what: String,
        run: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stops, signal) = (StopsOnPanic::new(fate, what), fate.signal());
        Self::spawn(name, signal, move || {
            let _stops = stops;
            run();
        })
    }

    /// Starts a thread.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn spawn(
        name: String,
        signal: &Arc<Signal>,
        run: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let running = Running::of(1, signal);
        let ends = running.one();
        let handle = std::thread::Builder::new().name(name).spawn(move || {
            let _ends = ends;
            run();
        })?;
        Ok(Self { handle, running })
    }

    /// Whether what it runs has returned, or panicked.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.running.have_ended()
    }

    /// Waits for its end. One that panicked has failed the engine.
    pub fn join(self) {
        let _ = self.handle.join();
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.handle.thread().name().unwrap_or("a thread")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_is_told_of_the_end_of_a_thread_however_it_ends() {
        for panics in [false, true] {
            let signal = Arc::<Signal>::default();
            let run = move || assert!(!panics, "as it is meant to");
            let thread = Thread::spawn("one".into(), &signal, run).unwrap();
            signal.wait(None, || thread.has_ended().then_some(()));
            thread.join();
        }
    }

    #[test]
    fn threads_have_ended_when_they_are_torn_down() {
        let running = Running::of(3, &Arc::default());
        assert!(!running.have_ended());
        for _ in 0..3 {
            let running = running.clone();
            std::thread::spawn(move || running.this_thread());
        }
        running.wait();
        assert!(running.have_ended());
    }
}
