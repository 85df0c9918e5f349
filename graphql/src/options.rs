//! Limits and switches of the server, each with a name and a default that is safe on the open
//! network. The defaults are what the committed conformance report was made with.

use std::time::Duration;

/// What a value of an answer counts besides its text.
pub const VALUE_BYTES: usize = 64;

/// What the server allows.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// How connections are bounded.
    pub connections: ConnectionLimits,
    /// Host names clients may ask for, besides loopback names and addresses; `*`: any.
    pub hosts: Vec<String>,
    /// Bytes of a GraphQL request body.
    pub body_bytes_max: usize,
    /// Bytes of a pushed body, after decompression too.
    pub push_bytes_max: usize,
    /// How fast bodies have to arrive, and what all of them may hold.
    pub bodies: BodyLimits,
    /// Pushes that are decompressed and committed at one time; others wait with their bodies.
    pub pushes_max: usize,
    /// Time a push waits for its turn before it is told to come back.
    pub push_wait: Duration,
    /// How one GraphQL operation is bounded.
    pub operation: OperationLimits,
    /// How one WebSocket is bounded.
    pub socket: SocketLimits,
    /// How the subscribers of all transports are bounded.
    pub subscribers: SubscriberLimits,
    /// Origins (such as `https://console.example`) that may call from a browser besides our own.
    pub allowed_origins: Vec<String>,
    /// Whether the schema may be asked for.
    pub introspection: bool,
}

/// Bounds of the connections of all clients.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Connections open at one time, WebSockets and event streams among them.
    pub connections_max: usize,
    /// Time from the opening of a connection, or the end of its last answer, to the end of the next
    /// request's head.
    pub head_timeout: Duration,
    /// Bytes of the head of a request, the address among them.
    pub head_bytes_max: usize,
    /// Time a client may take nothing of what is written to it.
    pub write_stall_max: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_max: 2_048,
            head_timeout: Duration::from_secs(20),
            head_bytes_max: 96 << 10,
            write_stall_max: Duration::from_secs(30),
        }
    }
}

/// Bounds of the bodies of requests.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    /// Bytes that all bodies hold at one time, besides the first 64 KiB of each.
    pub bytes_in_flight_max: usize,
    /// Time a body waits for room among them before its client is told to come back.
    pub room_wait: Duration,
    /// Bytes that have to arrive in each interval until the body ends.
    pub bytes_per_interval_min: usize,
    /// That interval.
    pub rate_interval: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            bytes_in_flight_max: 128 << 20,
            room_wait: Duration::from_secs(5),
            bytes_per_interval_min: 32 << 10,
            rate_interval: Duration::from_secs(5),
        }
    }
}

/// Bounds of one operation.
#[derive(Clone, Debug)]
pub struct OperationLimits {
    /// Bytes of the query text.
    pub query_bytes_max: usize,
    /// Tokens of the query text.
    pub tokens_max: usize,
    /// Selected fields, fragments expanded.
    pub fields_max: usize,
    /// Levels of selected fields.
    pub depth_max: usize,
    /// Cost: each field 1, below a list times its page size.
    pub complexity_max: usize,
    /// Aliases in the whole query.
    pub aliases_max: usize,
    /// Directives on one field.
    pub directives_max: usize,
    /// Time an operation may take; a subscription as a whole may take longer.
    pub timeout: Duration,
    /// Reads of the store at one time, over all operations: those that look at little.
    pub reads_max: usize,
    /// The same of those that may look at everything; others wait for their turn.
    pub heavy_reads_max: usize,
    /// Bytes of an answer: each value counts [`VALUE_BYTES`] besides its text.
    pub answer_bytes_max: usize,
    /// Bytes of all answers that are made or written at one time, counted in the same way.
    pub answers_bytes_max: usize,
}

/// Bounds of one WebSocket.
#[derive(Clone, Debug)]
pub struct SocketLimits {
    /// Sockets open at one time.
    pub sockets_max: usize,
    /// Bytes of one message from the client.
    pub message_bytes_max: usize,
    /// Bytes of one message to the client.
    pub answer_bytes_max: usize,
    /// Time until `connection_init` must have come.
    pub init_timeout: Duration,
    /// Time between pings; a socket silent for two of them is dropped.
    pub ping_interval: Duration,
    /// Time one message may take to be written.
    pub write_timeout: Duration,
    /// Operations running at one time on one socket.
    pub operations_max: usize,
    /// Operations that wait for their turn on one socket; when there are as many, nothing more is
    /// read from it.
    pub operations_waiting_max: usize,
}

/// Bounds of subscribers, whatever their transport.
#[derive(Clone, Debug)]
pub struct SubscriberLimits {
    /// Subscriptions that run at one time.
    pub subscriptions_max: usize,
    /// The same of one client address.
    pub subscriptions_by_client_max: usize,
    /// Bytes of events and answers that were made and that their clients have not taken. When there
    /// are more, the connection goes that has read least recently.
    pub bytes_max: usize,
    /// The same of one client address.
    pub bytes_by_client_max: usize,
    /// Events of `sessionChanges` that are made at one time; the others wait for their turn, and
    /// what changes meanwhile is merged.
    pub events_made_max: usize,
    /// Time a connection that was too slow gets to read why it is closed.
    pub farewell: Duration,
}

impl Default for SubscriberLimits {
    fn default() -> Self {
        Self {
            subscriptions_max: 1_000,
            subscriptions_by_client_max: 256,
            bytes_max: 256 << 20,
            bytes_by_client_max: 64 << 20,
            events_made_max: 8,
            farewell: Duration::from_secs(1),
        }
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            connections: ConnectionLimits::default(),
            hosts: Vec::new(),
            body_bytes_max: 256 << 10,
            push_bytes_max: 16 << 20,
            bodies: BodyLimits::default(),
            pushes_max: 8,
            push_wait: Duration::from_secs(5),
            operation: OperationLimits::default(),
            socket: SocketLimits::default(),
            subscribers: SubscriberLimits::default(),
            allowed_origins: Vec::new(),
            introspection: true,
        }
    }
}

impl Default for OperationLimits {
    fn default() -> Self {
        Self {
            query_bytes_max: 64 << 10,
            tokens_max: 8_000,
            fields_max: 4_000,
            depth_max: 20,
            complexity_max: 100_000,
            aliases_max: 30,
            directives_max: 8,
            timeout: Duration::from_secs(10),
            reads_max: 32,
            heavy_reads_max: std::thread::available_parallelism()
                .map_or(2, |cores| cores.get().clamp(2, 8)),
            answer_bytes_max: 64 << 20,
            answers_bytes_max: 512 << 20,
        }
    }
}

impl Default for SocketLimits {
    fn default() -> Self {
        Self {
            sockets_max: 1_024,
            message_bytes_max: 256 << 10,
            answer_bytes_max: 32 << 20,
            init_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(12),
            write_timeout: Duration::from_secs(20),
            operations_max: 32,
            operations_waiting_max: 256,
        }
    }
}
