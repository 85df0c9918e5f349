//! How the processes of a cluster find each other, and how they talk before the dataflow does.
//!
//! A process listens on its own line of the hosts file for those with greater numbers, and connects
//! to those with smaller ones, again and again until they are there: they may be started in any
//! order. Whoever connects without the right opening words is not let in. What is said is framed by
//! its length and bounded.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use socket2::{SockRef, TcpKeepalive};

use super::link::{Link, Watch};
use super::{ClusterError, Membership};

const OPENING: &[u8; 8] = b"spoor/1\n";
/// Longest thing a process may say before the dataflow begins.
const WORDS_BYTES_MAX: u64 = 256 << 20;
/// Between attempts to reach a process.
const RETRY: Duration = Duration::from_millis(100);
/// Between reports that a process is not there yet.
const REPORT: Duration = Duration::from_secs(10);
/// For the opening words of a connection.
const OPENING_TIMEOUT: Duration = Duration::from_secs(5);
/// For what a process has to say: it may have to recover its store first.
const WORDS_TIMEOUT: Duration = Duration::from_secs(600);
/// A silent connection is probed after this long, this often, and given up after three times.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Connections to all other processes.
pub struct Connections {
    membership: Membership,
    streams: Vec<Option<TcpStream>>,
}

/// Connects every process to every other. Waits until all are there.
///
/// # Errors
/// [`ClusterError::Listen`].
pub fn connect(membership: &Membership) -> Result<Connections, ClusterError> {
    let (me, hosts) = (membership.process, &membership.hosts);
    let address = &hosts[me];
    let listen = |error| ClusterError::Listen { address: address.clone(), error };
    let listener = TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let mut streams: Vec<Option<TcpStream>> = hosts.iter().map(|_| None).collect();
    let mut reported = Instant::now();
    while streams.iter().enumerate().any(|(at, stream)| at != me && stream.is_none()) {
        for peer in (0..me).filter(|peer| streams[*peer].is_none()).collect::<Vec<_>>() {
            streams[peer] = call(&hosts[peer], me);
        }
        while let Ok((stream, _)) = listener.accept() {
            if let Some(peer) = answer(&stream).filter(|peer| *peer > me && *peer < hosts.len()) {
                // A process that was restarted while we waited comes again.
                streams[peer] = Some(stream);
            }
        }
        if reported.elapsed() >= REPORT {
            reported = Instant::now();
            let missing = (0..hosts.len()).filter(|at| *at != me && streams[*at].is_none());
            let missing: Vec<_> = missing.map(|at| format!("{at} ({})", hosts[at])).collect();
            tracing::warn!("waiting for process {}", missing.join(", "));
        }
        std::thread::sleep(RETRY);
    }
    Ok(Connections { membership: membership.clone(), streams })
}

/// Connects to a process that listens; none when it is not there.
fn call(address: &str, me: usize) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    prepare(&stream).ok()?;
    stream.write_all(OPENING).ok()?;
    stream.write_all(&(me as u64).to_be_bytes()).ok()?;
    let mut echo = [0; OPENING.len()];
    stream.read_exact(&mut echo).ok()?;
    (&echo == OPENING).then_some(stream)
}

/// Who has connected; none when it is nobody of ours.
fn answer(mut stream: &TcpStream) -> Option<usize> {
    stream.set_nonblocking(false).ok()?;
    prepare(stream).ok()?;
    let mut opening = [0; OPENING.len()];
    stream.read_exact(&mut opening).ok()?;
    let mut number = [0; 8];
    stream.read_exact(&mut number).ok()?;
    if &opening != OPENING {
        return None;
    }
    stream.write_all(OPENING).ok()?;
    usize::try_from(u64::from_be_bytes(number)).ok()
}

fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(OPENING_TIMEOUT))?;
    stream.set_write_timeout(Some(WORDS_TIMEOUT))?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    SockRef::from(stream).set_tcp_keepalive(&keepalive.with_retries(3))
}

impl Connections {
    /// Tells everybody the same, and hears what each has to say. By number, this process included.
    ///
    /// # Errors
    /// [`ClusterError::Peer`].
    pub fn exchange<T>(&mut self, mine: &T) -> Result<Vec<T>, ClusterError>
    where
        T: Serialize + DeserializeOwned + Clone + Send,
    {
        let words = serde_json::to_vec(mine).expect("what processes say is plain data");
        let (membership, streams) = (&self.membership, &self.streams);
        std::thread::scope(|threads| {
            for stream in streams.iter().flatten() {
                // What cannot be said is found when the answer is missing.
                let words = &words;
                threads.spawn(move || say(stream, words));
            }
            let heard = streams.iter().enumerate().map(|(peer, stream)| match stream {
                None => Ok(mine.clone()),
                Some(stream) => hear(stream).map_err(|error| ClusterError::Peer {
                    process: peer,
                    address: membership.hosts[peer].clone(),
                    reason: explain(&error),
                }),
            });
            heard.collect()
        })
    }

    /// The connections, for the dataflow.
    ///
    /// # Errors
    /// [`ClusterError::Peer`].
    pub fn into_links(self, watch: &Arc<Watch>) -> Result<Vec<Option<Link>>, ClusterError> {
        let Self { membership, streams } = self;
        let link = |(peer, stream): (usize, Option<TcpStream>)| {
            let Some(stream) = stream else { return Ok(None) };
            let ready = stream.set_read_timeout(None).and_then(|()| stream.set_write_timeout(None));
            ready.map_err(|error| ClusterError::Peer {
                process: peer,
                address: membership.hosts[peer].clone(),
                reason: error.to_string(),
            })?;
            Ok(Some(Link::new(stream, peer, Arc::clone(watch))))
        };
        streams.into_iter().enumerate().map(link).collect()
    }
}

fn explain(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => {
            "it closed the connection before the cluster was ready; its own message says why".into()
        }
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "it says nothing".into(),
        _ => error.to_string(),
    }
}

fn say(mut stream: &TcpStream, words: &[u8]) -> std::io::Result<()> {
    stream.write_all(&(words.len() as u64).to_be_bytes())?;
    stream.write_all(words)
}

fn hear<T: DeserializeOwned>(mut stream: &TcpStream) -> std::io::Result<T> {
    stream.set_read_timeout(Some(WORDS_TIMEOUT))?;
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let length = u64::from_be_bytes(length);
    if length > WORDS_BYTES_MAX {
        return Err(std::io::Error::new(ErrorKind::InvalidData, "it says too much"));
    }
    let mut words = Vec::new();
    stream.take(length).read_to_end(&mut words)?;
    if words.len() as u64 != length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&words).map_err(|error| {
        std::io::Error::new(ErrorKind::InvalidData, format!("it is not understood: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free_addresses(count: usize) -> Vec<String> {
        let listeners: Vec<_> =
            (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect()
    }

    #[test]
    fn three_processes_find_each_other_in_any_order_and_strangers_stay_out() {
        let hosts = free_addresses(3);
        let heard: Vec<Vec<String>> = std::thread::scope(|threads| {
            let start = |process: usize| {
                let membership = Membership { process, hosts: hosts.clone() };
                threads.spawn(move || {
                    let mut connections = connect(&membership).unwrap();
                    connections.exchange(&format!("I am {process}")).unwrap()
                })
            };
            let first = start(0);
            // Somebody who has nothing to do here.
            let stranger = loop {
                if let Ok(stream) = TcpStream::connect(&hosts[0]) {
                    break stream;
                }
            };
            (&stranger).write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
            let others = [start(2), start(1)];
            let joined = others.into_iter().chain([first]).map(|thread| thread.join().unwrap());
            joined.collect()
        });
        for heard in heard {
            assert_eq!(heard, ["I am 0", "I am 1", "I am 2"]);
        }
    }

    #[test]
    fn a_process_that_leaves_before_it_has_spoken_is_named() {
        let hosts = free_addresses(2);
        let failed = std::thread::scope(|threads| {
            let of = |process: usize| Membership { process, hosts: hosts.clone() };
            let (near, far) = (of(0), of(1));
            threads.spawn(move || drop(connect(&far).unwrap()));
            let mut connections = connect(&near).unwrap();
            connections.exchange(&0_u8).unwrap_err().to_string()
        });
        assert!(failed.starts_with("process 1 (") && failed.contains("closed"), "{failed}");
    }
}
