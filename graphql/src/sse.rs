//! Server-sent events: the `graphql-sse` protocol, one connection an operation.
//!
//! Every answer, a refusal included, is a `next` event, and `complete` ends it. The stream is
//! asked for an event only when the connection can take one.

use std::convert::Infallible;

use async_graphql::Response as Answer;
use async_graphql::parser::types::OperationType;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};

use crate::execute::{Engine, Prepared, to_json};

fn next(answer: &Answer) -> Event {
    Event::default().event("next").data(to_json(answer))
}

fn complete() -> Event {
    Event::default().event("complete").data("")
}

fn events(
    engine: Option<&Engine>,
    answers: impl Stream<Item = Answer> + Send + 'static,
) -> Response {
    let events = answers.map(|answer| next(&answer)).chain(stream::iter([complete()]));
    let stream = Sse::new(events.map(Ok::<_, Infallible>));
    match engine {
        Some(engine) => {
            let alive = KeepAlive::new().interval(engine.options().socket.ping_interval);
            stream.keep_alive(alive).into_response()
        }
        None => stream.into_response(),
    }
}

/// The stream of an operation that is refused.
#[must_use]
pub fn refused(answer: Answer) -> Response {
    events(None, stream::iter([answer]))
}

/// The stream of an operation.
pub fn answer(engine: &std::sync::Arc<Engine>, prepared: Prepared) -> Response {
    let Ok(permit) = engine.sockets().clone().try_acquire_owned() else {
        let text = "too many open streams\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], text).into_response();
    };
    let id = engine.request_id();
    let answers: BoxStream<'static, Answer> = if prepared.kind == OperationType::Subscription {
        engine.subscribe(prepared, id)
    } else {
        let engine = engine.clone();
        stream::once(async move { engine.execute(prepared, &id).await }).boxed()
    };
    // The permit lives as long as the stream.
    let answers = answers.map(move |answer| {
        let _held = &permit;
        answer
    });
    events(Some(engine), answers)
}
