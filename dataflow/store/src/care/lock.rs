//! One process a store: a file lock that names who holds it.
//!
//! RocksDB has a lock of its own; this one is taken before anything of the store is read, is held
//! by the tools that look after a store too, and keeps the process id of its holder, so that the
//! refusal says whom to stop. The system frees it with the process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;

use super::super::StoreError;

/// The file in the store's directory.
pub(crate) const LOCK_FILE: &str = "spoor.lock";

/// Held as long as it lives.
#[derive(Debug)]
pub(crate) struct Lock(#[allow(dead_code, reason = "the lock goes when the file is closed")] File);

impl Lock {
    /// Takes the lock of a store, whose directory must be there.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::NotWritable`].
    pub(crate) fn take(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(LOCK_FILE);
        let failed = |error| StoreError::NotWritable { path: directory.into(), error };
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(directory, &mut file)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // The id is for people: the lock holds without it.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self(file))
    }

    /// Takes the lock to read only: a directory that cannot be written is read without.
    ///
    /// # Errors
    /// [`StoreError::InUse`].
    pub(crate) fn take_to_read(directory: &Path) -> Result<Option<Self>, StoreError> {
        match Self::take(directory) {
            Ok(lock) => Ok(Some(lock)),
            Err(StoreError::NotWritable { error, .. })
                if matches!(
                    error.kind(),
                    ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }
}

fn in_use(directory: &Path, file: &mut File) -> StoreError {
    let mut text = String::new();
    let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
    StoreError::InUse { path: directory.into(), pid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_of_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let lock = Lock::take(directory.path()).unwrap();
        let refused = Lock::take(directory.path()).unwrap_err().to_string();
        let pid = format!("(process {})", std::process::id());
        assert!(refused.contains("in use by another process") && refused.contains(&pid));
        drop(lock);
        assert!(Lock::take_to_read(directory.path()).unwrap().is_some());
    }
}
