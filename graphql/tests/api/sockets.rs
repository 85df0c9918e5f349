//! WebSockets over a real socket: slow readers, resuming, and sockets that are dropped.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use spoor_graphql::ServerOptions;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::mock::{Mock, line};

const WAIT: Duration = Duration::from_secs(20);
/// Sessions of the wide subscription: an event of them is larger than the buffers of a socket.
const SESSIONS: usize = 400;

struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

async fn start(options: ServerOptions) -> (Arc<Mock>, String) {
    let mock = Mock::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/graphql", listener.local_addr().unwrap());
    let router = spoor_graphql::router(mock.services(), options);
    tokio::spawn(spoor_graphql::serve(listener, router, std::future::pending()));
    (mock, url)
}

impl Client {
    async fn connect(url: &str) -> Self {
        let mut request = url.into_client_request().unwrap();
        let protocol = "graphql-transport-ws".parse().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let mut client = Self { socket: connect_async(request).await.unwrap().0 };
        client.say(json!({"type": "connection_init"})).await;
        assert_eq!(client.hear().await["type"], "connection_ack");
        client
    }

    async fn say(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn subscribe(&mut self, arguments: &str, selection: &str) {
        let query = format!(
            "subscription {{ sessionChanges{arguments} {{ epoch epochToken snapshot truncated
            added {{ {selection} }} updated {{ {selection} }} }} }}"
        );
        let payload = json!({ "query": query });
        self.say(json!({"id": "1", "type": "subscribe", "payload": payload})).await;
    }

    /// The next message; the end of the socket is null.
    async fn hear(&mut self) -> Value {
        let next = tokio::time::timeout(WAIT, self.socket.next()).await.expect("a message");
        match next {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            _ => Value::Null,
        }
    }

    async fn change(&mut self) -> Value {
        let mut message = self.hear().await;
        while message["type"] == "ping" {
            message = self.hear().await;
        }
        assert_eq!(message["type"], "next", "{message}");
        message["payload"]["data"]["sessionChanges"].clone()
    }
}

/// Waits for something that is on its way.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn commit_all(mock: &Mock, round: usize) {
    let of = |n: usize| line(&format!("{n}-{}", "x".repeat(90)), &format!("{n}-{round}"), 0);
    mock.commit(&(0..SESSIONS).map(of).collect::<Vec<_>>().join("\n"));
}

fn wide() -> String {
    let values: String = (0..14).map(|n| format!("v{n}: value ")).collect();
    format!("statistics {{ requests }} identity {{ {values} }}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_holds_one_event_and_gets_the_latest_value() {
    const ROUNDS: usize = 100;
    let (mock, url) = start(ServerOptions::default()).await;
    commit_all(&mock, 0);
    let mut client = Client::connect(&url).await;
    client.subscribe("(snapshot: 1000)", &wide()).await;
    assert_eq!(client.change().await["snapshot"], true);
    let mut before = mock.events.load(Ordering::SeqCst);
    for round in 1..=ROUNDS {
        commit_all(&mock, round);
        // Until the buffers are full an event is taken for each commit; then none is.
        let taken = || mock.events.load(Ordering::SeqCst) > before;
        let waited = async {
            while !taken() {
                tokio::task::yield_now().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(20), waited).await;
        before = mock.events.load(Ordering::SeqCst);
    }
    assert!(before < ROUNDS as u64 / 2, "{before} events for a reader that does not read");
    let (mut events, mut last) = (0, Value::Null);
    while last["updated"][0]["statistics"]["requests"] != ROUNDS as u64 + 1 {
        last = client.change().await;
        events += 1;
    }
    assert_eq!(last["updated"].as_array().unwrap().len(), SESSIONS);
    assert!(events < ROUNDS as u64 / 2, "{events} events were kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_is_still_heard() {
    let (mock, url) = start(ServerOptions::default()).await;
    commit_all(&mock, 0);
    let mut client = Client::connect(&url).await;
    client.subscribe("(snapshot: 1000)", &wide()).await;
    eventually("the subscription opens", || mock.open.load(Ordering::SeqCst) == 1).await;
    for round in 1..40 {
        commit_all(&mock, round);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client.say(json!({"id": "1", "type": "complete"})).await;
    eventually("the subscription ends", || mock.open.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_takes_nothing_for_too_long_is_dropped() {
    let mut options = ServerOptions::default();
    options.socket.write_timeout = Duration::from_millis(200);
    let (mock, url) = start(options).await;
    commit_all(&mock, 0);
    let mut client = Client::connect(&url).await;
    client.subscribe("(snapshot: 1000)", &wide()).await;
    eventually("the subscription opens", || mock.open.load(Ordering::SeqCst) == 1).await;
    let mut round = 0;
    eventually("the socket is dropped", || {
        round += 1;
        commit_all(&mock, round);
        mock.open.load(Ordering::SeqCst) == 0
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_away_or_is_silent_leaves_nothing_behind() {
    let mut options = ServerOptions::default();
    options.socket.ping_interval = Duration::from_millis(50);
    let (mock, url) = start(options).await;
    for goes in [true, false] {
        let mut client = Client::connect(&url).await;
        client.subscribe("", "id").await;
        assert_eq!(client.change().await["snapshot"], true);
        if goes {
            drop(client);
            eventually("the subscription ends", || mock.open.load(Ordering::SeqCst) == 0).await;
        } else {
            // It hears the pings and answers none.
            assert_eq!(client.hear().await["type"], "ping");
            eventually("the socket is dropped", || mock.open.load(Ordering::SeqCst) == 0).await;
        }
    }
}

#[tokio::test]
async fn a_subscriber_resumes_from_an_epoch_that_is_remembered() {
    let (mock, url) = start(ServerOptions::default()).await;
    mock.commit(&line("a", "a-1", 0));
    let seen = mock.commit(&line("b", "b-1", 0)).epoch;
    mock.commit(&line("a", "a-2", 0));
    mock.commit(&line("c", "c-1", 0));
    let since = format!("(since: {:?})", mock.token(seen));

    let mut client = Client::connect(&url).await;
    client.subscribe(&since, "identity { value } statistics { requests }").await;
    let change = client.change().await;
    assert_eq!(change["snapshot"], false);
    assert_eq!(change["added"][0]["identity"]["value"], "c");
    assert_eq!(change["updated"][0]["statistics"]["requests"], 2);
    assert_eq!(change["updated"].as_array().unwrap().len(), 1);

    mock.remembered_from.store(seen + 1, Ordering::SeqCst);
    let mut late = Client::connect(&url).await;
    late.subscribe(&since, "id").await;
    let snapshot = late.change().await;
    assert_eq!(snapshot["snapshot"], true);
    assert_eq!(snapshot["added"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_epoch_of_another_store_begins_with_a_snapshot() {
    let (mock, url) = start(ServerOptions::default()).await;
    let seen = mock.commit(&line("a", "a-1", 0)).epoch;
    let mut tokens = vec![Mock::new().token(seen), Mock::new().token(seen + 100)];
    let mut client = Client::connect(&url).await;
    client.subscribe("", "id").await;
    tokens.push(client.change().await["epochToken"].as_str().unwrap().to_owned());
    for (token, is_ours) in tokens.iter().zip([false, false, true]) {
        let mut client = Client::connect(&url).await;
        client.subscribe(&format!("(since: {token:?})"), "id").await;
        if is_ours {
            mock.commit(&line("a", "a-2", 0));
        }
        assert_eq!(client.change().await["snapshot"], !is_ours, "{token}");
    }
}

#[tokio::test]
async fn a_socket_runs_a_bounded_number_of_operations() {
    let mut options = ServerOptions::default();
    options.socket.operations_max = 2;
    let (_mock, url) = start(options).await;
    let mut client = Client::connect(&url).await;
    let query = "subscription { sessionChanges { epoch } }";
    for id in ["1", "2", "3"] {
        let payload = json!({ "query": query });
        client.say(json!({"id": id, "type": "subscribe", "payload": payload})).await;
    }
    let mut refused = None;
    while refused.is_none() {
        let message = client.hear().await;
        refused = (message["type"] == "error").then_some(message);
    }
    let refused = refused.unwrap();
    assert_eq!(refused["id"], "3");
    assert_eq!(refused["payload"][0]["extensions"]["code"], "RESOURCE_EXHAUSTED");
}
