//! Looking after a store: what it holds, whether it is whole, copies of it, its space.
//!
//! Everything here takes the store's lock or only reads, and never changes a damaged store: what
//! can be saved of one is written elsewhere. `open.rs` has how a store is opened at all, and why
//! an acknowledged epoch is never lost silently.

mod backup;
mod check;
mod compact;
mod control;
mod copy;
mod fingerprint;
mod info;
mod lock;
mod making;
mod open;
mod place;
mod records;
mod registered;
mod rows;
mod salvage;
mod witness;

use std::io::ErrorKind;
use std::path::Path;

pub use backup::{Backup, backup, restore};
pub use check::{CheckReport, check};
pub use compact::{Compacted, compact};
pub use control::{Control, ask_backup};
pub use info::{Stored, info, rules_in_force};
pub use registered::KeptRows;
pub use salvage::{Salvaged, salvage};

pub(super) use fingerprint::{is_understood, of as fingerprint};
pub(super) use lock::Lock;
pub(super) use making::finish as finish_making;
pub use making::is_unfinished;
pub(super) use open::to_write as open_database;
pub(super) use place::Place;
pub(super) use witness::{Witness, check as check_witness};
#[cfg(test)]
pub(super) use {making::MAKING_FILE, witness::WITNESS_FILE};

use super::StoreError;

/// What a store's directory may hold.
const FILES: [&str; 9] = [
    "db",
    "secret.key",
    "secret.key.new",
    lock::LOCK_FILE,
    witness::WITNESS_FILE,
    making::MAKING_FILE,
    control::SOCKET_FILE,
    backup::CHECKPOINT_DIR,
    // The root of a file system of its own.
    "lost+found",
];

/// What long work tells on its way: what it is at, how much of how much is done. A copy is given up
/// when the answer is `false`.
pub type Watch<'a> = &'a mut dyn FnMut(&str, u64, u64) -> bool;

/// Makes the directory of a store if need be, and takes its lock. Where there is no store, one is
/// begun, for [`finish_making`] to finish.
///
/// # Errors
/// [`StoreError::NotAStore`] for a directory that holds something else, [`StoreError::InUse`],
/// [`StoreError::NotWritable`], [`StoreError::IsBackup`], [`StoreError::Unfinished`],
/// [`StoreError::Damaged`].
pub(super) fn enter(directory: &Path) -> Result<Lock, StoreError> {
    make_directory(directory)?;
    if directory.join(backup::MANIFEST_FILE).exists() {
        return Err(StoreError::IsBackup(directory.into()));
    }
    if directory.join(backup::RESTORING_FILE).exists() {
        return Err(StoreError::Unfinished(directory.into()));
    }
    if !has_database(directory) {
        check_empty(directory)?;
    }
    let lock = Lock::take(directory)?;
    // As it is now that nobody else can change it.
    if !making::is_unfinished(directory) {
        if has_database(directory) {
            return Ok(lock);
        }
        check_no_data(directory)?;
    }
    making::begin(directory)?;
    Ok(lock)
}

/// Whether there is a database, which may be unfinished.
fn has_database(directory: &Path) -> bool {
    directory.join("db").join("CURRENT").exists()
}

/// Refuses a directory without a store that was ever finished.
fn check_is_store(directory: &Path) -> Result<(), StoreError> {
    if directory.join("db").is_dir() && !making::is_unfinished(directory) {
        Ok(())
    } else {
        Err(StoreError::NotAStore(directory.into()))
    }
}

/// Refuses to make a new database over the files of one that lost its list of files.
fn check_no_data(directory: &Path) -> Result<(), StoreError> {
    let database = directory.join("db");
    if !database.is_dir() {
        return Ok(());
    }
    let files = copy::database_files(&database)?;
    match files.iter().find(|(name, _)| name.ends_with(".sst") || name.ends_with(".log")) {
        Some((name, _)) => Err(StoreError::Damaged(format!(
            "{} holds data ({name}), and its file CURRENT is missing; restore a backup",
            database.display()
        ))),
        None => Ok(()),
    }
}

fn make_directory(directory: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(directory).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            StoreError::NotWritable { path: directory.into(), error }
        }
        _ => StoreError::file(directory, error),
    })
}

/// Refuses a directory that holds anything but files of a store.
fn check_empty(directory: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::file(directory, error);
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if !FILES.iter().any(|known| name == *known) {
            return Err(StoreError::NotAStore(directory.into()));
        }
    }
    Ok(())
}
