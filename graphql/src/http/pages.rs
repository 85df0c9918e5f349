//! The pages and probes besides GraphQL and the console: the offline GraphiQL, health and readiness.
//! Nothing here is loaded from another host.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use spoor_api::service::ServiceError;

use crate::execute::Engine;

const GRAPHIQL_JS: &[u8] = include_bytes!("../../assets/graphiql.js");
const GRAPHIQL_CSS: &[u8] = include_bytes!("../../assets/graphiql.css");
const GRAPHIQL_LICENSES: &[u8] = include_bytes!("../../assets/graphiql.licenses.txt");
const GRAPHIQL_HTML: &str = include_str!("../../assets/graphiql.html");

/// Scripts of ours only; styles may be inline since the editor sets them so. `connect-src 'self'`
/// is our own WebSocket too.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// Whether the client is a browser that wants a page.
#[must_use]
pub fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

fn page(html: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, html).into_response()
}

fn asset(content_type: &'static str, bytes: &'static [u8]) -> Response {
    let headers = [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "public, max-age=3600")];
    (headers, bytes).into_response()
}

/// `GET /graphiql`.
pub async fn graphiql() -> Response {
    page(GRAPHIQL_HTML)
}

/// `GET /graphiql/graphiql.js`.
pub async fn graphiql_js() -> Response {
    asset("text/javascript; charset=utf-8", GRAPHIQL_JS)
}

/// `GET /graphiql/graphiql.css`.
pub async fn graphiql_css() -> Response {
    asset("text/css; charset=utf-8", GRAPHIQL_CSS)
}

/// `GET /graphiql/licenses.txt`.
pub async fn graphiql_licenses() -> Response {
    asset("text/plain; charset=utf-8", GRAPHIQL_LICENSES)
}

/// `GET /schema.graphql`: the schema in its definition language.
pub async fn schema(State(engine): State<Arc<Engine>>) -> Response {
    if !engine.options().introspection {
        return StatusCode::NOT_FOUND.into_response();
    }
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], crate::sdl()).into_response()
}

/// `GET /healthz`: the process lives, and what keeps it from being ready. A failed engine does not
/// come back by itself: whoever restarts processes may restart this one, which is about to end.
pub async fn healthz(State(engine): State<Arc<Engine>>) -> Response {
    match engine.services().reader.ready() {
        Ok(_) => "ok\n".into_response(),
        Err(error @ ServiceError::Failed(_)) => unavailable(&format!("{error}\n")),
        Err(error) => format!("ok, not ready: {error}\n").into_response(),
    }
}

/// `GET /readyz`: the engine answers, and takes requests.
pub async fn readyz(State(engine): State<Arc<Engine>>) -> Response {
    match engine.services().reader.ready() {
        Ok(epoch) => format!("ready at epoch {}\n", epoch.0).into_response(),
        Err(error) => unavailable(&format!("not ready: {error}\n")),
    }
}

fn unavailable(text: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(CACHE_CONTROL, "no-store")], text.to_owned())
        .into_response()
}
