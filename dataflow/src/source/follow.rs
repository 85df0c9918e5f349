//! A followed file: it grows, is renamed and begun anew (rotation), or cut to nothing (truncation).
//!
//! An open file is read to its end before its successor is opened, and the successor is opened only
//! when it has bytes, because a writer may go on writing to the renamed file until then. Each new
//! beginning gets a number, so that implicit ids never repeat. Truncation is seen by length, and by
//! a hash of the file's first bytes, so also when the file has grown past the old place since.
//!
//! Known limit: of two rotations between two looks, or while nobody followed, the file in between
//! is not read.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use spoor_operators::wire::{Malformed, Reader, put_u64};
use xxhash_rust::xxh3::xxh3_64;

use super::cut::{Cutter, Piece, When};
use super::{Chunk, Next, Source, SourceError, SourceId};
use crate::decode::Format;
use crate::decode::detect::{detect, detect_live};

/// Bytes of a file's beginning that tell it from another with the same inode.
const FINGERPRINT_BYTES: usize = 1 << 10;
/// First byte of an encoded place.
const PLACE_VERSION: u8 = 1;

/// Which file, and how its first bytes were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fingerprint {
    device: u64,
    inode: u64,
    /// How many first bytes are hashed.
    len: u64,
    hash: u64,
}

impl Fingerprint {
    fn of(file: &File, len: u64) -> io::Result<Self> {
        let known = file.metadata()?;
        let mut head = vec![0; (known.len().min(len) as usize).min(FINGERPRINT_BYTES)];
        file.read_exact_at(&mut head, 0)?;
        let (len, hash) = (head.len() as u64, xxh3_64(&head));
        Ok(Self { device: known.dev(), inode: known.ino(), len, hash })
    }

    fn is_of(&self, known: &Metadata) -> bool {
        (self.device, self.inode) == (known.dev(), known.ino())
    }
}

/// A place in a followed file: what a chunk's checkpoint holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    fingerprint: Fingerprint,
    /// Number of the file: how often a new one was begun.
    number: u64,
    offset: u64,
}

impl Place {
    fn encode(&self) -> Bytes {
        let mut bytes = vec![PLACE_VERSION];
        let Fingerprint { device, inode, len, hash } = self.fingerprint;
        for field in [device, inode, len, hash, self.number, self.offset] {
            put_u64(&mut bytes, field);
        }
        bytes.into()
    }

    /// Reads a chunk's checkpoint.
    ///
    /// # Errors
    /// [`Malformed`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader(bytes);
        if from.u8()? != PLACE_VERSION {
            return Err(Malformed("version of a place"));
        }
        let mut fields = [0; 6];
        for field in &mut fields {
            *field = from.u64()?;
        }
        let [device, inode, len, hash, number, offset] = fields;
        let fingerprint = Fingerprint { device, inode, len, hash };
        if from.is_empty() {
            Ok(Self { fingerprint, number, offset })
        } else {
            Err(Malformed("bytes after a place"))
        }
    }
}

/// Where to begin when the file is first opened.
enum Begin {
    At(u64),
    Behind(Place),
    /// Opened before.
    Anew,
}

/// A followed file.
pub(super) struct Follow {
    path: PathBuf,
    name: Arc<str>,
    format: Option<Arc<Format>>,
    begin: Begin,
    file: Option<File>,
    fingerprint: Fingerprint,
    number: u64,
    cutter: Cutter,
}

impl Follow {
    pub(super) fn at(path: &Path, format: Option<Arc<Format>>, offset: u64) -> Self {
        Self::new(path, format, Begin::At(offset))
    }

    pub(super) fn behind(path: &Path, format: Option<Arc<Format>>, place: Place) -> Self {
        Self::new(path, format, Begin::Behind(place))
    }

    fn new(path: &Path, format: Option<Arc<Format>>, begin: Begin) -> Self {
        Self {
            path: path.into(),
            name: path.display().to_string().into(),
            format,
            begin,
            file: None,
            fingerprint: Fingerprint::default(),
            number: 0,
            cutter: Cutter::default(),
        }
    }

    /// Opens what is at the path, if anything is.
    fn open(&mut self) -> io::Result<()> {
        let Some(file) = open_file(&self.path)? else { return Ok(()) };
        match std::mem::replace(&mut self.begin, Begin::Anew) {
            Begin::At(offset) => self.begin_with(file, 0, offset),
            Begin::Behind(place) => match self.find(place, file)? {
                Ok(found) => self.begin_with(found, place.number, place.offset),
                Err(other) => self.begin_with(other, place.number + 1, 0),
            },
            Begin::Anew => self.begin_with(file, self.number, 0),
        }
    }

    /// The file a place is in: the one at the path, or it was renamed within its directory. Else
    /// the one at the path is another.
    fn find(&self, place: Place, file: File) -> io::Result<Result<File, File>> {
        let same = |file: &File| -> io::Result<bool> {
            let known = place.fingerprint.is_of(&file.metadata()?);
            let now = Fingerprint::of(file, place.fingerprint.len)?;
            Ok(known && now == place.fingerprint && file.metadata()?.len() >= place.offset)
        };
        if same(&file)? {
            return Ok(Ok(file));
        }
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        for entry in std::fs::read_dir(directory.unwrap_or(Path::new(".")))? {
            let entry = entry?;
            if !entry.metadata().is_ok_and(|known| place.fingerprint.is_of(&known)) {
                continue;
            }
            if let Some(renamed) = open_file(&entry.path())?
                && same(&renamed)?
            {
                return Ok(Ok(renamed));
            }
        }
        Ok(Err(file))
    }

    fn begin_with(&mut self, mut file: File, number: u64, offset: u64) -> io::Result<()> {
        file.seek(SeekFrom::Start(offset))?;
        self.fingerprint = Fingerprint::of(&file, FINGERPRINT_BYTES as u64)?;
        self.number = number;
        self.cutter = Cutter::at(offset);
        self.file = Some(file);
        Ok(())
    }

    /// Reads what there is, up to a chunk; answers how much.
    fn read(&mut self) -> io::Result<usize> {
        let Some(file) = &mut self.file else { return Ok(0) };
        let (buffer, room) = self.cutter.room();
        file.by_ref().take(room as u64).read_to_end(buffer)
    }

    /// Whether the open file was cut to less than was read, or begins otherwise now.
    fn is_truncated(&mut self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        if file.metadata()?.len() < self.cutter.read_to() {
            return Ok(true);
        }
        match Fingerprint::of(file, self.fingerprint.len) {
            Ok(now) => Ok(now != self.fingerprint),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Whether another file with bytes in it is at the path.
    fn is_rotated(&self) -> io::Result<bool> {
        match std::fs::metadata(&self.path) {
            Ok(known) => Ok(!self.fingerprint.is_of(&known) && known.len() > 0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The next piece of what is open; a last line without its line feed only if `ends`.
    fn cut(&mut self, ends: bool) -> Result<Option<Chunk>, SourceError> {
        let when = if ends { When::Last } else { When::Now };
        if self.format.is_none() && !self.find_format(ends)? {
            return Ok(None);
        }
        let Some(format) = self.format.clone() else { return Ok(None) };
        if format.is_document() {
            let reason = "a document cannot be followed, only lines".into();
            return Err(SourceError::Format { name: self.name.to_string(), reason });
        }
        let Some(piece) = self.cutter.cut(when) else { return Ok(None) };
        if !ends {
            self.learn(piece.end).map_err(|error| self.io_error(error))?;
        }
        Ok(Some(self.chunk(piece, format)))
    }

    /// Whether the format is known now, from whole lines.
    fn find_format(&mut self, ends: bool) -> Result<bool, SourceError> {
        let buffered = self.cutter.buffered();
        let whole = memchr::memrchr(b'\n', buffered).map_or(0, |at| at + 1);
        let refused = |reason| SourceError::Format { name: self.name.to_string(), reason };
        let found = if ends { detect(buffered) } else { detect_live(&buffered[..whole]) };
        self.format = found.map_err(refused)?.map(Arc::new);
        Ok(self.format.is_some())
    }

    /// Lets the fingerprint cover what was read, up to its full length.
    fn learn(&mut self, read_to: u64) -> io::Result<()> {
        if let Some(file) = &self.file
            && self.fingerprint.len < read_to.min(FINGERPRINT_BYTES as u64)
        {
            self.fingerprint = Fingerprint::of(file, read_to)?;
        }
        Ok(())
    }

    fn chunk(&self, piece: Piece, format: Arc<Format>) -> Chunk {
        let place = Place { fingerprint: self.fingerprint, number: self.number, offset: piece.end };
        let name = match self.number {
            0 => self.name.clone(),
            number => format!("{}#{number}", self.name).into(),
        };
        Chunk {
            source: SourceId::default(),
            name,
            format,
            bytes: piece.bytes,
            content: piece.content,
            offset: piece.offset,
            end: piece.end,
            checkpoint: place.encode(),
        }
    }

    fn io_error(&self, error: io::Error) -> SourceError {
        SourceError::Io { name: self.name.to_string(), offset: self.cutter.read_to(), error }
    }

    /// The next chunk of the open file, or of what follows it.
    fn advance(&mut self) -> Result<Option<Chunk>, SourceError> {
        if self.file.is_none() {
            self.open().map_err(|error| self.io_error(error))?;
        }
        let truncated = self.is_truncated().map_err(|error| self.io_error(error))?;
        if !truncated {
            // What is at the path is looked at before the last read, so that nothing written to
            // the old file in between is missed.
            let rotated = self.is_rotated().map_err(|error| self.io_error(error))?;
            let read = self.read().map_err(|error| self.io_error(error))?;
            let ends = rotated && read == 0;
            if let Some(chunk) = self.cut(ends)? {
                return Ok(Some(chunk));
            }
            if !rotated || self.file.is_none() {
                return Ok(None);
            }
            if ends {
                self.file = None;
                self.number += 1;
            }
            return self.advance();
        }
        if let Some(chunk) = self.cut(true)? {
            return Ok(Some(chunk));
        }
        self.number += 1;
        if let Some(file) = self.file.take() {
            let number = self.number;
            self.begin_with(file, number, 0).map_err(|error| self.io_error(error))?;
        }
        self.advance()
    }
}

impl Source for Follow {
    fn name(&self) -> &str {
        &self.name
    }

    fn next(&mut self) -> Result<Next, SourceError> {
        Ok(self.advance()?.map_or(Next::Idle, Next::Chunk))
    }
}

fn open_file(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
