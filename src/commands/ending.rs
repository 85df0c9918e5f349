//! The end of a server is bounded: what has not ended in time is left behind.
//!
//! Everything that was answered is committed, so the process may end at any moment. Threads that
//! hang, in a read of a dead disk or in a library, must not keep a supervisor from starting it
//! again.

use std::panic;
use std::process::exit;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

/// How long an end may take, from the signal or the failure to the end of the process.
pub const END_MAX: Duration = Duration::from_secs(10);
/// How long the exit itself may take: libraries tidy up in it.
const EXIT_MAX: Duration = Duration::from_secs(1);

/// What the end waits for, and the exit status if it does not come.
#[derive(Clone)]
pub struct Ending(Arc<Mutex<(&'static str, i32)>>);

impl Ending {
    /// From now on the process ends within [`END_MAX`].
    pub fn begin(waits_for: &'static str) -> Self {
        let ending = Self(Arc::new(Mutex::new((waits_for, 1))));
        let watched = ending.clone();
        let watch = move || {
            thread::sleep(END_MAX);
            let (waits_for, status) = *watched.0.lock();
            let seconds = END_MAX.as_secs();
            eprintln!(
                "spoor: it has not ended within {seconds} s and waits for {waits_for}; ending \
                 without that, nothing acknowledged is lost"
            );
            thread::spawn(|| {
                thread::sleep(EXIT_MAX);
                std::process::abort();
            });
            exit(status);
        };
        if let Err(error) = thread::Builder::new().name("ending".into()).spawn(watch) {
            tracing::warn!(%error, "nothing bounds the end of this process");
        }
        ending
    }

    /// What is waited for now.
    pub fn waits_for(&self, what: &'static str) {
        self.0.lock().0 = what;
    }

    /// Everything is done but this: the process has succeeded even if it does not come.
    pub fn has_succeeded_but_for(&self, what: &'static str) {
        *self.0.lock() = (what, 0);
    }
}

/// Bounds the end of a process whose main thread panics. To be called by that thread.
pub fn bound_panics() {
    let (main, tell) = (thread::current().id(), panic::take_hook());
    panic::set_hook(Box::new(move |info| {
        tell(info);
        if thread::current().id() == main {
            Ending::begin("what the panic of its main thread left behind");
        }
    }));
}
