//! WebSockets over a real socket: slow readers, resuming, and sockets that are dropped.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use spoor_graphql::ServerOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::mock::{Mock, line};

const WAIT: Duration = Duration::from_secs(20);
/// Sessions of the wide subscription: an event of them is larger than the buffers of a socket.
const SESSIONS: usize = 400;

pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

async fn start(options: ServerOptions) -> (Arc<Mock>, String) {
    let mock = Mock::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/graphql", listener.local_addr().unwrap());
    let limits = options.connections.clone();
    let router = spoor_graphql::router(mock.services(), options);
    tokio::spawn(spoor_graphql::serve(listener, router, limits, std::future::pending()));
    (mock, url)
}

impl Client {
    pub async fn connect(url: &str) -> Self {
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

    pub async fn subscribe(&mut self, arguments: &str, selection: &str) {
        let query = format!(
            "subscription {{ sessionChanges{arguments} {{ epoch epochToken snapshot truncated
            added {{ {selection} }} updated {{ {selection} }} }} }}"
        );
        let payload = json!({ "query": query });
        self.say(json!({"id": "1", "type": "subscribe", "payload": payload})).await;
    }

    /// The next message; the end of the socket is null.
    pub async fn hear(&mut self) -> Value {
        let next = tokio::time::timeout(WAIT, self.socket.next()).await.expect("a message");
        match next {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            _ => Value::Null,
        }
    }

    /// The code of the close frame, after whatever comes before it; none when nothing more comes.
    pub async fn close_code(&mut self, patience: Duration) -> Option<u16> {
        loop {
            match tokio::time::timeout(patience, self.socket.next()).await {
                Ok(Some(Ok(Message::Close(frame)))) => return frame.map(|frame| frame.code.into()),
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(_)) | None) | Err(_) => return None,
            }
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
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

pub fn commit_all(mock: &Mock, round: usize) {
    let of = |n: usize| line(&format!("{n}-{}", "x".repeat(90)), &format!("{n}-{round}"), 0);
    mock.commit(&(0..SESSIONS).map(of).collect::<Vec<_>>().join("\n"));
}

pub fn wide() -> String {
    let values: String = (0..14).map(|n| format!("v{n}: value ")).collect();
    format!("statistics {{ requests }} identity {{ {values} }}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_holds_one_event_and_gets_the_latest_value() {
    const ROUNDS: usize = 100;
    // However slow the machine is, the client is not taken for one that has gone.
    let mut options = ServerOptions::default();
    options.socket.write_timeout = Duration::from_secs(600);
    options.socket.ping_interval = Duration::from_secs(600);
    options.connections.write_stall_max = Duration::from_secs(600);
    let (mock, url) = start(options).await;
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
async fn few_events_are_made_at_one_time() {
    let mut options = ServerOptions::default();
    options.subscribers.events_made_max = 2;
    let (mock, url) = start(options).await;
    let mut client = Client::connect(&url).await;
    let payload = json!({ "query": "subscription { sessionChanges { epoch } }" });
    for id in 0..20 {
        client.say(json!({"id": id.to_string(), "type": "subscribe", "payload": payload})).await;
    }
    for _ in 0..20 {
        client.change().await;
    }
    assert_eq!(mock.made.lock().1, 2);
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

/// A server, and a socket to it without a client that keeps to the protocol.
async fn raw(options: ServerOptions) -> TcpStream {
    let (_mock, url) = start(options).await;
    let address = url.trim_start_matches("ws://").trim_end_matches("/graphql").to_owned();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /graphql HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n\
        upgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        sec-websocket-protocol: graphql-transport-ws\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    stream
}

/// A frame of a client, masked with nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ ..126 => frame.push(0x80 | len as u8),
        len @ ..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// The code of the close frame that comes sooner or later.
async fn close_code(stream: &mut TcpStream) -> u16 {
    let read = async {
        loop {
            let first = stream.read_u8().await.expect("a close frame comes before the end");
            let mut len = u64::from(stream.read_u8().await.unwrap());
            len = match len {
                126 => stream.read_u16().await.unwrap().into(),
                127 => stream.read_u64().await.unwrap(),
                len => len,
            };
            let mut payload = vec![0; len as usize];
            stream.read_exact(&mut payload).await.unwrap();
            if first == 0x88 {
                return u16::from_be_bytes([payload[0], payload[1]]);
            }
        }
    };
    tokio::time::timeout(WAIT, read).await.expect("a close frame")
}

#[tokio::test]
async fn a_broken_frame_is_answered_with_the_code_of_its_fault() {
    let text = |payload: &[u8]| frame(0x81, payload);
    let close = |payload: &[u8]| frame(0x88, payload);
    let large = vec![b' '; 600 << 10];
    let unmasked = vec![0x81, 0x02, b'{', b'}'];
    for (name, bytes, code) in [
        ("not UTF-8", text(b"\xff\xfe"), 1007),
        ("UTF-8 that ends too soon", text("\u{e4}".as_bytes().split_at(1).0), 1007),
        ("not UTF-8 in parts", [frame(0x01, b"{\xc3"), frame(0x80, b"{")].concat(), 1007),
        ("a reason that is not UTF-8", close(&[0x03, 0xe8, 0xff]), 1007),
        ("a reserved bit", frame(0xc1, b"{}"), 1002),
        ("an unknown kind", frame(0x83, b"{}"), 1002),
        ("no mask", unmasked, 1002),
        ("a ping in parts", frame(0x09, b""), 1002),
        ("a long ping", frame(0x89, &[0; 126]), 1002),
        ("nothing to continue", frame(0x80, b"{}"), 1002),
        ("a code nobody may send", close(&1005_u16.to_be_bytes()), 1002),
        ("half a code", close(&[3]), 1002),
        ("larger than a message may be", text(&large), 1009),
        ("larger than is said", text(&large[..300 << 10]), 1009),
        ("no message", text(b"nonsense"), 4400),
        ("a normal end", close(&1000_u16.to_be_bytes()), 1000),
    ] {
        let mut stream = raw(ServerOptions::default()).await;
        // The server may close before everything is sent.
        let _ = stream.write_all(&bytes).await;
        assert_eq!(close_code(&mut stream).await, code, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_answered_and_not_dropped() {
    const BURST: usize = 2_000;
    let (_mock, url) = start(ServerOptions::default()).await;
    let client = Client::connect(&url).await;
    let (mut sink, mut answers) = client.socket.split();
    let sending = tokio::spawn(async move {
        for id in 0..BURST {
            let payload = json!({"query": "{ status { epoch } }"});
            let message = json!({"id": id.to_string(), "type": "subscribe", "payload": payload});
            sink.send(Message::text(message.to_string())).await.unwrap();
            sink.send(Message::text(r#"{"type":"ping"}"#)).await.unwrap();
        }
        sink
    });
    let (mut completed, mut pongs) = (0, 0);
    while completed < BURST || pongs < BURST {
        let next = tokio::time::timeout(WAIT, answers.next()).await.expect("a message");
        let Some(Ok(Message::Text(text))) = next else { panic!("{completed} answers: {next:?}") };
        let message: Value = serde_json::from_str(&text).unwrap();
        match message["type"].as_str().unwrap() {
            "next" => assert_eq!(message["payload"]["data"]["status"]["epoch"], 1),
            "complete" => completed += 1,
            "pong" => pongs += 1,
            "ping" => {}
            _ => panic!("{message}"),
        }
    }
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn a_socket_is_told_that_the_server_stops() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/graphql", listener.local_addr().unwrap());
    let options = ServerOptions::default();
    let limits = options.connections.clone();
    let router = spoor_graphql::router(Mock::new().services(), options);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let served = tokio::spawn(spoor_graphql::serve(listener, router, limits, shutdown));
    let mut client = Client::connect(&url).await;
    client.subscribe("", "id").await;
    assert_eq!(client.change().await["snapshot"], true);
    stop.send(()).unwrap();
    let code = loop {
        let next = tokio::time::timeout(WAIT, client.socket.next()).await.expect("a close frame");
        match next {
            Some(Ok(Message::Close(Some(frame)))) => break u16::from(frame.code),
            Some(Ok(_)) => {}
            end => panic!("{end:?}"),
        }
    };
    assert_eq!(code, 1001);
    drop(client);
    tokio::time::timeout(WAIT, served).await.expect("it ends").unwrap().unwrap();
}

/// Python `gql` looks the header up by this very name.
#[tokio::test]
async fn the_names_of_an_accepting_answer_are_written_as_the_standard_has_them() {
    let (_mock, url) = start(ServerOptions::default()).await;
    let host = url.split('/').nth(2).unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!(
        "GET /graphql HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tokio::time::timeout(WAIT, stream.read_u8()).await.unwrap().unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.contains("\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"), "{head}");
    assert!(head.contains("\r\nSec-WebSocket-Accept: "), "{head}");
}

/// An epoch beside the query is checked and waited for by its own operation alone.
#[tokio::test]
async fn an_operation_waits_for_the_epoch_beside_it() {
    let (mock, url) = start(ServerOptions::default()).await;
    let mut client = Client::connect(&url).await;
    let operation = |id: &str, query: &str, epoch: Value| {
        json!({"id": id, "type": "subscribe",
            "payload": {"query": query, "extensions": {"atLeastEpoch": epoch}}})
    };
    client.say(operation("wrong", "{ status { epoch } }", json!("x"))).await;
    let refused = client.hear().await;
    assert_eq!(refused["type"], "error", "{refused}");
    assert_eq!(refused["payload"][0]["extensions"]["code"], "BAD_USER_INPUT");

    let changes = "subscription { statusChanges { epoch } }";
    client.say(operation("waits", changes, json!(mock.token(2)))).await;
    client.say(operation("now", "{ status { epoch } }", Value::Null)).await;
    let now = client.hear().await;
    assert_eq!(now["payload"]["data"], json!({"status": {"epoch": 1}}), "{now}");
    assert_eq!(client.hear().await["type"], "complete");
    mock.commit(&line("a", "a-1", 0));
    let told = client.hear().await;
    assert_eq!(told["id"], "waits");
    assert_eq!(told["payload"]["data"], json!({"statusChanges": {"epoch": 2}}), "{told}");
}
