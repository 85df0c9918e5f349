//! The handshake of a connection between two processes: each proves that it knows the secret of the
//! cluster before anything is told.
//!
//! Noise `NNpsk0`: two messages, keyed with the secret and with fresh keys of both sides, which the
//! caller's opening words (version, purpose, who calls whom) are part of. Both sides then send one
//! encrypted frame, so neither goes on before the other has proved itself. Of somebody else's
//! messages nothing can be used again, and what was recorded cannot be read later by whoever learns
//! the secret. To a stranger no byte is answered but why it is refused.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};

use super::Membership;
use super::channel::{Frame, Receiver, Sender, Timed, channel};
use super::limits::{CONNECT_MAX, HANDSHAKE_MAX, KEEPALIVE, SILENCE_MAX};

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";
/// Begins the opening words: the version of the handshake and of everything behind it.
const OPENING: &[u8; 8] = b"spoor/2\n";
/// Opening, purpose, caller, called, attempt.
const PREAMBLE_BYTES: usize = 8 + 1 + 2 + 2 + 8;
/// A public key and a tag: both messages of the pattern.
const MESSAGE_BYTES: usize = 48;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Words and heartbeats.
    Control = 1,
    /// The dataflow's.
    Data = 2,
}

/// Who calls whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) purpose: Purpose,
    pub(super) from: usize,
    pub(super) to: usize,
    /// Drawn by the caller: its connections of one attempt belong together.
    pub(super) attempt: u64,
}

/// Why somebody who calls is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it is another version of the program, or no process of a cluster")]
    Version = 1,
    #[error("it has another hosts file, or is another process of it")]
    Hosts = 2,
    #[error("it has another secret of the cluster")]
    Secret = 3,
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("{}", explain(.0))]
    Io(#[from] io::Error),
}

const GO_ON: u8 = 0;

impl Refusal {
    fn of(status: u8) -> Option<Self> {
        [Self::Version, Self::Hosts, Self::Secret].into_iter().find(|one| *one as u8 == status)
    }
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => {
            "it closed the connection; its own message may say why".into()
        }
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "it says nothing".into(),
        ErrorKind::ConnectionRefused => "it does not listen".into(),
        _ => error.to_string(),
    }
}

impl Opening {
    fn encode(self) -> [u8; PREAMBLE_BYTES] {
        let mut bytes = [0; PREAMBLE_BYTES];
        bytes[..8].copy_from_slice(OPENING);
        bytes[8] = self.purpose as u8;
        bytes[9..11].copy_from_slice(&(self.from as u16).to_be_bytes());
        bytes[11..13].copy_from_slice(&(self.to as u16).to_be_bytes());
        bytes[13..].copy_from_slice(&self.attempt.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; PREAMBLE_BYTES]) -> Result<Self, Refusal> {
        let purposes = [Purpose::Control, Purpose::Data];
        let purpose = purposes.into_iter().find(|purpose| *purpose as u8 == bytes[8]);
        let (true, Some(purpose)) = (bytes.starts_with(OPENING), purpose) else {
            return Err(Refusal::Version);
        };
        let number = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        let mut attempt = [0; 8];
        attempt.copy_from_slice(&bytes[13..]);
        let attempt = u64::from_be_bytes(attempt);
        Ok(Self { purpose, from: number(9), to: number(11), attempt })
    }
}

/// Calls a process and proves who this one is.
///
/// # Errors
/// It is not there, or one of the two does not know the secret.
pub(super) fn call(
    membership: &Membership,
    opening: Opening,
) -> Result<(Sender, Receiver), HandshakeError> {
    let mut stream = connect(&membership.hosts[opening.to])?;
    let deadline = Instant::now() + HANDSHAKE_MAX;
    let preamble = opening.encode();
    let mut noise = builder(membership, &preamble)?.build_initiator().map_err(io::Error::other)?;
    let mut message = [0; MESSAGE_BYTES];
    let written = noise.write_message(&[], &mut message).map_err(io::Error::other)?;
    debug_assert_eq!(written, MESSAGE_BYTES);
    stream.write_all(&[&preamble[..], &message].concat())?;
    let mut from = Timed { stream: &stream, deadline };
    let mut status = [0];
    from.read_exact(&mut status)?;
    if status[0] != GO_ON {
        return Err(Refusal::of(status[0]).unwrap_or(Refusal::Version).into());
    }
    from.read_exact(&mut message)?;
    noise.read_message(&message, &mut []).map_err(|_| Refusal::Secret)?;
    let noise = noise.into_stateless_transport_mode().map_err(io::Error::other)?;
    let (mut sender, mut receiver) = channel(stream, noise)?;
    sender.send(&Frame::Heartbeat)?;
    greeted(receiver.receive_until(deadline)?)?;
    Ok((sender, receiver))
}

/// Answers whoever has called.
///
/// # Errors
/// Nobody of the cluster has.
pub(super) fn answer(
    membership: &Membership,
    mut stream: TcpStream,
) -> Result<(Opening, Sender, Receiver), HandshakeError> {
    prepare(&stream)?;
    let deadline = Instant::now() + HANDSHAKE_MAX;
    let (mut preamble, mut message) = ([0; PREAMBLE_BYTES], [0; MESSAGE_BYTES]);
    let mut from = Timed { stream: &stream, deadline };
    from.read_exact(&mut preamble)?;
    from.read_exact(&mut message)?;
    let mut noise = builder(membership, &preamble)?.build_responder().map_err(io::Error::other)?;
    let opening = Opening::decode(&preamble).and_then(|opening| {
        let others = membership.process + 1..membership.hosts.len();
        if opening.to != membership.process || !others.contains(&opening.from) {
            return Err(Refusal::Hosts);
        }
        noise.read_message(&message, &mut []).map_err(|_| Refusal::Secret)?;
        Ok(opening)
    });
    let opening = match opening {
        Ok(opening) => opening,
        Err(refusal) => {
            stream.write_all(&[refusal as u8])?;
            return Err(refusal.into());
        }
    };
    let written = noise.write_message(&[], &mut message).map_err(io::Error::other)?;
    debug_assert_eq!(written, MESSAGE_BYTES);
    stream.write_all(&[&[GO_ON][..], &message].concat())?;
    let noise = noise.into_stateless_transport_mode().map_err(io::Error::other)?;
    let (mut sender, mut receiver) = channel(stream, noise)?;
    greeted(receiver.receive_until(deadline)?)?;
    sender.send(&Frame::Heartbeat)?;
    Ok((opening, sender, receiver))
}

fn greeted(frame: Frame) -> Result<(), HandshakeError> {
    if frame == Frame::Heartbeat { Ok(()) } else { Err(Refusal::Version.into()) }
}

fn builder<'a>(
    membership: &'a Membership,
    preamble: &'a [u8],
) -> Result<snow::Builder<'a>, HandshakeError> {
    let pattern = PATTERN.parse().map_err(io::Error::other)?;
    let builder = snow::Builder::new(pattern).prologue(preamble).map_err(io::Error::other)?;
    Ok(builder.psk(0, membership.secret.key()).map_err(io::Error::other)?)
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(ErrorKind::NotFound, "its host has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_MAX) {
            Ok(stream) => {
                prepare(&stream)?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    SockRef::from(stream).set_tcp_keepalive(&keepalive.with_retries(3))
}

/// A connection as the dataflow wants it: it may wait for ever, heartbeats bound that.
pub(super) fn unbounded(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_read_timeout(None::<Duration>)?;
    stream.set_write_timeout(None::<Duration>)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::super::ClusterSecret;
    use super::*;
    use std::net::TcpListener;

    fn membership(process: usize, hosts: &[String], secret: &str) -> Membership {
        Membership::new(process, hosts.to_vec(), ClusterSecret::new(secret).unwrap())
    }

    /// What caller and called find out.
    fn check(
        secrets: [&str; 2],
        opening: impl FnOnce(&mut Opening),
    ) -> [Result<(), HandshakeError>; 2] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hosts = [listener.local_addr().unwrap().to_string(), "127.0.0.1:1".into()];
        let (called, caller) =
            (membership(0, &hosts, secrets[0]), membership(1, &hosts, secrets[1]));
        let mut opens = Opening { purpose: Purpose::Control, from: 1, to: 0, attempt: 7 };
        opening(&mut opens);
        std::thread::scope(|threads| {
            let answered = threads.spawn(|| {
                answer(&called, listener.accept().unwrap().0).map(|(opening, mut sender, _)| {
                    assert_eq!(opening.attempt, 7);
                    sender.send(&Frame::Words(vec![9; 200_000])).unwrap();
                })
            });
            let asked = call(&caller, opens).map(|(_, mut receiver)| {
                let mut words = Vec::new();
                loop {
                    match receiver.receive().unwrap() {
                        Frame::Part(part) => words.extend(part),
                        Frame::Words(last) => break words.extend(last),
                        other => panic!("{other:?}"),
                    }
                }
                assert_eq!(words, [9; 200_000]);
            });
            [asked, answered.join().unwrap()]
        })
    }

    #[test]
    fn only_those_who_know_the_secret_go_on_and_the_others_are_told_why() {
        let (one, other) = ("0123456789abcdef", "fedcba9876543210");
        for done in check([one, one], |_| {}) {
            done.unwrap();
        }
        let refused = |secrets, opening: fn(&mut Opening), reason: Refusal| {
            for failed in check(secrets, opening) {
                let failed = failed.unwrap_err();
                assert!(matches!(failed, HandshakeError::Refused(at) if at == reason), "{failed}");
            }
        };
        refused([one, other], |_| {}, Refusal::Secret);
        refused([one, one], |opening| opening.from = 0, Refusal::Hosts);
        refused([one, one], |opening| opening.from = 2, Refusal::Hosts);
    }

    #[test]
    fn a_message_that_was_recorded_is_of_no_use_to_anybody_else() {
        // Whoever sends the caller's messages again is not let in: it cannot send the frame behind.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hosts = [listener.local_addr().unwrap().to_string(), "127.0.0.1:1".into()];
        let opening = Opening { purpose: Purpose::Control, from: 1, to: 0, attempt: 7 };
        let (called, caller) =
            (membership(0, &hosts, "0123456789abcdef"), membership(1, &hosts, "0123456789abcdef"));
        let preamble = opening.encode();
        let mut noise = builder(&caller, &preamble).unwrap().build_initiator().unwrap();
        let mut message = [0; MESSAGE_BYTES];
        noise.write_message(&[], &mut message).unwrap();
        let recorded = [&preamble[..], &message, &[0, 17], &[0; 17]].concat();
        let mut stranger = TcpStream::connect(&hosts[0]).unwrap();
        stranger.write_all(&recorded).unwrap();
        assert!(answer(&called, listener.accept().unwrap().0).is_err());
        // And a caller is not taken in by somebody who only echoes.
        let thief = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut said = [0; PREAMBLE_BYTES + MESSAGE_BYTES];
            stream.read_exact(&mut said).unwrap();
            stream.write_all(&[GO_ON]).unwrap();
            stream.write_all(&said[PREAMBLE_BYTES..]).unwrap();
        });
        let failed = call(&caller, opening).err().expect("nobody proved anything");
        assert!(matches!(failed, HandshakeError::Refused(Refusal::Secret)), "{failed}");
        thief.join().unwrap();
    }
}
