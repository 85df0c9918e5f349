//! The connections of clients: how many, which have to go when there are too many, and their end.
//!
//! Every connection takes a descriptor, and without one the store cannot work. So their number is
//! bounded, well below the limit of the process. When all places are taken, the connection that has
//! been idle longest (open, but with no request that is being answered) gives way to a new one;
//! when none is idle, the new one is told to come back. A head that does not come in time, and a
//! client that does not take what is written, end a connection by themselves.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout};
use tower_service::Service;

use crate::http::body::Held;
use crate::options::ConnectionLimits;
use crate::tcp::Tcp;
use crate::ws::names::UsualNames;

/// Pause after the system had no descriptor for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a new connection waits for the one that gives way.
const GIVE_WAY: Duration = Duration::from_secs(2);
/// What a client is told when no connection is idle.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\
    retry-after: 1\r\nconnection: close\r\n\r\n";

/// Becomes true when the server stops. Every request has it among its extensions.
#[derive(Clone, Debug)]
pub struct Stopping(pub watch::Receiver<bool>);

impl Stopping {
    /// Waits until the server stops; for ever if nobody can say so any more.
    pub async fn wait(&mut self) {
        if self.0.wait_for(|stopping| *stopping).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Ends a connection whose client does not read. Every request has that of its connection among its
/// extensions; one that became a WebSocket ends by itself.
#[derive(Clone)]
pub struct Cut(Arc<State>);

impl Cut {
    /// Ends it, whatever is still to be written.
    pub fn now(&self) {
        self.0.at_once.store(true, Ordering::Relaxed);
        self.0.go.notify_one();
    }
}

/// All connections of a server.
pub struct Connections {
    router: Router,
    limits: ConnectionLimits,
    places: Arc<Semaphore>,
    /// One for each new connection that waits for another to give way.
    entrances: Arc<Semaphore>,
    open: Mutex<HashMap<u64, Arc<State>>>,
    next: AtomicU64,
    stopping: watch::Sender<bool>,
}

/// What is known of a connection.
struct State {
    activity: Mutex<Activity>,
    /// It has to go.
    go: Notify,
    /// See [`Tcp::at_once`].
    at_once: Arc<AtomicBool>,
}

struct Activity {
    /// Requests that are being answered.
    requests: usize,
    /// Since when there are as many.
    since: Instant,
}

impl State {
    fn of(io: &Tcp) -> Self {
        let activity = Activity { requests: 0, since: Instant::now() };
        Self { activity: Mutex::new(activity), go: Notify::new(), at_once: io.at_once() }
    }
}

/// A request that is being answered, until the last byte of the answer was taken.
struct Answering(Arc<State>);

impl Answering {
    fn begin(state: &Arc<State>) -> Self {
        let mut activity = state.activity.lock();
        activity.requests += 1;
        activity.since = Instant::now();
        drop(activity);
        Self(Arc::clone(state))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut activity = self.0.activity.lock();
        activity.requests -= 1;
        activity.since = Instant::now();
    }
}

impl Connections {
    /// Without any connection yet.
    pub fn new(router: Router, limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self {
            router,
            places: Arc::new(Semaphore::new(limits.connections_max)),
            entrances: Arc::new(Semaphore::new(entrances(&limits))),
            limits,
            open: Mutex::default(),
            next: AtomicU64::new(0),
            stopping: watch::Sender::new(false),
        })
    }

    /// Takes connections until it is dropped.
    ///
    /// # Errors
    /// The listener is broken.
    pub async fn accept(self: &Arc<Self>, listener: TcpListener) -> io::Result<()> {
        let mut complained: Option<Instant> = None;
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    // Small messages must not wait for one another; it works as well without.
                    let _ = stream.set_nodelay(true);
                    // A place that was given up for one that waits is not for the next.
                    let waits = self.entrances.available_permits() < entrances(&self.limits);
                    let place = if waits { None } else { self.place() };
                    match place {
                        Some(place) => self.take(stream, address, place),
                        None => self.make_room(stream, address),
                    }
                }
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    if complained.is_none_or(|at| at.elapsed() > Duration::from_secs(10)) {
                        tracing::warn!(%error, "a connection cannot be accepted");
                        complained = Some(Instant::now());
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Tells every connection to end, and waits until all have.
    pub async fn stop(&self) {
        self.stopping.send_replace(true);
        let all = u32::try_from(self.limits.connections_max).unwrap_or(u32::MAX);
        // It is never closed.
        let _ = self.places.acquire_many(all).await;
    }

    fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Closes the connection that has been idle longest to make room for a new one; if none is idle,
    /// the new one is told to come back.
    fn make_room(self: &Arc<Self>, stream: TcpStream, address: SocketAddr) {
        let entrance = Arc::clone(&self.entrances).try_acquire_owned().ok();
        let idlest = {
            let open = self.open.lock();
            let idle = open.iter().filter_map(|(id, state)| {
                let activity = state.activity.lock();
                (activity.requests == 0).then_some((activity.since, *id))
            });
            idle.min()
        };
        let idlest = idlest.filter(|_| entrance.is_some());
        let Some(state) = idlest.and_then(|(_, id)| self.open.lock().remove(&id)) else {
            return match self.place() {
                Some(place) => self.take(stream, address, place),
                None => turn_away(stream),
            };
        };
        state.at_once.store(true, Ordering::Relaxed);
        state.go.notify_one();
        let connections = Arc::clone(self);
        tokio::spawn(async move {
            let place = Arc::clone(&connections.places).acquire_owned();
            match timeout(GIVE_WAY, place).await {
                Ok(Ok(place)) => connections.take(stream, address, place),
                _ => turn_away(stream),
            }
            drop(entrance);
        });
    }

    fn take(self: &Arc<Self>, stream: TcpStream, address: SocketAddr, place: OwnedSemaphorePermit) {
        let connections = Arc::clone(self);
        let io = Tcp::new(stream, place, self.limits.write_stall_max);
        tokio::spawn(async move { connections.serve(io, address).await });
    }

    async fn serve(&self, io: Tcp, address: SocketAddr) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(State::of(&io));
        self.open.lock().insert(id, Arc::clone(&state));
        let stopping = Stopping(self.stopping.subscribe());
        let answering = Arc::clone(&state);
        let service = service_fn(|mut request: Request<Incoming>| {
            let guard = Answering::begin(&answering);
            request.extensions_mut().insert(ConnectInfo(address));
            request.extensions_mut().insert(stopping.clone());
            request.extensions_mut().insert(Cut(Arc::clone(&answering)));
            let answer = self.router.clone().call(request.map(Body::new));
            async move {
                let answer = answer.await?;
                Ok::<_, Infallible>(answer.map(|body| Held::new(body, guard)))
            }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_timeout)
            .max_buf_size(self.limits.head_bytes_max);
        let connection =
            http.serve_connection(TokioIo::new(UsualNames(io)), service).with_upgrades();
        let mut connection = pin!(connection);
        let mut stopped = stopping.clone();
        tokio::select! {
            // A client may break its connection at any time: that is not an error.
            _ = connection.as_mut() => {}
            () = state.go.notified() => {}
            () = stopped.wait() => {
                let answers = state.activity.lock().requests > 0;
                if answers {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        }
        self.open.lock().remove(&id);
    }
}

/// How many new connections may wait for an idle one to close.
fn entrances(limits: &ConnectionLimits) -> usize {
    (limits.connections_max / 4).clamp(1, 64)
}

/// Tells a client to come back, without waiting for it: the buffer of a new connection is empty.
fn turn_away(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        // A client that has gone is not told.
        let _ = stream.write_all(FULL);
        let _ = stream.shutdown(Shutdown::Write);
    }
}

/// Whether an error concerns only the connection being accepted, not the listener.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset | Interrupted)
}
