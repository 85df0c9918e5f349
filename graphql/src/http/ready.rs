//! Before the engine is up, and while a process of its cluster is silent, operations and pushes are
//! refused at once with 503, the reason and `Retry-After`: nobody waits for what cannot be answered.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::middleware::Next;
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;
use spoor_api::service::ServiceError;

use crate::error::{ApiError, Code};
use crate::execute::Engine;

/// What a client is told to wait, in seconds.
const RETRY_SECONDS: &str = "1";

/// For `/graphql`: refuses as GraphQL does.
pub async fn graphql(State(engine): State<Arc<Engine>>, request: Request, next: Next) -> Response {
    match unready(&engine) {
        None => next.run(request).await,
        Some(reason) => {
            let refused =
                super::refuse(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, &reason);
            ([(RETRY_AFTER, RETRY_SECONDS)], refused).into_response()
        }
    }
}

/// For pushes.
pub async fn push(State(engine): State<Arc<Engine>>, request: Request, next: Next) -> Response {
    match unready(&engine) {
        None => next.run(request).await,
        Some(reason) => {
            let body = Json(json!({"error": {"code": "unavailable", "message": reason}}));
            let headers = [(RETRY_AFTER, RETRY_SECONDS)];
            (StatusCode::SERVICE_UNAVAILABLE, headers, body).into_response()
        }
    }
}

/// Why nothing can be answered now, if that is so.
fn unready(engine: &Engine) -> Option<String> {
    match engine.services().reader.ready() {
        Err(error @ (ServiceError::Starting(_) | ServiceError::Unanswered(_))) => {
            Some(error.to_string())
        }
        // What names files is for the operator.
        Err(error @ (ServiceError::Failed(_) | ServiceError::Stopped)) => {
            Some(ApiError::from(error).to_string())
        }
        _ => None,
    }
}
