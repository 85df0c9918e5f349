//! How the processes of a cluster find each other, and what they say before the dataflow begins.
//!
//! A process listens on its own line of the hosts file for those with greater numbers, and calls all
//! with smaller ones at once, again and again until they are there: they may be started in any
//! order, die and come again. What they say then is heard from all at once, too. When one is lost
//! before all know the same, everybody closes all connections and the meeting begins again, so no
//! process waits for what another has said to one that is gone.
//!
//! Every wait is bounded ([`super::limits`]) and says for whom it waits, in the log and in
//! [`Startup`].

use std::collections::{HashMap, VecDeque};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crossbeam_channel as channel;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::door::Door;
use super::handshake::{self, HandshakeError, Opening, Purpose};
use super::limits::{LOOK, MEETING_MAX, PAUSE, REPORT, RETRY, WORDS_MAX};
use super::link::{Link, Watch};
use super::roster::{Connected, Event, Roster};
use super::{ClusterError, Membership};
use crate::startup::Startup;
use spoor_store::secret::random;

/// Processes that come together.
pub struct Meeting {
    membership: Membership,
    startup: Startup,
    /// Closed first: nobody connects any more when the others go.
    door: Option<Door>,
    roster: Roster,
    events: channel::Receiver<Event>,
    happens: channel::Sender<Event>,
    /// The data connections of those who are there.
    there: HashMap<usize, (u64, TcpStream)>,
    /// What each has said and nobody has listened to.
    said: HashMap<usize, VecDeque<Vec<u8>>>,
    callers: Callers,
    begun: Instant,
    reported: Instant,
}

/// Connections to all other processes, for the engine.
pub struct Connections {
    streams: Vec<Option<TcpStream>>,
    heartbeats: Heartbeats,
}

/// Whether the others live, as long as the engine runs. They hear of its end when this is dropped.
pub struct Heartbeats {
    roster: Roster,
    events: channel::Receiver<Event>,
}

impl Meeting {
    /// Begins to listen and to call.
    ///
    /// # Errors
    /// [`ClusterError::Listen`], [`ClusterError::System`].
    pub fn open(membership: &Membership, startup: &Startup) -> Result<Self, ClusterError> {
        let (happens, events) = channel::unbounded();
        let connected = happens.clone();
        let door = Door::open(
            membership,
            Box::new(move |who| {
                // The meeting may be over.
                let _ = connected.send(Event::Connected(who));
            }),
        )?;
        Ok(Self {
            membership: membership.clone(),
            startup: startup.clone(),
            door: Some(door),
            roster: Roster::new(happens.clone()).map_err(ClusterError::System)?,
            events,
            happens,
            there: HashMap::new(),
            said: HashMap::new(),
            callers: Callers::default(),
            begun: Instant::now(),
            reported: Instant::now(),
        })
    }

    /// Waits until all are connected.
    ///
    /// # Errors
    /// [`ClusterError::Missing`] after [`MEETING_MAX`], [`ClusterError::Cancelled`].
    pub fn gather(&mut self) -> Result<(), ClusterError> {
        loop {
            let missing = self.missing();
            if missing.is_empty() {
                return Ok(());
            }
            for peer in missing.iter().copied().filter(|peer| *peer < self.membership.process) {
                self.callers.call(&self.membership, peer, &self.happens)?;
            }
            self.wait(&missing, "to come", MEETING_MAX, self.begun)?;
        }
    }

    /// Tells everybody the same, and hears what each has to say. By number, this process included.
    ///
    /// # Errors
    /// [`ClusterError::Left`] when one is gone: the meeting is to begin again;
    /// [`ClusterError::Missing`], [`ClusterError::Peer`], [`ClusterError::Cancelled`].
    pub fn exchange<T>(&mut self, mine: &T) -> Result<Vec<T>, ClusterError>
    where
        T: Serialize + DeserializeOwned + Clone,
    {
        let words = serde_json::to_vec(mine).expect("what processes say is plain data");
        let begun = Instant::now();
        self.roster.tell_all(&words);
        let mut heard: HashMap<usize, T> = HashMap::new();
        loop {
            let silent: Vec<_> = self.others().filter(|peer| !heard.contains_key(peer)).collect();
            let mut waits = Vec::new();
            for peer in silent {
                match self.said.get_mut(&peer).and_then(VecDeque::pop_front) {
                    Some(words) => drop(heard.insert(peer, self.understand(peer, &words)?)),
                    None if !self.there.contains_key(&peer) => {
                        return Err(ClusterError::Left(self.name(peer)));
                    }
                    None => waits.push(peer),
                }
            }
            if waits.is_empty() {
                heard.insert(self.membership.process, mine.clone());
                let all = 0..self.membership.processes();
                return Ok(all.filter_map(|peer| heard.remove(&peer)).collect());
            }
            self.wait(&waits, "to say where its store stands", WORDS_MAX, begun)?;
        }
    }

    /// Closes all connections, for everybody to begin again.
    pub fn begin_again(&mut self) {
        for peer in self.others() {
            self.roster.forget(peer);
        }
        self.there.clear();
        self.said.clear();
        std::thread::sleep(PAUSE);
    }

    /// The connections, for the engine. Nobody else is let in.
    pub fn close(mut self) -> Connections {
        self.door = None;
        let Self { membership, roster, events, mut there, callers, .. } = self;
        drop(callers);
        let all = 0..membership.processes();
        let streams = all.map(|peer| there.remove(&peer).map(|(_, stream)| stream)).collect();
        Connections { streams, heartbeats: Heartbeats { roster, events } }
    }

    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.membership.process;
        (0..self.membership.processes()).filter(move |peer| *peer != me)
    }

    fn missing(&self) -> Vec<usize> {
        self.others().filter(|peer| !self.there.contains_key(peer)).collect()
    }

    fn name(&self, peer: usize) -> String {
        format!("process {peer} ({})", self.membership.hosts[peer])
    }

    fn understand<T: DeserializeOwned>(
        &self,
        peer: usize,
        words: &[u8],
    ) -> Result<T, ClusterError> {
        serde_json::from_slice(words).map_err(|error| ClusterError::Peer {
            process: peer,
            address: self.membership.hosts[peer].clone(),
            reason: format!("it is not understood: {error}"),
        })
    }

    /// Waits for something to happen, for a moment, and takes note of it.
    fn wait(
        &mut self,
        whom: &[usize],
        what: &str,
        bound: std::time::Duration,
        begun: Instant,
    ) -> Result<(), ClusterError> {
        if self.startup.is_cancelled() {
            return Err(ClusterError::Cancelled);
        }
        let names: Vec<_> = whom.iter().map(|peer| self.name_with_reason(*peer)).collect();
        let waits = format!("waiting for {} {what}", names.join(", "));
        if begun.elapsed() >= bound {
            return Err(ClusterError::Missing { waits, seconds: bound.as_secs() });
        }
        if self.reported.elapsed() >= REPORT {
            self.reported = Instant::now();
            tracing::warn!("{waits}");
        }
        self.startup.say(waits);
        if let Ok(event) = self.events.recv_timeout(LOOK) {
            self.happened(event)?;
            while let Ok(event) = self.events.try_recv() {
                self.happened(event)?;
            }
        }
        Ok(())
    }

    /// Its name, and why it could not be reached if that says more than that it is not there.
    fn name_with_reason(&self, peer: usize) -> String {
        match self.callers.reason(peer) {
            Some(reason) => format!("{}: {reason};", self.name(peer)),
            None => self.name(peer),
        }
    }

    fn happened(&mut self, event: Event) -> Result<(), ClusterError> {
        match event {
            Event::Connected(connected) => {
                let (peer, attempt) = (connected.peer, connected.attempt);
                // A process that was started again comes in the place of what it was.
                let data = self.roster.take(connected).map_err(ClusterError::System)?;
                self.said.remove(&peer);
                let before = self.there.insert(peer, (attempt, data));
                if before.is_some() {
                    tracing::info!("{} has come again", self.name(peer));
                }
            }
            Event::Words(peer, attempt, words) if self.roster.is_current(peer, attempt) => {
                self.said.entry(peer).or_default().push_back(words);
            }
            Event::Lost(peer, attempt, reason) if self.roster.is_current(peer, attempt) => {
                tracing::info!("{} is gone: {reason}", self.name(peer));
                self.roster.forget(peer);
                self.there.remove(&peer);
            }
            // Of an engine that has failed while this process was not part of it, or of connections
            // that are closed.
            Event::Words(..) | Event::Lost(..) | Event::Failed(..) => {}
        }
        Ok(())
    }
}

impl Connections {
    /// The connections of the dataflow, and the heartbeats.
    ///
    /// # Errors
    /// [`ClusterError::System`].
    pub fn into_links(
        self,
        watch: &Arc<Watch>,
    ) -> Result<(Vec<Option<Link>>, Heartbeats), ClusterError> {
        let link = |(peer, stream): (usize, Option<TcpStream>)| {
            let Some(stream) = stream else { return Ok(None) };
            let stream = handshake::unbounded(stream).map_err(ClusterError::System)?;
            Ok(Some(Link::new(stream, peer, Arc::clone(watch))))
        };
        let links = self.streams.into_iter().enumerate().map(link).collect::<Result<_, _>>()?;
        Ok((links, self.heartbeats))
    }

    /// A process that has not been heard of for a while; [`super::NOBODY`] if there is none.
    #[must_use]
    pub fn silent(&self) -> Arc<AtomicUsize> {
        self.heartbeats.roster.silent()
    }
}

impl Heartbeats {
    /// Tells `watch` of every process that is lost, and `on_failed` of those that say they stop, as
    /// long as `goes_on`.
    pub fn watch(
        &self,
        watch: &Watch,
        on_failed: impl Fn(usize, String),
        failure: impl Fn() -> Option<(usize, String)>,
        goes_on: impl Fn() -> bool,
    ) {
        let mut told = false;
        while goes_on() {
            if !told && let Some((process, reason)) = failure() {
                told = true;
                self.roster.fail(process, &reason);
            }
            match self.events.recv_timeout(LOOK) {
                Ok(Event::Lost(peer, _, reason)) => watch.lost(peer, &reason),
                Ok(Event::Failed(process, reason)) => on_failed(process, reason),
                Ok(Event::Connected(_) | Event::Words(..)) | Err(_) => {}
            }
        }
    }
}

/// The threads that call the processes with smaller numbers: one for each that is missing.
#[derive(Default)]
struct Callers {
    shared: Arc<CallersShared>,
}

#[derive(Default)]
struct CallersShared {
    ended: AtomicBool,
    /// Who is being called, and why it could not be reached last.
    calling: Mutex<HashMap<usize, Option<String>>>,
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
    }
}

impl Callers {
    /// Calls a process until it is reached, unless that is being done.
    fn call(
        &self,
        membership: &Membership,
        peer: usize,
        happens: &channel::Sender<Event>,
    ) -> Result<(), ClusterError> {
        if self.shared.calling.lock().contains_key(&peer) {
            return Ok(());
        }
        self.shared.calling.lock().insert(peer, None);
        let (shared, membership) = (Arc::clone(&self.shared), membership.clone());
        let happens = happens.clone();
        let thread = std::thread::Builder::new().name(format!("cluster-call-{peer}"));
        let called = thread.spawn(move || {
            while !shared.ended.load(Ordering::Acquire) {
                match reach(&membership, peer) {
                    Ok(connected) => {
                        shared.calling.lock().remove(&peer);
                        // The meeting may be over.
                        let _ = happens.send(Event::Connected(connected));
                        return;
                    }
                    Err(error) => shared.failed(peer, &error),
                }
                std::thread::sleep(RETRY);
            }
        });
        called.map(drop).map_err(ClusterError::System)
    }

    fn reason(&self, peer: usize) -> Option<String> {
        self.shared.calling.lock().get(&peer).cloned().flatten()
    }
}

impl CallersShared {
    fn failed(&self, peer: usize, error: &HandshakeError) {
        // That it does not listen is said by waiting for it.
        let says_more = matches!(error, HandshakeError::Refused(_));
        let reason = says_more.then(|| error.to_string());
        if let Some(known) = self.calling.lock().get_mut(&peer) {
            *known = reason;
        }
    }
}

/// Both connections to a process.
fn reach(membership: &Membership, peer: usize) -> Result<Connected, HandshakeError> {
    let attempt = u64::from_be_bytes(*random()?.first_chunk().expect("32 bytes begin with 8"));
    let opening = |purpose| Opening { purpose, from: membership.process, to: peer, attempt };
    let control = handshake::call(membership, opening(Purpose::Control))?;
    let (_, data) = handshake::call(membership, opening(Purpose::Data))?;
    Ok(Connected { peer, attempt, control, data: data.into_stream() })
}
