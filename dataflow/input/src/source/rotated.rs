//! Finding a rotated file: where it went, plain or compressed, and which files came after it.
//!
//! A rename keeps device and inode; a copy and a compressed file keep the content, so its first
//! bytes and those before the place tell them. Looked for is in the directory of the path, and of
//! what it links to. What lies between a rotated file and the one at the path are files whose names
//! are the path's with a number or a date (`access.log.2.gz`, `access.log-20260301`,
//! `access-20260301.log`) that are newer than the rotated one.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::opening::{self, Stop};
use super::place::{FINGERPRINT_BYTES, Fingerprint, Place, Stretch, modified_ms};
use crate::decode::compress;

/// Ends of the names of compressed files that can be read.
const COMPRESSED: [&str; 2] = [".gz", ".zst"];
/// A number in a name that is longer than this is a date.
const NUMBER_DIGITS_MAX: usize = 4;

/// An open file, at the place where reading goes on.
pub enum Body {
    /// Plain: more may be written to it.
    Plain(File),
    /// Compressed: it has an end.
    Packed(Box<dyn Read + Send>),
}

/// A rotated file that was found.
pub struct Found {
    /// Where.
    pub path: PathBuf,
    /// Which file it is there, without its first bytes.
    pub file: Fingerprint,
    /// Behind the place.
    pub body: Body,
}

impl Found {
    fn new(sibling: &Sibling, body: Body) -> Self {
        let file = Fingerprint::without_head(&sibling.known);
        Self { path: sibling.path.clone(), file, body }
    }
}

/// A file in a directory.
#[derive(Debug)]
pub struct Sibling {
    /// Where.
    pub path: PathBuf,
    /// What the system says of it.
    pub known: Metadata,
    /// What its name adds to that of the path, if it is of a rotated file.
    mark: Option<Mark>,
}

/// What a rotation adds to a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    /// The least is the newest.
    Number(u64),
    /// The greatest is the newest.
    Date(String),
    /// Any other words.
    Words(String),
}

/// Opens the file at a path behind a place; none when it is another file. `is_same` says that it
/// has the device and inode of the place, so that the bytes that are known need not be many.
///
/// # Errors
/// It cannot be read.
pub fn open_behind(
    path: &Path,
    place: &Place,
    is_same: bool,
    stop: &Stop,
) -> io::Result<Option<Body>> {
    let mut file = opening::regular(path)?;
    let mut magic = Vec::new();
    file.by_ref().take(compress::MAGIC_BYTES as u64).read_to_end(&mut magic)?;
    file.rewind()?;
    if !is_same && (place.offset == 0 || place.file.head.len == 0) {
        return Ok(None);
    }
    if compress::is_compressed(&magic) {
        let (mut unpacked, _) = compress::open(file)?;
        let rest = behind(&mut *unpacked, place, stop)?;
        return Ok(rest.map(|rest| Body::Packed(Box::new(io::Cursor::new(rest).chain(unpacked)))));
    }
    let is_it = file.metadata()?.len() >= place.offset
        && is_at(&file, 0, place.file.head)?
        && is_at(&file, place.offset - place.tail.len.min(place.offset), place.tail)?;
    file.seek(SeekFrom::Start(place.offset))?;
    Ok(is_it.then_some(Body::Plain(file)))
}

/// Whether a stretch of bytes stands at a place.
fn is_at(file: &File, offset: u64, stretch: Stretch) -> io::Result<bool> {
    if stretch.len > FINGERPRINT_BYTES as u64 {
        return Ok(false);
    }
    let mut bytes = vec![0; stretch.len as usize];
    match file.read_exact_at(&mut bytes, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
        Ok(()) => Ok(stretch.len == 0 || Stretch::of(&bytes) == stretch),
    }
}

/// Reads a stream up to a place; what was read past it, or none when the stream is another.
fn behind(from: &mut dyn Read, place: &Place, stop: &Stop) -> io::Result<Option<Vec<u8>>> {
    let Stretch { len: head_len, .. } = place.file.head;
    if head_len > FINGERPRINT_BYTES as u64 || place.tail.len > FINGERPRINT_BYTES as u64 {
        return Ok(None);
    }
    let mut read = Vec::new();
    from.take(head_len).read_to_end(&mut read)?;
    if head_len > 0 && Stretch::of(&read) != place.file.head {
        return Ok(None);
    }
    let tail_from = place.offset.saturating_sub(place.tail.len);
    if tail_from > read.len() as u64 {
        let missing = tail_from - read.len() as u64;
        if opening::skip(from, missing, stop)? < missing {
            return Ok(None);
        }
        read.clear();
    } else {
        read.drain(..tail_from as usize);
    }
    // Now `read` begins where the tail does.
    let wanted = (place.offset - tail_from) as usize;
    from.take(wanted.saturating_sub(read.len()) as u64).read_to_end(&mut read)?;
    if read.len() < wanted || (wanted > 0 && Stretch::of(&read[..wanted]) != place.tail) {
        return Ok(None);
    }
    Ok(Some(read.split_off(wanted)))
}

/// Opens a file at its beginning, and says which it is.
///
/// # Errors
/// It cannot be read.
pub fn open_anew(path: &Path) -> io::Result<(Body, Fingerprint)> {
    let mut file = opening::regular(path)?;
    let mut magic = Vec::new();
    file.by_ref().take(compress::MAGIC_BYTES as u64).read_to_end(&mut magic)?;
    file.rewind()?;
    if !compress::is_compressed(&magic) {
        let fingerprint = Fingerprint::of(&file, FINGERPRINT_BYTES as u64)?;
        return Ok((Body::Plain(file), fingerprint));
    }
    let fingerprint = Fingerprint::without_head(&file.metadata()?);
    let (mut unpacked, _) = compress::open(file)?;
    let mut head = Vec::new();
    unpacked.by_ref().take(FINGERPRINT_BYTES as u64).read_to_end(&mut head)?;
    let fingerprint = Fingerprint { head: Stretch::of(&head), ..fingerprint };
    Ok((Body::Packed(Box::new(io::Cursor::new(head).chain(unpacked))), fingerprint))
}

/// The directory of a path as it is given.
#[must_use]
pub fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The regular files beside a path, and beside what it links to.
///
/// # Errors
/// A directory cannot be read.
pub fn siblings(path: &Path) -> io::Result<Vec<Sibling>> {
    let mut siblings = beside(path)?;
    if let Ok(target) = path.canonicalize()
        && directory(&target).canonicalize().ok() != directory(path).canonicalize().ok()
    {
        siblings.extend(beside(&target)?);
    }
    Ok(siblings)
}

fn beside(path: &Path) -> io::Result<Vec<Sibling>> {
    let base = path.file_name().unwrap_or_default();
    let mut siblings = Vec::new();
    for entry in std::fs::read_dir(directory(path))? {
        let entry = entry?;
        // One that is gone since is not there.
        let Ok(known) = entry.metadata() else { continue };
        if known.is_file() {
            let mark = mark(base, &entry.file_name());
            siblings.push(Sibling { path: entry.path(), known, mark });
        }
    }
    Ok(siblings)
}

/// What a name adds to the one it was rotated from.
fn mark(base: &OsStr, name: &OsStr) -> Option<Mark> {
    let (base, name) = (base.to_str()?, name.to_str()?);
    let name = COMPRESSED.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let after = name.strip_prefix(base);
    let inside = || {
        let (stem, extension) = base.rsplit_once('.').filter(|(stem, _)| !stem.is_empty())?;
        name.strip_prefix(stem)?.strip_suffix(extension)?.strip_suffix('.')
    };
    let added = after.filter(|added| !added.is_empty()).or_else(inside)?;
    let words = added.strip_prefix(['.', '-', '_']).filter(|words| !words.is_empty())?;
    if words.bytes().all(|byte| byte.is_ascii_digit()) && words.len() <= NUMBER_DIGITS_MAX {
        return words.parse().ok().map(Mark::Number);
    }
    let of_date = |char: char| char.is_ascii_digit() || "-_.:TZ+".contains(char);
    let is_date =
        words.starts_with(|char: char| char.is_ascii_digit()) && words.chars().all(of_date);
    Some(if is_date { Mark::Date(words.into()) } else { Mark::Words(words.into()) })
}

impl Mark {
    /// Whether a rotation that left this mark was after the one that left the other; none when
    /// their marks do not tell.
    fn is_newer_than(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Number(own), Self::Number(other)) => Some(own < other),
            (Self::Date(own), Self::Date(other)) => Some(own > other),
            _ => None,
        }
    }
}

/// Finds the file of a place among the siblings of its path, its body behind the place.
///
/// # Errors
/// The file with its device and inode cannot be read.
pub fn find(siblings: &[Sibling], place: &Place, stop: &Stop) -> io::Result<Option<Found>> {
    for sibling in siblings.iter().filter(|sibling| place.file.is_of(&sibling.known)) {
        if let Some(body) = open_behind(&sibling.path, place, true, stop)? {
            return Ok(Some(Found::new(sibling, body)));
        }
    }
    find_copy(siblings, place, stop)
}

/// Where the file of a place is among the siblings of its path. An inode alone says little: that of
/// a deleted file is given to the next.
///
/// # Errors
/// Sources are to stop.
pub fn locate(siblings: &[Sibling], place: &Place, stop: &Stop) -> io::Result<Option<PathBuf>> {
    for sibling in siblings.iter().filter(|sibling| place.file.is_of(&sibling.known)) {
        // One that cannot be opened is taken for it: better than to read it again.
        if !matches!(open_behind(&sibling.path, place, true, stop), Ok(None)) {
            return Ok(Some(sibling.path.clone()));
        }
    }
    Ok(find_copy(siblings, place, stop)?.map(|found| found.path))
}

/// Finds a copy of the file of a place, plain before compressed.
///
/// # Errors
/// Sources are to stop.
pub fn find_copy(siblings: &[Sibling], place: &Place, stop: &Stop) -> io::Result<Option<Found>> {
    let is_copy = |sibling: &&Sibling| sibling.mark.is_some() && !place.file.is_of(&sibling.known);
    let mut copies: Vec<_> = siblings.iter().filter(is_copy).collect();
    copies.sort_by_key(|sibling| (is_compressed(&sibling.path), -sibling.known.mtime()));
    for sibling in copies {
        // One that cannot be read, or is damaged before the place, cannot be told.
        if let Ok(Some(body)) = open_behind(&sibling.path, place, false, stop) {
            return Ok(Some(Found::new(sibling, body)));
        }
        stop.check()?;
    }
    Ok(None)
}

fn is_compressed(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    COMPRESSED.iter().any(|end| name.ends_with(end))
}

/// The files that were rotated after the one of a place, which was found at `found` if it was; the
/// oldest first. `skip`: files that are read already.
#[must_use]
pub fn after<'a>(
    siblings: &'a [Sibling],
    place: &Place,
    found: Option<&Path>,
    skip: &dyn Fn(&Metadata) -> bool,
) -> Vec<&'a Sibling> {
    let at = |path: &Path| siblings.iter().find(|sibling| sibling.path == path);
    let old = found.and_then(at).and_then(|sibling| sibling.mark.as_ref());
    let is_after = |sibling: &&Sibling| {
        let Some(mark) = &sibling.mark else { return false };
        let by_time = || {
            let modified = modified_ms(&sibling.known);
            let is_known = place.modified_ms > 0 && !matches!(mark, Mark::Words(_));
            is_known && modified > place.modified_ms
        };
        let newer = match old {
            Some(Mark::Words(_)) | None => by_time(),
            Some(old) => mark.is_newer_than(old).unwrap_or(false),
        };
        let is_found = found == Some(&*sibling.path);
        newer && !is_found && sibling.known.len() > 0 && !skip(&sibling.known)
    };
    let mut files: Vec<_> = siblings.iter().filter(is_after).collect();
    // While a file is being compressed it is there twice.
    let plain: Vec<_> = files.iter().filter(|file| !is_compressed(&file.path)).copied().collect();
    files.retain(|file| {
        !is_compressed(&file.path) || plain.iter().all(|plain| plain.mark != file.mark)
    });
    files.sort_by_cached_key(|file| {
        let by_mark = match &file.mark {
            Some(Mark::Number(number)) if old.is_some() => (u64::MAX - number, ""),
            Some(Mark::Date(date)) if old.is_some() => (0, date.as_str()),
            _ => (0, ""),
        };
        let time = (file.known.mtime(), file.known.mtime_nsec());
        (by_mark.0, by_mark.1.to_owned(), time, file.path.clone())
    });
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_was_rotated_from() {
        let number = |number| Some(Mark::Number(number));
        let date = |date: &str| Some(Mark::Date(date.into()));
        let words = |words: &str| Some(Mark::Words(words.into()));
        for (name, expected) in [
            ("access.log", None),
            ("access.log.gz", None),
            ("access.logs", None),
            ("access2.log", None),
            ("error.log.1", None),
            ("access.log.1", number(1)),
            ("access.log.12.gz", number(12)),
            ("access.1.log", number(1)),
            ("access.log.1.zst", number(1)),
            ("access.log-20260301", date("20260301")),
            ("access.log-20260301-1772323200.gz", date("20260301-1772323200")),
            ("access-20260301.log", date("20260301")),
            ("access.log.2026-03-01T00:00:00Z.zst", date("2026-03-01T00:00:00Z")),
            ("access.log.old", words("old")),
            ("access-ssl.log", words("ssl")),
            ("access.log.1.bz2", words("1.bz2")),
        ] {
            let found = mark(OsStr::new("access.log"), OsStr::new(name));
            assert_eq!(found, expected, "{name}");
        }
        assert_eq!(mark(OsStr::new("log"), OsStr::new("log.3")), number(3));
        assert_eq!(mark(OsStr::new(".log"), OsStr::new(".1.log")), None);
    }
}
