//! A connection to another process, as the dataflow uses it.
//!
//! The dataflow's network threads panic when a connection breaks. Here a broken one is noticed
//! first: whoever watches is told which process is gone and why, and the network thread is held
//! until the program has said so and ended. After the cluster has ended a closed connection is
//! nothing to tell of. A network thread that panics for another reason tells of it, too.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use timely::communication::allocator::zero_copy::stream::Stream;

/// Bytes of the header with which a stream of the dataflow ends: all zero but for nothing.
const FAREWELL_BYTES: usize = 48;

/// Who is told of a lost process: its number, and what happened.
type OnLoss = Box<dyn Fn(usize, &str) + Send + Sync>;

/// What all connections of a process share.
pub struct Watch {
    ended: AtomicBool,
    on_loss: OnLoss,
}

impl Watch {
    /// Tells of every loss until [`Watch::ended`].
    #[must_use]
    pub fn new(on_loss: impl Fn(usize, &str) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { ended: AtomicBool::new(false), on_loss: Box::new(on_loss) })
    }

    /// A process is lost, unless the cluster has done its work.
    pub fn lost(&self, peer: usize, what: &str) {
        if !self.ended.load(Ordering::Acquire) {
            (self.on_loss)(peer, what);
        }
    }

    /// The cluster has done its work: connections may close.
    pub fn ended(&self) {
        self.ended.store(true, Ordering::Release);
    }
}

/// See the module's description.
pub struct Link {
    stream: TcpStream,
    peer: usize,
    watch: Arc<Watch>,
    /// Zero bytes at the end of what was read.
    zeros: usize,
}

impl Link {
    /// A connection to the process `peer`.
    #[must_use]
    pub fn new(stream: TcpStream, peer: usize, watch: Arc<Watch>) -> Self {
        Self { stream, peer, watch, zeros: 0 }
    }

    /// Tells of the loss and waits for the end of the program. Returns only when the cluster has
    /// ended, and nobody has to be told.
    fn lost(&self, what: &str) {
        if self.watch.ended.load(Ordering::Acquire) {
            return;
        }
        (self.watch.on_loss)(self.peer, what);
        loop {
            std::thread::park();
        }
    }

    fn count_zeros(&mut self, read: &[u8]) {
        let trailing = read.iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if trailing == read.len() { self.zeros + trailing } else { trailing };
    }

    /// The farewell that a process which was stopped did not send; nothing when it did.
    fn farewell(&mut self, into: &mut [u8]) -> usize {
        let missing = FAREWELL_BYTES.saturating_sub(self.zeros).min(into.len());
        into[..missing].fill(0);
        self.zeros += missing;
        missing
    }
}

impl Drop for Link {
    /// The dataflow's threads panic over what they cannot read; nobody else notices that.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.watch.lost(self.peer, "what it sends cannot be read; the log says more");
        }
    }
}

impl Read for Link {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(into) {
                Ok(0) => self.lost("it closed the connection"),
                Ok(read) => {
                    self.count_zeros(&into[..read]);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => self.lost(&error.to_string()),
            }
            return Ok(self.farewell(into));
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.lost(&error.to_string());
                Ok(bytes.len())
            }
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Stream for Link {
    fn try_clone(&self) -> io::Result<Self> {
        let stream = self.stream.try_clone()?;
        Ok(Self { stream, peer: self.peer, watch: Arc::clone(&self.watch), zeros: 0 })
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self.stream.shutdown(how) {
            // The other side was faster.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    /// What is read after the other side wrote this and closed, when the cluster has ended.
    fn read_after_end(written: &[u8]) -> Vec<u8> {
        let (near, mut far) = pair();
        let watch = Watch::new(|_, _| unreachable!("nothing to tell of after the end"));
        watch.ended();
        far.write_all(written).unwrap();
        drop(far);
        let mut read = Vec::new();
        Link::new(near, 1, watch).read_to_end(&mut read).unwrap();
        read
    }

    #[test]
    fn after_the_end_every_stream_ends_with_one_farewell() {
        let farewell = [0; FAREWELL_BYTES];
        assert_eq!(read_after_end(&[]), farewell);
        assert_eq!(read_after_end(&farewell), farewell);
        assert_eq!(read_after_end(&[7]), [&[7][..], &farewell].concat());
    }

    #[test]
    fn before_the_end_a_closed_connection_is_told_of_with_its_process() {
        let (near, far) = pair();
        let (tell, told) = crossbeam_channel::bounded(1);
        let watch = Watch::new(move |peer, what: &str| {
            let _ = tell.send((peer, what.to_owned()));
        });
        drop(far);
        // It is held for good: the thread ends with the test.
        std::thread::spawn(move || Link::new(near, 3, watch).read(&mut [0; 8]));
        let (peer, what) = told.recv().unwrap();
        assert_eq!((peer, what.as_str()), (3, "it closed the connection"));
    }
}
