//! Whether the store is still where it was opened.
//!
//! Files that were deleted, or moved with their directory, are written as before through their
//! descriptors: a commit succeeds, and the next start finds nothing of it. So every commit looks,
//! before anybody is told of it, whether the names still lead to what was opened: four calls that
//! do not touch the disk.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::StoreError;
use super::lock::LOCK_FILE;
use super::witness::WITNESS_FILE;

/// Device and inode.
type Identity = (u64, u64);

/// What the store's names led to when it was opened.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
    known: Vec<(PathBuf, Identity)>,
    /// Names the files of the database; replaced now and then.
    current: PathBuf,
}

impl Place {
    /// Of a store that is open.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub(crate) fn of(directory: &Path) -> Result<Self, StoreError> {
        let database = directory.join("db");
        let current = database.join("CURRENT");
        let (lock, witness) = (directory.join(LOCK_FILE), directory.join(WITNESS_FILE));
        let known = [directory.to_owned(), lock, witness, database].into_iter().map(|path| {
            let identity = identity(&path).map_err(|error| StoreError::file(&path, error))?;
            Ok((path, identity))
        });
        let known = known.collect::<Result<_, StoreError>>()?;
        Ok(Self { directory: directory.into(), known, current })
    }

    /// Refuses when a name leads elsewhere, or nowhere.
    ///
    /// # Errors
    /// [`StoreError::Moved`].
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let moved = |path: &Path| StoreError::Moved {
            path: self.directory.clone(),
            missing: path.to_owned(),
        };
        for (path, known) in &self.known {
            if identity(path).ok() != Some(*known) {
                return Err(moved(path));
            }
        }
        identity(&self.current).map(drop).map_err(|_| moved(&self.current))
    }
}

fn identity(path: &Path) -> std::io::Result<Identity> {
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::super::super::{Store, StoreOptions};
    use super::*;
    use crate::Commit;
    use spoor_operators::time::Epoch;

    /// What a commit says after something was done to the directory of an open store.
    fn check(done: impl FnOnce(&Path), missing: Option<&str>) {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("state");
        let store = Store::open(&directory, StoreOptions::default()).unwrap();
        let commit = |epoch| Commit { epoch: Epoch(epoch), ..Commit::default() };
        store.commit(commit(1)).unwrap();
        done(&directory);
        for staged in [false, true] {
            let done = match staged {
                false => store.commit(commit(2)),
                true => store.stage(commit(2)).map(drop),
            };
            let Some(missing) = missing else { return done.unwrap() };
            let refused = done.unwrap_err();
            let at = directory.join(missing);
            assert!(
                matches!(&refused, StoreError::Moved { missing, .. } if *missing == at.as_path()),
                "{refused}"
            );
            assert_eq!(store.committed(), Some(Epoch(1)), "nobody is told");
        }
    }

    fn move_to(from: &Path, name: &str) {
        std::fs::rename(from, from.with_file_name(name)).unwrap();
    }

    #[test]
    fn a_commit_notices_that_the_store_is_not_where_it_was() {
        check(|_| {}, None);
        check(|state| std::fs::remove_dir_all(state).unwrap(), Some(""));
        check(|state| move_to(state, "elsewhere"), Some(""));
        let replace = |state: &Path| {
            move_to(state, "elsewhere");
            std::fs::create_dir_all(state.join("db")).unwrap();
            for name in [LOCK_FILE, WITNESS_FILE, "db/CURRENT"] {
                std::fs::copy(state.with_file_name("elsewhere").join(name), state.join(name))
                    .unwrap();
            }
        };
        check(replace, Some(""));
        check(|state| std::fs::remove_dir_all(state.join("db")).unwrap(), Some("db"));
        check(|state| std::fs::remove_file(state.join("db/CURRENT")).unwrap(), Some("db/CURRENT"));
        check(|state| std::fs::remove_file(state.join(LOCK_FILE)).unwrap(), Some(LOCK_FILE));
        check(|state| std::fs::remove_file(state.join(WITNESS_FILE)).unwrap(), Some(WITNESS_FILE));
        // A link to where it is now leads to the same store.
        let link = |state: &Path| {
            move_to(state, "elsewhere");
            std::os::unix::fs::symlink(state.with_file_name("elsewhere"), state).unwrap();
        };
        check(link, None);
    }
}
