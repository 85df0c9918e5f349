//! GraphQL over HTTP: POST and GET on one path, which also takes WebSockets and event streams.
//!
//! Refusals of the transport itself (method, media types, sizes) are JSON with the same shape as a
//! GraphQL error, so that a client has one way to read them. Mutations never run over GET.

pub mod address;
pub mod body;
pub mod console;
pub mod host;
pub mod negotiate;
pub mod origin;
pub mod pages;
pub mod push;
pub mod ready;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{Response as Answer, Value};
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, Extension, FromRequestParts, RawQuery, State};
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};

use crate::connections::{Cut, Stopping};
use crate::error::{Code, coded, is_request_error};
use crate::execute::{Engine, Params, Prepared, to_json};
use crate::subscribers::Client;
use crate::{sse, ws};
use body::{BodyError, Held};
use negotiate::{Media, Outcome, is_json};

/// An answer after which the connection is closed, because a part of the request is still to come.
pub fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Who sent a request.
#[derive(Clone)]
pub struct Peer {
    /// As far as limits tell clients apart.
    pub client: Client,
    /// Ends its connection; none where there is none.
    pub cut: Option<Cut>,
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let client = Client::of(address.map(|ConnectInfo(address)| address.ip()));
        Ok(Self { client, cut: parts.extensions.get::<Cut>().cloned() })
    }
}

/// A refusal of the transport.
fn refuse(status: StatusCode, code: Code, message: &str) -> Response {
    let answer = Answer::from_errors(vec![coded(code, message)]);
    write(Media::Json, status, &answer)
}

fn write(media: Media, status: StatusCode, answer: &Answer) -> Response {
    let headers = [(CONTENT_TYPE, media.content_type())];
    (status, headers, to_json(answer)).into_response()
}

/// `POST /graphql`.
pub async fn post(
    State(engine): State<Arc<Engine>>,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(media) = Media::negotiate(&headers) else { return not_acceptable() };
    let json = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(is_json);
    if !json {
        let text = "the content type must be application/json in UTF-8";
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, text);
    }
    let most = engine.options().body_bytes_max;
    let limits = &engine.options().bodies;
    let received = match body::read(&headers, body, most, limits, engine.bodies()).await {
        Ok(received) => received,
        Err(BodyError::TooLarge) => {
            let text = format!("the body is larger than {most} bytes");
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted, &text);
        }
        Err(BodyError::Incomplete) => {
            let text = "the body did not arrive";
            return refuse(StatusCode::BAD_REQUEST, Code::BadRequest, text);
        }
        Err(BodyError::TooSlow) => {
            let text = "the body arrives too slowly";
            let refused = refuse(StatusCode::REQUEST_TIMEOUT, Code::BadRequest, text);
            return closing(refused);
        }
        Err(BodyError::NoRoom) => {
            let text = "too many large bodies at one time; try again later";
            let refused = refuse(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, text);
            return closing(([(RETRY_AFTER, "1")], refused).into_response());
        }
    };
    let params = serde_json::from_slice(&received.bytes)
        .map_err(|error| format!("the body is not JSON: {error}"))
        .and_then(Params::from_json);
    drop(received);
    match params {
        Ok(params) => answer(engine, media, params, &peer, false).await,
        Err(text) => refuse(StatusCode::BAD_REQUEST, Code::BadRequest, &text),
    }
}

/// `GET /graphql`: a WebSocket, or a query in the address.
pub async fn get(
    State(engine): State<Arc<Engine>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    stopping: Option<Extension<Stopping>>,
    peer: Peer,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if let Ok(upgrade) = upgrade {
        return ws::upgrade(engine, upgrade, stopping.map(|stopping| stopping.0), &peer);
    }
    let query = query.unwrap_or_default();
    if query.is_empty() && pages::wants_html(&headers) {
        return Redirect::to("/graphiql").into_response();
    }
    let Some(media) = Media::negotiate(&headers) else { return not_acceptable() };
    match address::params(&query) {
        Ok(params) => answer(engine, media, params, &peer, true).await,
        Err(text) => refuse(StatusCode::BAD_REQUEST, Code::BadRequest, &text),
    }
}

/// Any other method of `/graphql`.
pub async fn other_method() -> Response {
    let text = "GraphQL is served over GET and POST";
    let refused = refuse(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, text);
    ([(ALLOW, "GET, POST")], refused).into_response()
}

fn not_acceptable() -> Response {
    let text = "the answer can only be application/graphql-response+json, application/json or \
                text/event-stream";
    refuse(StatusCode::NOT_ACCEPTABLE, Code::BadRequest, text)
}

async fn answer(
    engine: Arc<Engine>,
    media: Media,
    params: Params,
    peer: &Peer,
    read_only: bool,
) -> Response {
    let prepared = match engine.prepare(params) {
        Ok(prepared) => prepared,
        Err(refused) if media == Media::EventStream => return sse::refused(&refused),
        Err(refused) => return write(media, media.status(Outcome::Refused), &refused),
    };
    if read_only && prepared.kind == OperationType::Mutation {
        let text = "a mutation runs over POST only";
        let refused = refuse(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, text);
        return ([(ALLOW, "POST")], refused).into_response();
    }
    match media {
        Media::EventStream => sse::answer(&engine, prepared, peer),
        Media::Json | Media::Graphql if prepared.kind == OperationType::Subscription => {
            let text = "a subscription needs a WebSocket, or `Accept: text/event-stream`";
            let refused = Answer::from_errors(vec![coded(Code::BadRequest, text)]);
            write(media, media.status(Outcome::Refused), &refused)
        }
        Media::Json | Media::Graphql => execute(&engine, media, prepared).await,
    }
}

async fn execute(engine: &Engine, media: Media, prepared: Prepared) -> Response {
    let budget = prepared.budget();
    let answer = engine.execute(prepared, &engine.request_id()).await;
    let outcome = outcome(&answer);
    let written = write(media, media.status(outcome), &answer);
    // The answer takes its memory until the client has it.
    let written = written.map(|body| Body::new(Held::new(body, budget)));
    if outcome == Outcome::TimedOut {
        return ([(RETRY_AFTER, "1")], written).into_response();
    }
    written
}

fn outcome(answer: &Answer) -> Outcome {
    let timed_out = |error: &async_graphql::ServerError| {
        let code = error.extensions.as_ref().and_then(|values| values.get("code"));
        let is = |known: Code| code == Some(&Value::from(known.as_str()));
        is(Code::Timeout) || is(Code::Unavailable)
    };
    if !is_request_error(answer) {
        Outcome::Executed
    } else if answer.errors.iter().any(timed_out) {
        Outcome::TimedOut
    } else {
        Outcome::Refused
    }
}
