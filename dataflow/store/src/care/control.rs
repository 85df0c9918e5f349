//! How a tool asks the process that has a store open for a backup: a socket beside the database.
//!
//! Whoever may enter the store's directory is its owner already, so the rights of the socket (its
//! owner only) are all the protection there is; nothing of it is reachable over the network. A
//! question is a line of JSON, so is each answer; a connection has one question.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use socket2::SockRef;

use super::super::{Store, StoreError};
use super::{Backup, Watch};
use crate::failpoint;

/// The socket in the store's directory.
pub(super) const SOCKET_FILE: &str = "control.sock";
/// Longest question, in bytes: a path.
const QUESTION_BYTES_MAX: u64 = 16 << 10;
/// Time a question may take to come, and an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an end waits for a question that is being answered, and how often it looks.
const END_MAX: Duration = Duration::from_secs(2);
const END_LOOK: Duration = Duration::from_millis(5);
/// After a connection that could not be taken.
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes copied from one telling to the next.
const TELL_BYTES: u64 = 16 << 20;
/// Paths of sockets are short; a longer one is reached through the open directory.
const PATH_BYTES_MAX: usize = 100;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Question {
    Backup { to: PathBuf },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Progress { done: u64, total: u64 },
    Done(Backup),
    Failed(String),
}

/// Where the socket is, in few bytes.
struct Address {
    path: PathBuf,
    /// Kept open while the path is used.
    _directory: Option<std::fs::File>,
}

impl Address {
    fn of(directory: &Path) -> std::io::Result<Self> {
        let path = directory.join(SOCKET_FILE);
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Self { path, _directory: None });
        }
        let directory = std::fs::File::open(directory)?;
        let path = format!("/proc/self/fd/{}/{SOCKET_FILE}", directory.as_raw_fd());
        Ok(Self { path: path.into(), _directory: Some(directory) })
    }
}

/// Answers tools as long as it lives.
pub struct Control {
    stop: Arc<AtomicBool>,
    listener: UnixListener,
    address: Address,
    /// Device and inode of the socket.
    identity: Option<(u64, u64)>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Begins to answer for an open store.
    ///
    /// # Errors
    /// [`StoreError::File`] when the socket cannot be made.
    pub fn start(store: Store) -> Result<Self, StoreError> {
        let directory = store.inner.directory.clone();
        let failed = |error| StoreError::file(&directory.join(SOCKET_FILE), error);
        let address = Address::of(&directory).map_err(failed)?;
        // The store is ours, so a socket that is there has nobody behind it.
        let _ = std::fs::remove_file(&address.path);
        let listener = UnixListener::bind(&address.path).map_err(failed)?;
        let owner_only = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&address.path, owner_only).map_err(failed)?;
        let identity = identity(&address.path);
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, listening) = (Arc::clone(&stop), listener.try_clone().map_err(failed)?);
        let thread = std::thread::Builder::new()
            .name("control".into())
            .spawn(move || listen(&listening, &store, &stopped))
            .map_err(failed)?;
        Ok(Self { stop, listener, address, identity, thread: Some(thread) })
    }

    /// Whether it answers no more, though nobody has asked it to end.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread whatever became of the file.
        let _ = SockRef::from(&self.listener).shutdown(Shutdown::Both);
        // Another process may have made a socket there since.
        if self.identity.is_some() && identity(&self.address.path) == self.identity {
            let _ = std::fs::remove_file(&self.address.path);
        }
        let begin = Instant::now();
        while !self.has_failed() {
            if begin.elapsed() > END_MAX {
                tracing::warn!("left behind: a tool that talks to the store");
                return;
            }
            std::thread::sleep(END_LOOK);
        }
        if let Some(thread) = self.thread.take() {
            // Why it panicked is in the log.
            let _ = thread.join();
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

fn listen(listener: &UnixListener, store: &Store, stop: &AtomicBool) {
    for connection in listener.incoming() {
        if stop.load(Ordering::Acquire) {
            return;
        }
        failpoint::hit("panic-control");
        failpoint::hit("hang-control");
        if connection.is_err() {
            // Such as no descriptor left, which lasts.
            std::thread::sleep(PAUSE);
        }
        let answered = connection.and_then(|stream| answer(&stream, store, stop));
        if let Err(error) = answered {
            tracing::debug!(%error, "a tool went away");
        }
    }
}

fn answer(stream: &UnixStream, store: &Store, stop: &AtomicBool) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(QUESTION_BYTES_MAX)).read_line(&mut line)?;
    let to = match serde_json::from_str(&line) {
        Ok(Question::Backup { to }) => to,
        Err(error) => return tell(stream, &Answer::Failed(error.to_string())),
    };
    tracing::info!("backing up to {}", to.display());
    let mut told = 0;
    let done = store.backup(&to, &mut |_, done, total| {
        if done - told >= TELL_BYTES {
            told = done;
            // A backup goes on when nobody looks at it any more.
            let _ = tell(stream, &Answer::Progress { done, total });
        }
        !stop.load(Ordering::Acquire)
    });
    match done {
        Ok(backup) => {
            tracing::info!("backed up to {}", to.display());
            tell(stream, &Answer::Done(backup))
        }
        Err(error) => {
            tracing::error!(%error, "the backup failed");
            tell(stream, &Answer::Failed(error.to_string()))
        }
    }
}

fn tell(mut stream: &UnixStream, answer: &Answer) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Asks the process that has a store open to back it up to a directory it can write.
///
/// # Errors
/// [`StoreError::Asked`] when it does not answer, or could not do it.
pub fn ask_backup(directory: &Path, to: &Path, watch: Watch<'_>) -> Result<Backup, StoreError> {
    let failed = |error: std::io::Error| StoreError::Asked(error.to_string());
    let to = std::path::absolute(to).map_err(failed)?;
    let address = Address::of(directory).map_err(failed)?;
    let mut stream = UnixStream::connect(&address.path).map_err(|error| {
        StoreError::Asked(format!("it does not answer at {SOCKET_FILE} ({error}); stop it first"))
    })?;
    let mut line = serde_json::to_vec(&Question::Backup { to })
        .map_err(|error| StoreError::Asked(error.to_string()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(failed)?;
    for line in BufReader::new(&stream).lines() {
        let answer = serde_json::from_str(&line.map_err(failed)?);
        match answer.map_err(|error| StoreError::Asked(error.to_string()))? {
            Answer::Progress { done, total } => {
                watch("copying", done, total);
            }
            Answer::Done(backup) => return Ok(backup),
            Answer::Failed(text) => return Err(StoreError::Asked(text)),
        }
    }
    Err(StoreError::Asked("it went away".into()))
}

#[cfg(test)]
mod tests {
    use super::super::super::StoreOptions;
    use super::*;

    /// Ends after something was done to the socket; what is there then.
    fn check(done: impl FnOnce(&Path), is_left: bool) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), StoreOptions::default()).unwrap();
        let control = Control::start(store).unwrap();
        let socket = directory.path().join(SOCKET_FILE);
        done(&socket);
        drop(control);
        assert_eq!(socket.exists(), is_left);
    }

    #[test]
    fn it_ends_whatever_became_of_its_socket_and_takes_no_other_away() {
        check(|_| {}, false);
        check(|socket| std::fs::remove_file(socket).unwrap(), false);
        let replace = |socket: &Path| {
            std::fs::rename(socket, socket.with_file_name("moved")).unwrap();
            drop(UnixListener::bind(socket).unwrap());
        };
        check(replace, true);
    }
}
