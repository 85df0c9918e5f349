//! Which followed files may have something to read: told by the system, and looked at anyway.
//!
//! The directories of the files are watched (inotify), not the files, because a rotation changes the
//! directory. Not every file system tells, another machine may write, and the number of watches is
//! limited: so every file is looked at from time to time all the same, and often where nobody tells.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

use super::LOOK_INTERVAL;
use super::rotated::directory;

/// How often every file is looked at, whatever the system tells.
const LOOK_ANYWAY: Duration = Duration::from_secs(1);
/// Shortest time between two looks: what is written meanwhile is read at once.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// Bytes of what the system tells that are read at a time.
const EVENT_BYTES: usize = 16 << 10;

/// Watches the directories of files, which are known by their number.
pub struct Watcher {
    /// None: the system does not tell.
    events: Option<OwnedFd>,
    /// Which files a name in a watched directory is.
    names: HashMap<(i32, OsString), Vec<usize>>,
    watched: HashMap<PathBuf, i32>,
    paths: Vec<PathBuf>,
    /// Files of which nobody tells.
    unwatched: BTreeSet<usize>,
    looked_at_all: Instant,
}

impl Watcher {
    /// A watcher of these files.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC);
        if let Err(error) = &events {
            tracing::warn!(%error, "followed files are looked at now and then: no inotify");
        }
        let mut watcher = Self {
            events: events.ok(),
            names: HashMap::new(),
            watched: HashMap::new(),
            unwatched: (0..paths.len()).collect(),
            paths,
            looked_at_all: Instant::now(),
        };
        watcher.watch_more();
        watcher
    }

    /// Watches what is not watched yet, as far as it is there and the system has room.
    fn watch_more(&mut self) {
        for file in std::mem::take(&mut self.unwatched) {
            let path = self.paths[file].clone();
            let target = path.canonicalize().ok().filter(|target| *target != path);
            let all =
                [Some(path), target].into_iter().flatten().all(|path| self.watch(file, &path));
            if !all {
                self.unwatched.insert(file);
            }
        }
    }

    /// Whether the directory of a path is watched for a file.
    fn watch(&mut self, file: usize, path: &Path) -> bool {
        let (Some(events), Some(name)) = (&self.events, path.file_name()) else { return false };
        let directory = directory(path).to_path_buf();
        let watch = match self.watched.get(&directory) {
            Some(watch) => *watch,
            None => {
                let flags = WatchFlags::MODIFY
                    | WatchFlags::CREATE
                    | WatchFlags::MOVED_TO
                    | WatchFlags::ATTRIB
                    | WatchFlags::ONLYDIR;
                let Ok(watch) = inotify::add_watch(events, &directory, flags) else { return false };
                self.watched.insert(directory, watch);
                watch
            }
        };
        let files = self.names.entry((watch, name.to_owned())).or_default();
        if !files.contains(&file) {
            files.push(file);
        }
        true
    }

    /// Waits, and answers the files to be looked at.
    pub fn wait(&mut self) -> BTreeSet<usize> {
        std::thread::sleep(LOOK_PAUSE);
        let rest = LOOK_INTERVAL.saturating_sub(LOOK_PAUSE);
        let mut due = BTreeSet::new();
        if self.await_events(rest) {
            self.take_events(&mut due);
        }
        due.extend(&self.unwatched);
        if self.looked_at_all.elapsed() >= LOOK_ANYWAY {
            self.looked_at_all = Instant::now();
            self.watch_more();
            due.extend(0..self.paths.len());
        }
        due
    }

    /// Whether there are events within a time.
    fn await_events(&self, most: Duration) -> bool {
        let Some(events) = &self.events else {
            std::thread::sleep(most);
            return false;
        };
        let nanos = i64::from(most.subsec_nanos());
        let step = Timespec { tv_sec: most.as_secs().cast_signed(), tv_nsec: nanos };
        matches!(poll(&mut [PollFd::new(events, PollFlags::IN)], Some(&step)), Ok(1..))
    }

    fn take_events(&mut self, due: &mut BTreeSet<usize>) {
        let Some(events) = &self.events else { return };
        let mut buffer = [MaybeUninit::uninit(); EVENT_BYTES];
        let mut reader = Reader::new(events, &mut buffer);
        while let Ok(event) = reader.next() {
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                due.extend(0..self.paths.len());
            }
            if event.events().contains(ReadFlags::IGNORED) {
                // The directory is gone; another may come.
                let gone = event.wd();
                self.watched.retain(|_, watch| *watch != gone);
                let of_it = self.names.extract_if(|(watch, _), _| *watch == gone);
                self.unwatched.extend(of_it.flat_map(|(_, files)| files));
            }
            let Some(name) = event.file_name() else { continue };
            let name = OsString::from_vec(name.to_bytes().to_vec());
            due.extend(self.names.get(&(event.wd(), name)).into_iter().flatten());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until a file is due for another reason than that all are looked at.
    fn is_told(watcher: &mut Watcher, file: usize) -> bool {
        watcher.looked_at_all = Instant::now();
        let due = watcher.wait();
        due.contains(&file)
    }

    #[test]
    fn what_changes_is_told_and_what_cannot_be_watched_is_always_due() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("target")).unwrap();
        std::fs::write(path("target/log"), "").unwrap();
        std::os::unix::fs::symlink(path("target/log"), path("link")).unwrap();
        let paths = vec![path("a"), path("b"), path("link"), path("none/yet")];
        let mut watcher = Watcher::new(paths);
        assert_eq!(watcher.unwatched.iter().copied().collect::<Vec<_>>(), [3]);
        std::fs::write(path("a"), "x").unwrap();
        assert!(is_told(&mut watcher, 0), "it was made");
        assert!(!is_told(&mut watcher, 1), "nothing happened to it");
        std::fs::rename(path("a"), path("b")).unwrap();
        assert!(is_told(&mut watcher, 1), "it came");
        std::fs::write(path("target/log"), "x").unwrap();
        assert!(is_told(&mut watcher, 2), "what it links to was written to");
        assert!(is_told(&mut watcher, 3), "nobody tells of it");
        std::fs::create_dir(path("none")).unwrap();
        watcher.watch_more();
        assert!(watcher.unwatched.is_empty());
        std::fs::write(path("none/yet"), "x").unwrap();
        assert!(is_told(&mut watcher, 3));
        std::fs::remove_dir_all(path("none")).unwrap();
        is_told(&mut watcher, 3);
        assert!(watcher.unwatched.contains(&3), "its directory is gone");
        watcher.looked_at_all = Instant::now() - LOOK_ANYWAY;
        assert_eq!(watcher.wait().len(), 4);
    }
}
