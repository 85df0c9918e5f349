//! The only task that writes to a socket.
//!
//! Control messages go first. A message of an operation that was stopped meanwhile is dropped, and
//! an id is free again just before the message that ends its operation is written.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Running;
use super::protocol::Close;
use crate::subscribers::Hold;

/// What the reader asks the writer to send.
pub enum Control {
    /// A message.
    Text(String),
    /// The last frame.
    Close(Close),
    /// Nothing more: only the answer to the client's close frame is left to be flushed.
    Finish,
}

/// A message of an operation.
pub struct Outgoing {
    pub id: String,
    pub serial: u64,
    pub text: String,
    /// The operation ends with it.
    pub last: bool,
    /// Counts its bytes until it is written.
    pub hold: Hold,
}

pub struct Writer {
    sink: SplitSink<WebSocket, Message>,
    running: Running,
    write_timeout: Duration,
}

impl Writer {
    pub fn new(
        sink: SplitSink<WebSocket, Message>,
        running: Running,
        write_timeout: Duration,
    ) -> Self {
        Self { sink, running, write_timeout }
    }

    /// Writes until the socket breaks, a message is not taken in time, or the close frame is out.
    pub async fn run(
        mut self,
        mut controls: mpsc::Receiver<Control>,
        mut datas: mpsc::Receiver<Outgoing>,
    ) {
        loop {
            // The hold lasts until the message is written: it counts as unread until then.
            let (message, _hold) = tokio::select! {
                biased;
                control = controls.recv() => match control {
                    Some(Control::Text(text)) => (Message::Text(text.into()), None),
                    Some(Control::Close(close)) => {
                        let frame = CloseFrame { code: close.code(), reason: close.reason().into() };
                        self.write(Message::Close(Some(frame))).await;
                        return;
                    }
                    Some(Control::Finish) => {
                        let _ = timeout(self.write_timeout, self.sink.close()).await;
                        return;
                    }
                    None => return,
                },
                Some(outgoing) = datas.recv() => {
                    if !self.is_current(&outgoing) {
                        continue;
                    }
                    (Message::Text(outgoing.text.into()), Some(outgoing.hold))
                }
            };
            if !self.write(message).await {
                return;
            }
        }
    }

    fn is_current(&self, outgoing: &Outgoing) -> bool {
        let mut running = self.running.lock();
        let known = running.get(&outgoing.id).is_some_and(|(serial, _)| *serial == outgoing.serial);
        if known && outgoing.last {
            running.remove(&outgoing.id);
        }
        known
    }

    async fn write(&mut self, message: Message) -> bool {
        matches!(timeout(self.write_timeout, self.sink.send(message)).await, Ok(Ok(())))
    }
}
