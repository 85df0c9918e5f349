//! `POST /v1/requests`: native NDJSON, answered when it is committed.
//!
//! The body is one object or many lines, plain or gzip. A bad line does not fail the others: the
//! answer has counts, and number, code and reason of each refused line. An `Idempotency-Key` makes
//! a repeat harmless.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_ENCODING, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use serde_json::json;
use spoor_dataflow::service::{PushAnswer, ServiceError};
use spoor_operators::time::Epoch;
use tokio::time::timeout;

use super::body::{self, BodyError};
use crate::execute::Engine;

/// Longest `Idempotency-Key`, in bytes.
const KEY_BYTES_MAX: usize = 128;
/// Time a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// What a client that has to come back later is told to wait, in seconds.
const RETRY_SECONDS: &str = "1";

/// Why a push was not taken at all.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("the body is larger than {0} bytes; send it in parts")]
    TooLarge(usize),
    #[error("the body did not arrive")]
    Incomplete,
    #[error("the content encoding must be gzip, or none")]
    Encoding,
    #[error("the body is no gzip")]
    Gzip,
    #[error("Idempotency-Key must be 1 to {KEY_BYTES_MAX} visible ASCII characters")]
    Key,
    #[error("{0}")]
    Limit(String),
    #[error("the engine is not running")]
    Stopped,
    #[error("internal error; it is logged as {0}")]
    Internal(String),
}

impl Refusal {
    fn code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::Incomplete => (StatusCode::REQUEST_TIMEOUT, "incomplete"),
            Self::Encoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding"),
            Self::Gzip => (StatusCode::BAD_REQUEST, "bad_gzip"),
            Self::Key => (StatusCode::BAD_REQUEST, "bad_key"),
            Self::Limit(_) => (StatusCode::TOO_MANY_REQUESTS, "limit"),
            Self::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "stopped"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code) = self.code();
        let body = Json(json!({"error": {"code": code, "message": self.to_string()}}));
        match self {
            Self::Limit(_) | Self::Stopped => {
                (status, [(RETRY_AFTER, RETRY_SECONDS)], body).into_response()
            }
            _ => (status, body).into_response(),
        }
    }
}

/// Takes a push.
pub async fn post(State(engine): State<Arc<Engine>>, headers: HeaderMap, body: Body) -> Response {
    push(&engine, &headers, body).await.unwrap_or_else(IntoResponse::into_response)
}

async fn push(engine: &Engine, headers: &HeaderMap, body: Body) -> Result<Response, Refusal> {
    let key = idempotency_key(headers)?;
    let gzip = is_gzip(headers)?;
    let most = engine.options().push_bytes_max;
    // Bodies are read only while there is room for them; the others wait in their sockets.
    let turn = timeout(engine.options().push_wait, engine.pushes().acquire()).await;
    let turn = turn.map_err(|_| Refusal::Limit("too many pushes wait; try again later".into()))?;
    let _permit = turn.map_err(|_| Refusal::Stopped)?;
    let body =
        body::read(headers, body, most, BODY_TIMEOUT).await.map_err(|error| match error {
            BodyError::TooLarge => Refusal::TooLarge(most),
            BodyError::Incomplete => Refusal::Incomplete,
        })?;
    let body = if gzip { inflate(body, most).await? } else { body };
    match engine.services().ingest.push(body, key).await {
        Ok(Ok(answer)) => Ok(Json(Taken::new(answer, engine)).into_response()),
        Ok(Err(ServiceError::Limit(text))) => Err(Refusal::Limit(text)),
        Ok(Err(ServiceError::Store(cause))) => {
            let id = engine.request_id();
            tracing::error!(request_id = id, %cause, "push failed");
            Err(Refusal::Internal(id))
        }
        Ok(Err(_)) | Err(_) => Err(Refusal::Stopped),
    }
}

/// What became of a push, as clients see it.
#[derive(Serialize)]
struct Taken {
    #[serde(flatten)]
    answer: PushAnswer,
    /// The epoch, to be handed back as `atLeastEpoch` of a query.
    epoch_token: String,
}

impl Taken {
    fn new(answer: PushAnswer, engine: &Engine) -> Self {
        let token = engine.services().feed.lineage().token(Epoch(answer.epoch));
        Self { answer, epoch_token: token.to_string() }
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().map_err(|_| Refusal::Key)?;
    let fits = (1..=KEY_BYTES_MAX).contains(&key.len());
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if fits && visible { Ok(Some(key.to_owned())) } else { Err(Refusal::Key) }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Refusal> {
    let Some(encoding) = headers.get(CONTENT_ENCODING) else { return Ok(false) };
    match encoding.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(false),
        "gzip" | "x-gzip" => Ok(true),
        _ => Err(Refusal::Encoding),
    }
}

/// Decompresses, off the async threads, to at most `most` bytes.
async fn inflate(body: Bytes, most: usize) -> Result<Bytes, Refusal> {
    let work = tokio::task::spawn_blocking(move || {
        let mut plain = Vec::new();
        let read = MultiGzDecoder::new(&*body).take(most as u64 + 1).read_to_end(&mut plain);
        read.map_err(|_| Refusal::Gzip)?;
        if plain.len() > most { Err(Refusal::TooLarge(most)) } else { Ok(Bytes::from(plain)) }
    });
    work.await.unwrap_or(Err(Refusal::Gzip))
}
