//! How the console is served: who gets its page, and what a browser may do with it.

use axum::body::Body;
use axum::http::{Method, Request};

use crate::support::{Answer, Server};

const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn ask(method: Method, path: &str, accept: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).header("accept", accept);
    Server::default().send(request.body(Body::empty()).unwrap()).await
}

async fn check(method: Method, path: &str, accept: &str, status: u16, is_page: bool) {
    let answer = ask(method.clone(), path, accept).await;
    let what = format!("{method} {path} as {accept}");
    assert_eq!(answer.status.as_u16(), status, "{what}");
    let body = answer.body.as_str().unwrap_or_default();
    assert_eq!(body.contains("<title>Spoor</title>"), is_page, "{what}: {body}");
}

#[tokio::test]
async fn browsers_get_the_page_and_programs_do_not() {
    for path in ["/", "/overview", "/sessions", "/sessions/5427b20b.1795628343872", "/nonsense"] {
        check(Method::GET, path, HTML, 200, true).await;
    }
    check(Method::GET, "/", "*/*", 200, true).await;
    check(Method::GET, "/", "application/json", 200, false).await;
    for path in ["/sessions", "/nonsense"] {
        check(Method::GET, path, "*/*", 404, false).await;
        check(Method::GET, path, "application/json", 404, false).await;
        check(Method::POST, path, HTML, 404, false).await;
    }
    for path in ["/v1/nonsense", "/assets/nonsense.js", "/graphiql/nonsense", "/graphql/nonsense"] {
        check(Method::GET, path, HTML, 404, false).await;
    }
    for path in ["/healthz", "/readyz", "/schema.graphql", "/graphiql"] {
        let answer = ask(Method::GET, path, HTML).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}");
    }
    check(Method::GET, "/readyz", HTML, 200, false).await;
}

#[tokio::test]
async fn json_tells_what_is_served_where() {
    let answer = ask(Method::GET, "/", "application/json").await;
    assert_eq!(answer.body["graphql"], "/graphql");
    assert_eq!(answer.headers["content-type"], "application/json");
}

#[tokio::test]
async fn the_page_can_run_nothing_but_its_own_files() {
    let answer = ask(Method::GET, "/sessions", HTML).await;
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ] {
        assert!(policy.split("; ").any(|found| found == part), "{part} in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.headers["referrer-policy"], "no-referrer");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(answer.headers["x-frame-options"], "DENY");
    assert_eq!(answer.headers["cache-control"], "no-cache");
    let page = answer.body.as_str().unwrap();
    let is_script = |part: &&str| part.starts_with("/assets/") && part.ends_with(".js");
    let script = page.split('"').find(is_script).unwrap();
    let script = ask(Method::GET, script, "*/*").await;
    assert_eq!(script.status.as_u16(), 200);
    assert!(script.headers["cache-control"].to_str().unwrap().contains("immutable"));
    assert_eq!(script.headers["content-type"], "text/javascript; charset=utf-8");
    assert_eq!(script.headers["x-content-type-options"], "nosniff");
}
