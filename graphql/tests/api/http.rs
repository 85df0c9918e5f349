//! GraphQL over HTTP: statuses, media types and limits.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use spoor_api::service::ServiceError;
use spoor_graphql::ServerOptions;

use crate::mock::line;
use crate::support::Server;

const JSON: &str = "application/json";
const GRAPHQL: &str = "application/graphql-response+json";

async fn check(server: &Server, request: Request<Body>, status: u16, code: &str) -> Value {
    let shown = format!("{request:?}");
    let answer = server.send(request).await;
    let body = &answer.body;
    assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{shown:.300}: {body}");
    answer.body
}

fn post(content_type: &str, accept: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post("/graphql").header("content-type", content_type);
    request.header("accept", accept).body(body.into()).unwrap()
}

fn query(accept: &str, query: &str) -> Request<Body> {
    post(JSON, accept, json!({ "query": query }).to_string())
}

#[tokio::test]
async fn each_failure_has_its_status_and_code() {
    let server = Server::default();
    let good = r#"{"query":"{ status { epoch } }"}"#;
    for accept in [JSON, GRAPHQL, "*/*"] {
        check(&server, post(JSON, accept, good), 200, "").await;
        check(&server, post("text/plain", accept, good), 415, "BAD_REQUEST").await;
        check(&server, post("application/x-www-form-urlencoded", accept, good), 415, "BAD_REQUEST")
            .await;
        for bad in ["", "[", "[]", "{}", r#"{"query":1}"#, r#"[{"query":"{ status { epoch } }"}]"#]
        {
            check(&server, post(JSON, accept, bad), 400, "BAD_REQUEST").await;
        }
        let large = format!("{{\"query\":\"{}\"}}", " ".repeat(300 << 10));
        check(&server, post(JSON, accept, large), 413, "RESOURCE_EXHAUSTED").await;
    }
    check(&server, post(JSON, "text/html", good), 406, "BAD_REQUEST").await;
    for (text, code) in [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ sessions(first: \"x\") { epoch } }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { statusChanges { epoch } }", "BAD_REQUEST"),
    ] {
        check(&server, query(JSON, text), 200, code).await;
        let body = check(&server, query(GRAPHQL, text), 400, code).await;
        assert_eq!(body.get("data"), None, "a request error has no data");
    }
    let put = Request::put("/graphql").body(Body::empty()).unwrap();
    check(&server, put, 405, "BAD_REQUEST").await;
    let mutation = "/graphql?query=mutation%7BdeleteFlow(input:%7Bname:%22x%22%7D)%7Bversion%7D%7D";
    check(&server, Request::get(mutation).body(Body::empty()).unwrap(), 405, "BAD_REQUEST").await;
}

#[tokio::test]
async fn every_limit_of_an_operation_is_kept() {
    let server = Server::default();
    let many = |count: usize, text: &str| text.repeat(count);
    for (text, code) in [
        (format!("{{ {} }}", many(40, "a: status { epoch } ")), "RESOURCE_EXHAUSTED"),
        (
            format!("{{ status {{ epoch {} }} }}", many(9, "@skip(if: false) ")),
            "RESOURCE_EXHAUSTED",
        ),
        (format!("{}{}", many(200, "{ status "), many(200, "} ")), "RESOURCE_EXHAUSTED"),
        (deep(12), "RESOURCE_EXHAUSTED"),
        (deep(1), ""),
        (format!("{{ {} }}", many(5_000, "status { epoch } ")), "RESOURCE_EXHAUSTED"),
        ("{ sessions(first: 200) { nodes { requests(first: 200) { nodes { id } } } } }".into(), ""),
        (
            "{ sessions(first: 200) { nodes { requests(first: 200) { nodes { id app path } } } } }"
                .into(),
            "RESOURCE_EXHAUSTED",
        ),
        ("{ sessions(first: -1) { epoch } }".into(), "BAD_USER_INPUT"),
        ("{ sessions(first: 201) { epoch } }".into(), "BAD_USER_INPUT"),
        ("{ sessions(first: 0) { totalCount } }".into(), ""),
        (filter(30), "RESOURCE_EXHAUSTED"),
        (filter(5), ""),
    ] {
        let answer = server.post(&text, json!({})).await;
        assert_eq!(answer.code(), code, "{text:.200}: {}", answer.body);
    }
}

/// Sessions of identities of sessions ...
fn deep(levels: usize) -> String {
    let inner = "sessions(first: 1) { nodes { identity { ".repeat(levels);
    format!(
        "{{ sessions(first: 1) {{ nodes {{ identity {{ {inner} id {} }} }} }} }}",
        "} } } ".repeat(levels)
    )
}

fn filter(levels: usize) -> String {
    let (open, close) = ("not: { ".repeat(levels), "} ".repeat(levels));
    format!("{{ sessions(filter: {{ {open} open: true {close} }}) {{ epoch }} }}")
}

#[tokio::test]
async fn a_slow_operation_is_cut() {
    let mut options = ServerOptions::default();
    options.operation.timeout = Duration::from_millis(50);
    let server = Server::new(options);
    *server.mock.read_delay.lock() = Duration::from_millis(400);
    let text = "{ sessions { epoch } }";
    check(&server, query(JSON, text), 200, "TIMEOUT").await;
    check(&server, query(GRAPHQL, text), 503, "TIMEOUT").await;
}

#[tokio::test]
async fn a_query_waits_for_the_epoch_it_asks_for() {
    let server = Server::default();
    let mock = server.mock.clone();
    let query = |token: &str| format!("{{ status(atLeastEpoch: {token}) {{ epoch epochToken }} }}");
    let token = format!("{:?}", server.mock.token(2));
    let query_2 = query(&token);
    let asked = server.data(&query_2, json!({}));
    let commit = async {
        tokio::task::yield_now().await;
        mock.commit(&line("a", "a-1", 1_000));
    };
    assert_eq!(
        tokio::join!(asked, commit).0,
        json!({"status": {
            "epoch": 2, "epochToken": server.mock.token(2),
        }})
    );
    for bad in ["-1", "2", r#""2""#] {
        let bad = server.post(&query(bad), json!({})).await;
        assert_eq!(bad.code(), "GRAPHQL_VALIDATION_FAILED");
    }
    // The epoch of another store is never taken for one of this.
    let other = format!("{:?}", Server::default().mock.token(1));
    let bad = server.post(&query(&other), json!({})).await;
    assert_eq!(bad.code(), "UNKNOWN_EPOCH");
}

#[tokio::test]
async fn an_engine_that_stopped_is_unavailable_and_a_limit_is_told() {
    let server = Server::default();
    for (failure, code) in [
        (ServiceError::Stopped, "UNAVAILABLE"),
        (ServiceError::NotYet(9), "UNAVAILABLE"),
        (ServiceError::Limit("too wide; add a time range".into()), "RESOURCE_EXHAUSTED"),
    ] {
        *server.mock.failure.lock() = Some(failure);
        let answer = server.post("{ sessions { epoch } }", json!({})).await;
        assert_eq!(answer.code(), code, "{}", answer.body);
    }
}

#[tokio::test]
async fn other_origins_are_let_in_by_name_only() {
    let options = ServerOptions {
        allowed_origins: vec!["https://console.example".into()],
        hosts: vec!["spoor".into()],
        ..ServerOptions::default()
    };
    let server = Server::new(options);
    let from = |method: &str, origin: &str| {
        let body = json!({"query": "{ status { epoch } }"}).to_string();
        let request = Request::builder().method(method).uri("/graphql").header("origin", origin);
        request.header("host", "spoor").header("content-type", JSON).body(body.into()).unwrap()
    };
    for (origin, status, allowed) in [
        ("https://console.example", 200, Some("https://console.example")),
        ("http://spoor", 200, None),
        ("https://evil.example", 403, None),
        ("null", 403, None),
    ] {
        let answer = server.send(from("POST", origin)).await;
        let header = answer.headers.get("access-control-allow-origin");
        assert_eq!(answer.status, status, "{origin}");
        assert_eq!(header.map(|value| value.to_str().unwrap()), allowed, "{origin}");
    }
    assert_eq!(server.send(from("OPTIONS", "https://console.example")).await.status, 204);
    assert_eq!(server.send(from("OPTIONS", "https://evil.example")).await.status, 403);
}

#[tokio::test]
async fn probes_and_pushes_say_what_became_of_the_engine() {
    let server = Server::default();
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let push = || Request::post("/v1/requests").body(Body::from("{}")).unwrap();
    let full = ServiceError::Failed("there is no room for the store: /data/000007.log".into());
    let behind = ServiceError::Limit("too many pushes wait; try again later".into());
    let starting = ServiceError::Starting("waiting for process 1 (b:7400)".into());
    // The engine, then what answers: liveness, readiness, a push.
    for (engine, healthz, readyz, pushed) in [
        (None, 200, 200, 422),
        (Some(ServiceError::Stopped), 200, 503, 503),
        (Some(full), 503, 503, 503),
        (Some(behind), 200, 503, 429),
        (Some(starting), 200, 503, 503),
        (Some(ServiceError::Unanswered(1)), 200, 503, 503),
    ] {
        *server.mock.stopped.lock() = engine.clone();
        let (lives, ready) =
            (server.send(get("/healthz")).await, server.send(get("/readyz")).await);
        let taken = server.send(push()).await;
        let statuses = [lives.status, ready.status, taken.status].map(|status| status.as_u16());
        assert_eq!(statuses, [healthz, readyz, pushed], "{engine:?}");
        if let Some(error) = engine {
            let said = ready.body.as_str().unwrap();
            assert!(said.contains(&error.to_string()), "{said}");
            assert!(lives.body.as_str().unwrap().contains(&error.to_string()));
            assert_eq!(taken.headers.get("retry-after").unwrap(), "1");
            assert!(!taken.body.to_string().contains("/data"), "{}", taken.body);
        }
    }
    // Clients are not told of files.
    *server.mock.stopped.lock() = Some(ServiceError::Failed("/data/000007.log".into()));
    let answer = server.post("{ sessions { epoch } }", json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "UNAVAILABLE"));
    assert!(!answer.body.to_string().contains("/data"), "{}", answer.body);
    // Whom a start waits for they are.
    *server.mock.stopped.lock() = Some(ServiceError::Starting("waiting for process 1".into()));
    let answer = server.post("{ sessions { epoch } }", json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "UNAVAILABLE"));
    assert_eq!(answer.headers.get("retry-after").unwrap(), "1");
    assert!(answer.body.to_string().contains("waiting for process 1"), "{}", answer.body);
}
