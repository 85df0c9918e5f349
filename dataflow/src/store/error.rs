//! Why the store could not be opened, read or written, in one line that says what to do.

use std::path::{Path, PathBuf};

use spoor_operators::wire::Malformed;

use crate::service::ServiceError;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process, or this one, has it open.
    #[error(
        "the store {} is in use by another process; stop that one, or choose another directory",
        .0.display()
    )]
    InUse(PathBuf),
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
    /// RocksDB failed.
    #[error("the store failed: {0}")]
    Rocks(#[from] rocksdb::Error),
    /// A file system call failed.
    #[error("{}: {error}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A limit was hit; the text says which and what to do.
    #[error("{0}")]
    Limit(String),
}

impl StoreError {
    /// Why opening failed, told apart where RocksDB's words allow it.
    pub(super) fn opening(path: &Path, error: rocksdb::Error) -> Self {
        let text = error.to_string();
        if text.contains("LOCK") || text.contains("lock ") {
            return Self::InUse(path.into());
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

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Limit(text) => Self::Limit(text),
            other => Self::Store(other.to_string()),
        }
    }
}
