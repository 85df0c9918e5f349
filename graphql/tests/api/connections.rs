//! Connections over real sockets: idle, half sent, too many, not read; and the end of a server.

use std::net::SocketAddr;
use std::time::Duration;

use spoor_graphql::ServerOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::mock::Mock;

const WAIT: Duration = Duration::from_secs(20);

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

async fn start(options: ServerOptions) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = options.connections.clone();
    let router = spoor_graphql::router(Mock::new().services(), options);
    let (stop, stopped) = oneshot::channel();
    let shutdown = async { drop(stopped.await) };
    let served = tokio::spawn(spoor_graphql::serve(listener, router, limits, shutdown));
    Running { address, stop, served }
}

impl Running {
    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// What a request is answered, until the server closes.
    async fn ask(&self, request: &str) -> String {
        to_the_end(self.send(request.as_bytes()).await).await
    }
}

/// Everything that comes until the end; a reset is an end, too.
async fn to_the_end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(WAIT, stream.read_to_end(&mut answer)).await;
    let _ = read.expect("the server closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let mut options = ServerOptions::default();
    options.connections.head_timeout = Duration::from_millis(200);
    let server = start(options).await;
    for bytes in ["", "GET", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nhost: localhost\r\nx: "] {
        assert_eq!(to_the_end(server.send(bytes.as_bytes()).await).await, "", "{bytes:?}");
    }
    // Idle after an answer.
    let kept = HEALTH.replace("connection: close\r\n", "");
    let answer = to_the_end(server.send(kept.as_bytes()).await).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");
    // A head that comes drop by drop is no more patient than one that does not come.
    let mut stream = server.send(b"GET / HTTP/1.1\r\n").await;
    let dripping = async {
        while stream.write_all(b"x: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(WAIT, dripping).await.expect("it is closed although something comes");
}

#[tokio::test]
async fn a_head_is_bounded() {
    let server = start(ServerOptions::default()).await;
    let large = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(200 << 10));
    let answer = server.ask(&large).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer:.100}");
}

#[tokio::test]
async fn idle_connections_give_way_to_new_ones() {
    let mut options = ServerOptions::default();
    options.connections.connections_max = 4;
    let server = start(options).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(server.send(b"GET / HT").await);
    }
    for _ in 0..5 {
        let answer = server.ask(HEALTH).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    drop(idle);
}

#[tokio::test]
async fn connections_that_are_being_answered_do_not_give_way() {
    let mut options = ServerOptions::default();
    options.connections.connections_max = 2;
    let server = start(options).await;
    let stream = "GET /graphql?query=subscription%7BstatusChanges%7Bepoch%7D%7D HTTP/1.1\r\n\
        host: localhost\r\naccept: text/event-stream\r\n\r\n";
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut open = server.send(stream.as_bytes()).await;
        let mut first = [0; 15];
        timeout(WAIT, open.read_exact(&mut first)).await.unwrap().unwrap();
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        streams.push(open);
    }
    let answer = server.ask(HEALTH).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"), "{answer}");
    // A place is free as soon as a client has gone.
    drop(streams);
    let free = async {
        while !server.ask(HEALTH).await.starts_with("HTTP/1.1 200") {
            tokio::task::yield_now().await;
        }
    };
    timeout(WAIT, free).await.expect("there is a place again");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped() {
    let mut options = ServerOptions::default();
    options.connections.write_stall_max = Duration::from_millis(200);
    options.connections.connections_max = 1;
    let server = start(options).await;
    // More answers than the buffers of a socket hold.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = "GET /graphiql/graphiql.js HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(100);
    stream.write_all(request.as_bytes()).await.unwrap();
    let free = async {
        while !server.ask(HEALTH).await.starts_with("HTTP/1.1 200") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(WAIT, free).await.expect("its place is free");
    drop(stream);
}

#[tokio::test]
async fn a_server_that_is_stopped_ends_its_connections() {
    let server = start(ServerOptions::default()).await;
    let idle = server.send(b"").await;
    let kept = server.send(HEALTH.replace("connection: close\r\n", "").as_bytes()).await;
    let mut first = [0; 12];
    let mut kept = kept;
    timeout(WAIT, kept.read_exact(&mut first)).await.unwrap().unwrap();
    server.stop.send(()).unwrap();
    to_the_end(idle).await;
    to_the_end(kept).await;
    timeout(WAIT, server.served).await.expect("it ends").unwrap().unwrap();
}

#[tokio::test]
async fn names_that_are_not_known_are_refused_on_every_route() {
    let options = ServerOptions { hosts: vec!["spoor.example".into()], ..Default::default() };
    let server = start(options).await;
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let close = "connection: close\r\n";
    let check = async |host: &str, line: &str, headers: &str, expected: &str| {
        let request = format!("{line} HTTP/1.1\r\n{host}{headers}\r\n");
        let mut stream = server.send(request.as_bytes()).await;
        let mut answer = vec![0; 12];
        timeout(WAIT, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(answer, format!("HTTP/1.1 {expected}"), "{host:?} {line}");
    };
    for line in [
        "GET /graphql?query=%7Bstatus%7Bepoch%7D%7D",
        "GET /healthz",
        "GET /readyz",
        "GET /graphiql",
        "GET /schema.graphql",
        "GET /",
    ] {
        check("host: evil.example\r\n", line, close, "403").await;
        check("host: evil.example\r\norigin: http://evil.example\r\n", line, close, "403").await;
        for good in ["host: 127.0.0.1:1\r\n", "host: [::1]\r\n", "host: spoor.example:80\r\n"] {
            check(good, line, close, "200").await;
        }
    }
    for rebound in
        ["host: evil.example\r\norigin: http://evil.example\r\n", "host: evil.example\r\n"]
    {
        check(rebound, "GET /graphql", upgrade, "403").await;
        check(rebound, "POST /v1/requests", "content-length: 0\r\nconnection: close\r\n", "403")
            .await;
        check(rebound, "POST /graphql", "content-length: 0\r\nconnection: close\r\n", "403").await;
    }
    check("host: localhost\r\norigin: http://localhost\r\n", "GET /graphql", upgrade, "101").await;
    check("host: localhost\r\norigin: http://evil\r\n", "GET /graphql", upgrade, "403").await;
    let refused = server.ask("GET / HTTP/1.1\r\nhost: evil\r\nconnection: close\r\n\r\n").await;
    assert!(refused.contains("add it to `hosts` in `[server]`"), "{refused}");
    // A probe without a host, as of HTTP/1.0.
    let probed = server.ask("GET /healthz HTTP/1.0\r\n\r\n").await;
    assert!(probed.starts_with("HTTP/1.0 200") || probed.starts_with("HTTP/1.1 200"), "{probed}");
}
