//! The making of a store, all of it or none: a mark lies beside the database until it is done.
//!
//! RocksDB makes its files one after another, and one that is cut off between two of them may be
//! refused by the next opening as if something were lost. While the mark is there nothing was ever
//! acknowledged, so whatever an earlier run left is taken away and made anew. The mark is on the
//! disk before the first file and off it before anybody is told of anything.

use std::io::ErrorKind;
use std::path::Path;

use super::super::StoreError;
use super::{copy, witness};

/// The mark in the store's directory.
pub(crate) const MAKING_FILE: &str = "making";

/// Whether a store was begun there and never finished: there is nothing in it.
#[must_use]
pub fn is_unfinished(directory: &Path) -> bool {
    directory.join(MAKING_FILE).exists()
}

/// Begins, or begins anew. The store's lock must be held.
///
/// # Errors
/// [`StoreError::Damaged`] where there is data, failures of the file system.
pub(super) fn begin(directory: &Path) -> Result<(), StoreError> {
    if is_unfinished(directory) {
        clear(directory)?;
    }
    copy::write(&directory.join(MAKING_FILE), b"")?;
    copy::sync(directory)
}

/// The store is whole and on the disk. Nothing is done where none was begun.
///
/// # Errors
/// Failures of the file system.
pub(crate) fn finish(directory: &Path) -> Result<(), StoreError> {
    if !is_unfinished(directory) {
        return Ok(());
    }
    let mark = directory.join(MAKING_FILE);
    std::fs::remove_file(&mark).map_err(|error| StoreError::file(&mark, error))?;
    copy::sync(directory)
}

/// Takes away the files of a database that was never finished.
fn clear(directory: &Path) -> Result<(), StoreError> {
    let database = directory.join("db");
    let failed = |error| StoreError::file(&database, error);
    let files = match std::fs::read_dir(&database) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        files => files.map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?,
    };
    // Never: but nothing that somebody may rely on is taken away.
    let is_table = |name: &std::ffi::OsStr| Path::new(name).extension() == Some("sst".as_ref());
    let in_use = files.iter().any(|file| is_table(&file.file_name()));
    if in_use || witness::read(directory).is_some() {
        return Err(StoreError::Damaged(format!(
            "{} is marked as never finished ({MAKING_FILE}) and holds data; restore a backup",
            directory.display()
        )));
    }
    for file in files {
        std::fs::remove_file(file.path()).map_err(failed)?;
    }
    copy::sync(&database)
}
