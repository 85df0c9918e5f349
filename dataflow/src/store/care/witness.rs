//! A witness of what was acknowledged: the last epoch, in a file beside the database.
//!
//! RocksDB cannot tell a log whose end was never written from one whose end was lost: both end
//! early. Each commit that waited for the disk therefore leaves its epoch here, after the database
//! has it and before anybody is told. A database that knows less than the witness has lost what
//! somebody relies on, and is refused. The file is written in place and without waiting: after a
//! loss of power it may say less than the database, which is harmless.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use spoor_operators::time::Epoch;

use super::super::StoreError;

/// The file in the store's directory.
pub(crate) const WITNESS_FILE: &str = "acknowledged";

const MAGIC: [u8; 8] = *b"spoorack";
const BYTES: usize = 24;

fn encode(epoch: Epoch) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&epoch.0.to_le_bytes());
    let sum = xxhash_rust::xxh3::xxh3_64(&bytes[..16]);
    bytes[16..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Epoch> {
    let epoch = Epoch(u64::from_le_bytes(*bytes.get(8..16)?.first_chunk()?));
    (bytes == encode(epoch)).then_some(epoch)
}

/// The last acknowledged epoch, if the file is there and whole.
pub(crate) fn read(directory: &Path) -> Option<Epoch> {
    decode(&std::fs::read(directory.join(WITNESS_FILE)).ok()?)
}

/// Writes the witness of a store that is made anew from another.
pub(crate) fn write(directory: &Path, epoch: Epoch) -> Result<(), StoreError> {
    Witness::open(directory)?.note(epoch)
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Witness {
    file: File,
    path: std::path::PathBuf,
}

impl Witness {
    /// Opens the witness of a store, or makes one that saw nothing yet.
    ///
    /// # Errors
    /// [`StoreError::NotWritable`].
    pub(crate) fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(WITNESS_FILE);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file =
            file.map_err(|error| StoreError::NotWritable { path: directory.into(), error })?;
        Ok(Self { file, path })
    }

    /// An epoch is on the disk and is about to be acknowledged.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub(crate) fn note(&self, epoch: Epoch) -> Result<(), StoreError> {
        self.file
            .write_all_at(&encode(epoch), 0)
            .map_err(|error| StoreError::file(&self.path, error))
    }
}

/// Refuses a database that stands before what was acknowledged.
///
/// # Errors
/// [`StoreError::Lost`].
pub(crate) fn check(directory: &Path, committed: Option<Epoch>) -> Result<(), StoreError> {
    match read(directory) {
        Some(acknowledged) if Some(acknowledged) > committed => Err(StoreError::Lost {
            path: directory.into(),
            acknowledged: acknowledged.0,
            found: committed.map(|epoch| epoch.0),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_says_the_last_epoch_and_a_damaged_one_nothing() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()), None);
        let witness = Witness::open(directory.path()).unwrap();
        assert_eq!(read(directory.path()), None);
        for epoch in [1, 2, 300] {
            witness.note(Epoch(epoch)).unwrap();
            assert_eq!(read(directory.path()), Some(Epoch(epoch)));
        }
        assert!(check(directory.path(), Some(Epoch(300))).is_ok());
        assert!(check(directory.path(), Some(Epoch(299))).is_err());
        assert!(check(directory.path(), None).is_err());
        for byte in 0..BYTES {
            let mut bytes = encode(Epoch(300));
            bytes[byte] ^= 1;
            assert_eq!(decode(&bytes), None);
        }
    }
}
