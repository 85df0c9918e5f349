//! Which processes are connected, and whether they live: heartbeats.
//!
//! A thread sends every connected process a heartbeat each second, and looks when each was last
//! heard of; another reads what a process says. It goes on from the first meeting to the end of the
//! engine, in an idle cluster too. The dataflow's own connections say nothing when a process is
//! stopped or a network is lost, so this is what bounds every wait for another process.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel as channel;
use parking_lot::Mutex;

use super::channel::{Frame, Receiver, Sender};
use super::limits::{HEARTBEAT, LOOK, SILENCE_MAX, STALLED, SUSPECT_AFTER, WORDS_BYTES_MAX};

/// The number of no process.
pub const NOBODY: usize = usize::MAX;

/// A process that has connected.
pub(super) struct Connected {
    pub(super) peer: usize,
    pub(super) attempt: u64,
    pub(super) control: (Sender, Receiver),
    pub(super) data: TcpStream,
}

/// What happens.
pub(super) enum Event {
    /// A process has connected, perhaps again.
    Connected(Connected),
    /// It says something, on its connection of this attempt.
    Words(usize, u64, Vec<u8>),
    /// It stops, because of that process and for that reason.
    Failed(usize, String),
    /// Its connection of this attempt is of no use any more.
    Lost(usize, u64, String),
}

/// See the module's description. Ends with the last clone.
pub(super) struct Roster {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    begun: Instant,
    live: Mutex<HashMap<usize, Arc<Live>>>,
    events: channel::Sender<Event>,
    silent: Arc<AtomicUsize>,
    failure: Mutex<Option<(usize, String)>>,
    ended: AtomicBool,
}

struct Live {
    attempt: u64,
    sender: Mutex<Sender>,
    control: TcpStream,
    /// When it was last heard of, in milliseconds since the beginning.
    heard: AtomicU64,
    is_lost: AtomicBool,
}

impl Live {
    fn close(&self) {
        // The other side may have closed it.
        let _ = self.control.shutdown(Shutdown::Both);
    }
}

impl Roster {
    /// Of nobody yet; what happens goes to `events`.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn new(events: channel::Sender<Event>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            begun: Instant::now(),
            live: Mutex::default(),
            events,
            silent: Arc::new(AtomicUsize::new(NOBODY)),
            failure: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let beating = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("heartbeats".into());
        let thread = thread.spawn(move || beating.beat())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A process that has not been heard of for a while; [`NOBODY`] if there is none.
    pub(super) fn silent(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.shared.silent)
    }

    /// Takes a process in, in the place of what it was before. Its data connection comes back.
    ///
    /// # Errors
    /// The system refuses a thread, or the connection is broken.
    pub(super) fn take(&self, connected: Connected) -> io::Result<TcpStream> {
        let Connected { peer, attempt, control: (sender, receiver), data } = connected;
        let live = Arc::new(Live {
            attempt,
            sender: Mutex::new(sender),
            control: receiver.handle()?,
            heard: AtomicU64::new(self.shared.now()),
            is_lost: AtomicBool::new(false),
        });
        self.forget(peer);
        self.shared.live.lock().insert(peer, Arc::clone(&live));
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(format!("cluster-{peer}"));
        thread.spawn(move || shared.read(peer, &live, receiver))?;
        Ok(data)
    }

    /// Whether a process is there, on its connection of this attempt.
    pub(super) fn is_current(&self, peer: usize, attempt: u64) -> bool {
        self.shared.live.lock().get(&peer).is_some_and(|live| live.attempt == attempt)
    }

    /// Closes the connection to a process.
    pub(super) fn forget(&self, peer: usize) {
        if let Some(live) = self.shared.live.lock().remove(&peer) {
            live.close();
        }
    }

    /// Tells all the same.
    pub(super) fn tell_all(&self, words: &[u8]) {
        let frame = Frame::Words(words.to_vec());
        for live in self.shared.all() {
            // What cannot be said is found when the connection is lost.
            let _ = live.1.sender.lock().send(&frame);
        }
    }

    /// Has all told, soon, that this process stops because of one and for a reason.
    pub(super) fn fail(&self, process: usize, reason: &str) {
        self.shared.failure.lock().get_or_insert_with(|| (process, reason.to_owned()));
    }
}

impl Drop for Roster {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        for (_, live) in self.shared.live.lock().drain() {
            live.close();
        }
    }
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn all(&self) -> Vec<(usize, Arc<Live>)> {
        self.live.lock().iter().map(|(peer, live)| (*peer, Arc::clone(live))).collect()
    }

    fn happened(&self, event: Event) {
        // Whoever listened has ended.
        let _ = self.events.send(event);
    }

    fn lost(&self, peer: usize, live: &Live, reason: String) {
        if !live.is_lost.swap(true, Ordering::AcqRel) {
            self.happened(Event::Lost(peer, live.attempt, reason));
        }
        live.close();
    }

    /// Reads what a process says, as long as its connection is there.
    fn read(&self, peer: usize, live: &Live, mut from: Receiver) {
        let mut said = Vec::new();
        loop {
            let frame = match from.receive() {
                Ok(frame) => frame,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return self.lost(peer, live, explain(&error)),
            };
            live.heard.store(self.now(), Ordering::Release);
            match frame {
                Frame::Heartbeat => {}
                Frame::Part(more) | Frame::Words(more)
                    if said.len() + more.len() > WORDS_BYTES_MAX =>
                {
                    return self.lost(peer, live, "it says too much".into());
                }
                Frame::Part(more) => said.extend(more),
                Frame::Words(last) => {
                    said.extend(last);
                    self.happened(Event::Words(peer, live.attempt, std::mem::take(&mut said)));
                }
                Frame::Failed(process, reason) => self.happened(Event::Failed(process, reason)),
            }
        }
    }

    fn beat(&self) {
        let (mut beaten, mut looked) = (None::<Instant>, Instant::now());
        let mut awake = self.now();
        while !self.ended.load(Ordering::Acquire) {
            // Who was stopped, or had no processor, has not listened: all begin anew.
            if looked.elapsed() >= STALLED {
                awake = self.now();
            }
            looked = Instant::now();
            let failure = self.failure.lock().take();
            let all = self.all();
            if let Some((process, reason)) = failure {
                self.send(&all, &Frame::Failed(process, reason));
            }
            if beaten.is_none_or(|at| at.elapsed() >= HEARTBEAT) {
                beaten = Some(Instant::now());
                self.send(&all, &Frame::Heartbeat);
            }
            self.look(&all, awake);
            std::thread::park_timeout(LOOK);
        }
        if let Some((process, reason)) = self.failure.lock().take() {
            self.send(&self.all(), &Frame::Failed(process, reason));
        }
    }

    fn send(&self, to: &[(usize, Arc<Live>)], frame: &Frame) {
        for (_, live) in to {
            // Whoever is just being told something hears that.
            if let Some(mut sender) = live.sender.try_lock() {
                // What cannot be said is found when the connection is lost.
                let _ = sender.send(frame);
            }
        }
    }

    fn look(&self, all: &[(usize, Arc<Live>)], awake: u64) {
        let mut silent = NOBODY;
        for (peer, live) in all {
            let since = live.heard.load(Ordering::Acquire).max(awake);
            let age = Duration::from_millis(self.now().saturating_sub(since));
            if age >= SILENCE_MAX {
                let seconds = SILENCE_MAX.as_secs();
                self.lost(*peer, live, format!("it has been silent for {seconds} s"));
            }
            if age >= SUSPECT_AFTER {
                silent = silent.min(*peer);
            }
        }
        self.silent.store(silent, Ordering::Release);
    }
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            "it closed the connection".into()
        }
        _ => error.to_string(),
    }
}
