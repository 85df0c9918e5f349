//! Cutting a stream of bytes into chunks of whole lines, without doing any reading itself.
//!
//! The buffer never holds more than one chunk and one byte: a line that does not fit is remembered
//! by its head alone, and comes out as [`Content::TooLong`] when its end is seen.

use bytes::Bytes;

use crate::decode::chunk::{CHUNK_BYTES, Content, RAW_BYTES_MAX, RECORD_BYTES_MAX};

/// Most bytes the buffer takes: a line of the greatest length and one more byte to see that it is
/// longer.
const BUFFER_BYTES: usize = RECORD_BYTES_MAX + 1;
const _: () = assert!(CHUNK_BYTES <= RECORD_BYTES_MAX);

/// When to cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As soon as there is a chunk's worth.
    Full,
    /// Whatever whole lines there are.
    Now,
    /// Nothing follows: a last line needs no line feed.
    Last,
}

/// A chunk's bytes and place.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    pub content: Content,
    pub bytes: Bytes,
    pub offset: u64,
    pub end: u64,
}

/// What was read and not yet handed over.
#[derive(Debug, Default)]
pub struct Cutter {
    buffer: Vec<u8>,
    /// Offset of the buffer's first byte.
    start: u64,
    skipping: Option<(u64, Bytes)>,
}

impl Cutter {
    /// A cutter whose next byte is at `start`.
    pub fn at(start: u64) -> Self {
        Self { start, ..Self::default() }
    }

    /// Where to append, and at most how much: `want` bytes, or what a chunk leaves. Memory is
    /// taken for that alone. There is always room when [`Cutter::cut`] had nothing.
    pub fn room(&mut self, want: usize) -> (&mut Vec<u8>, usize) {
        let room = (BUFFER_BYTES - self.buffer.len().min(BUFFER_BYTES)).min(want);
        self.buffer.reserve_exact(room);
        (&mut self.buffer, room)
    }

    /// Bytes of memory it holds.
    #[cfg(test)]
    pub fn held_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// Passes over zero bytes where a line begins: a log that was cut while it was written to has
    /// them in front of what was written then.
    pub fn drop_padding(&mut self) {
        if self.skipping.is_none() && self.buffer.first() == Some(&0) {
            let text = self.buffer.iter().position(|byte| *byte != 0);
            let len = text.unwrap_or(self.buffer.len());
            self.buffer.drain(..len);
            self.start += len as u64;
        }
    }

    /// Forgets what was read from `until` on.
    pub fn forget_after(&mut self, until: u64) {
        let kept = usize::try_from(until.saturating_sub(self.start)).unwrap_or(usize::MAX);
        self.buffer.truncate(kept);
    }

    /// What is buffered.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Offset behind the last byte that was read.
    pub fn read_to(&self) -> u64 {
        self.start + self.buffer.len() as u64
    }

    /// The next piece; none: more has to be read first (after [`When::Last`]: nothing is left).
    pub fn cut(&mut self, when: When) -> Option<Piece> {
        if self.skipping.is_some() {
            return self.skip(when);
        }
        let len = self.buffer.len();
        if len == 0 || (when == When::Full && len < CHUNK_BYTES) {
            return None;
        }
        match memchr::memrchr(b'\n', &self.buffer) {
            Some(at) => Some(self.records(at + 1)),
            None if len > RECORD_BYTES_MAX => {
                let head = Bytes::copy_from_slice(&self.buffer[..RAW_BYTES_MAX]);
                self.skipping = Some((self.start, head));
                self.skip(when)
            }
            None if when == When::Last => Some(self.records(len)),
            None => None,
        }
    }

    fn records(&mut self, len: usize) -> Piece {
        let rest = self.buffer[len..].to_vec();
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(len);
        let offset = self.start;
        self.start += len as u64;
        Piece { content: Content::Records, bytes: bytes.into(), offset, end: self.start }
    }

    fn skip(&mut self, when: When) -> Option<Piece> {
        let feed = memchr::memchr(b'\n', &self.buffer);
        let len = feed.map_or(self.buffer.len(), |at| at + 1);
        self.buffer.drain(..len);
        self.start += len as u64;
        if feed.is_none() && when != When::Last {
            return None;
        }
        let (offset, bytes) = self.skipping.take()?;
        Some(Piece { content: Content::TooLong, bytes, offset, end: self.start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds a text in steps of `step` bytes.
    fn pieces(text: &[u8], step: usize, when: When) -> Vec<Piece> {
        let (mut cutter, mut pieces, mut rest) = (Cutter::default(), Vec::new(), text);
        loop {
            let when = if rest.is_empty() { When::Last } else { when };
            while let Some(piece) = cutter.cut(when) {
                pieces.push(piece);
            }
            if rest.is_empty() {
                return pieces;
            }
            let (buffer, room) = cutter.room(usize::MAX);
            let (now, later) = rest.split_at(step.min(room).min(rest.len()));
            buffer.extend_from_slice(now);
            rest = later;
        }
    }

    fn check(pieces: &[Piece], expected: &[(u64, u64, Content)]) {
        let places: Vec<_> =
            pieces.iter().map(|piece| (piece.offset, piece.end, piece.content)).collect();
        assert_eq!(places, expected);
    }

    #[test]
    fn a_chunk_ends_at_a_line_feed_and_the_last_line_needs_none() {
        check(
            &pieces(b"a\nb\nc", 2, When::Now),
            &[(0, 2, Content::Records), (2, 4, Content::Records), (4, 5, Content::Records)],
        );
        check(
            &pieces(b"a\nb\nc", 2, When::Full),
            &[(0, 4, Content::Records), (4, 5, Content::Records)],
        );
        check(&pieces(b"", 2, When::Full), &[]);
    }

    #[test]
    fn a_line_that_is_too_long_is_not_kept() {
        let max = RECORD_BYTES_MAX;
        for (len, long) in [(max, false), (max + 1, true), (3 * max, true)] {
            for feed in ["\n", ""] {
                let text = [b"a\n", &vec![b'x'; len][..], feed.as_bytes()].concat();
                let content = if long { Content::TooLong } else { Content::Records };
                for step in [70_000, usize::MAX] {
                    let pieces = pieces(&text, step, When::Full);
                    let total = text.len() as u64;
                    check(&pieces, &[(0, 2, Content::Records), (2, total, content)]);
                    if long {
                        assert_eq!(pieces[1].bytes.len(), RAW_BYTES_MAX);
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_moved(text in "[ab\n]{0,60}", step in 1_usize..9) {
            let mut end = 0;
            for piece in pieces(text.as_bytes(), step, When::Now) {
                prop_assert_eq!(piece.offset, end);
                end = piece.end;
                prop_assert_eq!(&piece.bytes[..], &text.as_bytes()[piece.offset as usize..end as usize]);
                prop_assert!(piece.bytes.ends_with(b"\n") || end == text.len() as u64);
            }
            prop_assert_eq!(end, text.len() as u64);
        }
    }
}
