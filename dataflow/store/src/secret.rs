//! The store's secret key: 32 random bytes in a file beside the database, for its owner only.
//!
//! It is not in the database, so that a copy of the data is not a copy of the key.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::StoreError;

/// The file in the store's directory.
pub(super) const FILE: &str = "secret.key";
const KEY_BYTES: usize = 32;

pub(super) fn read_or_make(directory: &Path) -> Result<[u8; KEY_BYTES], StoreError> {
    let path = directory.join(FILE);
    let failed = |reason: String| StoreError::SecretKey { path: path.clone(), reason };
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(text.trim()).ok_or_else(|| failed("it is not 64 hex digits".into())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = random().map_err(|error| failed(error.to_string()))?;
            keep(directory, &key)?;
            Ok(key)
        }
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Makes another key the store's: the old one or this one is there whenever the power is lost.
pub(super) fn keep(directory: &Path, key: &[u8; KEY_BYTES]) -> Result<(), StoreError> {
    let (path, new) = (directory.join(FILE), directory.join("secret.key.new"));
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&new);
    let written = file.and_then(|mut file| {
        file.write_all(hex(key).as_bytes())?;
        file.sync_all()
    });
    let kept = written.and_then(|()| {
        std::fs::rename(&new, &path)?;
        File::open(directory)?.sync_all()
    });
    kept.map_err(|error| StoreError::SecretKey { path, reason: error.to_string() })
}

/// Whether the file, if there is one, holds a key.
pub(super) fn check(directory: &Path) -> Result<(), StoreError> {
    if directory.join(FILE).exists() { read_or_make(directory).map(drop) } else { Ok(()) }
}

/// As many random bytes as a key has.
///
/// # Errors
/// The system has no random numbers.
pub fn random() -> std::io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(key)
}

/// In hex digits.
#[must_use]
pub fn hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse(text: &str) -> Option<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    if text.len() != 2 * KEY_BYTES || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let key = read_or_make(directory.path()).unwrap();
        assert_eq!(read_or_make(directory.path()).unwrap(), key);
        let file = directory.path().join(FILE);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(read_or_make(other.path()).unwrap(), key);
        std::fs::write(&file, "no key").unwrap();
        assert!(read_or_make(directory.path()).is_err());
    }
}
