//! What many or large operations may take: lanes of reads, and the bytes of answers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use spoor_graphql::ServerOptions;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::mock::line;
use crate::support::Server;

const WAIT: Duration = Duration::from_secs(20);

fn query(text: &str) -> Request<Body> {
    let request = Request::post("/graphql")
        .header("content-type", "application/json")
        .header("accept", "application/graphql-response+json");
    request.body(Body::from(json!({ "query": text }).to_string())).unwrap()
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(WAIT, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn heavy_reads_queue_keep_nobody_out_and_end_with_their_clients() {
    let mut options = ServerOptions::default();
    options.operation.heavy_reads_max = 3;
    options.operation.timeout = Duration::from_secs(60);
    let server = Server::new(options);
    server.mock.commit(&line("a", "a-1", 0));
    let reading = || server.mock.reading.load(Ordering::SeqCst);
    server.mock.blocked.store(true, Ordering::SeqCst);
    let mut heavy = JoinSet::new();
    for _ in 0..200 {
        heavy.spawn(server.router.clone().oneshot(query("{ sessions { totalCount } }")));
    }
    eventually("the heavy lane is full", || reading() == 3).await;
    let quick = "{ status { epoch sessions } rules { version } }";
    let data = tokio::time::timeout(WAIT, server.data(quick, json!({}))).await.unwrap();
    assert_eq!(data["status"], json!({"epoch": 2, "sessions": 1}));
    assert_eq!(reading(), 3, "no more run at a time");
    // The clients go: nothing runs on for them, and the next one has its turn.
    heavy.shutdown().await;
    eventually("the reads are given up", || reading() == 0).await;
    server.mock.blocked.store(false, Ordering::SeqCst);
    let data = server.data("{ sessions { totalCount } }", json!({})).await;
    assert_eq!(data["sessions"]["totalCount"], 1);
}

#[tokio::test]
async fn a_read_ends_with_the_time_of_its_operation() {
    let mut options = ServerOptions::default();
    options.operation.timeout = Duration::from_millis(50);
    let server = Server::new(options);
    server.mock.blocked.store(true, Ordering::SeqCst);
    let answer = server.post("{ sessions { totalCount } }", json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "TIMEOUT"));
    eventually("the read is given up", || server.mock.reading.load(Ordering::SeqCst) == 0).await;
}

/// A server with a session whose identity is a long text, and a query that asks for it many times.
fn large() -> (ServerOptions, String, String) {
    let mut options = ServerOptions::default();
    options.operation.answer_bytes_max = 1 << 20;
    options.operation.answers_bytes_max = 4 << 20;
    let long = line(&"x".repeat(100_000), "a-1", 0);
    let values: String = (0..20).map(|n| format!("v{n}: value ")).collect();
    let many = format!("{{ sessions {{ nodes {{ identity {{ {values} }} }} }} }}");
    (options, long, many)
}

#[tokio::test]
async fn an_answer_has_a_budget_and_is_refused_with_it() {
    let (options, long, many) = large();
    let server = Server::new(options);
    server.mock.commit(&long);
    let few = "{ sessions { nodes { identity { a: value b: value } } } }";
    assert_eq!(server.post(few, json!({})).await.status, 200);
    let answer = server.post(&many, json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "RESOURCE_EXHAUSTED"));
    let text = answer.body["errors"][0]["message"].as_str().unwrap();
    assert!(text.contains("larger than 1048576 bytes") && text.contains("aliases"), "{text}");
    assert!(answer.body.get("data").is_none(), "{}", answer.body);
    // Nothing of it is left.
    for _ in 0..20 {
        assert_eq!(server.post(few, json!({})).await.status, 200);
    }
}

#[tokio::test]
async fn many_small_values_are_counted_as_well_as_few_large_ones() {
    let (mut options, ..) = large();
    options.operation.answer_bytes_max = 100 << 10;
    let server = Server::new(options);
    let lines: Vec<String> = (0..200).map(|n| line(&n.to_string(), "a-1", n)).collect();
    server.mock.commit(&lines.join("\n"));
    let fields: String = (0..20).map(|n| format!("a{n}: open ")).collect();
    for (first, code) in [(2, ""), (200, "RESOURCE_EXHAUSTED")] {
        let text = format!("{{ sessions(first: {first}) {{ nodes {{ {fields} }} }} }}");
        assert_eq!(server.post(&text, json!({})).await.code(), code, "{first}");
    }
}

#[tokio::test]
async fn answers_that_nobody_reads_share_one_budget() {
    let (mut options, long, many) = large();
    options.operation.answer_bytes_max = 3 << 20;
    options.operation.answers_bytes_max = 3 << 20;
    let server = Server::new(options);
    server.mock.commit(&long);
    // Made, and not yet read.
    let unread = server.router.clone().oneshot(query(&many)).await.unwrap();
    assert_eq!(unread.status(), 200);
    let answer = server.post(&many, json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "UNAVAILABLE"), "{}", answer.body);
    drop(unread);
    assert_eq!(server.post(&many, json!({})).await.status, 200);
}
