//! The threads that read sources, and what they send the coordinator.
//!
//! One thread follows all followed files, a few read the files that end, each one after the other,
//! and every stream has its own, because it waits. All send into one bounded channel, so a
//! coordinator that does not keep up makes them wait: memory does not grow with the input, and
//! nothing is dropped. A source that was told to stop has not ended.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use crate::divide::Reading;
use crate::fate::Fate;
use crate::guard::Thread;
use crate::health::Health;
use crate::limits::READER_THREADS_MAX;
use spoor_input::source::opening::Stop;
use spoor_input::source::watch::Watcher;
use spoor_input::source::{
    self, Chunk, LOOK_INTERVAL, Next, Source, SourceError, SourceId, SourceSpec,
};
use spoor_store::failpoint;

/// What a source's thread says.
#[derive(Debug)]
pub enum FromSource {
    /// Records.
    Chunk(Chunk),
    /// It was read to its end.
    End(SourceId),
    /// It cannot be read further.
    Failed(SourceId, SourceError),
    /// It was told to stop: the next start goes on.
    Stopped(SourceId),
    /// It is a file of a directory, and none that can be read as a log.
    LeftOut(SourceId),
}

/// What every thread has.
#[derive(Clone)]
pub struct Shared {
    /// To the coordinator.
    pub to: Sender<FromSource>,
    /// When to stop.
    pub stop: Stop,
    /// Where what is wrong is told.
    pub health: Arc<Health>,
    /// Of the engine, if there is one: a thread that panics stops it.
    pub fate: Option<Arc<Fate>>,
}

type Numbered = (SourceId, Reading);

/// Starts the threads of sources, each read behind its checkpoint if it has one.
///
/// # Errors
/// The system has no thread left.
pub fn spawn(sources: Vec<Numbered>, shared: &Shared) -> std::io::Result<Vec<Thread>> {
    let is_followed = |(_, one): &Numbered| matches!(one.spec, SourceSpec::Follow { .. });
    let (followed, rest): (Vec<_>, Vec<_>) = sources.into_iter().partition(is_followed);
    let (streams, files): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|(_, reading)| reading.spec.is_new_each_time());
    let mut threads = Vec::new();
    if !followed.is_empty() {
        let shared = shared.clone();
        let guard = shared.fate.clone();
        threads.push(thread(&guard, "follow".into(), move || follow(followed, &shared))?);
    }
    for (id, reading) in streams {
        let (shared, name) = (shared.clone(), format!("stream-{}", id.0));
        let guard = shared.fate.clone();
        threads.push(thread(&guard, name, move || shared.read_out(id, &reading))?);
    }
    let readers = files.len().min(READER_THREADS_MAX);
    let files = Arc::new(Mutex::new(VecDeque::from(files)));
    for number in 0..readers {
        let (shared, files) = (shared.clone(), Arc::clone(&files));
        let guard = shared.fate.clone();
        threads.push(thread(&guard, format!("reader-{number}"), move || {
            // The lock is not held while a file is read.
            let next = || files.lock().pop_front();
            while let Some((id, reading)) = next() {
                shared.read_out(id, &reading);
            }
        })?);
    }
    Ok(threads)
}

/// Starts a thread whose panic stops the engine, if there is one.
fn thread(
    fate: &Option<Arc<Fate>>,
    name: String,
    run: impl FnOnce() + Send + 'static,
) -> std::io::Result<Thread> {
    let what = format!("thread `{name}` of sources");
    match fate {
        Some(fate) => Thread::start(fate, name, what, run),
        None => Thread::spawn(name, &Arc::default(), run),
    }
}

fn open(reading: &Reading, stop: &Stop) -> Result<Box<dyn Source>, SourceError> {
    let (spec, checkpoint) = (&reading.spec, &reading.row.checkpoint);
    match checkpoint.is_empty() {
        false => source::resume(spec, checkpoint, stop),
        true => source::open(spec, 0, stop),
    }
}

impl Shared {
    /// Whether the coordinator still listens: it is gone when everything stops.
    fn send(&self, what: FromSource) -> bool {
        self.to.send(what).is_ok()
    }

    /// Hands over a chunk, named as its source is in the whole cluster.
    fn hand_over(&self, id: SourceId, reading: &Reading, own: &str, mut chunk: Chunk) -> bool {
        failpoint::hit("panic-source");
        chunk.source = id;
        if reading.name != own {
            // What follows the name tells the files of a followed one apart.
            let rest = chunk.name.strip_prefix(own).unwrap_or_default();
            chunk.name = format!("{}{rest}", reading.name).into();
        }
        self.send(FromSource::Chunk(chunk))
    }

    /// How a source came to no more.
    fn close(&self, id: SourceId, is_optional: bool, result: Result<(), SourceError>) {
        let is_stopped = self.stop.is_set();
        self.send(match result {
            _ if is_stopped => FromSource::Stopped(id),
            Ok(()) => FromSource::End(id),
            Err(error @ SourceError::Format { .. }) if is_optional => {
                tracing::warn!("left out: {error}");
                self.health.failed(id, format!("left out: {error}"));
                FromSource::LeftOut(id)
            }
            Err(error) => {
                self.health.failed(id, error.to_string());
                FromSource::Failed(id, error)
            }
        });
    }

    /// Reads a source that has an end.
    fn read_out(&self, id: SourceId, reading: &Reading) {
        let result = self.read_to_end(id, reading);
        self.close(id, reading.optional, result);
    }

    fn read_to_end(&self, id: SourceId, reading: &Reading) -> Result<(), SourceError> {
        if self.stop.is_set() {
            return Ok(());
        }
        let mut source = open(reading, &self.stop)?;
        while !self.stop.is_set() {
            match source.next()? {
                Next::Chunk(chunk) => {
                    if !self.hand_over(id, reading, source.name(), chunk) {
                        return Ok(());
                    }
                }
                Next::Missing(what) => self.health.missing(id, what),
                Next::Failing(error) => {
                    self.health.failing(id, error.to_string());
                    std::thread::sleep(LOOK_INTERVAL);
                }
                Next::Idle => std::thread::sleep(LOOK_INTERVAL),
                Next::End => return Ok(()),
            }
        }
        Ok(())
    }

    /// Looks at a followed file once; whether it has more.
    fn look(&self, one: &mut Followed) -> Result<bool, SourceError> {
        let (id, reading) = (one.id, &one.reading);
        match one.source.next()? {
            Next::Chunk(chunk) => return Ok(self.hand_over(id, reading, one.source.name(), chunk)),
            Next::Missing(what) => {
                self.health.missing(id, what);
                return Ok(true);
            }
            Next::Failing(error) => self.health.failing(id, error.to_string()),
            Next::Idle | Next::End => self.health.well(id, &reading.name),
        }
        Ok(false)
    }
}

/// A followed file.
struct Followed {
    id: SourceId,
    reading: Reading,
    source: Box<dyn Source>,
}

/// Follows all followed files, each one chunk at a time.
fn follow(files: Vec<Numbered>, shared: &Shared) {
    let mut followed: Vec<Option<Followed>> = Vec::new();
    let mut paths = Vec::new();
    for (id, reading) in files {
        if let SourceSpec::Follow { path, .. } = &reading.spec {
            paths.push(path.clone());
            followed.push(match open(&reading, &shared.stop) {
                Ok(source) => Some(Followed { id, reading, source }),
                Err(error) => {
                    shared.close(id, false, Err(error));
                    None
                }
            });
        }
    }
    let mut watcher = Watcher::new(paths);
    let mut due: BTreeSet<usize> = (0..followed.len()).collect();
    while !shared.stop.is_set() && followed.iter().any(Option::is_some) {
        due.retain(|&at| {
            let Some(one) = followed[at].as_mut().filter(|_| !shared.stop.is_set()) else {
                return false;
            };
            match shared.look(one) {
                Ok(has_more) => has_more,
                Err(error) => {
                    let id = one.id;
                    followed[at] = None;
                    shared.close(id, false, Err(error));
                    false
                }
            }
        });
        if due.is_empty() && !shared.stop.is_set() {
            due = watcher.wait();
        }
    }
    for one in followed.into_iter().flatten() {
        shared.close(one.id, false, Ok(()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::SourceRow;

    #[test]
    fn a_source_that_is_told_to_stop_has_not_ended_and_goes_on_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "{\"ts\":0,\"method\":\"GET\",\"path\":\"/\"}\n").unwrap();
        let file = SourceSpec::File { path: path.clone(), format: None };
        let follow = SourceSpec::Follow { path, format: None };
        let mut pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let stream = SourceSpec::Stream { path: std::mem::take(&mut pipe), format: None };
        let sources = [file, follow, stream].into_iter().zip(1..).map(|(spec, id)| {
            let (name, row) = (spec.name(), SourceRow::default());
            (SourceId(id), Reading { spec, name, optional: false, row })
        });
        let (to, said) = crossbeam_channel::unbounded();
        let shared = Shared { to, stop: Stop::default(), health: Arc::default(), fate: None };
        shared.stop.set();
        let threads = spawn(sources.collect(), &shared).unwrap();
        threads.into_iter().for_each(Thread::join);
        drop(shared);
        let said: Vec<_> = said.iter().collect();
        assert_eq!(said.len(), 3);
        assert!(said.iter().all(|one| matches!(one, FromSource::Stopped(_))), "{said:?}");
    }

    #[test]
    fn many_files_are_read_by_few_threads() {
        let dir = tempfile::tempdir().unwrap();
        let sources = (0..200).map(|number| {
            let path = dir.path().join(number.to_string());
            std::fs::write(&path, "").unwrap();
            let kind = |follows| match follows {
                true => SourceSpec::Follow { path: path.clone(), format: None },
                false => SourceSpec::File { path: path.clone(), format: None },
            };
            let (spec, row) = (kind(number % 2 == 0), SourceRow::default());
            (SourceId(number), Reading { name: spec.name(), spec, optional: false, row })
        });
        let (to, said) = crossbeam_channel::unbounded();
        let shared = Shared { to, stop: Stop::default(), health: Arc::default(), fate: None };
        let threads = spawn(sources.collect(), &shared).unwrap();
        assert_eq!(threads.len(), READER_THREADS_MAX + 1);
        shared.stop.set();
        threads.into_iter().for_each(Thread::join);
        assert_eq!(said.len(), 200);
    }
}
