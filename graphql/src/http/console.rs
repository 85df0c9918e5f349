//! The console: the pages of `graphql/console/dist`, embedded in the program.
//!
//! The console's router runs in the browser, so each of its addresses is answered with the one page.
//! Only a client that asks for HTML gets it: a program that mistypes an address is told 404, and one
//! that asks `/` for JSON gets the list of addresses. Nothing is loaded from another host, no script
//! or style is inline, and with Trusted Types no text can become markup.
//!
//! Names below `/assets/` carry a hash of their contents, so a browser may keep them for good.

use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rust_embed::Embed;
use serde_json::json;

use super::pages::wants_html;

/// What `make console` built.
#[derive(Embed)]
#[folder = "console/dist"]
struct Dist;

/// Scripts and styles of ours only, none of them inline. `connect-src 'self'` is our own WebSocket
/// too. No Trusted Types policy can be made, so assigning text as markup always fails.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
    trusted-types 'none'";

/// Addresses that are no page of the console, whatever follows them.
const RESERVED: [&str; 4] = ["/graphql", "/graphiql", "/v1/", "/assets/"];

/// `GET /`: the console, or for a program that wants JSON what is served where.
pub async fn home(headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    let wants_json = accept.contains("application/json") && !wants_html(&headers);
    let mut response = if wants_json { addresses() } else { page() };
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    response
}

fn addresses() -> Response {
    let addresses = json!({
        "console": "/",
        "graphql": "/graphql",
        "graphiql": "/graphiql",
        "schema": "/schema.graphql",
        "ingest": "/v1/requests",
        "health": "/healthz",
        "ready": "/readyz",
    });
    axum::Json(addresses).into_response()
}

/// `GET /assets/{name}`: a script, style or image of the console.
pub async fn asset(Path(name): Path<String>) -> Response {
    let Some(file) = Dist::get(&format!("assets/{name}")) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (CONTENT_TYPE, content_type(&name)),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (headers, Body::from(file.data)).into_response()
}

/// Every address that has no route: a page of the console when a browser asks for one.
pub async fn fallback(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let reads = matches!(method, Method::GET | Method::HEAD);
    let reserved = RESERVED.iter().any(|prefix| uri.path().starts_with(prefix));
    let mut response = if reads && !reserved && wants_html(&headers) {
        page()
    } else {
        StatusCode::NOT_FOUND.into_response()
    };
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    response
}

fn page() -> Response {
    let file = Dist::get("index.html").expect("the console has a page");
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, Body::from(file.data)).into_response()
}

/// The types of the files that are built; another one would be shown as bytes.
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page names files that are embedded, each with a type a browser takes.
    #[test]
    fn the_page_and_what_it_loads_are_embedded() {
        let page = Dist::get("index.html").unwrap();
        let page = String::from_utf8(page.data.into_owned()).unwrap();
        let named: Vec<_> = page
            .split('"')
            .filter_map(|part| part.strip_prefix("/assets/").map(str::to_owned))
            .collect();
        assert!(named.iter().any(|name| name.ends_with(".js")), "{page}");
        for name in named {
            assert!(Dist::get(&format!("assets/{name}")).is_some(), "{name}");
        }
        for path in Dist::iter().filter(|path| path.starts_with("assets/")) {
            assert_ne!(content_type(&path), "application/octet-stream", "{path}");
        }
    }
}
