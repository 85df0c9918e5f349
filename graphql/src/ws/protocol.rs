//! `graphql-transport-ws` as a pure state machine: texts in, what to do out.
//!
//! No socket, clock or task is known here, so every rule of the protocol is a line in a table of
//! tests and any text may be thrown at [`parse`].

use serde_json::Value;

use crate::execute::Params;
use crate::subscribers::TOO_SLOW;

/// Name of the subprotocol.
pub const SUBPROTOCOL: &str = "graphql-transport-ws";
/// Longest id of an operation, in bytes.
const ID_BYTES_MAX: usize = 128;
/// Longest reason of a close frame that the WebSocket protocol has room for, in bytes.
const REASON_BYTES_MAX: usize = 123;

/// What a client may say.
#[derive(Clone, Debug)]
pub enum ClientMessage {
    /// The first message; its payload is not looked at yet.
    ConnectionInit,
    /// Asks for a pong with the same payload.
    Ping(Option<Value>),
    /// Answers our ping.
    Pong,
    /// Starts an operation.
    Subscribe {
        /// The client's name for it.
        id: String,
        /// What to execute.
        params: Box<Params>,
    },
    /// Stops an operation.
    Complete {
        /// The client's name for it.
        id: String,
    },
}

/// Why the server closes a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Close {
    /// A message that is not part of the protocol.
    BadRequest(String),
    /// An operation before the connection is acknowledged.
    Unauthorized,
    /// The subprotocol is not ours.
    SubprotocolNotAcceptable,
    /// `connection_init` did not come in time.
    InitialisationTimeout,
    /// An id that is in use.
    SubscriberExists(String),
    /// A second `connection_init`.
    TooManyInitialisations,
    /// A message larger than allowed.
    TooBig,
    /// Too many sockets are open.
    TryAgainLater,
    /// A frame that breaks the rules of WebSockets.
    ProtocolError,
    /// A text that is not UTF-8.
    InvalidText,
    /// The server stops.
    GoingAway,
    /// The client does not read what is written.
    TooSlow,
}

impl Close {
    /// The code of the close frame.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 4400,
            Self::Unauthorized => 4401,
            Self::SubprotocolNotAcceptable => 4406,
            Self::InitialisationTimeout => 4408,
            Self::SubscriberExists(_) => 4409,
            Self::TooManyInitialisations => 4429,
            Self::TooBig => 1009,
            Self::TryAgainLater | Self::TooSlow => 1013,
            Self::ProtocolError => 1002,
            Self::InvalidText => 1007,
            Self::GoingAway => 1001,
        }
    }

    /// The reason of the close frame, never longer than one has room for.
    #[must_use]
    pub fn reason(&self) -> String {
        let mut reason = match self {
            Self::BadRequest(text) => format!("Invalid message: {text}"),
            Self::Unauthorized => "Unauthorized".into(),
            Self::SubprotocolNotAcceptable => "Subprotocol not acceptable".into(),
            Self::InitialisationTimeout => "Connection initialisation timeout".into(),
            Self::SubscriberExists(id) => format!("Subscriber for {id} already exists"),
            Self::TooManyInitialisations => "Too many initialisation requests".into(),
            Self::TooBig => "Message too big".into(),
            Self::TryAgainLater => "Try again later".into(),
            Self::TooSlow => TOO_SLOW.into(),
            Self::ProtocolError => "Protocol error".into(),
            Self::InvalidText => "Text is not UTF-8".into(),
            Self::GoingAway => "The server is stopping".into(),
        };
        while reason.len() > REASON_BYTES_MAX {
            reason.pop();
        }
        reason
    }
}

/// Reads a message of a client.
///
/// # Errors
/// [`Close::BadRequest`] for anything else.
pub fn parse(text: &str) -> Result<ClientMessage, Close> {
    let refused = |text: &str| Close::BadRequest(text.into());
    let value = serde_json::from_str(text).map_err(|_| refused("not JSON"))?;
    let Value::Object(mut fields) = value else { return Err(refused("not an object")) };
    let Some(Value::String(kind)) = fields.remove("type") else {
        return Err(refused("`type` is missing"));
    };
    let payload = fields.remove("payload");
    match kind.as_str() {
        "connection_init" => optional_object(payload).map(|_| ClientMessage::ConnectionInit),
        "ping" => optional_object(payload).map(ClientMessage::Ping),
        "pong" => optional_object(payload).map(|_| ClientMessage::Pong),
        "subscribe" => {
            let id = take_id(fields.remove("id"))?;
            let payload = payload.ok_or_else(|| refused("`payload` is missing"))?;
            let params = Params::from_json(payload).map_err(Close::BadRequest)?;
            Ok(ClientMessage::Subscribe { id, params: Box::new(params) })
        }
        "complete" => Ok(ClientMessage::Complete { id: take_id(fields.remove("id"))? }),
        _ => Err(refused("unknown `type`")),
    }
}

fn optional_object(payload: Option<Value>) -> Result<Option<Value>, Close> {
    match payload {
        None | Some(Value::Null) => Ok(None),
        Some(payload @ Value::Object(_)) => Ok(Some(payload)),
        Some(_) => Err(Close::BadRequest("`payload` is not an object".into())),
    }
}

fn take_id(id: Option<Value>) -> Result<String, Close> {
    match id {
        Some(Value::String(id)) if (1..=ID_BYTES_MAX).contains(&id.len()) => Ok(id),
        _ => {
            let text = format!("`id` is not a string of 1 to {ID_BYTES_MAX} bytes");
            Err(Close::BadRequest(text))
        }
    }
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    acknowledged: bool,
}

/// What to do about a message.
#[derive(Clone, Debug)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Send `connection_ack`.
    Acknowledge,
    /// Send a pong with this payload.
    Pong(Option<Value>),
    /// Start an operation.
    Start {
        /// The client's name for it.
        id: String,
        /// What to execute.
        params: Box<Params>,
    },
    /// Stop an operation, if it still runs; the client is told nothing.
    Stop {
        /// The client's name for it.
        id: String,
    },
}

impl Connection {
    /// Whether `connection_init` came.
    #[must_use]
    pub fn is_acknowledged(self) -> bool {
        self.acknowledged
    }

    /// Takes a message; `running` tells the ids in use.
    ///
    /// # Errors
    /// Why the socket must be closed.
    pub fn take(
        &mut self,
        message: ClientMessage,
        running: impl Fn(&str) -> bool,
    ) -> Result<Action, Close> {
        match message {
            ClientMessage::ConnectionInit if self.acknowledged => {
                Err(Close::TooManyInitialisations)
            }
            ClientMessage::ConnectionInit => {
                self.acknowledged = true;
                Ok(Action::Acknowledge)
            }
            ClientMessage::Ping(payload) => Ok(Action::Pong(payload)),
            ClientMessage::Pong => Ok(Action::Nothing),
            ClientMessage::Subscribe { .. } if !self.acknowledged => Err(Close::Unauthorized),
            ClientMessage::Subscribe { id, .. } if running(&id) => Err(Close::SubscriberExists(id)),
            ClientMessage::Subscribe { id, params } => Ok(Action::Start { id, params }),
            ClientMessage::Complete { id } => Ok(Action::Stop { id }),
        }
    }
}

/// What the server says, as text.
pub mod server {
    use serde_json::{Value, json};

    /// `connection_ack`.
    pub const ACK: &str = r#"{"type":"connection_ack"}"#;
    /// `ping`.
    pub const PING: &str = r#"{"type":"ping"}"#;

    /// `pong`, with the payload of the ping.
    #[must_use]
    pub fn pong(payload: Option<Value>) -> String {
        match payload {
            Some(payload) => json!({"type": "pong", "payload": payload}).to_string(),
            None => json!({"type": "pong"}).to_string(),
        }
    }

    /// `next`; `result` is JSON.
    #[must_use]
    pub fn next(id: &str, result: &str) -> String {
        format!(r#"{{"id":{},"type":"next","payload":{result}}}"#, Value::from(id))
    }

    /// `error`; `errors` is a JSON list.
    #[must_use]
    pub fn error(id: &str, errors: &str) -> String {
        format!(r#"{{"id":{},"type":"error","payload":{errors}}}"#, Value::from(id))
    }

    /// `complete`.
    #[must_use]
    pub fn complete(id: &str) -> String {
        json!({"id": id, "type": "complete"}).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INIT: &str = r#"{"type":"connection_init"}"#;
    const START: &str = r#"{"id":"1","type":"subscribe","payload":{"query":"{a}"}}"#;

    /// Says the texts one after the other; `1` is running after the first `subscribe`.
    fn check(texts: &[&str], expected: Result<&str, u16>) {
        let mut connection = Connection::default();
        let mut running = false;
        let mut last = Ok(Action::Nothing);
        for text in texts {
            last = parse(text).and_then(|message| connection.take(message, |_| running));
            running |= matches!(last, Ok(Action::Start { .. }));
        }
        let found = last.map(|action| format!("{action:?}")).map_err(|close| close.code());
        match (&found, expected) {
            (Ok(action), Ok(start)) if action.starts_with(start) => {}
            (Err(code), Err(expected)) if *code == expected => {}
            _ => panic!("{texts:?}: {found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn every_rule_of_the_protocol_holds() {
        check(&[INIT], Ok("Acknowledge"));
        check(&[r#"{"type":"connection_init","payload":{"token":"x"}}"#], Ok("Acknowledge"));
        check(&[r#"{"type":"connection_init","payload":null}"#], Ok("Acknowledge"));
        check(&[INIT, INIT], Err(4429));
        check(&[START], Err(4401));
        check(&[INIT, START], Ok("Start"));
        check(&[INIT, START, START], Err(4409));
        check(&[INIT, r#"{"id":"1","type":"complete"}"#], Ok("Stop"));
        check(&[r#"{"type":"ping"}"#], Ok("Pong(None)"));
        check(&[r#"{"type":"ping","payload":{"a":1}}"#], Ok("Pong(Some"));
        check(&[r#"{"type":"pong"}"#], Ok("Nothing"));
    }

    #[test]
    fn anything_else_closes_with_4400() {
        for text in [
            "",
            "x",
            "[]",
            "null",
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"start"}"#,
            r#"{"type":"connection_ack"}"#,
            r#"{"type":"ping","payload":1}"#,
            r#"{"type":"connection_init","payload":"x"}"#,
            r#"{"type":"subscribe","payload":{"query":"{a}"}}"#,
            r#"{"id":"","type":"subscribe","payload":{"query":"{a}"}}"#,
            r#"{"id":1,"type":"subscribe","payload":{"query":"{a}"}}"#,
            r#"{"id":"1","type":"subscribe"}"#,
            r#"{"id":"1","type":"subscribe","payload":{}}"#,
            r#"{"id":"1","type":"subscribe","payload":{"query":1}}"#,
            r#"{"id":"1","type":"subscribe","payload":{"query":"{a}","variables":[]}}"#,
            r#"{"id":"1","type":"subscribe","payload":{"query":"{a}","extensions":""}}"#,
            r#"{"id":"1","type":"subscribe","payload":{"query":"{a}","operationName":2}}"#,
            r#"{"type":"complete"}"#,
        ] {
            check(&[INIT, text], Err(4400));
        }
        check(&[&format!(r#"{{"id":"{}","type":"complete"}}"#, "x".repeat(500))], Err(4400));
        check(&[&"[".repeat(100_000)], Err(4400));
    }

    #[test]
    fn a_reason_always_fits_its_frame() {
        let long = Close::SubscriberExists("ä".repeat(200));
        assert!(long.reason().len() <= REASON_BYTES_MAX);
        assert_eq!(server::next("a\"b", "{}"), r#"{"id":"a\"b","type":"next","payload":{}}"#);
    }
}
