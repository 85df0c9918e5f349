//! A witness of what was acknowledged: the last epoch, in a file beside the database.
//!
//! RocksDB cannot tell a log whose end was never written from one whose end was lost: both end
//! early. Each commit that waited for the disk therefore leaves its epoch here, after the database
//! has it and before anybody is told. A database that knows less than the witness has lost what
//! somebody relies on, and is refused. The file is written in place and without waiting: after a
//! loss of power it may say less than the database, which is harmless. That nothing was
//! acknowledged yet it says too, and on the disk before anything is: a log that is torn then is no
//! loss, but where there is no witness that is not known.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use spoor_operators::time::Epoch;

use super::super::StoreError;
use super::copy;

/// The file in the store's directory.
pub(crate) const WITNESS_FILE: &str = "acknowledged";

const MAGIC: [u8; 8] = *b"spoorack";
/// Of a witness that saw nothing yet.
const NOTHING: [u8; 8] = *b"spoornew";
const BYTES: usize = 24;

/// What the file says: an epoch, or that there was none.
fn encode(told: Option<Epoch>) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(if told.is_some() { &MAGIC } else { &NOTHING });
    bytes[8..16].copy_from_slice(&told.unwrap_or_default().0.to_le_bytes());
    let sum = xxhash_rust::xxh3::xxh3_64(&bytes[..16]);
    bytes[16..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// None: it says nothing that is understood.
fn decode(bytes: &[u8]) -> Option<Option<Epoch>> {
    let epoch = Epoch(u64::from_le_bytes(*bytes.get(8..16)?.first_chunk()?));
    [Some(epoch), None].into_iter().find(|told| bytes == encode(*told))
}

fn told(directory: &Path) -> Option<Option<Epoch>> {
    decode(&std::fs::read(directory.join(WITNESS_FILE)).ok()?)
}

/// The last acknowledged epoch, if the file is there and whole.
pub(crate) fn read(directory: &Path) -> Option<Epoch> {
    told(directory).flatten()
}

/// Whether it is known that nothing behind this epoch, the last one there, was acknowledged.
pub(crate) fn is_all(directory: &Path, found: Option<Epoch>) -> bool {
    told(directory).is_some_and(|told| told <= found)
}

/// Writes the witness of a store that is made anew from another.
pub(crate) fn write(directory: &Path, epoch: Epoch) -> Result<(), StoreError> {
    Witness::open(directory, None)?.note(epoch)
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Witness {
    file: File,
    path: std::path::PathBuf,
}

impl Witness {
    /// Opens the witness of a store. One that says nothing is made to say what is committed, if
    /// commits wait for the disk; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError::NotWritable`].
    pub(crate) fn open(directory: &Path, committed: Option<Epoch>) -> Result<Self, StoreError> {
        let path = directory.join(WITNESS_FILE);
        let failed = |error| StoreError::NotWritable { path: directory.into(), error };
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(failed)?;
        if told(directory).is_none() {
            // Whatever it was, it may be longer.
            file.set_len(0).map_err(failed)?;
            file.write_all_at(&encode(committed), 0).map_err(failed)?;
            file.sync_all().map_err(failed)?;
            copy::sync(directory)?;
        }
        Ok(Self { file, path })
    }

    /// An epoch is on the disk and is about to be acknowledged.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub(crate) fn note(&self, epoch: Epoch) -> Result<(), StoreError> {
        self.file
            .write_all_at(&encode(Some(epoch)), 0)
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
        assert!(!is_all(directory.path(), None), "there is none");
        let witness = Witness::open(directory.path(), None).unwrap();
        assert_eq!(read(directory.path()), None);
        assert!(is_all(directory.path(), None) && is_all(directory.path(), Some(Epoch(7))));
        for epoch in [1, 2, 300] {
            witness.note(Epoch(epoch)).unwrap();
            // What it says it goes on saying.
            Witness::open(directory.path(), Some(Epoch(400))).unwrap();
            assert_eq!(read(directory.path()), Some(Epoch(epoch)));
            assert!(is_all(directory.path(), Some(Epoch(epoch))));
            assert!(!is_all(directory.path(), Some(Epoch(epoch - 1))));
        }
        assert!(check(directory.path(), Some(Epoch(300))).is_ok());
        assert!(check(directory.path(), Some(Epoch(299))).is_err());
        assert!(check(directory.path(), None).is_err());
        for (told, byte) in (0..BYTES).flat_map(|byte| [(Some(Epoch(300)), byte), (None, byte)]) {
            let mut bytes = encode(told);
            assert_eq!(decode(&bytes), Some(told));
            bytes[byte] ^= 1;
            assert_eq!(decode(&bytes), None);
        }
        std::fs::write(directory.path().join(WITNESS_FILE), [7; 99]).unwrap();
        Witness::open(directory.path(), Some(Epoch(5))).unwrap();
        assert_eq!(read(directory.path()), Some(Epoch(5)));
    }
}
