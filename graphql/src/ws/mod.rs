//! GraphQL over WebSockets: one task reads, one writes, one runs each operation.
//!
//! The reader does not wait for answers to operations, so pings, `complete` and close are heard
//! however slow the client is to read; only when replies of the protocol itself (pongs, refusals)
//! have piled up is nothing more read until the client has taken some. The writer takes one message
//! of an operation at a time; an operation holds at most the one event it waits to hand over, and
//! what happens meanwhile is merged in the change feed. Nothing here grows with the slowness of a
//! client, and a client that does not take a message in time is dropped.

pub mod names;
pub mod protocol;
mod writer;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{Response as Answer, ServerError};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite;

use crate::budget::Budget;
use crate::connections::Stopping;
use crate::error::{Code, coded, is_request_error};
use crate::execute::{Engine, Params, to_json};
use crate::http::Peer;
use crate::subscribers::{Client, Seat};
use protocol::{Action, Close, Connection, SUBPROTOCOL, server};
use writer::{Control, Outgoing, Writer};

/// Answers to the client's pings and the like that wait to be written. When there are as many,
/// nothing more is read.
const CONTROL_QUEUE: usize = 32;

/// Running operations by the client's id. The serial number distinguishes an operation from an
/// earlier one with the same id.
type Running = Arc<Mutex<HashMap<String, (u64, AbortHandle)>>>;

/// Turns an HTTP connection into a WebSocket.
pub fn upgrade(
    engine: Arc<Engine>,
    upgrade: WebSocketUpgrade,
    stopping: Option<Stopping>,
    peer: &Peer,
) -> Response {
    let client = peer.client;
    let limits = &engine.options().socket;
    // Twice our own limit, so that the close frame can say what was wrong.
    let message_max = limits.message_bytes_max * 2;
    upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(message_max)
        .max_frame_size(message_max)
        .write_buffer_size(0)
        .max_write_buffer_size(limits.answer_bytes_max * 2)
        .on_upgrade(move |socket| serve(engine, socket, stopping, client))
}

async fn serve(engine: Arc<Engine>, socket: WebSocket, stopping: Option<Stopping>, client: Client) {
    let known = socket.protocol().is_some_and(|protocol| protocol == SUBPROTOCOL);
    let permit = engine.sockets().clone().try_acquire_owned();
    let (sink, input) = socket.split();
    let (control, controls) = mpsc::channel(CONTROL_QUEUE);
    let (data, datas) = mpsc::channel(1);
    let running = Running::default();
    let limits = &engine.options().socket;
    let writer = Writer::new(sink, running.clone(), limits.write_timeout);
    let seat = engine.subscribers().connect(client);
    let mut writing = tokio::spawn(writer.run(controls, datas));
    let mut reader = Reader {
        engine: &engine,
        connection: Connection::default(),
        running: running.clone(),
        serial: 0,
        control,
        data,
        seat: Arc::clone(&seat),
        places: Arc::new(Semaphore::new(limits.operations_max)),
        seats: Arc::new(Semaphore::new(limits.operations_max + limits.operations_waiting_max)),
    };
    let end = match (known, &permit) {
        (false, _) => End::Close(Close::SubprotocolNotAcceptable),
        (_, Err(_)) => End::Close(Close::TryAgainLater),
        _ => tokio::select! {
            end = reader.run(input) => end,
            () = until_stop(stopping) => End::Close(Close::GoingAway),
            () = seat.cut() => End::Close(Close::TooSlow),
            _ = &mut writing => End::Gone,
        },
    };
    for (_, (_, operation)) in running.lock().drain() {
        operation.abort();
    }
    let patience = match &end {
        // What it leaves unread takes memory that others need.
        End::Close(Close::TooSlow) => engine.options().subscribers.farewell,
        _ => limits.write_timeout,
    };
    let last = match end {
        End::Gone => None,
        End::ByClient => Some(Control::Finish),
        End::Close(close) => Some(Control::Close(close)),
    };
    if let Some(last) = last {
        let told = async {
            if reader.control.send(last).await.is_ok() {
                let _ = (&mut writing).await;
            }
        };
        let _ = timeout(patience, told).await;
    }
    writing.abort();
}

/// Waits until the server stops.
async fn until_stop(stopping: Option<Stopping>) {
    match stopping {
        Some(mut stopping) => stopping.wait().await,
        None => std::future::pending().await,
    }
}

/// How to end a socket that failed to be read: with the code of the client's fault, if it was one.
fn end_of(error: axum::Error) -> End {
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    let Ok(error) = error.into_inner().downcast::<tungstenite::Error>() else { return End::Gone };
    match *error {
        tungstenite::Error::Protocol(ResetWithoutClosingHandshake) => End::Gone,
        tungstenite::Error::Protocol(_) | tungstenite::Error::AttackAttempt => {
            End::Close(Close::ProtocolError)
        }
        tungstenite::Error::Utf8(_) => End::Close(Close::InvalidText),
        tungstenite::Error::Capacity(_) => End::Close(Close::TooBig),
        _ => End::Gone,
    }
}

/// How a connection ends.
enum End {
    /// There is nobody to tell.
    Gone,
    /// The client closed it and waits for the answer.
    ByClient,
    /// We close it.
    Close(Close),
}

struct Reader<'e> {
    engine: &'e Arc<Engine>,
    connection: Connection,
    running: Running,
    serial: u64,
    control: mpsc::Sender<Control>,
    data: mpsc::Sender<Outgoing>,
    seat: Arc<Seat>,
    /// One for each operation that runs.
    places: Arc<Semaphore>,
    /// One for each operation that runs or waits for its turn.
    seats: Arc<Semaphore>,
}

impl Reader<'_> {
    /// Reads until the connection ends.
    async fn run(&mut self, mut input: SplitStream<WebSocket>) -> End {
        let limits = &self.engine.options().socket;
        let start = Instant::now();
        let init_deadline = tokio::time::sleep_until(start + limits.init_timeout);
        tokio::pin!(init_deadline);
        let mut pings = interval_at(start + limits.ping_interval, limits.ping_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = start;
        loop {
            tokio::select! {
                message = input.next() => {
                    let message = match message {
                        None => return End::Gone,
                        Some(Err(error)) => return end_of(error),
                        Some(Ok(message)) => message,
                    };
                    if let ControlFlow::Break(end) = self.take(message).await {
                        return end;
                    }
                    heard = Instant::now();
                }
                () = &mut init_deadline, if !self.connection.is_acknowledged() => {
                    return End::Close(Close::InitialisationTimeout);
                }
                now = pings.tick() => {
                    if now.duration_since(heard) > limits.ping_interval * 2 {
                        return End::Gone;
                    }
                    // A full queue holds what a client does not read; the ping can wait.
                    let _ = self.control.try_send(Control::Text(server::PING.into()));
                }
            }
        }
    }

    async fn take(&mut self, message: Message) -> ControlFlow<End> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => {
                return ControlFlow::Break(End::Close(Close::BadRequest("not text".into())));
            }
            Message::Ping(_) | Message::Pong(_) => return ControlFlow::Continue(()),
            Message::Close(_) => return ControlFlow::Break(End::ByClient),
        };
        match self.reply_to(&text).await {
            Err(close) => ControlFlow::Break(End::Close(close)),
            Ok(None) => ControlFlow::Continue(()),
            // A full queue means that the client sends but does not read: wait for it.
            Ok(Some(reply)) => match self.control.send(Control::Text(reply)).await {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(End::Gone),
            },
        }
    }

    async fn reply_to(&mut self, text: &str) -> Result<Option<String>, Close> {
        if text.len() > self.engine.options().socket.message_bytes_max {
            return Err(Close::TooBig);
        }
        let message = protocol::parse(text)?;
        let running = |id: &str| self.running.lock().contains_key(id);
        Ok(match self.connection.take(message, running)? {
            Action::Nothing => None,
            Action::Acknowledge => Some(server::ACK.into()),
            Action::Pong(payload) => Some(server::pong(payload)),
            Action::Start { id, params } => {
                self.start(id, *params).await;
                None
            }
            Action::Stop { id } => {
                if let Some((_, operation)) = self.running.lock().remove(&id) {
                    operation.abort();
                }
                None
            }
        })
    }

    /// Starts an operation. While too many wait for their turn nothing more is read; that ends,
    /// because each of them is answered or times out.
    async fn start(&mut self, id: String, params: Params) {
        // It is never closed.
        let Ok(seat) = Arc::clone(&self.seats).acquire_owned().await else { return };
        self.serial += 1;
        let operation = Execution {
            id: id.clone(),
            serial: self.serial,
            data: self.data.clone(),
            seat: Arc::clone(&self.seat),
            places: Arc::clone(&self.places),
            answer_max: self.engine.options().socket.answer_bytes_max,
        };
        // The entry is there before the operation can end.
        let mut running = self.running.lock();
        let engine = self.engine.clone();
        let task = tokio::spawn(async move {
            operation.run(engine, params).await;
            drop(seat);
        });
        running.insert(id, (self.serial, task.abort_handle()));
    }
}

/// One operation of a socket.
struct Execution {
    id: String,
    serial: u64,
    data: mpsc::Sender<Outgoing>,
    seat: Arc<Seat>,
    places: Arc<Semaphore>,
    answer_max: usize,
}

impl Execution {
    async fn run(self, engine: Arc<Engine>, params: Params) {
        let prepared = match engine.prepare(params) {
            Ok(prepared) => prepared,
            Err(refused) => return self.refuse(&refused.errors).await,
        };
        let Some(_place) = self.place(&engine, prepared.kind).await else {
            let refused = too_many(engine.options().socket.operations_max);
            return self.refuse(&[refused]).await;
        };
        let request_id = engine.request_id();
        if prepared.kind != OperationType::Subscription {
            let budget = prepared.budget();
            let answer = engine.execute(prepared, &request_id).await;
            if self.tell(answer, &budget).await.is_continue() {
                self.complete().await;
            }
            return;
        }
        let budget = prepared.budget();
        let mut answers = engine.subscribe(prepared, request_id, &self.seat);
        loop {
            // The socket must have taken the last event before the next one is asked for.
            let Ok(turn) = self.data.reserve().await else { return };
            drop(turn);
            let Some(answer) = answers.next().await else { break };
            if self.tell(answer, &budget).await.is_break() {
                return;
            }
        }
        self.complete().await;
    }

    /// A place among the operations that run. A subscription never waits for one, because those
    /// that run may never end.
    async fn place(&self, engine: &Engine, kind: OperationType) -> Option<OwnedSemaphorePermit> {
        let places = Arc::clone(&self.places);
        if kind == OperationType::Subscription {
            return places.try_acquire_owned().ok();
        }
        let wait = engine.options().operation.timeout;
        timeout(wait, places.acquire_owned()).await.ok()?.ok()
    }

    /// Hands a result over; a request error ends the operation.
    async fn tell(&self, answer: Answer, budget: &Budget) -> ControlFlow<()> {
        if is_request_error(&answer) {
            self.refuse(&answer.errors).await;
            return ControlFlow::Break(());
        }
        let text = server::next(&self.id, &to_json(&answer));
        drop(answer);
        // From here on its text counts, until it is written.
        budget.reset();
        if text.len() > self.answer_max {
            let text = format!("the answer is larger than {} bytes", self.answer_max);
            self.refuse(&[coded(Code::ResourceExhausted, text)]).await;
            return ControlFlow::Break(());
        }
        self.send(text, false).await
    }

    async fn refuse(&self, all: &[ServerError]) {
        let _ = self.send(server::error(&self.id, &errors(all)), true).await;
    }

    async fn complete(&self) {
        let _ = self.send(server::complete(&self.id), true).await;
    }

    async fn send(&self, text: String, last: bool) -> ControlFlow<()> {
        let hold = self.seat.hold(text.len());
        let outgoing = Outgoing { id: self.id.clone(), serial: self.serial, text, last, hold };
        match self.data.send(outgoing).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

fn too_many(most: usize) -> ServerError {
    let text = format!("a socket runs at most {most} operations at one time");
    coded(Code::ResourceExhausted, text)
}

fn errors(all: &[ServerError]) -> String {
    serde_json::to_string(all).expect("an error has text keys only")
}
