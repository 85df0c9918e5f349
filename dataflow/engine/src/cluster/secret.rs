//! The secret the processes of a cluster share: who knows it is one of them.
//!
//! It comes from the environment or the hosts file. Processes that are all on this machine may do
//! without: they then share a random one in a file beside the hosts file, which the first of them
//! makes and only their user may read. Only a hash of it is kept.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::limits::SECRET_BYTES_MIN;
use spoor_store::secret::{hex, random};

/// Names the purpose of the key that is derived from the secret.
const DERIVATION: &str = "spoor 2026-11 handshake between the processes of a cluster";
/// Others may read or write the file.
const OTHERS: u32 = 0o077;

/// Key that every process of the cluster has, and nobody else. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterSecret([u8; 32]);

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(***)")
    }
}

impl ClusterSecret {
    /// Of a text of at least [`SECRET_BYTES_MIN`] bytes, without the white space at its ends.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() < SECRET_BYTES_MIN {
            return Err(format!(
                "the secret of the cluster needs at least {SECRET_BYTES_MIN} bytes; \
                 `openssl rand -hex 32` makes one"
            ));
        }
        Ok(Self(blake3::derive_key(DERIVATION, text.as_bytes())))
    }

    /// The one that processes on this machine share by a file, which is made if need be.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn of_file(path: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| {
            format!(
                "the secret of the processes, {}: {error}; or set {VARIABLE}",
                path.display(),
                VARIABLE = super::SECRET_VARIABLE
            )
        };
        loop {
            match std::fs::read_to_string(path) {
                Ok(text) => {
                    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
                    if mode & OTHERS != 0 {
                        return Err(format!(
                            "others may read {}: run `chmod 600` on it",
                            path.display()
                        ));
                    }
                    return Self::new(&text);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => make(path).map_err(failed)?,
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// The key itself.
    pub(super) fn key(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Makes the file, unless another process was faster: it is there whole, or not at all.
fn make(path: &Path) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // Of nobody else: neither of another process nor of another thread.
    name.push(format!(".{}", hex(&random()?)));
    let new = path.with_file_name(name);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
    let made = file.and_then(|mut file| {
        writeln!(file, "{}", hex(&random()?))?;
        std::fs::hard_link(&new, path)
    });
    // It has its name by now, or is of no use.
    let _ = std::fs::remove_file(&new);
    match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.exists() => Ok(()),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_enough_and_never_shown() {
        assert!(ClusterSecret::new("fifteen bytes..").is_err());
        let secret = ClusterSecret::new(" 0123456789abcdef\n").unwrap();
        assert_eq!(secret, ClusterSecret::new("0123456789abcdef").unwrap());
        assert_ne!(secret, ClusterSecret::new("0123456789abcdeF").unwrap());
        assert_eq!(format!("{secret:?}"), "ClusterSecret(***)");
    }

    #[test]
    fn processes_of_one_machine_share_a_file_that_only_they_may_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts.txt.secret");
        let shared: Vec<_> = std::thread::scope(|threads| {
            let one = || threads.spawn(|| ClusterSecret::of_file(&path).unwrap());
            let started: Vec<_> = (0..4).map(|_| one()).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(shared.iter().all(|secret| *secret == shared[0]));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(ClusterSecret::of_file(&path).unwrap_err().contains("chmod 600"));
    }
}
