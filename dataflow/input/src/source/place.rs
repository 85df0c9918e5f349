//! Which file, and how far in it: what the checkpoint of a followed file holds.
//!
//! A file is known by device, inode and its first bytes; a copy or a compressed one by its first
//! bytes and those just before the place. All are of the uncompressed content, so that a file keeps
//! its identity when it is compressed. Places of version 1 hold less and are still read.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use bytes::Bytes;
use spoor_operators::wire::{Malformed, Reader, put_u64};
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a file's beginning that tell it from another, and bytes before a place that do.
pub const FINGERPRINT_BYTES: usize = 1 << 10;
/// First byte of the encoded places; those of version 1 are one place without what came later.
const VERSION: u8 = 2;
const VERSION_OF_ONE: u8 = 1;
/// Most places in one checkpoint: a source follows few files at a time.
const PLACES_MAX: u64 = 1 << 16;

/// Which file, and how its first bytes were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// Device of the file.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// The first bytes.
    pub head: Stretch,
}

/// A stretch of bytes, by its length and hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Number of bytes; 0: nothing is known of them.
    pub len: u64,
    /// Their hash.
    pub hash: u64,
}

impl Stretch {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { len: bytes.len() as u64, hash: xxh3_64(bytes) }
    }

    /// Of the last of these bytes.
    #[must_use]
    pub fn of_end(bytes: &[u8]) -> Self {
        Self::of(&bytes[bytes.len().saturating_sub(FINGERPRINT_BYTES)..])
    }
}

impl Fingerprint {
    /// Of a plain file, of at most so many of its first bytes.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(file: &File, len: u64) -> io::Result<Self> {
        let known = file.metadata()?;
        let len = known.len().min(len).min(FINGERPRINT_BYTES as u64);
        let mut head = vec![0; len as usize];
        file.read_exact_at(&mut head, 0)?;
        Ok(Self { head: Stretch::of(&head), ..Self::without_head(&known) })
    }

    /// Of a file of which only device and inode are known.
    #[must_use]
    pub fn without_head(known: &Metadata) -> Self {
        Self { device: known.dev(), inode: known.ino(), head: Stretch::default() }
    }

    /// Whether device and inode are those of a file.
    #[must_use]
    pub fn is_of(&self, known: &Metadata) -> bool {
        (self.device, self.inode) == (known.dev(), known.ino())
    }
}

/// A place in a file of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Which file.
    pub file: Fingerprint,
    /// Its number: how often the source began a new one before it.
    pub number: u64,
    /// Bytes of its uncompressed content that were handed over.
    pub offset: u64,
    /// The bytes before `offset`.
    pub tail: Stretch,
    /// Its length when it was last looked at.
    pub length: u64,
    /// When it was last written to, in milliseconds since the Unix epoch; 0: not known.
    pub modified_ms: u64,
}

impl Place {
    /// Takes note of what the system says of the file now.
    pub fn look(&mut self, known: &Metadata) {
        self.length = known.len();
        self.modified_ms = modified_ms(known);
    }

    fn fields(&self) -> [u64; 10] {
        let Self { file, number, offset, tail, length, modified_ms } = *self;
        let Fingerprint { device, inode, head } = file;
        let (head, tail) = ([head.len, head.hash], [tail.len, tail.hash]);
        [device, inode, head[0], head[1], number, offset, tail[0], tail[1], length, modified_ms]
    }
}

/// When a file was last written to, in milliseconds since the Unix epoch.
#[must_use]
pub fn modified_ms(known: &Metadata) -> u64 {
    let ms = known.mtime().saturating_mul(1000).saturating_add(known.mtime_nsec() / 1_000_000);
    ms.max(0).cast_unsigned()
}

/// Places as a checkpoint: the newest file first.
#[must_use]
pub fn encode(places: &[Place]) -> Bytes {
    let mut bytes = vec![VERSION];
    put_u64(&mut bytes, places.len() as u64);
    places.iter().flat_map(Place::fields).for_each(|field| put_u64(&mut bytes, field));
    bytes.into()
}

/// Reads a checkpoint; there is at least one place.
///
/// # Errors
/// [`Malformed`] for anything else.
pub fn decode(bytes: &[u8]) -> Result<Vec<Place>, Malformed> {
    let mut from = Reader(bytes);
    let places = match from.u8()? {
        VERSION_OF_ONE => {
            let [device, inode, len, hash, number, offset] = fields(&mut from)?;
            let file = Fingerprint { device, inode, head: Stretch { len, hash } };
            vec![Place { file, number, offset, ..Place::default() }]
        }
        VERSION => {
            let count = from.u64()?;
            if count == 0 || count > PLACES_MAX {
                return Err(Malformed("number of places"));
            }
            (0..count).map(|_| place(&mut from)).collect::<Result<_, _>>()?
        }
        _ => return Err(Malformed("version of a place")),
    };
    if from.is_empty() { Ok(places) } else { Err(Malformed("bytes after a place")) }
}

fn place(from: &mut Reader<'_>) -> Result<Place, Malformed> {
    let [device, inode, head_len, head_hash, number, offset, tail_len, tail_hash, length, ms] =
        fields(from)?;
    let head = Stretch { len: head_len, hash: head_hash };
    Ok(Place {
        file: Fingerprint { device, inode, head },
        number,
        offset,
        tail: Stretch { len: tail_len, hash: tail_hash },
        length,
        modified_ms: ms,
    })
}

fn fields<const N: usize>(from: &mut Reader<'_>) -> Result<[u64; N], Malformed> {
    let mut fields = [0; N];
    for field in &mut fields {
        *field = from.u64()?;
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_were_written_and_those_of_the_first_version_too() {
        let place = |number| Place {
            file: Fingerprint { device: 1, inode: u64::MAX, head: Stretch::of(b"head") },
            number,
            offset: 9,
            tail: Stretch::of(b"tail"),
            length: 10,
            modified_ms: 1 << 40,
        };
        for places in [vec![place(3)], vec![place(3), place(2), Place::default()]] {
            assert_eq!(decode(&encode(&places)).unwrap(), places);
        }
        let mut old = vec![VERSION_OF_ONE];
        [7, 8, 5, 6, 2, 300].into_iter().for_each(|field| put_u64(&mut old, field));
        let file = Fingerprint { device: 7, inode: 8, head: Stretch { len: 5, hash: 6 } };
        let expected = Place { file, number: 2, offset: 300, ..Place::default() };
        assert_eq!(decode(&old).unwrap(), [expected]);
        for wrong in [&b""[..], &[0], &[VERSION, 0], &[VERSION, 1, 1], &[VERSION, 0xff, 0xff, 9]] {
            assert!(decode(wrong).is_err(), "{wrong:?}");
        }
        old.push(0);
        assert!(decode(&old).is_err());
    }
}
