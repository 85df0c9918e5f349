//! A stream that has an end: a file, a pipe, or standard input; plain or compressed.
//!
//! Lines are cut into chunks as they are read. A document (a HAR, or JSON whose mapping unwraps
//! records) is one chunk, and so bounded in size. The format, when it is not given, comes from the
//! head of the uncompressed stream, also when reading goes on behind it. UTF-16 is read as UTF-8. A live stream is new each
//! time: it is read from where it begins, and its offsets go on from where those before it ended.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::cut::{Cutter, Piece, When};
use super::opening::{self, Stop};
use super::{Next, Source, SourceError, charset};
use crate::decode::chunk::{Chunk, Content};
use crate::decode::compress;
use crate::decode::detect::{self, DETECT_BYTES};
use crate::decode::{DOCUMENT_BYTES_MAX, Format, Formats};

/// Bytes asked of a live stream at once: what a pipe holds.
const LIVE_BYTES: usize = 1 << 16;

/// Where bytes come from.
enum Input {
    /// A plain file: it can be sought.
    Plain(File),
    /// Uncompressed already.
    Whole(Box<dyn Read + Send>),
    /// Bytes are handed over as they arrive. None: not looked at yet, it may be compressed.
    Live(Option<Box<dyn Read + Send>>),
}

impl Input {
    fn file(mut file: File) -> io::Result<Self> {
        let mut head = Vec::new();
        file.by_ref().take(compress::MAGIC_BYTES as u64).read_to_end(&mut head)?;
        file.rewind()?;
        if compress::is_compressed(&head) || charset::is_utf16(&head) {
            return compress::open(file).map(|(input, _)| Self::Whole(charset::utf8(input)));
        }
        Ok(Self::Plain(file))
    }

    fn read(&mut self, into: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.by_ref().take(most as u64).read_to_end(into),
            Self::Whole(input) => input.take(most as u64).read_to_end(into),
            Self::Live(Some(input)) => {
                let len = into.len();
                into.resize(len + most.min(LIVE_BYTES), 0);
                let read = loop {
                    match input.read(&mut into[len..]) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        done => break done,
                    }
                };
                into.truncate(len + *read.as_ref().unwrap_or(&0));
                read
            }
            Self::Live(None) => Ok(0),
        }
    }

    /// Skips bytes of the uncompressed stream; answers how many there were.
    fn skip(&mut self, len: u64, stop: &Stop) -> io::Result<u64> {
        match self {
            Self::Plain(file) => {
                let at = file.stream_position()?;
                let left = file.metadata()?.len().saturating_sub(at);
                file.seek(SeekFrom::Start(at + len.min(left)))?;
                Ok(len.min(left))
            }
            Self::Whole(input) | Self::Live(Some(input)) => opening::skip(&mut **input, len, stop),
            Self::Live(None) => Ok(0),
        }
    }
}

/// A source that ends.
pub(super) struct Stream {
    name: Arc<str>,
    input: Input,
    format: Option<Arc<Format>>,
    resume_at: u64,
    /// Nothing is read from here on.
    until: u64,
    /// Offset of the stream's first byte.
    first: u64,
    started: bool,
    stop: Stop,
    cutter: Cutter,
    ended: bool,
    /// A failure that is told after what came before it.
    failed: Option<io::Error>,
}

/// Opens a file and finds its format.
pub(super) fn open(
    path: &Path,
    format: Option<Arc<Format>>,
    resume_at: u64,
    stop: &Stop,
) -> Result<Box<dyn Source>, SourceError> {
    let name = path.display().to_string();
    let failed = |error| SourceError::Io { name: name.clone(), offset: 0, error };
    let input = opening::regular(path).and_then(Input::file).map_err(failed)?;
    let mut stream = Stream::new(name.clone().into(), input, format, resume_at);
    stream.stop = stop.clone();
    stream.start()?;
    Ok(Box::new(stream))
}

/// Opens a range of a plain file that begins and ends with lines.
pub(super) fn open_range(
    path: &Path,
    format: Option<Arc<Format>>,
    from: u64,
    until: u64,
) -> Result<Stream, SourceError> {
    let name = path.display().to_string();
    let failed = |error| SourceError::Io { name: name.clone(), offset: from, error };
    let file = opening::regular(path).map_err(failed)?;
    let mut stream = Stream::new(name.clone().into(), Input::Plain(file), format, from);
    stream.until = until;
    stream.start()?;
    Ok(stream)
}

/// Whether a file can be read in parts: it is plain, and its records are lines. Its length, if so.
pub(super) fn divisible(
    path: &Path,
    format: Option<Arc<Format>>,
) -> Result<Option<u64>, SourceError> {
    let name = path.display().to_string();
    let failed = |error| SourceError::Io { name: name.clone(), offset: 0, error };
    let Input::Plain(file) = opening::regular(path).and_then(Input::file).map_err(failed)? else {
        return Ok(None);
    };
    let len = file.metadata().map_err(failed)?.len();
    let mut stream = Stream::new(name.clone().into(), Input::Plain(file), format, 0);
    stream.start()?;
    let by_lines = stream.format.as_ref().is_none_or(|format| format.is_divisible());
    Ok(by_lines.then_some(len))
}

impl Stream {
    fn new(name: Arc<str>, input: Input, format: Option<Arc<Format>>, resume_at: u64) -> Self {
        Self {
            name,
            input,
            format,
            resume_at,
            until: u64::MAX,
            first: 0,
            started: false,
            stop: Stop::default(),
            cutter: Cutter::default(),
            ended: false,
            failed: None,
        }
    }

    /// A stream that nobody can go back in, and whose first byte is at the offset `first`.
    pub(super) fn live(
        name: Arc<str>,
        input: impl Read + Send + 'static,
        format: Option<Arc<Format>>,
        first: u64,
    ) -> Self {
        let stream = Self::new(name, Input::Live(Some(Box::new(input))), format, 0);
        Self { first, cutter: Cutter::at(first), ..stream }
    }

    fn io_error(&self, error: io::Error) -> SourceError {
        SourceError::Io { name: self.name.to_string(), offset: self.cutter.read_to(), error }
    }

    /// Reads the head, finds the format from it, and goes to where reading shall begin.
    fn start(&mut self) -> Result<(), SourceError> {
        self.started = true;
        if let Input::Live(input) = &mut self.input
            && let Some(live) = input.take()
        {
            let (live, compressed) = compress::open(live).map_err(|error| self.io_error(error))?;
            let (live, is_utf16) = charset::sniffed(live).map_err(|error| self.io_error(error))?;
            let whole = compressed || is_utf16;
            self.input = if whole { Input::Whole(live) } else { Input::Live(Some(live)) };
        }
        self.read_head();
        let head = self.cutter.buffered();
        self.format = match &self.format {
            Some(named) if !named.is_auto() => Some(detect::adapted(named, head)),
            _ => detect::detect_among(head, &self.formats())
                .map_err(|reason| SourceError::Format { name: self.name.to_string(), reason })?
                .map(Arc::new),
        };
        self.go_to(self.resume_at)?;
        self.cutter.forget_after(self.until);
        Ok(())
    }

    /// Enough to find the format from; of a live stream, no line more than that takes.
    fn read_head(&mut self) {
        let until = std::mem::replace(&mut self.until, u64::MAX);
        while !self.ended && self.failed.is_none() && self.cutter.buffered().len() < DETECT_BYTES {
            let head = self.cutter.buffered();
            let whole = memchr::memrchr(b'\n', head).map_or(0, |at| at + 1);
            let is_live = matches!(self.input, Input::Live(_));
            let is_named = self.format.as_ref().is_some_and(|format| !format.is_auto());
            let is_known = || match is_named {
                true => !head.is_empty(),
                false => !matches!(detect::detect_live(&head[..whole], &self.formats()), Ok(None)),
            };
            if is_live && is_known() {
                break;
            }
            self.read(DETECT_BYTES);
        }
        self.until = until;
    }

    /// Those the format is one of, if it has to be found.
    fn formats(&self) -> Arc<Formats> {
        match self.format.as_deref() {
            Some(Format::Auto(formats)) => Arc::clone(formats),
            _ => Arc::default(),
        }
    }

    fn go_to(&mut self, offset: u64) -> Result<(), SourceError> {
        if offset == 0 {
            return Ok(());
        }
        let head = self.cutter.buffered();
        let kept = usize::try_from(offset).ok().and_then(|offset| head.get(offset..));
        let (kept, missing) = match kept {
            Some(kept) => (kept.to_vec(), 0),
            None => (Vec::new(), offset - head.len() as u64),
        };
        if missing > 0 {
            let skipped = self.input.skip(missing, &self.stop);
            let skipped = skipped.map_err(|error| self.io_error(error))?;
            if skipped < missing {
                let reason = format!(
                    "it was read to byte {offset} before, but now has only {} bytes",
                    self.cutter.read_to() + skipped
                );
                return Err(SourceError::Resume { name: self.name.to_string(), reason });
            }
        }
        self.cutter = Cutter::at(offset);
        self.cutter.room(kept.len()).0.extend_from_slice(&kept);
        Ok(())
    }

    /// Reads up to `most` bytes, and notes the end or a failure.
    fn read(&mut self, most: usize) {
        let left = usize::try_from(self.until - self.cutter.read_to()).unwrap_or(usize::MAX);
        let (buffer, room) = self.cutter.room(most.min(left));
        match self.input.read(buffer, room) {
            Ok(read) => self.ended = read == 0,
            Err(error) => self.failed = Some(error),
        }
        self.cutter.drop_padding();
    }

    fn chunk(&mut self, piece: Piece) -> Option<Chunk> {
        let format = self.format.clone()?;
        if let Some(behind) = format.behind(&piece.bytes) {
            self.format = Some(Arc::new(behind));
        }
        Some(Chunk {
            source: super::SourceId::default(),
            name: self.name.clone(),
            format,
            bytes: piece.bytes,
            content: piece.content,
            offset: piece.offset,
            end: piece.end,
            checkpoint: Bytes::copy_from_slice(&piece.end.to_le_bytes()),
        })
    }

    /// The whole of a document.
    fn document(&mut self) -> Result<Next, SourceError> {
        if !self.ended && self.failed.is_none() && self.cutter.buffered().is_empty() {
            self.read(1);
        }
        let nothing = self.cutter.buffered().is_empty();
        if nothing && let Some(error) = self.failed.take() {
            return Err(self.io_error(error));
        }
        if nothing && self.ended {
            return Ok(Next::End);
        }
        if self.cutter.read_to() - self.first > self.cutter.buffered().len() as u64 {
            let reason = "a document cannot be read from its middle".into();
            return Err(SourceError::Resume { name: self.name.to_string(), reason });
        }
        let mut bytes = self.cutter.buffered().to_vec();
        // What stands before a failure is a document that is cut off; the failure is told behind it.
        while !self.ended && self.failed.is_none() && bytes.len() <= DOCUMENT_BYTES_MAX {
            let most = DOCUMENT_BYTES_MAX + 1 - bytes.len();
            match self.input.read(&mut bytes, most) {
                Ok(read) => self.ended = read == 0,
                Err(error) => self.failed = Some(error),
            }
        }
        if bytes.len() > DOCUMENT_BYTES_MAX {
            let reason = format!(
                "it is one JSON document of more than {} MiB; split it",
                DOCUMENT_BYTES_MAX >> 20
            );
            return Err(SourceError::Format { name: self.name.to_string(), reason });
        }
        let (offset, end) = (self.first, self.first + bytes.len() as u64);
        self.cutter = Cutter::at(end);
        let piece = Piece { content: Content::Records, bytes: bytes.into(), offset, end };
        Ok(self.chunk(piece).map_or(Next::End, Next::Chunk))
    }
}

impl Source for Stream {
    fn name(&self) -> &str {
        &self.name
    }

    fn next(&mut self) -> Result<Next, SourceError> {
        if !self.started {
            self.start()?;
        }
        if self.format.as_ref().is_some_and(|format| format.is_document()) {
            return self.document();
        }
        loop {
            let when = match self.input {
                _ if self.ended => When::Last,
                // What stands before a failure is whole lines, or lost with the rest of its line.
                Input::Live(_) => When::Now,
                _ if self.failed.is_some() => When::Now,
                _ => When::Full,
            };
            if let Some(piece) = self.cutter.cut(when) {
                return Ok(self.chunk(piece).map_or(Next::End, Next::Chunk));
            }
            if let Some(error) = self.failed.take() {
                return Err(self.io_error(error));
            }
            if self.ended {
                return Ok(Next::End);
            }
            self.read(usize::MAX);
        }
    }
}
