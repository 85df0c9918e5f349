//! What resolvers read from: one committed view for a whole operation, read off the async threads.
//!
//! Reads have two lanes: those that look at little (the status, one session) never wait for those
//! that may look at everything (lists, counts, requests, totals), of which few run at a time. A read
//! is cancelled when its client has gone or its operation took too long.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Context;
use parking_lot::Mutex;
use spoor_api::patience::Patience;
use spoor_api::service::{ServiceError, Services, View};
use spoor_operators::time::Epoch;
use tokio::sync::Semaphore;

use super::scalars::{EpochToken, Long};
use crate::error::ApiError;

/// How long a query waits for the epoch it asked for.
const AT_LEAST_EPOCH_TIMEOUT: Duration = Duration::from_secs(5);

/// What one operation works with.
pub struct Operation {
    services: Services,
    lanes: Lanes,
    at_least: Option<EpochToken>,
    shared: Mutex<Option<Snapshot>>,
}

/// A view with the right to read it.
#[derive(Clone)]
pub struct Snapshot {
    view: Arc<dyn View>,
    lanes: Lanes,
}

/// What bounds the reads of all operations.
#[derive(Clone, Debug)]
pub struct Lanes {
    /// Reads that look at little.
    quick: Arc<Semaphore>,
    /// Reads that may look at everything.
    heavy: Arc<Semaphore>,
}

impl Lanes {
    /// Lanes for so many reads at a time.
    #[must_use]
    pub fn new(quick: usize, heavy: usize) -> Self {
        Self { quick: Arc::new(Semaphore::new(quick)), heavy: Arc::new(Semaphore::new(heavy)) }
    }
}

impl Operation {
    /// A new operation; `lanes` bound the reads of all of them. `at_least`: what all its fields are
    /// read at or after; none: any epoch.
    #[must_use]
    pub fn new(services: Services, lanes: Lanes, at_least: Option<EpochToken>) -> Self {
        Self { services, lanes, at_least, shared: Mutex::new(None) }
    }

    /// The operation a resolver runs in.
    pub fn of<'c>(ctx: &Context<'c>) -> Result<&'c Self, ApiError> {
        ctx.data_opt::<Self>().ok_or_else(|| ApiError::Internal("no operation".into()))
    }

    /// The services.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// An epoch of this store, to be handed back.
    pub fn token_of(&self, epoch: Long) -> EpochToken {
        let epoch = Epoch(epoch.as_u64().unwrap_or_default());
        EpochToken(self.services.feed.lineage().token(epoch))
    }

    /// The epoch of this store that an argument or the request itself names, the later of both; the
    /// first when neither does.
    pub fn epoch_of(&self, at_least: Option<EpochToken>) -> Result<Epoch, ApiError> {
        let known = |EpochToken(token)| {
            let known = self.services.feed.lineage().epoch_of(token);
            known.ok_or(ApiError::UnknownEpoch(token))
        };
        let mut named = [at_least, self.at_least].into_iter().flatten().map(known);
        named.try_fold(Epoch(0), |latest, epoch| Ok(latest.max(epoch?)))
    }

    /// The view all fields of this operation share; a fresh one only if `at_least` is past it.
    pub async fn snapshot(&self, at_least: Option<EpochToken>) -> Result<Snapshot, ApiError> {
        let at_least = self.epoch_of(at_least)?.0;
        let known = self.shared.lock().clone();
        // A view that was not asked for its epoch may still move on to a newer one.
        let fits = |view: &dyn View| at_least == 0 || view.epoch().0 >= at_least;
        if let Some(known) = known.filter(|known| fits(&*known.view)) {
            return Ok(known);
        }
        self.wait_for(at_least).await?;
        let fresh = self.fresh().await?;
        if !fits(&*fresh.view) {
            return Err(ServiceError::NotYet(at_least).into());
        }
        let mut shared = self.shared.lock();
        let newest = match shared.take() {
            Some(known) if known.view.epoch() >= fresh.view.epoch() => known,
            _ => fresh,
        };
        *shared = Some(newest.clone());
        Ok(newest)
    }

    /// Waits until the epoch that the request itself asks for can be read.
    pub async fn reached(&self) -> Result<(), ApiError> {
        if self.at_least.is_some() {
            self.snapshot(None).await?;
        }
        Ok(())
    }

    /// An operation of the same services that outlives this one: that of a stream.
    #[must_use]
    pub fn again(&self) -> Self {
        Self::new(self.services.clone(), self.lanes.clone(), None)
    }

    /// Calls a service that may look at everything, on a thread that may block.
    pub async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, ApiError> {
        run(&self.lanes.heavy, call).await
    }

    /// The newest committed view, for one event of a subscription.
    pub async fn fresh(&self) -> Result<Snapshot, ApiError> {
        let reader = self.services.reader.clone();
        let view = run(&self.lanes.quick, move || reader.view()).await?;
        Ok(Snapshot { view, lanes: self.lanes.clone() })
    }

    /// A view of an epoch that is still kept; none when it is not.
    pub async fn kept(&self, epoch: Epoch) -> Result<Option<Snapshot>, ApiError> {
        let reader = self.services.reader.clone();
        let found = run(&self.lanes.quick, move || match reader.view_at(epoch) {
            Ok(view) => Ok(Some(view)),
            Err(ServiceError::Gone(_)) => Ok(None),
            Err(error) => Err(error),
        });
        Ok(found.await?.map(|view| Snapshot { view, lanes: self.lanes.clone() }))
    }

    async fn wait_for(&self, epoch: u64) -> Result<(), ApiError> {
        if epoch == 0 {
            return Ok(());
        }
        let mut epochs = self.services.feed.epochs();
        let reached = epochs.wait_for(|now| *now >= Epoch(epoch));
        match tokio::time::timeout(AT_LEAST_EPOCH_TIMEOUT, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ServiceError::Stopped.into()),
            Err(_) => Err(ServiceError::NotYet(epoch).into()),
        }
    }
}

impl Snapshot {
    /// Reads of the view what needs to look at little, on a thread that may block.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn View) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let view = self.view.clone();
        run(&self.lanes.quick, move || read(&*view)).await
    }

    /// Reads of the view what may need to look at everything, when it is its turn.
    pub async fn scan<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn View) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let view = self.view.clone();
        run(&self.lanes.heavy, move || read(&*view)).await
    }

    /// The view, for what is in memory.
    #[must_use]
    pub fn view(&self) -> &dyn View {
        &*self.view
    }
}

async fn run<T: Send + 'static>(
    lane: &Arc<Semaphore>,
    read: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, ApiError> {
    let permit = lane.clone().acquire_owned().await;
    let permit = permit.map_err(|_| ApiError::from(ServiceError::Stopped))?;
    let patience = Patience::new();
    // When this future is dropped the read is given up.
    let _waits = patience.ends_with();
    let done = tokio::task::spawn_blocking(move || {
        // Held until the read has ended.
        let _permit = permit;
        patience.while_waiting(read)
    });
    match done.await {
        Ok(answer) => Ok(answer?),
        Err(failed) => Err(ApiError::Internal(failed.to_string())),
    }
}

/// What a nullable field answers. The engine makes a field null for an error *inside* its `Option`;
/// an error outside of it, as in `Result<Option<T>, _>`, would make the parent null.
pub type Nullable<T> = Option<Result<T, ApiError>>;

/// Makes an error that of the field itself.
pub async fn nullable<T>(field: impl Future<Output = Result<Option<T>, ApiError>>) -> Nullable<T> {
    field.await.transpose()
}

/// An argument is wrong.
pub fn bad(text: impl Into<String>) -> ApiError {
    ApiError::BadInput(text.into())
}
