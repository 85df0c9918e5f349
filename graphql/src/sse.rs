//! Server-sent events: the `graphql-sse` protocol, one connection an operation.
//!
//! Every answer, a refusal included, is a `next` event, and `complete` ends it. The stream is
//! asked for an event only when the connection can take one, and what was made counts as held until
//! its bytes are written. A client that reads too slowly is told so by a last event, for which the
//! connection stays a moment; then it is cut.

use std::convert::Infallible;
use std::sync::Arc;

use async_graphql::Response as Answer;
use async_graphql::parser::types::OperationType;
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;
use tokio::time::{Duration, sleep};

use crate::budget::Budget;
use crate::connections::Cut;
use crate::error::{Code, coded};
use crate::execute::{Engine, Prepared, to_json};
use crate::http::Peer;
use crate::subscribers::{Hold, Seat, TOO_SLOW};

/// The event that ends an operation.
const COMPLETE: &[u8] = b"event: complete\ndata: \n\n";
/// A comment, sent while there is nothing else.
const ALIVE: &[u8] = b":\n\n";

/// An event as text; the JSON of an answer has no line feed.
fn next(answer: &Answer) -> Vec<u8> {
    format!("event: next\ndata: {}\n\n", to_json(answer)).into_bytes()
}

fn respond(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(events.map(Ok::<_, Infallible>))).into_response()
}

/// The stream of an operation that is refused.
#[must_use]
pub fn refused(answer: &Answer) -> Response {
    respond(stream::iter([next(answer).into(), Bytes::from_static(COMPLETE)]))
}

/// The stream of an operation.
pub fn answer(engine: &Arc<Engine>, prepared: Prepared, peer: &Peer) -> Response {
    let Ok(permit) = engine.sockets().clone().try_acquire_owned() else {
        let text = "too many open streams\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], text).into_response();
    };
    let id = engine.request_id();
    let seat = engine.subscribers().connect(peer.client);
    let budget = prepared.budget();
    let answers: BoxStream<'static, Answer> = if prepared.kind == OperationType::Subscription {
        engine.subscribe(prepared, id, &seat)
    } else {
        let engine = engine.clone();
        stream::once(async move { engine.execute(prepared, &id).await }).boxed()
    };
    let farewell = engine.options().subscribers.farewell;
    let events = Events {
        answers,
        budget,
        alive: engine.options().socket.ping_interval,
        _cutter: Cutter::new(&seat, peer.cut.clone(), farewell),
        seat,
        _permit: permit,
    };
    let all = stream::unfold(Some(events), |events| async move {
        let mut events = events?;
        let (bytes, goes_on) = events.next().await;
        Some((bytes, goes_on.then_some(events)))
    });
    respond(all)
}

/// The source of the events, and what must live as long as the stream.
struct Events {
    answers: BoxStream<'static, Answer>,
    budget: Arc<Budget>,
    alive: Duration,
    seat: Arc<Seat>,
    _cutter: Cutter,
    _permit: OwnedSemaphorePermit,
}

impl Events {
    /// The next bytes, and whether more come.
    async fn next(&mut self) -> (Bytes, bool) {
        tokio::select! {
            biased;
            () = self.seat.cut() => {
                let answer = Answer::from_errors(vec![coded(Code::ResourceExhausted, TOO_SLOW)]);
                ([&*next(&answer), COMPLETE].concat().into(), false)
            }
            answer = self.answers.next() => match answer {
                Some(answer) => {
                    let text = next(&answer);
                    drop(answer);
                    // From here on its text counts, until it is written.
                    self.budget.reset();
                    (Bytes::from_owner(Held { _hold: self.seat.hold(text.len()), text }), true)
                }
                None => (Bytes::from_static(COMPLETE), false),
            },
            () = sleep(self.alive) => (Bytes::from_static(ALIVE), true),
        }
    }
}

/// An event whose bytes count as held until the HTTP server has written and dropped them.
struct Held {
    text: Vec<u8>,
    _hold: Hold,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// Cuts the connection of a slow client that does not even read the last event in time.
struct Cutter(Option<AbortHandle>);

impl Cutter {
    fn new(seat: &Arc<Seat>, cut: Option<Cut>, farewell: Duration) -> Self {
        Self(cut.map(|cut| {
            let until_cut = seat.until_cut();
            let cutting = tokio::spawn(async move {
                until_cut.await;
                sleep(farewell).await;
                cut.now();
            });
            cutting.abort_handle()
        }))
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        if let Some(cutting) = &self.0 {
            cutting.abort();
        }
    }
}
