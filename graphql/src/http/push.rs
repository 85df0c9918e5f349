//! `POST /v1/requests`: records, answered when they are committed.
//!
//! The body is native records, as lines or as one JSON array, or whatever `?format=` names; plain or
//! gzip. A bad record does not fail the others: the answer has counts, and number, code and reason
//! of each refused one. When every record was refused the status is 422. An `Idempotency-Key` makes
//! a repeat harmless. A push takes a place among those that are worked on when its body is there,
//! so that slow clients keep nobody out.

use std::io::Read;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{CONTENT_ENCODING, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use serde_json::json;
use spoor_api::service::{Push, PushAnswer, ServiceError};
use spoor_operators::time::Epoch;
use tokio::time::timeout;

use super::body::{self, BodyError, Received};
use super::{address, closing};
use crate::execute::Engine;

/// Longest `Idempotency-Key`, in bytes.
const KEY_BYTES_MAX: usize = 128;
/// What a client that has to come back later is told to wait, in seconds.
const RETRY_SECONDS: &str = "1";

/// Why a push was not taken at all.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("the body is larger than {0} bytes; send it in parts")]
    TooLarge(usize),
    #[error("the body did not arrive")]
    Incomplete,
    #[error("the body arrives too slowly: at least {0} bytes in {1} s")]
    TooSlow(usize, u64),
    #[error("{0}")]
    Parameter(String),
    #[error("{0}")]
    Format(String),
    #[error("this Idempotency-Key was used for another body or format")]
    KeyReused,
    #[error("the content encoding must be gzip, or none")]
    Encoding,
    #[error("the body is not gzip")]
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
            Self::Incomplete => (StatusCode::BAD_REQUEST, "incomplete"),
            Self::TooSlow(..) => (StatusCode::REQUEST_TIMEOUT, "too_slow"),
            Self::Parameter(_) => (StatusCode::BAD_REQUEST, "bad_parameter"),
            Self::Format(_) => (StatusCode::BAD_REQUEST, "unknown_format"),
            Self::KeyReused => (StatusCode::CONFLICT, "key_reused"),
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
            // The rest of the body is not waited for.
            Self::TooSlow(..) | Self::TooLarge(_) => closing((status, body).into_response()),
            _ => (status, body).into_response(),
        }
    }
}

/// Takes a push.
pub async fn post(
    State(engine): State<Arc<Engine>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let query = query.unwrap_or_default();
    push(&engine, &query, &headers, body).await.unwrap_or_else(IntoResponse::into_response)
}

async fn push(
    engine: &Engine,
    query: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let format = format(query)?;
    let key = idempotency_key(headers)?;
    let gzip = is_gzip(headers)?;
    let most = engine.options().push_bytes_max;
    let limits = &engine.options().bodies;
    let received = body::read(headers, body, most, limits, engine.bodies()).await;
    let received = received.map_err(|error| match error {
        BodyError::TooLarge => Refusal::TooLarge(most),
        BodyError::TooSlow => {
            Refusal::TooSlow(limits.bytes_per_interval_min, limits.rate_interval.as_secs())
        }
        BodyError::Incomplete => Refusal::Incomplete,
        BodyError::NoRoom => Refusal::Limit("too many large bodies at one time".into()),
    })?;
    let turn = timeout(engine.options().push_wait, engine.pushes().acquire()).await;
    let turn = turn.map_err(|_| Refusal::Limit("too many pushes wait; try again later".into()))?;
    let _permit = turn.map_err(|_| Refusal::Stopped)?;
    let Received { bytes: body, held: _held } = received;
    let body = if gzip { inflate(body, most).await? } else { body };
    match engine.services().ingest.take(Push { body, format, key }).await {
        Ok(Ok(answer)) => Ok(answered(answer, engine)),
        Ok(Err(ServiceError::Limit(text))) => Err(Refusal::Limit(text)),
        Ok(Err(ServiceError::UnknownFormat(text))) => Err(Refusal::Format(text)),
        Ok(Err(ServiceError::KeyReused)) => Err(Refusal::KeyReused),
        Ok(Err(ServiceError::Store(cause))) => {
            let id = engine.request_id();
            tracing::error!(request_id = id, %cause, "push failed");
            Err(Refusal::Internal(id))
        }
        Ok(Err(_)) | Err(_) => Err(Refusal::Stopped),
    }
}

/// The result of a push, as clients see it.
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

/// A push of which every record was refused is the client's mistake; the answer is the same.
fn answered(answer: PushAnswer, engine: &Engine) -> Response {
    let counts = &answer.counts;
    let refused = counts.bad + counts.future + counts.expired;
    let status = match counts.read {
        read if read > 0 && refused == read => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::OK,
    };
    (status, Json(Taken::new(answer, engine))).into_response()
}

/// The one parameter there is. A misspelt one must not pass for the default.
fn format(query: &str) -> Result<Option<String>, Refusal> {
    let mut format = None;
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match (address::decode(name).as_str(), address::decode(value)) {
            ("format", value) if format.is_none() && !value.is_empty() => format = Some(value),
            ("format", _) => return Err(Refusal::Parameter("name one `format`".into())),
            (other, _) => {
                let text = format!("unknown parameter `{other:.80}`; there is `format`");
                return Err(Refusal::Parameter(text));
            }
        }
    }
    Ok(format)
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
