//! One budget for the subscribers of every transport: who reads slowly goes, who reads stays.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use spoor_graphql::execute::Engine;
use spoor_graphql::{ServerOptions, routes, serve};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::mock::Mock;
use crate::sockets::{Client, commit_all, eventually, wide};

/// Between the size of two events of [`wide`] and that of three: a connection that is not read holds
/// one or two, so one always has room and three never have.
const ROOM: usize = 1_500_000;

struct Running {
    mock: Arc<Mock>,
    engine: Arc<Engine>,
    address: SocketAddr,
}

impl Running {
    async fn start(limit: impl FnOnce(&mut ServerOptions)) -> Self {
        let mut options = ServerOptions::default();
        limit(&mut options);
        let mock = Mock::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = options.connections.clone();
        let engine = Arc::new(Engine::new(mock.services(), options));
        let router = routes(engine.clone());
        tokio::spawn(serve(listener, router, connections, std::future::pending()));
        Self { mock, engine, address }
    }

    fn url(&self) -> String {
        format!("ws://{}/graphql", self.address)
    }

    /// An event stream that nobody reads yet.
    async fn stream(&self) -> TcpStream {
        self.stream_from("127.0.0.1:0").await
    }

    /// The same, from an address.
    async fn stream_from(&self, address: &str) -> TcpStream {
        let query = format!(
            "subscription {{ sessionChanges(snapshot: 1000) {{ added {{ {0} }} updated {{ {0} }} }} }}",
            wide()
        );
        let body = json!({ "query": query }).to_string();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(address.parse().unwrap()).unwrap();
        let mut socket = socket.connect(self.address).await.unwrap();
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             accept: text/event-stream\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        socket
    }

    fn open(&self) -> u64 {
        self.mock.open.load(Ordering::SeqCst)
    }

    /// Commits until so many subscriptions are left.
    async fn commit_until(&self, left: u64) {
        let mut round = 0;
        eventually("the slow ones are cut", || {
            round += 1;
            commit_all(&self.mock, round);
            let held = self.engine.subscribers().held().1;
            assert!(held <= ROOM, "{held} bytes are held");
            self.open() <= left
        })
        .await;
    }
}

fn little_room(options: &mut ServerOptions) {
    options.subscribers.bytes_by_client_max = ROOM;
    options.subscribers.farewell = Duration::from_millis(50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_event_streams_are_cut_until_what_is_held_fits() {
    let running = Running::start(little_room).await;
    commit_all(&running.mock, 0);
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(running.stream().await);
    }
    eventually("all are open", || running.open() == 4).await;
    running.commit_until(2).await;
    // The connections are gone, not only their streams.
    let mut ended = 0;
    for mut socket in slow {
        let mut all = Vec::new();
        let read = tokio::time::timeout(Duration::from_millis(500), socket.read_to_end(&mut all));
        ended += usize::from(read.await.is_ok());
    }
    assert!(ended >= 2, "{ended} connections were cut");
    eventually("nothing is held", || running.engine.subscribers().held() == (0, 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_stays_when_the_slow_ones_of_another_client_go() {
    let running = Running::start(little_room).await;
    commit_all(&running.mock, 0);
    let reads = running.stream_from("127.0.0.2:0").await;
    let (seen, events) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        let mut lines = BufReader::new(reads).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            seen.send_modify(|events| *events += usize::from(line.starts_with("data: {")));
        }
    });
    eventually("the snapshot is read", || *events.borrow() == 1).await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(running.stream().await);
    }
    eventually("all are open", || running.open() == 5).await;
    // Each event is read before the next is made, also after the slow ones have gone.
    let (mut round, mut gone) = (0, None);
    eventually("the slow ones are cut, and who reads goes on", || {
        let read = *events.borrow();
        if read > round {
            round = read;
            commit_all(&running.mock, round);
        }
        if running.open() <= 3 {
            gone = gone.or(Some(read));
        }
        gone.is_some_and(|gone| read > gone + 1)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_socket_is_told_why_it_is_closed() {
    let running = Running::start(|options| {
        little_room(options);
        options.subscribers.farewell = Duration::from_secs(20);
    })
    .await;
    commit_all(&running.mock, 0);
    let mut slow = [Client::connect(&running.url()).await, Client::connect(&running.url()).await];
    for client in &mut slow {
        client.subscribe("(snapshot: 1000)", &wide()).await;
    }
    eventually("both are open", || running.open() == 2).await;
    running.commit_until(1).await;
    let mut codes = Vec::new();
    for client in &mut slow {
        codes.extend(client.close_code(Duration::from_secs(1)).await);
    }
    assert_eq!(codes, [1013]);
}

#[tokio::test]
async fn a_client_has_so_many_subscriptions_whatever_the_transport() {
    let running =
        Running::start(|options| options.subscribers.subscriptions_by_client_max = 2).await;
    let _first = running.stream().await;
    let mut second = Client::connect(&running.url()).await;
    second.subscribe("", "id").await;
    eventually("two are open", || running.open() == 2).await;

    let mut third = Client::connect(&running.url()).await;
    third.subscribe("", "id").await;
    let refused = third.hear().await;
    assert_eq!(refused["type"], "error");
    assert_eq!(refused["payload"][0]["extensions"]["code"], "RESOURCE_EXHAUSTED");

    let mut lines = BufReader::new(running.stream().await).lines();
    let data = loop {
        let line = lines.next_line().await.unwrap().expect("an event");
        if let Some(data) = line.strip_prefix("data: ") {
            break serde_json::from_str::<Value>(data).unwrap();
        }
    };
    assert_eq!(data["errors"][0]["extensions"]["code"], "RESOURCE_EXHAUSTED");
    drop(second);
    eventually("one is left", || running.open() == 1).await;
    third.subscribe("", "id").await;
    assert_eq!(third.hear().await["type"], "next");
}
