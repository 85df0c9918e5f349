//! A thread of the engine that panics stops the engine.
//!
//! Without this the others would wait for what that thread was to do: an epoch that is never
//! closed, a commit that never comes, a source whose end is never told.

use std::sync::Arc;

use crate::Context;

/// Fails the engine when it is dropped by a panic. Held by a thread as long as it runs.
pub struct StopsOnPanic {
    context: Arc<Context>,
    thread: String,
}

impl StopsOnPanic {
    /// For a thread of this name.
    #[must_use]
    pub fn new(context: &Arc<Context>, thread: impl Into<String>) -> Self {
        Self { context: Arc::clone(context), thread: thread.into() }
    }
}

impl Drop for StopsOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let thread = &self.thread;
            self.context.fail(format!("the {thread} panicked; its message is in the log"));
        }
    }
}
