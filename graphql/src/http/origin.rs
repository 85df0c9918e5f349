//! Who may call from a browser: our own pages, and the origins that are allowed by name.
//!
//! Nobody may ask for a host that is not known (`host.rs`). A browser tells where a script comes from in `Origin`; programs send none and are not asked.
//! Everything but reading by GET is refused for other origins, WebSockets included, since browsers
//! let any page open those.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, HOST, ORIGIN, UPGRADE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::host;
use crate::execute::Engine;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    /// A program, or a page of ours.
    Own,
    /// A page of an origin that is allowed by name.
    Allowed,
    /// Another page.
    Foreign,
}

fn caller(headers: &HeaderMap, allowed: &[String]) -> Caller {
    let Some(origin) = headers.get(ORIGIN) else { return Caller::Own };
    let Ok(origin) = origin.to_str() else { return Caller::Foreign };
    if allowed.iter().any(|known| known.eq_ignore_ascii_case(origin)) {
        return Caller::Allowed;
    }
    let own = headers.get(HOST).and_then(|host| host.to_str().ok());
    let theirs = origin.split_once("://").map(|(_, host)| host);
    match (own, theirs) {
        (Some(own), Some(theirs)) if own.eq_ignore_ascii_case(theirs) => Caller::Own,
        _ => Caller::Foreign,
    }
}

/// Refuses what other pages may not do, and adds the headers browsers ask for.
pub async fn guard(State(engine): State<Arc<Engine>>, request: Request, next: Next) -> Response {
    let options = engine.options();
    if let Some(host) = host::refused(request.uri(), request.headers(), &options.hosts) {
        let text = format!(
            "the host `{host:.80}` is not allowed; add it to `hosts` in `[server]` of the \
             configuration\n"
        );
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let caller = caller(request.headers(), &options.allowed_origins);
    let origin = request.headers().get(ORIGIN).cloned();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let upgrades = request.headers().contains_key(UPGRADE);
    let preflight = *request.method() == Method::OPTIONS;
    let mut response = match caller {
        Caller::Foreign if !reads || upgrades => {
            let text = "this origin is not allowed; add it to `allowed_origins` in `[server]` of \
                        the configuration\n";
            (StatusCode::FORBIDDEN, text).into_response()
        }
        Caller::Allowed if preflight => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let (Caller::Allowed, Some(origin)) = (caller, origin) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let fixed = [
            (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
            (ACCESS_CONTROL_ALLOW_HEADERS, "content-type, accept, idempotency-key"),
            (ACCESS_CONTROL_MAX_AGE, "600"),
        ];
        for (name, value) in fixed.into_iter().filter(|_| preflight) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(origin: Option<&str>, host: &str, expected: Caller) {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        let allowed = ["https://console.example".to_owned()];
        assert_eq!(caller(&headers, &allowed), expected, "{origin:?} {host}");
    }

    #[test]
    fn other_pages_are_told_from_our_own() {
        check(None, "spoor:4000", Caller::Own);
        check(Some("http://spoor:4000"), "spoor:4000", Caller::Own);
        check(Some("http://SPOOR:4000"), "spoor:4000", Caller::Own);
        check(Some("http://spoor"), "spoor:4000", Caller::Foreign);
        check(Some("http://evil.example"), "spoor:4000", Caller::Foreign);
        check(Some("null"), "spoor:4000", Caller::Foreign);
        check(Some("https://console.example"), "spoor:4000", Caller::Allowed);
    }
}
