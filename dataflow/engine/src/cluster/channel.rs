//! What processes tell each other beside the dataflow: encrypted frames on a connection of their own.
//!
//! A frame is its length (two bytes) and a message of the Noise protocol, which is a kind and a body.
//! The number of a frame is its nonce, so one that is changed, repeated or left out is an error, and
//! the connection is given up.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use snow::StatelessTransportState as Noise;

/// Longest message of the Noise protocol, and what encryption adds to one.
const MESSAGE_BYTES_MAX: usize = 65_535;
const TAG_BYTES: usize = 16;
/// Bytes of a body in one frame.
const BODY_BYTES_MAX: usize = MESSAGE_BYTES_MAX - TAG_BYTES - 1;

/// What a frame is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// The sender is alive.
    Heartbeat,
    /// Words of the meeting that go on in the next frame.
    Part(Vec<u8>),
    /// The next words of the meeting, or the end of them.
    Words(Vec<u8>),
    /// The sender stops, because of a process and for a reason.
    Failed(usize, String),
}

const HEARTBEAT: u8 = 0;
const PART: u8 = 1;
const WORDS: u8 = 2;
const FAILED: u8 = 3;

/// The sending half.
pub(super) struct Sender {
    stream: TcpStream,
    noise: Arc<Noise>,
    nonce: u64,
}

/// The receiving half.
pub(super) struct Receiver {
    stream: TcpStream,
    noise: Arc<Noise>,
    nonce: u64,
}

/// Both halves of a connection whose handshake is done.
pub(super) fn channel(stream: TcpStream, noise: Noise) -> io::Result<(Sender, Receiver)> {
    let noise = Arc::new(noise);
    let sender = Sender { stream: stream.try_clone()?, noise: Arc::clone(&noise), nonce: 0 };
    Ok((sender, Receiver { stream, noise, nonce: 0 }))
}

impl Sender {
    pub(super) fn send(&mut self, frame: &Frame) -> io::Result<()> {
        match frame {
            Frame::Heartbeat => self.message(HEARTBEAT, &[]),
            Frame::Failed(process, reason) => {
                let body = [&(*process as u64).to_be_bytes()[..], reason.as_bytes()].concat();
                self.message(FAILED, &body[..body.len().min(BODY_BYTES_MAX)])
            }
            Frame::Part(part) => self.message(PART, part),
            Frame::Words(words) => {
                let last = words.len() - words.len().min(BODY_BYTES_MAX);
                let (parts, last) = words.split_at(last);
                for part in parts.chunks(BODY_BYTES_MAX) {
                    self.message(PART, part)?;
                }
                self.message(WORDS, last)
            }
        }
    }

    fn message(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        let mut plain = Vec::with_capacity(1 + body.len());
        plain.push(kind);
        plain.extend_from_slice(body);
        let mut frame = vec![0; 2 + plain.len() + TAG_BYTES];
        let written = self.noise.write_message(self.nonce, &plain, &mut frame[2..]);
        let written = written.map_err(io::Error::other)?;
        let length = u16::try_from(written).map_err(io::Error::other)?;
        frame[..2].copy_from_slice(&length.to_be_bytes());
        self.nonce += 1;
        self.stream.write_all(&frame[..2 + written])
    }
}

impl Receiver {
    /// Waits for the next frame.
    pub(super) fn receive(&mut self) -> io::Result<Frame> {
        self.stream.set_read_timeout(None)?;
        let Self { stream, noise, nonce } = self;
        receive(stream, noise, nonce)
    }

    /// Waits for the next frame until `deadline`.
    pub(super) fn receive_until(&mut self, deadline: Instant) -> io::Result<Frame> {
        let Self { stream, noise, nonce } = self;
        receive(&mut Timed { stream, deadline }, noise, nonce)
    }

    /// The connection, to end it for both halves and the other side.
    pub(super) fn handle(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// The connection itself: nothing was read from it but whole frames.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

fn receive(from: &mut impl Read, noise: &Noise, nonce: &mut u64) -> io::Result<Frame> {
    let wrong = |what: &'static str| io::Error::new(ErrorKind::InvalidData, what);
    let mut length = [0; 2];
    from.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    from.read_exact(&mut message)?;
    let mut plain = vec![0; message.len()];
    let read = noise.read_message(*nonce, &message, &mut plain);
    let read = read.map_err(|_| wrong("a message is not from a process of this cluster"))?;
    *nonce += 1;
    let (kind, body) = plain[..read].split_first().ok_or_else(|| wrong("an empty message"))?;
    match *kind {
        HEARTBEAT => Ok(Frame::Heartbeat),
        PART => Ok(Frame::Part(body.to_vec())),
        WORDS => Ok(Frame::Words(body.to_vec())),
        FAILED => {
            let (process, reason) =
                body.split_first_chunk::<8>().ok_or_else(|| wrong("a short message"))?;
            let process = u64::from_be_bytes(*process) as usize;
            Ok(Frame::Failed(process, String::from_utf8_lossy(reason).into_owned()))
        }
        _ => Err(wrong("a message of an unknown kind")),
    }
}

/// Reads from a stream until a time.
pub(super) struct Timed<'a> {
    pub(super) stream: &'a TcpStream,
    pub(super) deadline: Instant,
}

impl Read for Timed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        (&mut &*self.stream).read(into)
    }
}
