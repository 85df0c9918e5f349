//! Bodies: those of requests, read within bounds of size, rate and what all of them hold together;
//! and those of answers, which hold something until they were written.
//!
//! What a client announces costs nothing; what arrives is paid for. The first
//! [`FREE_BYTES`] of a body are bounded by the number of connections, whatever is more is taken
//! from a budget that all bodies share, so that many slow large bodies cannot keep small ones out.
//! A body that arrives more slowly than the least rate is given up.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use crate::options::BodyLimits;

/// Bytes of a body that are not taken from the budget.
pub const FREE_BYTES: usize = 64 << 10;
/// Bytes of one permit of the budget.
const PERMIT_BYTES: usize = 1 << 10;

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is larger than allowed.
    TooLarge,
    /// It arrived more slowly than allowed.
    TooSlow,
    /// The connection broke.
    Incomplete,
    /// All bodies together have no more room.
    NoRoom,
}

/// Bytes that all bodies may hold at one time.
#[derive(Clone, Debug)]
pub struct BodyBudget(Arc<Semaphore>);

impl BodyBudget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / PERMIT_BYTES)))
    }

    async fn take(&self, bytes: usize, wait: Duration) -> Result<OwnedSemaphorePermit, BodyError> {
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).map_err(|_| BodyError::NoRoom)?;
        let taken = timeout(wait, self.0.clone().acquire_many_owned(permits)).await;
        taken.map_err(|_| BodyError::NoRoom)?.map_err(|_| BodyError::NoRoom)
    }
}

/// A body, and the part of the budget it holds.
#[derive(Debug)]
pub struct Received {
    /// The body.
    pub bytes: Bytes,
    /// Given back when it is dropped.
    pub held: Option<OwnedSemaphorePermit>,
}

/// Reads a body of at most `most` bytes.
///
/// # Errors
/// [`BodyError`].
pub async fn read(
    headers: &HeaderMap,
    mut body: Body,
    most: usize,
    limits: &BodyLimits,
    budget: &BodyBudget,
) -> Result<Received, BodyError> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > most as u64) {
        return Err(BodyError::TooLarge);
    }
    let mut held: Option<OwnedSemaphorePermit> = None;
    let mut paid = FREE_BYTES;
    let mut bytes = BytesMut::new();
    let mut pace = Pace::new(limits);
    while let Some(frame) = pace.next(&mut body).await? {
        if bytes.len() + frame.len() > most {
            return Err(BodyError::TooLarge);
        }
        let needed = bytes.len() + frame.len();
        if needed > paid {
            let more = budget.take(needed - paid, limits.room_wait).await?;
            paid += more.num_permits() * PERMIT_BYTES;
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
            // Waiting for room is not the client's slowness.
            pace.begin();
        }
        bytes.extend_from_slice(&frame);
    }
    Ok(Received { bytes: bytes.freeze(), held })
}

/// Holds a client to the least rate: so many bytes in each interval.
struct Pace<'l> {
    limits: &'l BodyLimits,
    until: Instant,
    arrived: usize,
}

impl<'l> Pace<'l> {
    fn new(limits: &'l BodyLimits) -> Self {
        Self { limits, until: Instant::now() + limits.rate_interval, arrived: 0 }
    }

    fn begin(&mut self) {
        *self = Self::new(self.limits);
    }

    /// The next bytes; none at the end.
    async fn next(&mut self, body: &mut Body) -> Result<Option<Bytes>, BodyError> {
        loop {
            if Instant::now() >= self.until {
                if self.arrived < self.limits.bytes_per_interval_min {
                    return Err(BodyError::TooSlow);
                }
                self.begin();
            }
            match timeout_at(self.until, body.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => return Err(BodyError::Incomplete),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.arrived += data.len();
                        return Ok(Some(data));
                    }
                }
                // The interval is over: looked at above.
                Err(_) => {}
            }
        }
    }
}

/// The body of an answer that holds something until it was written, or nobody reads it any more.
#[derive(Debug)]
pub struct Held<G> {
    body: Body,
    _held: G,
}

impl<G> Held<G> {
    /// A body that holds this.
    pub fn new(body: Body, held: G) -> Self {
        Self { body, _held: held }
    }
}

impl<G: Unpin> HttpBody for Held<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
