//! Decoders: chunks of a source in, request records out.
//!
//! Every format maps onto the one record; what breaks its rules is a [`BadRecord`], never a panic
//! and never the end of the source. A [`Decoder`] serves chunks of any source and format: a worker
//! has one.

pub mod error;
pub mod mapping;

use std::fmt;
use std::sync::Arc;

use spoor_operators::request::Request;

pub use error::{BadCode, BadRecord};
pub use mapping::Mapping;

use crate::source::Chunk;

/// A format of records.
#[derive(Clone, Debug)]
pub enum Format {
    /// The native form: one JSON object a line.
    Ndjson,
    /// Apache and nginx `combined`.
    Combined,
    /// Apache `common`.
    Common,
    /// JSON of another shape, one value a line, through a field mapping.
    Json(Arc<Mapping>),
    /// An HTTP archive.
    Har,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ndjson => "ndjson",
            Self::Combined => "combined",
            Self::Common => "common",
            Self::Json(mapping) => &mapping.name,
            Self::Har => "har",
        })
    }
}

/// Decodes chunks. Keeps scratch space between calls.
#[derive(Debug, Default)]
pub struct Decoder {
    scratch: String,
}

/// Takes each record, or why it was refused, with the record's bytes.
pub type Each<'e> = dyn FnMut(Result<Request<'_>, BadRecord>, &[u8]) + 'e;

impl Decoder {
    /// A decoder for chunks of any source and format.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `each` for every record of the chunk, in order. Blank lines are nothing.
    pub fn decode(&mut self, chunk: &Chunk, each: &mut Each<'_>) {
        self.scratch.clear();
        let bad = BadRecord {
            code: BadCode::BadLine,
            reason: format!("no decoder for {}", chunk.format),
            offset: chunk.offset,
            line: chunk.first_line,
            raw: 0..chunk.bytes.len(),
        };
        each(Err(bad), &chunk.bytes);
    }
}
