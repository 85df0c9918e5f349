//! Where a process listens for those with greater numbers, while the cluster meets.
//!
//! Each connection has its handshake on a thread of its own, so nobody who is silent holds up
//! others. There are few at a time: when there are too many the oldest is cut off, which is never
//! one of the cluster's, whose handshakes take moments.

use std::collections::{HashMap, VecDeque};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::Mutex;
use socket2::SockRef;

use super::channel::{Receiver, Sender};
use super::handshake::{self, HandshakeError, Purpose};
use super::limits::{HANDSHAKES_MAX, REPORT, RETRY};
use super::roster::Connected;
use super::{ClusterError, Membership};

/// Told of every process that has connected.
pub(super) type OnConnected = Box<dyn Fn(Connected) + Send + Sync>;

/// Listens as long as it lives.
pub(super) struct Door {
    shared: Arc<Shared>,
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    membership: Membership,
    on_connected: OnConnected,
    closed: AtomicBool,
    /// Handshakes that are not done, the oldest first.
    pending: Mutex<VecDeque<(u64, TcpStream)>>,
    halves: Mutex<HashMap<usize, Halves>>,
    warned: Mutex<Option<Instant>>,
}

/// What a process has connected of its latest attempt.
struct Halves {
    attempt: u64,
    control: Option<(Sender, Receiver)>,
    data: Option<TcpStream>,
}

impl Door {
    /// Begins to listen.
    ///
    /// # Errors
    /// [`ClusterError::Listen`].
    pub(super) fn open(
        membership: &Membership,
        on_connected: OnConnected,
    ) -> Result<Self, ClusterError> {
        let address = &membership.hosts[membership.process];
        let failed = |error| ClusterError::Listen { address: address.clone(), error };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let shared = Arc::new(Shared {
            membership: membership.clone(),
            on_connected,
            closed: AtomicBool::new(false),
            pending: Mutex::default(),
            halves: Mutex::default(),
            warned: Mutex::default(),
        });
        let (listening, answering) = (listener.try_clone().map_err(failed)?, Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("cluster-door".into());
        let thread = thread.spawn(move || answering.listen(&listening)).map_err(failed)?;
        Ok(Self { shared, listener, thread: Some(thread) })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        // Wakes the thread.
        let _ = SockRef::from(&self.listener).shutdown(Shutdown::Both);
        for (_, stream) in self.shared.pending.lock().drain(..) {
            // It may be closed by now.
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn listen(self: &Arc<Self>, listener: &TcpListener) {
        let mut number = 0;
        while !self.closed.load(Ordering::Acquire) {
            let Ok((stream, _)) = listener.accept() else {
                // Such as no descriptor left.
                std::thread::sleep(RETRY);
                continue;
            };
            number += 1;
            if let Ok(handle) = stream.try_clone() {
                self.note(number, handle);
            }
            let shared = Arc::clone(self);
            let thread = std::thread::Builder::new().name("cluster-handshake".into());
            // Without a thread the connection is closed, and tried again.
            let _ = thread.spawn(move || {
                let answered = shared.answer(stream);
                shared.pending.lock().retain(|(at, _)| *at != number);
                if let Err(error) = answered {
                    shared.warn(&error);
                }
            });
        }
    }

    fn note(&self, number: u64, handle: TcpStream) {
        let mut pending = self.pending.lock();
        pending.push_back((number, handle));
        if pending.len() > HANDSHAKES_MAX
            && let Some((_, oldest)) = pending.pop_front()
        {
            // It may be closed by now.
            let _ = oldest.shutdown(Shutdown::Both);
        }
    }

    fn answer(&self, stream: TcpStream) -> Result<(), HandshakeError> {
        let (opening, sender, receiver) = handshake::answer(&self.membership, stream)?;
        let mut halves = self.halves.lock();
        let new = || Halves { attempt: opening.attempt, control: None, data: None };
        let known = halves.entry(opening.from).or_insert_with(new);
        if known.attempt != opening.attempt {
            *known = new();
        }
        match opening.purpose {
            Purpose::Control => known.control = Some((sender, receiver)),
            Purpose::Data => known.data = Some(receiver.into_stream()),
        }
        if known.control.is_some()
            && known.data.is_some()
            && let Some(Halves { attempt, control: Some(control), data: Some(data) }) =
                halves.remove(&opening.from)
        {
            drop(halves);
            (self.on_connected)(Connected { peer: opening.from, attempt, control, data });
        }
        Ok(())
    }

    /// Says that somebody was refused, now and then: it may be an attack, or a wrong secret.
    fn warn(&self, error: &HandshakeError) {
        let HandshakeError::Refused(refusal) = error else { return };
        let mut warned = self.warned.lock();
        if warned.is_none_or(|at| at.elapsed() >= REPORT) {
            *warned = Some(Instant::now());
            tracing::warn!("refused a connection to the port of the cluster: {refusal}");
        }
    }
}
