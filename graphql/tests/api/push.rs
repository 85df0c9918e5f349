//! `POST /v1/requests`.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use futures_util::{StreamExt, stream};
use serde_json::json;
use spoor_graphql::ServerOptions;
use spoor_graphql::options::BodyLimits;
use tower::ServiceExt;

use crate::mock::line;
use crate::support::Server;

fn push(key: Option<&str>, encoding: Option<&str>, body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::post("/v1/requests");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    request.body(body.into()).unwrap()
}

#[tokio::test]
async fn a_push_is_answered_when_it_is_committed() {
    let server = Server::default();
    let body = format!("{}\nnonsense\n", line("a", "a-1", 1_000));
    let answer = server.send(push(Some("k"), None, body.clone())).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["epoch"], 2);
    assert_eq!(answer.body["epoch_token"], server.mock.token(2));
    assert_eq!(answer.body["counts"]["accepted"], 1);
    assert_eq!(answer.body["errors"][0]["line"], 2);
    let again = server.send(push(Some("k"), None, body)).await;
    assert_eq!(again.body, answer.body);
    let seen = server.data("{ sessions { totalCount } }", json!({})).await;
    assert_eq!(seen["sessions"]["totalCount"], 1);
}

#[tokio::test]
async fn what_is_no_push_is_refused_with_a_code() {
    let server = Server::default();
    let long = "x".repeat(129);
    for (request, status, code) in [
        (push(Some(""), None, "{}"), 400, "bad_key"),
        (push(Some(&long), None, "{}"), 400, "bad_key"),
        (push(None, Some("br"), "{}"), 415, "encoding"),
        (push(None, Some("gzip"), "{}"), 400, "bad_gzip"),
        (push(None, None, vec![b'\n'; (16 << 20) + 1]), 413, "too_large"),
    ] {
        let answer = server.send(request).await;
        let found = answer.body["error"]["code"].as_str();
        assert_eq!((answer.status.as_u16(), found), (status, Some(code)));
    }
}

#[tokio::test]
async fn a_push_that_finds_no_room_is_told_to_come_back() {
    let push_wait = Duration::from_millis(1);
    let server = Server::new(ServerOptions { pushes_max: 1, push_wait, ..Default::default() });
    *server.mock.held.lock() = Some(Vec::new());
    let first = server.router.clone().oneshot(push(None, None, line("a", "a-1", 1_000)));
    let first = tokio::spawn(first);
    while server.mock.held.lock().as_ref().is_none_or(Vec::is_empty) {
        tokio::task::yield_now().await;
    }
    let refused = server.send(push(None, None, line("a", "a-2", 1_000))).await;
    assert_eq!((refused.status.as_u16(), &refused.body["error"]["code"]), (429, &json!("limit")));
    assert_eq!(refused.headers["retry-after"], "1");
    *server.mock.held.lock() = None;
    assert_eq!(first.await.unwrap().unwrap().status(), 503, "the engine did not answer it");
    assert_eq!(server.send(push(None, None, line("a", "a-2", 1_000))).await.status, 200);
}

/// A body that begins with these bytes and then stands still.
fn stalled(begin: Vec<u8>) -> Body {
    let begin = stream::once(async move { Ok::<_, std::io::Error>(begin) });
    Body::from_stream(begin.chain(stream::pending()))
}

#[tokio::test]
async fn slow_bodies_keep_nobody_out_and_are_given_up() {
    let rate_interval = Duration::from_millis(100);
    let bodies = BodyLimits { rate_interval, ..Default::default() };
    let server = Server::new(ServerOptions { bodies, pushes_max: 1, ..Default::default() });
    let graphql = || {
        let request = Request::post("/graphql").header("content-type", "application/json");
        request.body(stalled(b"{".to_vec())).unwrap()
    };
    let mut slow = Vec::new();
    for _ in 0..100 {
        for request in [push(None, None, stalled(b"{".to_vec())), graphql()] {
            slow.push(tokio::spawn(server.router.clone().oneshot(request)));
        }
    }
    assert_eq!(server.send(push(None, None, line("a", "a-1", 1_000))).await.status, 200);
    for slow in slow {
        let answer = slow.await.unwrap().unwrap();
        assert_eq!(answer.status(), 408);
        assert_eq!(answer.headers()["connection"], "close");
    }
}

#[tokio::test]
async fn what_all_bodies_hold_is_bounded_but_small_ones_find_room() {
    let bodies = BodyLimits {
        bytes_in_flight_max: 1 << 20,
        room_wait: Duration::from_millis(1),
        ..Default::default()
    };
    let server = Server::new(ServerOptions { bodies, ..Default::default() });
    let large = || push(None, None, stalled(vec![b'\n'; 1 << 20]));
    let holder = tokio::spawn(server.router.clone().oneshot(large()));
    let refused = loop {
        // The first may not have begun.
        let answer = server.send(push(None, None, vec![b'\n'; 1 << 20])).await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((refused.status.as_u16(), &refused.body["error"]["code"]), (429, &json!("limit")));
    assert_eq!(server.send(push(None, None, line("a", "a-1", 1_000))).await.status, 200);
    holder.abort();
    assert!(holder.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!(server.send(push(None, None, vec![b'\n'; 1 << 20])).await.status, 200);
}

#[tokio::test]
async fn a_push_of_nothing_good_is_refused_with_the_reasons() {
    let server = Server::default();
    for (body, status) in [
        ("".to_owned(), 200),
        ("\n\n".to_owned(), 200),
        ("nonsense\n".to_owned(), 422),
        ("{}\nnonsense\n".to_owned(), 422),
        (format!("nonsense\n{}", line("a", "a-1", 1_000)), 200),
    ] {
        let answer = server.send(push(None, None, body.clone())).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        let bad = answer.body["counts"]["bad"].as_u64().unwrap();
        assert_eq!(answer.body["errors"].as_array().unwrap().len() as u64, bad, "{body}");
    }
}

#[tokio::test]
async fn a_key_is_for_one_body_and_one_format() {
    let server = Server::default();
    let (one, other) = (line("a", "a-1", 1_000), line("b", "b-1", 1_000));
    let to = |path: &str, body: &str| {
        let request = Request::post(path).header("idempotency-key", "k");
        request.body(Body::from(body.to_owned())).unwrap()
    };
    for (path, body, status) in [
        ("/v1/requests", &one, 200),
        ("/v1/requests", &one, 200),
        ("/v1/requests", &other, 409),
        ("/v1/requests?format=ndjson", &one, 409),
        ("/v1/requests", &one, 200),
    ] {
        let answer = server.send(to(path, body)).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.body);
    }
    let seen = server.data("{ sessions { totalCount } }", json!({})).await;
    assert_eq!(seen["sessions"]["totalCount"], 1);
}

#[tokio::test]
async fn the_format_is_named_in_the_address() {
    let server = Server::default();
    let body = line("a", "a-1", 1_000);
    for (query, status, code) in [
        ("?format=ndjson", 200, json!(null)),
        ("?format=nope", 400, json!("unknown_format")),
        ("?format=", 400, json!("bad_parameter")),
        ("?format=ndjson&format=har", 400, json!("bad_parameter")),
        ("?fromat=ndjson", 400, json!("bad_parameter")),
    ] {
        let request = Request::post(format!("/v1/requests{query}"));
        let answer = server.send(request.body(Body::from(body.clone())).unwrap()).await;
        let found = (answer.status.as_u16(), &answer.body["error"]["code"]);
        assert_eq!(found, (status, &code), "{query}: {}", answer.body);
    }
}
