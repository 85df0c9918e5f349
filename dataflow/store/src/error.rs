//! Why the store could not be opened, read or written, in one line that says what to do.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use spoor_operators::wire::Malformed;

use spoor_api::patience;
use spoor_api::service::ServiceError;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process, or this one, has it open.
    #[error(
        "the store {} is in use by another process{}; stop that one, or choose another directory",
        path.display(), pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    InUse {
        /// Where.
        path: PathBuf,
        /// Who has it, as far as it is known.
        pid: Option<u32>,
    },
    /// The directory cannot be written.
    #[error(
        "the store {} cannot be written: {error}; let this user write there, or choose another \
         directory",
        path.display()
    )]
    NotWritable {
        /// Where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Nobody waits for what was read.
    #[error("the read was given up: nobody waits for its answer")]
    Unwanted,
    /// The disk is full, or a limit on the size of files was hit.
    #[error(
        "there is no room for the store: {0}; make room and start again, nothing acknowledged is \
         lost"
    )]
    NoRoom(String),
    /// Epochs that were acknowledged are not there.
    #[error(
        "the store {} has lost epochs: {acknowledged} was acknowledged, {} is the last one there; \
         restore a backup, or accept the loss: `spoor store check --state {} --salvage-to DIR` \
         makes a store of what is left",
        path.display(), found.map_or("none".into(), |epoch| epoch.to_string()), path.display()
    )]
    Lost {
        /// Where.
        path: PathBuf,
        /// The last epoch somebody was told of.
        acknowledged: u64,
        /// The last epoch there.
        found: Option<u64>,
    },
    /// The meaning of its rows is another.
    #[error(
        "the store {} was made by a program whose rows mean something else (fingerprint {found}, \
         this program's is {known}); use the program that made it, or choose another directory",
        path.display()
    )]
    Fingerprint {
        /// Where.
        path: PathBuf,
        /// Of the store.
        found: String,
        /// Of this program.
        known: String,
    },
    /// Written by a program of another format.
    #[error(
        "the store {} has format {found}, and this program reads format {known}; \
         use the program that made it, or choose another directory",
        path.display()
    )]
    Format {
        /// Where.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What this program writes.
        known: u32,
    },
    /// The directory holds something else.
    #[error("{} is not empty and holds no store; choose another directory", .0.display())]
    NotAStore(PathBuf),
    /// A copy would go where something is.
    #[error("{} is not empty; give a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// A backup is no store.
    #[error(
        "{} is a backup; make a store of it first: `spoor store restore --from {} --state DIR`",
        .0.display(), .0.display()
    )]
    IsBackup(PathBuf),
    /// A running server did not do what it was asked for.
    #[error("the process that has the store open did not do it: {0}")]
    Asked(String),
    /// Long work was given up.
    #[error("given up: the process stops")]
    GivenUp,
    /// A restore into it did not end.
    #[error(
        "{} holds an unfinished copy of a store; empty it and restore again",
        .0.display()
    )]
    Unfinished(PathBuf),
    /// A copy is not what it was when it was made.
    #[error("the backup is damaged: {0}; use another one")]
    BadBackup(String),
    /// Its keys begin with the days of another zone.
    #[error(
        "the store {} counts days in `{found}`, not in `{asked}`; the zone of a store that holds \
         requests cannot change",
        path.display()
    )]
    Zone {
        /// Where.
        path: PathBuf,
        /// The store's zone.
        found: String,
        /// The zone in the rules.
        asked: String,
    },
    /// Its directory or files were deleted, moved or replaced while it was open.
    #[error(
        "the store {} is not there any more: {} was deleted, moved or replaced while it was open; \
         nothing more is acknowledged: bring it back, or restore a backup, and start again",
        path.display(), missing.display()
    )]
    Moved {
        /// Where it was opened.
        path: PathBuf,
        /// The name that leads elsewhere.
        missing: PathBuf,
    },
    /// Bytes in it are not what this program writes.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The secret key's file could not be read or made.
    #[error("the secret key {}: {reason}", path.display())]
    SecretKey {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A commit that does not follow the last one.
    #[error("epoch {given} cannot be committed after epoch {committed}")]
    Order {
        /// The last one.
        committed: u64,
        /// The one given.
        given: u64,
    },
    /// A commit while an epoch waits to be promoted.
    #[error("epoch {given} cannot be committed while epoch {staged} is staged")]
    Staged {
        /// The one that waits.
        staged: u64,
        /// The one given.
        given: u64,
    },
    /// A promotion of what is not there.
    #[error("epoch {0} is not staged")]
    NotStaged(u64),
    /// RocksDB failed.
    #[error("the store failed: {0}")]
    Rocks(rocksdb::Error),
    /// A file system call failed.
    #[error("{}: {error}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is being brought to another number of processes, or has left; the text says what to do.
    #[error("{0}")]
    Reshape(String),
    /// A limit was hit; the text says which and what to do.
    #[error("{0}")]
    Limit(String),
}

impl StoreError {
    /// Why opening failed, told apart where RocksDB's words allow it.
    pub(super) fn opening(path: &Path, error: rocksdb::Error) -> Self {
        let text = error.to_string();
        if text.contains("lock hold by current process") || text.contains("While lock file") {
            return Self::InUse { path: path.into(), pid: None };
        }
        let missing =
            text.contains("No such file or directory") || text.contains("file is shorter");
        match error.kind() {
            // A file that RocksDB's own list names is not there, or is cut off.
            rocksdb::ErrorKind::IOError if missing => Self::Damaged(text),
            rocksdb::ErrorKind::InvalidArgument => Self::Damaged(text),
            _ => error.into(),
        }
    }

    /// A failed call of the file system.
    #[must_use]
    pub fn file(path: &Path, error: std::io::Error) -> Self {
        if matches!(
            error.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
        ) {
            return Self::NoRoom(format!("{}: {error}", path.display()));
        }
        Self::File { path: path.into(), error }
    }
}

/// How the system says that there is no room, in RocksDB's messages.
const NO_ROOM: [&str; 3] = ["No space left on device", "Disk quota exceeded", "File too large"];

impl From<rocksdb::Error> for StoreError {
    fn from(error: rocksdb::Error) -> Self {
        let text = error.to_string();
        if NO_ROOM.iter().any(|words| text.contains(words)) {
            return Self::NoRoom(text);
        }
        match error.kind() {
            rocksdb::ErrorKind::Corruption => Self::Damaged(text),
            _ => Self::Rocks(error),
        }
    }
}

impl From<Malformed> for StoreError {
    fn from(error: Malformed) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// Ends a read that nobody waits for.
pub(super) fn keep_on() -> Result<(), StoreError> {
    if patience::has_ended() { Err(StoreError::Unwanted) } else { Ok(()) }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Limit(text) => Self::Limit(text),
            StoreError::Unwanted => Self::Unwanted,
            other => Self::Store(other.to_string()),
        }
    }
}
