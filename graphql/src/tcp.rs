//! A client's TCP connection: it keeps its place among all connections, fails when the client takes
//! nothing for too long, and closes so that the client can still read what was written last.
//!
//! A connection that is closed while the client still sends is reset, and what was written last (a
//! refusal, a close frame) may be lost on the way. So closing lingers: writing ends, and for a moment
//! what the client still sends is read and thrown away.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, timeout};

/// How long what a client still sends is thrown away before its connection is reset.
const LINGER: Duration = Duration::from_secs(1);

/// A connection that lingers when it is dropped.
pub struct Tcp {
    /// Taken when it is dropped.
    stream: Option<TcpStream>,
    /// Its place; free when the connection is closed for good.
    place: Option<OwnedSemaphorePermit>,
    stall_max: Duration,
    /// Runs while the client takes nothing of what is written.
    stalled: Option<Pin<Box<Sleep>>>,
    /// The client has sent its last byte.
    ended: bool,
    /// It is closed without lingering.
    at_once: Arc<AtomicBool>,
}

impl Tcp {
    /// A connection; one that takes nothing for `stall_max` fails.
    pub fn new(stream: TcpStream, place: OwnedSemaphorePermit, stall_max: Duration) -> Self {
        let (stream, place) = (Some(stream), Some(place));
        let at_once = Arc::default();
        Self { stream, place, stall_max, stalled: None, ended: false, at_once }
    }

    /// Set this to close without lingering, when nothing unread was written.
    pub fn at_once(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.at_once)
    }

    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.stream.as_mut().expect("it is taken when dropped"))
    }

    /// Passes on the result of a write, unless the client has taken nothing for too long.
    fn written<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall_max = self.stall_max;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall_max)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (room, before) = (buffer.remaining() > 0, buffer.filled().len());
        ready!(self.stream().poll_read(context, buffer))?;
        self.ended |= room && buffer.filled().len() == before;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream().poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream().poll_write_vectored(context, bytes);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        let place = self.place.take();
        let ends_at_once = self.ended || self.at_once.load(Ordering::Relaxed);
        if let (false, Ok(runtime)) = (ends_at_once, Handle::try_current()) {
            runtime.spawn(async move {
                linger(stream).await;
                drop(place);
            });
        }
    }
}

async fn linger(stream: TcpStream) {
    let Ok(stream) = stream.into_std() else { return };
    // Either fails only on a connection that is broken already.
    let _ = stream.shutdown(Shutdown::Write);
    let Ok(mut stream) = TcpStream::from_std(stream) else { return };
    let mut nowhere = [0; 4 << 10];
    let drain = async { while matches!(stream.read(&mut nowhere).await, Ok(1..)) {} };
    let _ = timeout(LINGER, drain).await;
}
