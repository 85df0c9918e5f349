//! A chunk: the unit of work that travels from a source to a worker.
//!
//! Its bytes are whole records, about [`CHUNK_BYTES`] of them, never a part of one; so workers
//! decode chunks in any order, in parallel, and a resume at a chunk's end repeats nothing. A line
//! that is too long travels as a chunk of its own that keeps only the line's head.

use std::sync::Arc;

use bytes::Bytes;

use super::Format;

/// Bytes a source gathers before it hands over a chunk.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Longest record in bytes, however it arrives: a line without its line feed, or an element of a
/// JSON array, an archive or a mapped document. A longer one is a bad record.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Bytes kept of a line that is too long, or of any bad record in the dead letters.
pub const RAW_BYTES_MAX: usize = 4 << 10;

/// Number of a source in the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// What a chunk's bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// Whole records.
    #[default]
    Records,
    /// The first bytes of one line that is longer than [`RECORD_BYTES_MAX`].
    TooLong,
    /// One JSON array of records, of a format that otherwise has one JSON value a line.
    Array,
}

/// Whole records of one source.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Set by the engine; sources leave the default.
    pub source: SourceId,
    /// What implicit ids begin with: the source's name, and `#<n>` in the n-th file after the first
    /// of a followed one.
    pub name: Arc<str>,
    /// How to decode it.
    pub format: Arc<Format>,
    /// The records, or see [`Content`].
    pub bytes: Bytes,
    /// What `bytes` are.
    pub content: Content,
    /// Where `bytes` begin in the uncompressed stream.
    pub offset: u64,
    /// Where the next chunk begins.
    pub end: u64,
    /// Opaque to all but the source, which resumes after this chunk when it is given it.
    pub checkpoint: Bytes,
}

impl Chunk {
    /// A chunk that is a whole input by itself, such as the body of a request to ingest.
    #[must_use]
    pub fn whole(name: Arc<str>, format: Arc<Format>, bytes: Bytes) -> Self {
        let end = bytes.len() as u64;
        Self {
            source: SourceId::default(),
            name,
            format,
            bytes,
            content: Content::Records,
            offset: 0,
            end,
            checkpoint: Bytes::new(),
        }
    }
}
