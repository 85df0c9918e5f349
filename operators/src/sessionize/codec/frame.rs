//! What surrounds an identity-day's bytes: who wrote them, for which identity-day, and a checksum.
//!
//! Nine words, then the body. The checksum covers the other eight words and the body, so that no
//! byte can change unseen; the number of the process is drawn at its start, so that what another
//! one wrote is never taken for its own, not even after a restart or by a copied file.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use xxhash_rust::xxh3::Xxh3;

use super::CodecError;
use crate::sessionize::backend::DayKey;

/// Bytes before the body: a multiple of a word, so that a body begins as aligned as its frame.
pub const HEADER: usize = 9 * WORD;
const WORD: usize = size_of::<u64>();
/// Where in the header the checksum is.
const CHECKSUM_AT: usize = 8 * WORD;

/// Who writes: a codec, as some process of some build knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Which codec, and the version of its layout.
    pub codec: [u8; 8],
    /// What must be the same about the program, as a hash.
    pub build: u64,
    /// The process.
    pub process: [u64; 2],
}

impl Seal {
    /// A codec's seal in this process.
    #[must_use]
    pub fn new(codec: [u8; 8], build: u64) -> Self {
        Self { codec, build, process: this_process() }
    }

    /// Appends a frame around what `body` appends.
    pub fn write(&self, key: DayKey, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
        let from = out.len();
        out.resize(from + HEADER, 0);
        body(out);
        let length = out.len() - from - HEADER;
        for (word, bytes) in self.words(key, length).iter().zip(out[from..].chunks_mut(WORD)) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        let checksum = checksum(&out[from..]).to_ne_bytes();
        out[from + CHECKSUM_AT..from + HEADER].copy_from_slice(&checksum);
    }

    /// The body of a frame, which must be the whole slice, unchanged, and this seal's.
    ///
    /// # Errors
    /// [`CodecError`]: what is wrong with it.
    pub fn open<'a>(&self, key: DayKey, frame: &'a [u8]) -> Result<&'a [u8], CodecError> {
        let (header, body) = frame.split_at_checked(HEADER).ok_or(CodecError::Length)?;
        let mut found = [0; HEADER / WORD];
        for (word, bytes) in found.iter_mut().zip(header.as_chunks::<WORD>().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        let expected = self.words(key, body.len());
        let reasons = [
            CodecError::Codec,
            CodecError::Build,
            CodecError::Process,
            CodecError::Process,
            CodecError::Day,
            CodecError::Day,
            CodecError::Day,
            CodecError::Length,
        ];
        for ((found, expected), reason) in found.iter().zip(expected).zip(reasons) {
            if *found != expected {
                return Err(reason);
            }
        }
        if found[CHECKSUM_AT / WORD] != checksum(frame) {
            return Err(CodecError::Checksum);
        }
        Ok(body)
    }

    fn words(&self, key: DayKey, length: usize) -> [u64; CHECKSUM_AT / WORD] {
        [
            u64::from_ne_bytes(self.codec),
            self.build,
            self.process[0],
            self.process[1],
            key.day.0 as u64,
            (key.identity.0 >> 64) as u64,
            key.identity.0 as u64,
            length as u64,
        ]
    }
}

/// Of a frame, but for its checksum.
fn checksum(frame: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&frame[..CHECKSUM_AT]);
    hasher.update(&frame[HEADER..]);
    hasher.digest()
}

/// A random number, the same as long as the process lives.
fn this_process() -> [u64; 2] {
    static DRAWN: OnceLock<[u64; 2]> = OnceLock::new();
    // The keys of the standard hasher come from the system's source of randomness.
    *DRAWN.get_or_init(|| [0, 1].map(|which| RandomState::new().hash_one(which)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::KEY;
    use super::*;

    #[test]
    fn what_another_codec_build_or_process_wrote_is_refused() {
        let own = Seal::new(*b"codec  1", 5);
        let mut frame = Vec::new();
        own.write(KEY, &mut frame, |out| out.extend_from_slice(b"body"));
        assert_eq!(own.open(KEY, &frame), Ok(&b"body"[..]));
        assert_eq!(own, Seal::new(*b"codec  1", 5), "a process keeps its number");
        let [first, second] = own.process;
        for (other, reason) in [
            (Seal { codec: *b"codec  2", ..own }, CodecError::Codec),
            (Seal { build: 6, ..own }, CodecError::Build),
            (Seal { process: [first ^ 1, second], ..own }, CodecError::Process),
            (Seal { process: [first, !second], ..own }, CodecError::Process),
        ] {
            assert_eq!(other.open(KEY, &frame), Err(reason));
        }
        for len in 0..frame.len() {
            assert!(own.open(KEY, &frame[..len]).is_err(), "{len}");
        }
    }
}
