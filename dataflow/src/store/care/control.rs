//! How a tool asks the process that has a store open for a backup: a socket beside the database.
//!
//! Whoever may enter the store's directory is its owner already, so the rights of the socket (its
//! owner only) are all the protection there is; nothing of it is reachable over the network. A
//! question is a line of JSON, so is each answer; a connection has one question.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::{Store, StoreError};
use super::{Backup, Watch};

/// The socket in the store's directory.
pub(super) const SOCKET_FILE: &str = "control.sock";
/// Longest question, in bytes: a path.
const QUESTION_BYTES_MAX: u64 = 16 << 10;
/// Time a question may take to come, and an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);
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
    address: Address,
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
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("control".into())
            .spawn(move || listen(&listener, &store, &stopped))
            .map_err(failed)?;
        Ok(Self { stop, address, thread: Some(thread) })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread; when nobody listens it has ended.
        let _ = UnixStream::connect(&self.address.path);
        let _ = std::fs::remove_file(&self.address.path);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(listener: &UnixListener, store: &Store, stop: &AtomicBool) {
    for connection in listener.incoming() {
        if stop.load(Ordering::Acquire) {
            return;
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
