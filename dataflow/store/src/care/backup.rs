//! Copies of a store that open elsewhere, with a checksum for each file.
//!
//! A backup is a directory with the database as of one committed epoch, the secret key, and a
//! list of the files with their sizes and BLAKE3 hashes, written last: a copy without the list is
//! no backup. Of a running store the database is first frozen by a checkpoint (hard links beside
//! it), then copied from there, so that commits go on. Files are never shared with the store: what
//! damages the one leaves the other alone.

use std::path::{Path, PathBuf};

use rocksdb::checkpoint::Checkpoint;
use serde::{Deserialize, Serialize};

use super::super::options::Recovery;
use super::super::{Store, StoreError, meta, secret};
use super::copy::{self, Copied};
use super::{Lock, Watch, has_database, info, making, open};

/// The list of a backup's files, in its directory.
pub(super) const MANIFEST_FILE: &str = "backup.json";
/// Marks the directory of a store whose restore did not end.
pub(super) const RESTORING_FILE: &str = "restoring";
/// Where a running store is frozen, in its directory.
pub(super) const CHECKPOINT_DIR: &str = "checkpoint";

/// What a backup is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Format of the store in it.
    pub format: u32,
    /// The last committed epoch in it; none: nothing was committed.
    pub epoch: Option<u64>,
    files: Vec<Copied>,
}

impl Backup {
    /// Bytes of all its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The list of the backup in a directory.
    fn read(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(MANIFEST_FILE);
        let bad = |reason: String| StoreError::BadBackup(format!("{}: {reason}", path.display()));
        let text = std::fs::read(&path).map_err(|error| bad(error.to_string()))?;
        let backup: Self = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        let inside = |name: &str| {
            let inner = name.strip_prefix("db/").unwrap_or(name);
            !inner.is_empty() && !inner.contains('/') && inner != ".." && inner != "."
        };
        match backup.files.iter().find(|file| !inside(&file.name)) {
            Some(file) => Err(bad(format!("it names a file `{}`", file.name))),
            None => Ok(backup),
        }
    }
}

/// Backs up a store that is not in use.
///
/// # Errors
/// [`StoreError::InUse`], [`StoreError::NotEmpty`], [`StoreError::Damaged`], failed copies.
pub fn backup(directory: &Path, to: &Path, watch: Watch<'_>) -> Result<Backup, StoreError> {
    let database = directory.join("db");
    if !has_database(directory) || making::is_unfinished(directory) {
        return Err(StoreError::NotAStore(directory.into()));
    }
    let _lock = Lock::take_to_read(directory)?;
    copy_out(directory, &database, to, watch)
}

impl Store {
    /// Backs up the store as of the last commit, or one that follows meanwhile.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`], failures of RocksDB and of copying.
    pub fn backup(&self, to: &Path, watch: Watch<'_>) -> Result<Backup, StoreError> {
        let directory = &self.inner.directory;
        let frozen = Frozen(directory.join(CHECKPOINT_DIR));
        frozen.clear()?;
        Checkpoint::new(&self.inner.db)?.create_checkpoint(&frozen.0)?;
        copy_out(directory, &frozen.0, to, watch)
    }
}

/// A checkpoint, gone when it is no longer needed.
struct Frozen(PathBuf);

impl Frozen {
    fn clear(&self) -> Result<(), StoreError> {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::file(&self.0, error))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            tracing::warn!(%error, "a checkpoint is left over; the next backup removes it");
        }
    }
}

fn copy_out(
    directory: &Path,
    database: &Path,
    to: &Path,
    watch: Watch<'_>,
) -> Result<Backup, StoreError> {
    copy::make_empty(to)?;
    let target = to.join("db");
    std::fs::create_dir(&target).map_err(|error| StoreError::file(&target, error))?;
    let names = copy::database_files(database)?;
    let total = names.iter().map(|(_, bytes)| bytes).sum();
    let mut done = 0;
    let mut files = Vec::new();
    for (name, _) in &names {
        let mut copied = copy::file((database, &target), name, &mut |bytes| {
            done += bytes;
            watch("copying", done, total)
        })?;
        copied.name = format!("db/{name}");
        files.push(copied);
    }
    if directory.join(secret::FILE).exists() {
        files.push(copy::file((directory, to), secret::FILE, &mut |_| true)?);
    }
    copy::sync(&target)?;
    // The copy is opened before it is called a backup.
    let db = open::to_read(to, Recovery::Strict)?;
    let (format, known) = (info::identify(&db, to)?.format, info::read(&db)?);
    drop(db);
    let backup = Backup { format, epoch: known.standing.epoch.map(|epoch| epoch.0), files };
    let text = serde_json::to_vec_pretty(&backup)
        .map_err(|error| StoreError::BadBackup(error.to_string()))?;
    copy::write(&to.join(MANIFEST_FILE), &text)?;
    copy::sync(to)?;
    Ok(backup)
}

/// Makes a store of a backup, in a directory that is new or empty.
///
/// # Errors
/// [`StoreError::BadBackup`] when a file is not what it was, [`StoreError::NotEmpty`],
/// [`StoreError::Format`] for a backup of another format, failed copies.
pub fn restore(from: &Path, directory: &Path, watch: Watch<'_>) -> Result<Backup, StoreError> {
    let backup = Backup::read(from)?;
    meta::read_format(from, backup.format.to_string().as_bytes())?;
    copy::make_empty(directory)?;
    let marker = directory.join(RESTORING_FILE);
    copy::write(&marker, b"")?;
    let restored = copy_in(from, directory, &backup, watch);
    if restored.is_err() {
        // What there is of it is of no use to anybody.
        let _ = std::fs::remove_dir_all(directory.join("db"));
        let _ = std::fs::remove_file(directory.join(secret::FILE));
    }
    std::fs::remove_file(&marker).map_err(|error| StoreError::file(&marker, error))?;
    copy::sync(directory)?;
    restored.map(|()| backup)
}

fn copy_in(
    from: &Path,
    directory: &Path,
    backup: &Backup,
    watch: Watch<'_>,
) -> Result<(), StoreError> {
    let database = directory.join("db");
    std::fs::create_dir(&database).map_err(|error| StoreError::file(&database, error))?;
    let (mut done, total) = (0, backup.bytes());
    for file in &backup.files {
        let copied = copy::file((from, directory), &file.name, &mut |bytes| {
            done += bytes;
            watch("copying", done, total)
        });
        match copied {
            Ok(copied) if copied == *file => {}
            Ok(_) => {
                let text = format!("{} is not what it was when it was made", file.name);
                return Err(StoreError::BadBackup(text));
            }
            Err(StoreError::File { path, error }) if path.starts_with(from) => {
                return Err(StoreError::BadBackup(format!("{}: {error}", path.display())));
            }
            Err(other) => return Err(other),
        }
    }
    copy::sync(&database)
}
