//! What an engine that is being started says, and the services that stand for it meanwhile.
//!
//! Opening a store and meeting the other processes take from milliseconds to minutes. A server
//! listens before: until the engine is up these services refuse everything with
//! [`ServiceError::Starting`], which says what is waited for, and afterwards they are the engine's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use spoor_operators::rules::edit::RuleEdit;
use spoor_operators::time::Epoch;
use tokio::sync::{oneshot, watch};

use spoor_api::lineage::Lineage;
use spoor_api::service::{
    ChangeFeed, Changes, ChangesQuery, Ingest, Push, PushAnswer, Reader, RuleAdmin, RuleChange,
    RuleChangeError, ServiceError, Services, View,
};

/// The start of an engine, as it is seen from outside. Cheap to clone.
#[derive(Clone, Default)]
pub struct Startup(Arc<State>);

#[derive(Default)]
struct State {
    phase: Mutex<String>,
    cancelled: AtomicBool,
    services: OnceLock<Services>,
}

impl Startup {
    /// Nothing has been done yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what is being done or waited for, such as "opening the store".
    pub fn say(&self, phase: impl Into<String>) {
        *self.0.phase.lock() = phase.into();
    }

    /// What is being done or waited for.
    #[must_use]
    pub fn phase(&self) -> String {
        self.0.phase.lock().clone()
    }

    /// Gives the start up: what waits for other processes ends soon.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
    }

    /// See [`Startup::cancel`].
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// The engine is up: from now on its services answer.
    pub fn done(&self, services: Services) {
        let is_first = self.0.services.set(services).is_ok();
        assert!(is_first, "an engine is started once");
    }

    /// Services that refuse until the engine is up, and are the engine's then.
    #[must_use]
    pub fn services(&self) -> Services {
        Services {
            reader: Arc::new(self.clone()),
            feed: Arc::new(self.clone()),
            admin: Arc::new(self.clone()),
            ingest: Arc::new(self.clone()),
        }
    }

    fn started(&self) -> Result<&Services, ServiceError> {
        self.0.services.get().ok_or_else(|| ServiceError::Starting(self.phase()))
    }
}

impl Reader for Startup {
    fn ready(&self) -> Result<Epoch, ServiceError> {
        self.started()?.reader.ready()
    }

    fn view(&self) -> Result<Arc<dyn View>, ServiceError> {
        self.started()?.reader.view()
    }

    fn view_at(&self, epoch: Epoch) -> Result<Arc<dyn View>, ServiceError> {
        self.started()?.reader.view_at(epoch)
    }

    fn wait_for(&self, epoch: Epoch, timeout: Duration) -> Result<(), ServiceError> {
        self.started()?.reader.wait_for(epoch, timeout)
    }
}

impl ChangeFeed for Startup {
    fn session_changes(&self, query: ChangesQuery) -> Result<Box<dyn Changes>, ServiceError> {
        self.started()?.feed.session_changes(query)
    }

    fn lineage(&self) -> Arc<Lineage> {
        match self.started() {
            Ok(services) => services.feed.lineage(),
            // No epoch is known yet, and none is told.
            Err(_) => Arc::default(),
        }
    }

    fn epochs(&self) -> watch::Receiver<Epoch> {
        match self.started() {
            Ok(services) => services.feed.epochs(),
            // Its sender is gone: whoever waits is told so at once.
            Err(_) => watch::channel(Epoch(0)).1,
        }
    }
}

impl RuleAdmin for Startup {
    fn change(
        &self,
        edit: RuleEdit,
        expected_version: Option<u64>,
        key: Option<String>,
    ) -> oneshot::Receiver<Result<RuleChange, RuleChangeError>> {
        match self.started() {
            Ok(services) => services.admin.change(edit, expected_version, key),
            Err(error) => answered(Err(error.into())),
        }
    }
}

impl Ingest for Startup {
    fn take(&self, push: Push) -> oneshot::Receiver<Result<PushAnswer, ServiceError>> {
        match self.started() {
            Ok(services) => services.ingest.take(push),
            Err(error) => answered(Err(error)),
        }
    }
}

fn answered<T>(answer: T) -> oneshot::Receiver<T> {
    let (reply, receiver) = oneshot::channel();
    // The receiver is here.
    let _ = reply.send(answer);
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use spoor_api::query::Filter;

    #[test]
    fn until_the_engine_is_up_everything_is_refused_with_what_is_waited_for() {
        let startup = Startup::new();
        let services = startup.services();
        startup.say("waiting for process 1 (b:7400)");
        let refused = ServiceError::Starting("waiting for process 1 (b:7400)".into());
        assert_eq!(services.reader.ready(), Err(refused.clone()));
        assert_eq!(services.reader.view().err(), Some(refused.clone()));
        assert_eq!(services.reader.wait_for(Epoch(1), Duration::MAX), Err(refused.clone()));
        let changes = services.feed.session_changes(ChangesQuery::of(Filter::all(), 1));
        assert_eq!(changes.err(), Some(refused.clone()));
        let pushed = services.ingest.push(bytes::Bytes::new(), None).blocking_recv();
        assert_eq!(pushed, Ok(Err(refused)));
        assert!(services.feed.epochs().has_changed().is_err());
    }
}
