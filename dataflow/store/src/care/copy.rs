//! Files copied with their checksums, and waited for until the disk has them.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::StoreError;

/// Bytes copied at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// A copy is for its owner only: it may hold the secret key, and always holds what users did.
const MODE: u32 = 0o600;

/// A file of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Copied {
    /// Its path in the directory of the store.
    pub(super) name: String,
    /// Its size.
    pub(super) bytes: u64,
    /// BLAKE3 of its content.
    pub(super) blake3: String,
}

/// Copies a file that is not there yet. `done` hears of each chunk, and ends it with `false`.
pub(super) fn file(
    (from, to): (&Path, &Path),
    name: &str,
    done: &mut dyn FnMut(u64) -> bool,
) -> Result<Copied, StoreError> {
    let (source, target) = (from.join(name), to.join(name));
    let mut input = File::open(&source).map_err(|error| StoreError::file(&source, error))?;
    let failed = |error| StoreError::file(&target, error);
    let mut options = OpenOptions::new();
    let mut output =
        options.write(true).create_new(true).mode(MODE).open(&target).map_err(failed)?;
    let mut hasher = blake3::Hasher::new();
    let (mut chunk, mut bytes) = (vec![0; CHUNK_BYTES], 0);
    loop {
        let read = match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(StoreError::file(&source, error)),
        };
        hasher.update(&chunk[..read]);
        output.write_all(&chunk[..read]).map_err(failed)?;
        bytes += read as u64;
        if !done(read as u64) {
            return Err(StoreError::GivenUp);
        }
    }
    output.sync_all().map_err(failed)?;
    Ok(Copied { name: name.into(), bytes, blake3: hasher.finalize().to_hex().to_string() })
}

/// Waits until the disk has the names in a directory.
pub(super) fn sync(directory: &Path) -> Result<(), StoreError> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| StoreError::file(directory, error))
}

/// Makes a directory that must not hold anything.
pub(super) fn make_empty(directory: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::file(directory, error);
    std::fs::create_dir_all(directory).map_err(failed)?;
    let used = std::fs::read_dir(directory)
        .map_err(failed)?
        .any(|entry| entry.map_or(true, |entry| entry.file_name() != "lost+found"));
    if used { Err(StoreError::NotEmpty(directory.into())) } else { Ok(()) }
}

/// Names and sizes of the files of a database, but for its lock and its diary.
pub(super) fn database_files(directory: &Path) -> Result<Vec<(String, u64)>, StoreError> {
    let failed = |error| StoreError::file(directory, error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let own = name == "LOCK" || name == "LOG" || name.starts_with("LOG.old");
        let metadata = entry.metadata().map_err(failed)?;
        if metadata.is_file() && !own {
            files.push((name, metadata.len()));
        }
    }
    files.sort();
    Ok(files)
}

/// A file of text, written whole and waited for.
pub(super) fn write(path: &PathBuf, text: &[u8]) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(MODE).open(path);
    let written = file.and_then(|mut file| file.write_all(text).and_then(|()| file.sync_all()));
    written.map_err(|error| StoreError::file(path, error))
}
