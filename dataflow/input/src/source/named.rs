//! Sources as they are asked for: under a name, and of files that are known whatever their paths say.
//!
//! A file is known by its inode and first bytes, uncompressed; its
//! device is not asked, because it changes when a machine starts again.

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::opening::{self, Kind};
use super::place::{self, FINGERPRINT_BYTES, Stretch};
use super::rotated::directory;
use super::{SourceError, SourceSpec};
use crate::decode::compress;

/// A source and its name.
#[derive(Clone, Debug)]
pub struct Named {
    /// In the store, in implicit ids, in the status.
    pub name: String,
    /// A file of a directory: one whose content is of no known format is left out.
    pub optional: bool,
    /// What to read.
    pub spec: SourceSpec,
}

/// Which file a source reads; what the store keeps of that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId {
    /// Its absolute path, without links but in the last part.
    pub path: String,
    /// Its inode.
    pub inode: u64,
    /// How many first bytes are hashed.
    pub head_bytes: u64,
    /// Their hash.
    pub head_hash: u64,
}

/// A file as it is now.
#[derive(Clone, Debug)]
pub struct Identified {
    /// Which it is.
    pub id: FileId,
    device: u64,
    head: Vec<u8>,
}

impl From<SourceSpec> for Named {
    fn from(spec: SourceSpec) -> Self {
        Self { name: spec.name(), optional: false, spec }
    }
}

impl Named {
    /// A source with a name that somebody chose.
    #[must_use]
    pub fn chosen(name: &str, spec: SourceSpec) -> Self {
        Self { name: name.into(), optional: false, spec }
    }

    /// A source of a server that nobody named: by its absolute path.
    #[must_use]
    pub fn by_path(spec: SourceSpec) -> Self {
        let name = spec.path().map(|path| absolute(path).display().to_string());
        let name = name.unwrap_or_else(|| spec.name());
        Self { name, ..Self::from(spec) }
    }

    /// The sources to open: a directory's files, by name; a stream where a file was named; anything
    /// else is itself. What is in the directory and no file is left out, with a warning.
    ///
    /// # Errors
    /// [`SourceError::Io`] when the directory cannot be read.
    pub fn expand(self) -> Result<Vec<Self>, SourceError> {
        let (path, format) = match &self.spec {
            SourceSpec::Directory { path, format } => (path, format),
            SourceSpec::File { path, format } if opening::kind(path).ok() == Some(Kind::Stream) => {
                let spec = SourceSpec::Stream { path: path.clone(), format: format.clone() };
                return Ok(vec![Self { spec, ..self }]);
            }
            _ => return Ok(vec![self]),
        };
        let failed = |error| SourceError::Io { name: path.display().to_string(), offset: 0, error };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            match opening::check_regular(&file) {
                Ok(()) => files.push(file),
                Err(error) => tracing::warn!("{} is left out: {error}", file.display()),
            }
        }
        files.sort();
        let of_file = |path: PathBuf| Self {
            name: Path::new(&self.name)
                .join(path.file_name().unwrap_or_default())
                .display()
                .to_string(),
            optional: true,
            spec: SourceSpec::File { path, format: format.clone() },
        };
        Ok(files.into_iter().map(of_file).collect())
    }

    /// Which file it reads, if it reads a regular one that is there.
    #[must_use]
    pub fn identify(&self) -> Option<Identified> {
        Identified::of(self.spec.path()?)
    }
}

/// Leaves out what is the same file as another; answers the names of both.
pub fn without_twins(sources: Vec<Named>) -> (Vec<Named>, Vec<(Named, String)>) {
    let mut kept: Vec<(Named, Option<(u64, u64)>)> = Vec::new();
    let mut twins = Vec::new();
    // One that is followed is not read to an end as well.
    let (followed, rest): (Vec<_>, Vec<_>) =
        sources.into_iter().partition(|one| matches!(one.spec, SourceSpec::Follow { .. }));
    for source in followed.into_iter().chain(rest) {
        let known = source.spec.path().and_then(|path| std::fs::metadata(path).ok());
        let file = known.filter(std::fs::Metadata::is_file).map(|known| (known.dev(), known.ino()));
        match kept.iter().find(|(_, other)| file.is_some() && *other == file) {
            Some((other, _)) => twins.push((source, other.name.clone())),
            None => kept.push((source, file)),
        }
    }
    (kept.into_iter().map(|(source, _)| source).collect(), twins)
}

/// A path from the root, without links but in its last part. One whose directory is not there is
/// as it is given.
#[must_use]
pub fn absolute(path: &Path) -> PathBuf {
    let directory = directory(path).canonicalize();
    let name: Option<&OsStr> = path.file_name();
    match (directory, name) {
        (Ok(directory), Some(name)) => directory.join(name),
        _ => std::path::absolute(path).unwrap_or_else(|_| path.into()),
    }
}

impl Identified {
    /// Which file is at a path, if a regular one is.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let file = opening::regular(path).ok()?;
        let known = file.metadata().ok()?;
        let (device, inode) = (known.dev(), known.ino());
        let mut head = Vec::new();
        // Of a damaged file what precedes the damage is known.
        if let Ok((content, _)) = compress::open(file) {
            let _ = content.take(FINGERPRINT_BYTES as u64).read_to_end(&mut head);
        }
        let Stretch { len: head_bytes, hash: head_hash } = Stretch::of(&head);
        let path = absolute(path).display().to_string();
        Some(Self { id: FileId { path, inode, head_bytes, head_hash }, device, head })
    }

    /// Whether it begins as another file did; that may have been shorter.
    #[must_use]
    pub fn begins_as(&self, other: &FileId) -> bool {
        let head = usize::try_from(other.head_bytes).ok().and_then(|len| self.head.get(..len));
        other.head_bytes > 0 && head.is_some_and(|head| Stretch::of(head).hash == other.head_hash)
    }

    /// Whether it is another file, under whatever path.
    #[must_use]
    pub fn is(&self, other: &FileId) -> bool {
        self.id.inode == other.inode && self.begins_as(other)
    }

    /// Its first bytes, as a place in it has them that was reached by reading to an end.
    #[must_use]
    pub fn checkpoint(&self, offset: u64) -> Vec<u8> {
        let head = &self.head[..self.head.len().min(usize::try_from(offset).unwrap_or(usize::MAX))];
        let (device, inode) = (self.device, self.id.inode);
        let file = place::Fingerprint { device, inode, head: Stretch::of(head) };
        place::encode(&[place::Place { file, offset, ..place::Place::default() }]).to_vec()
    }
}

impl FileId {
    /// The file of the newest place of a followed file's checkpoint, and the offset in it.
    #[must_use]
    pub fn of_places(checkpoint: &[u8]) -> Option<(Self, u64)> {
        let place = *place::decode(checkpoint).ok()?.first()?;
        let place::Fingerprint { inode, head, .. } = place.file;
        let id = Self { path: String::new(), inode, head_bytes: head.len, head_hash: head.hash };
        Some((id, place.offset))
    }

    /// Whether two processes have the same file: the device differs from machine to machine.
    #[must_use]
    pub fn is_shared_with(&self, other: &Self) -> bool {
        let file = |id: &Self| (id.inode, id.head_bytes, id.head_hash);
        self.head_bytes > 0 && file(self) == file(other)
    }
}
