//! The names of the headers that accept a WebSocket, written as RFC 6455 writes them.
//!
//! Names do not tell case apart, but clients exist that look for `Sec-WebSocket-Protocol` and
//! nothing else (Python `gql`), and the HTTP library can only write `sec-websocket-protocol` or
//! `Sec-Websocket-Protocol`. So the head of a 101 answer is rewritten on its way to the socket.
//! The names have the same length in either case, so nothing else changes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How the head of an answer begins that accepts a WebSocket.
const ACCEPTED: &[u8] = b"HTTP/1.1 101 ";
/// The names, as they are to be written.
const NAMES: [&str; 5] = [
    "Connection",
    "Upgrade",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Protocol",
];

/// A connection of a client whose WebSocket answers have the usual names.
pub struct UsualNames<S>(pub S);

/// The head with its names rewritten; none: it is another answer.
fn rewritten(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(ACCEPTED) {
        return None;
    }
    let mut head = bytes.to_vec();
    let mut at = 0;
    while let Some(len) = head[at..].iter().position(|byte| *byte == b'\n') {
        at += len + 1;
        let line = &mut head[at..];
        if line.starts_with(b"\r\n") {
            break;
        }
        let name = NAMES.iter().find(|name| {
            let end = line.get(name.len()) == Some(&b':');
            end && line[..name.len()].eq_ignore_ascii_case(name.as_bytes())
        });
        if let Some(name) = name {
            line[..name.len()].copy_from_slice(name.as_bytes());
        }
    }
    Some(head)
}

impl<S: AsyncRead + Unpin> AsyncRead for UsualNames<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for UsualNames<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let head = rewritten(bytes);
        Pin::new(&mut self.0).poll_write(context, head.as_deref().unwrap_or(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match parts.first().and_then(|first| rewritten(first)) {
            Some(head) => Pin::new(&mut self.0).poll_write(context, &head),
            None => Pin::new(&mut self.0).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_an_accepted_socket_are_rewritten() {
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
            sec-websocket-protocol: graphql-transport-ws\r\nx-other: upgrade: a\r\n\r\nupgrade: b";
        let expected = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
            Sec-WebSocket-Protocol: graphql-transport-ws\r\nx-other: upgrade: a\r\n\r\nupgrade: b";
        assert_eq!(rewritten(head.as_bytes()).as_deref(), Some(expected.as_bytes()));
        assert_eq!(rewritten(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"), None);
        assert_eq!(rewritten(b"HTTP/1.1 101 "), Some(b"HTTP/1.1 101 ".to_vec()));
    }
}
