//! The main job on a file, to its end: run the dataflow over the sources, then write each session.

use std::collections::HashSet;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::ask::export::{self, ExportError};
use crate::sorted::Sorter;
use crate::{Engine, EngineError, Settings};
use spoor_api::query::{Refusals, SourceCounts, Status};
use spoor_api::service::ServiceError;
use spoor_store::StoreError;

pub use crate::line::object;

/// Why a replay failed; what was committed before stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sessions cannot be read.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The sessions cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl From<ExportError> for ReplayError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Service(error) => Self::Service(error),
            ExportError::Output(error) => Self::Output(error),
        }
    }
}

/// The last line a replay writes to standard error.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Records read.
    pub read: u64,
    /// Of them, in sessions.
    pub accepted: u64,
    /// Requests that were there already.
    pub duplicate: u64,
    /// Bad records.
    pub bad: u64,
    /// Out of scope.
    pub excluded: u64,
    /// Nothing to group by.
    pub unkeyed: u64,
    /// For days that retention had dropped.
    pub expired: u64,
    /// Too far ahead of the wall clock; 0 unless the configuration refuses them.
    pub future: u64,
    /// Records of which a side field was dropped; they are counted above too.
    pub repaired: u64,
    /// Sessions written.
    pub sessions: u64,
    /// Identities they belong to.
    pub identities: u64,
    /// Of the whole run, output included.
    pub seconds: f64,
    /// Records read in a second.
    pub requests_per_second: f64,
}

/// A replay whose sources have ended: everything it took is committed and can be written.
pub struct Replayed {
    engine: Engine,
    counts: SourceCounts,
    refusals: Vec<(String, Refusals)>,
}

/// Runs an engine until its sources have ended, or `watch` breaks, which is called now and then
/// with what was committed.
///
/// # Errors
/// [`ReplayError`]. A source that failed is none in a process alone: what was read is there, and
/// [`Replayed::end`] names the failure. In a cluster it is one, because process 0 writes for all.
pub fn run(
    settings: Settings,
    watch: &mut dyn FnMut(&SourceCounts, u64) -> ControlFlow<()>,
) -> Result<Replayed, ReplayError> {
    let engine = Engine::start(settings)?;
    while engine.is_running() && !engine.is_drained() {
        engine.wait_for_end(WATCH_INTERVAL);
        if let Ok(status) = status(&engine) {
            let bytes = status.sources.iter().map(|source| source.offset).sum();
            if watch(&counts_of(&status), bytes).is_break() {
                engine.stop();
                return replayed(engine);
            }
        }
    }
    if !engine.is_drained() || (engine.is_clustered() && engine.lacks_a_source()) {
        let unknown = || EngineError::Failed("its log says why".into());
        return Err(engine.join().err().unwrap_or_else(unknown).into());
    }
    replayed(engine)
}

/// What an engine has taken so far.
fn replayed(engine: Engine) -> Result<Replayed, ReplayError> {
    let status = status(&engine)?;
    let counts = counts_of(&status);
    let refusals = status.sources.into_iter().map(|source| (source.source, source.refusals));
    let refusals = refusals.filter(|(_, refusals)| !refusals.0.is_empty()).collect();
    Ok(Replayed { engine, counts, refusals })
}

/// Of the whole cluster if this process leads it; of this process if another does.
fn status(engine: &Engine) -> Result<Status, ServiceError> {
    if engine.leads() { engine.services().reader.view()?.status() } else { engine.own_status() }
}

impl Replayed {
    /// What became of the records: of all processes if this one leads them, else of this one.
    #[must_use]
    pub fn counts(&self) -> SourceCounts {
        self.counts
    }

    /// How many files of directories were left out by this process, because they are no logs.
    #[must_use]
    pub fn files_left_out(&self) -> u64 {
        self.engine.files_left_out()
    }

    /// By source, why records were refused; of the same processes as [`Replayed::counts`].
    #[must_use]
    pub fn refusals(&self) -> &[(String, Refusals)] {
        &self.refusals
    }

    /// Whether this process is to write the sessions of all.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.engine.leads()
    }

    /// Writes every session, of all processes, as one JSON object a line, sorted by
    /// `(namespace, value, start)`. The numbers of sessions and identities.
    ///
    /// # Errors
    /// [`ReplayError::Service`] when a process does not answer, [`ReplayError::Store`],
    /// [`ReplayError::Output`].
    pub fn write_sessions(
        &self,
        with_requests: bool,
        out: &mut dyn Write,
    ) -> Result<(u64, u64), ReplayError> {
        write_sessions_of_all(&self.engine, with_requests, out)
    }

    /// Lets the other processes go, and waits until they do: they answer until the leader is here.
    ///
    /// # Errors
    /// [`ReplayError::Engine`] when a process failed meanwhile, or a source could not be read to its
    /// end.
    pub fn end(self) -> Result<(), ReplayError> {
        Ok(self.engine.join()?)
    }
}

fn counts_of(status: &Status) -> SourceCounts {
    let mut counts = SourceCounts::default();
    status.sources.iter().for_each(|source| counts.add(&source.counts));
    counts
}

/// How often a replay says how far it is.
const WATCH_INTERVAL: Duration = Duration::from_millis(20);

/// As [`Replayed::write_sessions`], of any engine.
///
/// # Errors
/// As [`Replayed::write_sessions`].
pub fn write_sessions_of_all(
    engine: &Engine,
    with_requests: bool,
    out: &mut dyn Write,
) -> Result<(u64, u64), ReplayError> {
    let mut sorter = Sorter::default();
    let mut push = |key: Bytes, line: Bytes| sorter.push(key.into(), line.into());
    export::export(&engine.context.serving, with_requests, &mut push)?;
    write_sorted(sorter, out)
}

/// Writes lines in order; the numbers of them and of their identities.
fn write_sorted(sorter: Sorter, out: &mut dyn Write) -> Result<(u64, u64), ReplayError> {
    let (mut sessions, mut identities) = (0, Identities::default());
    sorter.finish(&mut |key, line| {
        sessions += 1;
        identities.see(key);
        out.write_all(line)?;
        out.write_all(b"\n")
    })?;
    out.flush()?;
    Ok((sessions, identities.count))
}

/// Counts identities of sorted keys: those with one namespace and value come together, and are
/// more than one only where a key is per app or host.
#[derive(Default)]
struct Identities {
    words: Vec<u8>,
    ids: HashSet<[u8; ID_BYTES]>,
    count: u64,
}

/// Bytes of a key after namespace and value: start, identity.
const START_BYTES: usize = 8;
const ID_BYTES: usize = 16;

impl Identities {
    fn see(&mut self, key: &[u8]) {
        let (words, tail) = key.split_at(key.len() - START_BYTES - ID_BYTES);
        if self.words != words {
            self.words = words.to_vec();
            self.ids.clear();
        }
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&tail[START_BYTES..]);
        self.count += u64::from(self.ids.insert(id));
    }
}
