//! A followed file: it grows, is renamed and begun anew (rotation), copied and cut (truncation).
//!
//! What is at the path is read as it grows. A rotated file is read on beside its successor until it
//! was silent for [`ROTATED_SILENCE`], because its writers let go of it one by one. What was rotated
//! while nobody looked, plain or compressed, is found by [`super::rotated`]; what is not found is
//! said, once, as [`Next::Missing`]. Each new beginning gets a number, so that implicit ids never
//! repeat. Truncation is seen by length and by the first bytes, so also when the file has grown past
//! the old place since.
//!
//! Invariants: a checkpoint holds the place in every file that is read; nothing that fails ends the
//! source: it is tried again at the next look, and nothing is decided about a file that was not read.

use std::fs::File;
use std::io::{self, Read as _, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cut::{Cutter, Piece, When};
use super::opening::{self, Stop};
use super::place::{self, FINGERPRINT_BYTES, Fingerprint, Place, Stretch};
use super::rotated::{self, Body, Sibling};
use super::{CHUNK_BYTES, Chunk, Content, Next, Source, SourceError, SourceId};
use crate::decode::detect::{self, DETECT_BYTES};
use crate::decode::{Format, Formats};

/// How long a rotated file is silent before it is let go of, and its last line taken as it is.
pub const ROTATED_SILENCE: Duration = Duration::from_secs(300);

/// One file of the source.
struct Log {
    place: Place,
    cutter: Cutter,
    /// None: it could not be opened yet.
    body: Option<Body>,
    /// Where it was when it was last looked for.
    path: PathBuf,
    /// It was not written to since.
    quiet: Instant,
    /// It was read to its end, and is not read on.
    done: bool,
}

/// Why the format of a file is not known.
enum Refused {
    /// It was given, and is of another kind.
    ForEver(String),
    /// It cannot be told from what is there.
    ForNow(String),
}

/// What reading a rotated file came to.
enum Step {
    Chunk(Chunk),
    Idle,
    Done,
}

/// A followed file.
pub(super) struct Follow {
    path: PathBuf,
    name: Arc<str>,
    format: Option<Arc<Format>>,
    stop: Stop,
    silence: Duration,
    /// Where an earlier run was, the newest file first; none: that is settled.
    resume: Option<Vec<Place>>,
    current: Option<Log>,
    /// The oldest first.
    rotated: Vec<Log>,
    /// The newest of the files before the one that is opened next: there may be others in between.
    before: Option<Place>,
    /// Number of the next file.
    next_number: u64,
    /// Where the first file is begun.
    first_offset: u64,
    /// What cannot be read any more, to be told.
    missing: Vec<String>,
    /// Why something could not be read at the last look.
    trouble: Option<SourceError>,
}

impl Follow {
    pub(super) fn at(path: &Path, format: Option<Arc<Format>>, offset: u64, stop: &Stop) -> Self {
        Self {
            path: path.into(),
            name: path.display().to_string().into(),
            format,
            stop: stop.clone(),
            silence: ROTATED_SILENCE,
            resume: None,
            current: None,
            rotated: Vec::new(),
            before: None,
            next_number: 0,
            first_offset: offset,
            missing: Vec::new(),
            trouble: None,
        }
    }

    pub(super) fn behind(
        path: &Path,
        format: Option<Arc<Format>>,
        places: Vec<Place>,
        stop: &Stop,
    ) -> Self {
        let next_number = places.iter().map(|place| place.number + 1).max().unwrap_or(0);
        Self { resume: Some(places), next_number, ..Self::at(path, format, 0, stop) }
    }

    /// With another patience than [`ROTATED_SILENCE`].
    #[cfg(test)]
    pub(super) fn patient_for(self, silence: Duration) -> Self {
        Self { silence, ..self }
    }

    /// Bytes of memory it holds between two looks.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        let logs = self.current.iter().chain(&self.rotated);
        logs.map(|log| log.cutter.held_bytes()).sum()
    }

    fn number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    fn io_error(&self, path: &Path, offset: u64, error: io::Error) -> SourceError {
        let name = match path == self.path {
            true => self.name.to_string(),
            false => format!("{} (rotated: {})", self.name, path.display()),
        };
        SourceError::Io { name, offset, error }
    }

    /// Notes a failure of which the next look may be free.
    fn note(&mut self, error: io::Error, path: &Path, offset: u64) {
        self.trouble = Some(self.io_error(path, offset, error));
    }

    /// The next chunk of any of its files.
    fn advance(&mut self) -> Result<Option<Chunk>, SourceError> {
        self.trouble = None;
        if self.resume.is_some() && !self.resume() {
            return Ok(None);
        }
        if let Some(chunk) = self.read_all_rotated()? {
            return Ok(Some(chunk));
        }
        let known = self.next_number;
        let chunk = self.read_current()?;
        if chunk.is_some() || self.next_number == known {
            return Ok(chunk);
        }
        // It was rotated just now.
        self.read_all_rotated()
    }

    fn read_all_rotated(&mut self) -> Result<Option<Chunk>, SourceError> {
        let mut at = 0;
        while at < self.rotated.len() {
            match self.read_rotated(at)? {
                Step::Chunk(chunk) => return Ok(Some(chunk)),
                Step::Idle => at += 1,
                Step::Done => drop(self.rotated.remove(at)),
            }
        }
        Ok(None)
    }

    /// Finds the files of an earlier run. Whether that is settled: what cannot be looked at now is
    /// looked at again.
    fn resume(&mut self) -> bool {
        let Some(places) = self.resume.take() else { return true };
        match self.resume_at(&places) {
            Ok(true) => return true,
            Ok(false) => {}
            Err(error) => self.note(error, &self.path.clone(), places[0].offset),
        }
        self.rotated.clear();
        (self.current, self.before) = (None, None);
        self.next_number = places.iter().map(|place| place.number + 1).max().unwrap_or(0);
        self.resume = Some(places);
        false
    }

    fn resume_at(&mut self, places: &[Place]) -> io::Result<bool> {
        let Some((newest, older)) = places.split_first() else { return Ok(true) };
        let path = self.path.clone();
        let here = match std::fs::metadata(&path) {
            Ok(known) => Some(known),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let siblings = match self.siblings() {
            Err(error) if here.is_none() && error.kind() == io::ErrorKind::NotFound => {
                return Ok(false);
            }
            found => found?,
        };
        let mut missing = Vec::new();
        for place in older.iter().rev() {
            if !self.take_up(&siblings, place) {
                missing.push(self.lost(place));
            }
        }
        let is_same = here.as_ref().is_some_and(|known| newest.file.is_of(known));
        let mut body = None;
        if is_same {
            body = rotated::open_behind(&path, newest, true, &self.stop)?;
        }
        if body.is_none() && !self.take_up(&siblings, newest) {
            if here.is_none() {
                // It may only be away for now.
                return Ok(false);
            }
            if !is_same {
                // The same content under another inode: restored, or on another disk.
                body = rotated::open_behind(&path, newest, false, &self.stop)?;
            }
            if body.is_none() && (newest.offset > 0 || newest.length > 0) {
                missing.push(self.lost(newest));
            }
        }
        self.stop.check()?;
        self.missing.extend(missing);
        match body {
            Some(body) => {
                let file = here.as_ref().map_or(newest.file, Fingerprint::without_head);
                self.current = Some(Log::behind(*newest, file, path, body));
            }
            None => self.before = Some(self.rotated.last().map_or(*newest, |log| log.place)),
        }
        Ok(true)
    }

    /// The files beside the path. Where they may not be listed, they are not known.
    fn siblings(&self) -> io::Result<Vec<Sibling>> {
        match rotated::siblings(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Vec::new()),
            found => found,
        }
    }

    /// Reads on in a rotated file, if it is found.
    fn take_up(&mut self, siblings: &[Sibling], place: &Place) -> bool {
        let log = match rotated::find(siblings, place, &self.stop) {
            Ok(Some(found)) => Log::behind(*place, found.file, found.path, found.body),
            Ok(None) => return false,
            Err(error) => {
                self.note(error, &self.path.clone(), place.offset);
                Log::new(*place, &self.path)
            }
        };
        self.rotated.push(log);
        true
    }

    /// What is told of a file that is not found.
    fn lost(&self, place: &Place) -> String {
        let at_least = place.length.saturating_sub(place.offset);
        format!(
            "{}: the file that was read to byte {} is not in {} any more, neither under another name \
             nor as .gz or .zst: what was written to it behind that byte is missing, at least \
             {at_least} bytes",
            self.name,
            place.offset,
            rotated::directory(&self.path).display(),
        )
    }

    /// Takes up the files that were rotated after a place and before what is at the path now.
    fn take_between(&mut self, place: &Place, here: &std::fs::Metadata) -> io::Result<()> {
        let siblings = self.siblings()?;
        let found = rotated::locate(&siblings, place, &self.stop)?;
        let known: Vec<Fingerprint> = self.rotated.iter().map(|log| log.place.file).collect();
        let skip = |other: &std::fs::Metadata| {
            Fingerprint::without_head(here).is_of(other)
                || known.iter().any(|file| file.is_of(other))
        };
        for sibling in rotated::after(&siblings, place, found.as_deref(), &skip) {
            let number = self.number();
            let file = Fingerprint::without_head(&sibling.known);
            let mut log = Log::new(Place { file, number, ..Place::default() }, &sibling.path);
            log.place.look(&sibling.known);
            if let Err(error) = log.open_anew() {
                self.note(error, &sibling.path, 0);
            }
            self.rotated.push(log);
        }
        Ok(())
    }

    fn read_rotated(&mut self, at: usize) -> Result<Step, SourceError> {
        let log = &mut self.rotated[at];
        if log.body.is_none() {
            match log.reopen(&self.path, &self.stop) {
                Ok(true) => {}
                Ok(false) => {
                    let lost = log.place;
                    self.missing.push(self.lost(&lost));
                    return Ok(Step::Done);
                }
                Err(error) => return Ok(self.failed_rotated(at, error)),
            }
        }
        let log = &mut self.rotated[at];
        let read = match log.read(CHUNK_BYTES) {
            Ok(read) => read,
            Err(error) => {
                // Whole lines before the place of the failure are good.
                if let Some(chunk) = self.cut_rotated(at, When::Now)? {
                    return Ok(Step::Chunk(chunk));
                }
                self.rotated[at].forget_body();
                return Ok(self.failed_rotated(at, error));
            }
        };
        if read > 0 {
            log.quiet = Instant::now();
        }
        let is_packed = matches!(log.body, Some(Body::Packed(_)));
        let ends = read == 0 && (is_packed || log.quiet.elapsed() >= self.silence);
        let when = if ends { When::Last } else { When::Now };
        Ok(match self.cut_rotated(at, when)? {
            Some(chunk) => Step::Chunk(chunk),
            None if ends => Step::Done,
            None => Step::Idle,
        })
    }

    /// A rotated file that cannot be read is tried again until it was silent for long enough.
    fn failed_rotated(&mut self, at: usize, error: io::Error) -> Step {
        let log = &self.rotated[at];
        let (path, place) = (log.path.clone(), log.place);
        if log.quiet.elapsed() < self.silence {
            self.note(error, &path, place.offset);
            return Step::Idle;
        }
        let error = self.io_error(&path, place.offset, error);
        self.missing.push(format!("{error}: what follows in that file is missing"));
        Step::Done
    }

    fn cut_rotated(&mut self, at: usize, when: When) -> Result<Option<Chunk>, SourceError> {
        let format = match self.format_of(&self.rotated[at], when) {
            Ok(Some(format)) => format,
            Ok(None) => return Ok(None),
            Err(Refused::ForEver(reason)) => return Err(self.format_error(reason)),
            Err(Refused::ForNow(reason)) => {
                let error = self.format_error(reason);
                if when == When::Last {
                    self.missing.push(format!("{error}: a rotated file is left out"));
                } else {
                    self.trouble = Some(error);
                }
                return Ok(None);
            }
        };
        let log = &mut self.rotated[at];
        let Some(piece) = log.cut(when) else { return Ok(None) };
        log.done = when == When::Last && log.cutter.buffered().is_empty();
        let number = log.place.number;
        Ok(Some(self.chunk(number, piece, format)))
    }

    fn read_current(&mut self) -> Result<Option<Chunk>, SourceError> {
        let (path, offset) = (self.path.clone(), self.current.as_ref().map_or(0, Log::offset));
        // What is at the path is looked at before the file is read.
        match self.look() {
            Ok(()) => {}
            Err(error) => self.note(error, &path, offset),
        }
        let Some(log) = &mut self.current else { return Ok(None) };
        let most = if self.format.is_some() { CHUNK_BYTES } else { DETECT_BYTES };
        if let Err(error) = log.read(most) {
            let offset = log.offset();
            self.note(error, &path, offset);
        }
        let Some(log) = &self.current else { return Ok(None) };
        let format = match self.format_of(log, When::Now) {
            Ok(Some(format)) => format,
            Ok(None) => return Ok(None),
            Err(Refused::ForEver(reason)) => return Err(self.format_error(reason)),
            Err(Refused::ForNow(reason)) => {
                self.trouble = Some(self.format_error(reason));
                if let Some(log) = &mut self.current {
                    log.read_again();
                }
                return Ok(None);
            }
        };
        let Some(log) = &mut self.current else { return Ok(None) };
        let number = log.place.number;
        let Some(piece) = log.cut(When::Now) else { return Ok(None) };
        if let Err(error) = log.learn() {
            self.note(error, &path, piece.end);
        }
        Ok(Some(self.chunk(number, piece, format)))
    }

    /// Opens what is at the path when nothing is open, and sees whether it was rotated or cut.
    fn look(&mut self) -> io::Result<()> {
        if let Some(log) = &mut self.current {
            let known = match std::fs::metadata(&self.path) {
                Ok(known) => known,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
            if !log.place.file.is_of(&known) {
                self.rotate();
            } else if log.is_truncated()? {
                self.truncate()?;
            }
        }
        if self.current.is_none() {
            let file = match opening::regular(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                opened => opened?,
            };
            // It is open before the others are looked for: were it rotated now, it would be known.
            if let Some(before) = self.before {
                self.take_between(&before, &file.metadata()?)?;
                self.before = None;
            }
            let offset = std::mem::take(&mut self.first_offset);
            let number = self.number();
            self.current = Some(Log::begin(file, number, offset, &self.path)?);
        }
        Ok(())
    }

    /// Another file is at the path: the open one is read on beside it.
    fn rotate(&mut self) {
        if let Some(mut log) = self.current.take() {
            log.quiet = Instant::now();
            self.before = Some(log.place);
            self.rotated.push(log);
        }
    }

    /// The open file was cut: what was not read of it may be in a copy.
    fn truncate(&mut self) -> io::Result<()> {
        let siblings = self.siblings()?;
        let Some(log) = &self.current else { return Ok(()) };
        let found = rotated::find_copy(&siblings, &log.place, &self.stop)?;
        let Some(mut log) = self.current.take() else { return Ok(()) };
        self.before = Some(log.place);
        if let Some(found) = found {
            let log = Log::behind(log.place, found.file, found.path, found.body);
            self.before = Some(log.place);
            self.rotated.push(log);
            return Ok(());
        }
        self.missing.push(format!(
            "{}: the file was cut after it was read to byte {}, and no copy of it is in {}: what was \
             written to it since the last look is missing",
            self.name,
            log.cutter.read_to(),
            rotated::directory(&self.path).display(),
        ));
        if !log.cutter.buffered().is_empty() {
            // What was read of the last line is all there is of it.
            log.body = Some(Body::Packed(Box::new(io::empty())));
            self.rotated.push(log);
        }
        Ok(())
    }

    /// The format, as soon as there are whole lines to tell it from. What cannot be told may be told
    /// of the next file, so that is no end.
    fn format_of(&self, log: &Log, when: When) -> Result<Option<Arc<Format>>, Refused> {
        let document = || "a document cannot be followed, only lines".to_owned();
        let named = self.format.as_ref().filter(|format| !format.is_auto());
        if let Some(known) = named {
            return if known.is_document() {
                Err(Refused::ForEver(document()))
            } else {
                Ok(Some(Arc::clone(known)))
            };
        }
        let buffered = log.cutter.buffered();
        let whole = memchr::memrchr(b'\n', buffered).map_or(0, |at| at + 1);
        let formats = self.formats();
        let found = match (log.head_format(&formats), when) {
            (Some(found), _) => Ok(Some(found)),
            (None, When::Last) => detect::detect_among(buffered, &formats),
            (None, _) => detect::detect_live(&buffered[..whole], &formats),
        };
        match found.map_err(Refused::ForNow)? {
            Some(format) if format.is_document() => Err(Refused::ForNow(document())),
            found => Ok(found.map(Arc::new)),
        }
    }

    /// Those the format is one of, if it has to be found.
    fn formats(&self) -> Arc<Formats> {
        match self.format.as_deref() {
            Some(Format::Auto(formats)) => Arc::clone(formats),
            _ => Arc::default(),
        }
    }

    fn format_error(&self, reason: String) -> SourceError {
        SourceError::Format { name: self.name.to_string(), reason }
    }

    fn chunk(&mut self, number: u64, piece: Piece, format: Arc<Format>) -> Chunk {
        // Columns change in the middle of a log.
        let behind = format.behind(&piece.bytes).map(Arc::new);
        if self.format.as_ref().is_none_or(|known| known.is_auto()) || behind.is_some() {
            self.format = Some(behind.unwrap_or_else(|| Arc::clone(&format)));
        }
        let newest_first = || self.current.iter().chain(self.rotated.iter().rev());
        let read_on = newest_first().filter(|log| !log.done).map(|log| log.place);
        let mut places: Vec<Place> = read_on.collect();
        if places.is_empty() {
            places.extend(newest_first().next().map(|log| log.place));
        }
        let name = match number {
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
            checkpoint: place::encode(&places),
        }
    }
}

impl Log {
    fn new(place: Place, path: &Path) -> Self {
        let (cutter, path) = (Cutter::at(place.offset), path.into());
        Self { place, cutter, body: None, path, quiet: Instant::now(), done: false }
    }

    /// A file whose body is behind a place, and which may be a copy of the one it was in.
    fn behind(mut place: Place, file: Fingerprint, path: PathBuf, body: Body) -> Self {
        place.file = Fingerprint { head: place.file.head, ..file };
        Self { body: Some(body), ..Self::new(place, &path) }
    }

    /// A file that is begun at an offset.
    fn begin(mut file: File, number: u64, offset: u64, path: &Path) -> io::Result<Self> {
        file.seek(SeekFrom::Start(offset))?;
        let known = Fingerprint::of(&file, FINGERPRINT_BYTES as u64)?;
        let mut place = Place { file: known, number, offset, ..Place::default() };
        place.look(&file.metadata()?);
        Ok(Self { body: Some(Body::Plain(file)), ..Self::new(place, path) })
    }

    fn offset(&self) -> u64 {
        self.place.offset
    }

    /// Opens a file of which nothing was read yet.
    fn open_anew(&mut self) -> io::Result<()> {
        let (body, file) = rotated::open_anew(&self.path)?;
        if (file.device, file.inode) != (self.place.file.device, self.place.file.inode) {
            return Err(io::Error::other("it was replaced while it was opened"));
        }
        self.place.file = file;
        self.body = Some(body);
        Ok(())
    }

    /// Opens a file again that could not be read; whether it is still there.
    fn reopen(&mut self, path: &Path, stop: &Stop) -> io::Result<bool> {
        let siblings = rotated::siblings(path)?;
        let Some(found) = rotated::find(&siblings, &self.place, stop)? else { return Ok(false) };
        self.place.file = Fingerprint { head: self.place.file.head, ..found.file };
        self.path = found.path;
        self.body = Some(found.body);
        Ok(true)
    }

    /// Goes back to the place: what is buffered is read again.
    fn forget_body(&mut self) {
        self.body = None;
        self.cutter = Cutter::at(self.place.offset);
    }

    /// Goes back to the place in a file that stays open, so that nothing of it is held.
    fn read_again(&mut self) {
        if let Some(Body::Plain(file)) = &mut self.body
            && file.seek(SeekFrom::Start(self.place.offset)).is_ok()
        {
            self.cutter = Cutter::at(self.place.offset);
        }
    }

    /// The format by the beginning of a file that is read from its middle on.
    fn head_format(&self, formats: &Formats) -> Option<Format> {
        let Some(Body::Plain(file)) = &self.body else { return None };
        if self.place.offset == 0 {
            return None;
        }
        let mut head = vec![0; DETECT_BYTES];
        let read = file.read_at(&mut head, 0).ok()?;
        let whole = memchr::memrchr(b'\n', &head[..read])? + 1;
        detect::detect_live(&head[..whole], formats).ok()?
    }

    /// Reads what there is, at most so much; answers how much.
    fn read(&mut self, most: usize) -> io::Result<usize> {
        match &mut self.body {
            None => Ok(0),
            Some(Body::Plain(file)) => {
                let known = file.metadata()?;
                self.place.look(&known);
                let left = known.len().saturating_sub(self.cutter.read_to());
                let left = usize::try_from(left).unwrap_or(usize::MAX).min(most);
                if left == 0 {
                    return Ok(0);
                }
                let (buffer, room) = self.cutter.room(left);
                file.by_ref().take(room as u64).read_to_end(buffer)
            }
            Some(Body::Packed(stream)) => {
                let (buffer, room) = self.cutter.room(most);
                stream.take(room as u64).read_to_end(buffer)
            }
        }
    }

    /// The next piece, and the place behind it.
    fn cut(&mut self, when: When) -> Option<Piece> {
        let piece = self.cutter.cut(when)?;
        self.place.offset = piece.end;
        self.place.tail = match piece.content {
            Content::Records | Content::Array => Stretch::of_end(&piece.bytes),
            Content::TooLong => Stretch::default(),
        };
        Some(piece)
    }

    /// Lets the fingerprint cover what was read, up to its full length.
    fn learn(&mut self) -> io::Result<()> {
        let read = self.place.offset.min(FINGERPRINT_BYTES as u64);
        if let Some(Body::Plain(file)) = &self.body
            && self.place.file.head.len < read
        {
            self.place.file = Fingerprint::of(file, read)?;
        }
        Ok(())
    }

    /// Whether the file was cut to less than was read, or begins otherwise now.
    fn is_truncated(&self) -> io::Result<bool> {
        let Some(Body::Plain(file)) = &self.body else { return Ok(false) };
        if file.metadata()?.len() < self.cutter.read_to() {
            return Ok(true);
        }
        match Fingerprint::of(file, self.place.file.head.len) {
            Ok(now) => Ok(now.head != self.place.file.head),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(true),
            Err(error) => Err(error),
        }
    }
}

impl Source for Follow {
    fn name(&self) -> &str {
        &self.name
    }

    fn next(&mut self) -> Result<Next, SourceError> {
        let chunk = self.advance()?;
        Ok(match (chunk, self.missing.pop(), self.trouble.take()) {
            (Some(chunk), missing, _) => {
                // Told at the next look.
                self.missing.extend(missing);
                Next::Chunk(chunk)
            }
            (None, Some(missing), _) => Next::Missing(missing),
            (None, None, Some(trouble)) => Next::Failing(trouble),
            (None, None, None) => Next::Idle,
        })
    }
}
