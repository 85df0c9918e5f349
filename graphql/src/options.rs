//! Limits and switches of the server, each with a name and a default that is safe on the open
//! network. The defaults are what the committed conformance report was made with.

use std::time::Duration;

/// What the server allows.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Bytes of a GraphQL request body.
    pub body_bytes_max: usize,
    /// Bytes of a pushed body, after decompression too.
    pub push_bytes_max: usize,
    /// Pushed bodies in memory at one time; others wait in their sockets.
    pub pushes_max: usize,
    /// Time a push waits for its turn before it is told to come back.
    pub push_wait: Duration,
    /// How one GraphQL operation is bounded.
    pub operation: OperationLimits,
    /// How one WebSocket is bounded.
    pub socket: SocketLimits,
    /// Origins (such as `https://console.example`) that may call from a browser besides our own.
    pub allowed_origins: Vec<String>,
    /// Whether the schema may be asked for.
    pub introspection: bool,
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
    /// Reads of the store at one time, over all operations.
    pub reads_max: usize,
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
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            body_bytes_max: 256 << 10,
            push_bytes_max: 16 << 20,
            pushes_max: 8,
            push_wait: Duration::from_secs(5),
            operation: OperationLimits::default(),
            socket: SocketLimits::default(),
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
        }
    }
}
