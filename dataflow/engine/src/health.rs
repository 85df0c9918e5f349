//! What is wrong with the sources of this process now, for the status and the log.
//!
//! It is not part of any epoch: a source that cannot be read commits nothing, and is seen all the
//! same.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use spoor_api::query::SourceStatus;
use spoor_input::source::SourceId;

/// See the module's description.
#[derive(Debug, Default)]
pub struct Health(Mutex<BTreeMap<SourceId, Trouble>>);

#[derive(Debug, Default)]
struct Trouble {
    error: Option<String>,
    missing: Option<String>,
}

impl Health {
    /// A source cannot be read now; it is tried again. It is logged when it is news.
    pub fn failing(&self, source: SourceId, error: String) {
        let mut troubles = self.0.lock();
        let known = &mut troubles.entry(source).or_default().error;
        if known.as_ref() != Some(&error) {
            tracing::warn!("a source cannot be read now, and is tried again: {error}");
            *known = Some(error);
        }
    }

    /// A source cannot be read further until the next start.
    pub fn failed(&self, source: SourceId, error: String) {
        self.0.lock().entry(source).or_default().error = Some(error);
    }

    /// A source is read again, as `name` has it.
    pub fn well(&self, source: SourceId, name: &str) {
        let mut troubles = self.0.lock();
        if troubles.get_mut(&source).and_then(|trouble| trouble.error.take()).is_some() {
            tracing::info!("{name} is read again");
        }
    }

    /// Something of a source cannot be read any more.
    pub fn missing(&self, source: SourceId, what: String) {
        tracing::warn!("{what}");
        self.0.lock().entry(source).or_default().missing = Some(what);
    }

    /// Adds what is known to what is told of the sources, which are in the order of their numbers.
    pub fn add_to(&self, sources: &mut [SourceStatus]) {
        for (source, trouble) in &*self.0.lock() {
            if let Some(status) = sources.get_mut(source.0 as usize) {
                status.error.clone_from(&trouble.error);
                status.missing.clone_from(&trouble.missing);
            }
        }
    }
}
