//! `POST /v1/requests`.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use spoor_graphql::ServerOptions;
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
    let endless = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let slow = server.router.clone().oneshot(push(None, None, Body::from_stream(endless)));
    let slow = tokio::spawn(slow);
    let refused = loop {
        // One may still come before the slow one has begun.
        let answer = server.send(push(None, None, line("a", "a-1", 1_000))).await;
        if answer.status != 200 {
            break answer;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((refused.status.as_u16(), &refused.body["error"]["code"]), (429, &json!("limit")));
    assert_eq!(refused.headers["retry-after"], "1");
    slow.abort();
    assert!(slow.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!(server.send(push(None, None, line("a", "a-1", 1_000))).await.status, 200);
}
