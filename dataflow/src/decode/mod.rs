//! Decoders: chunks of a source in, request records out.
//!
//! Every format maps onto the one record; what breaks its rules is a [`BadRecord`], never a panic
//! and never the end of the source. A [`Decoder`] serves chunks of any source and format: a worker
//! has one.

mod access_log;
pub mod error;
mod json;
pub mod mapping;
mod ndjson;
mod timestamp;
mod value;

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::sync::Arc;

use spoor_operators::request::Request;

use error::Refusal;
pub use error::{BadCode, BadRecord};
pub use mapping::Mapping;

use crate::source::{Chunk, Content, LINE_BYTES_MAX};

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
        if chunk.content == Content::TooLong {
            let reason = format!("the line has more than {LINE_BYTES_MAX} bytes");
            let bad = Refusal { code: BadCode::TooLong, reason };
            each(Err(bad.at(chunk.offset, chunk.first_line, 0..chunk.bytes.len())), &chunk.bytes);
            return;
        }
        match &*chunk.format {
            Format::Ndjson => self.json_lines(chunk, each, ndjson::read),
            Format::Combined | Format::Common => self.log_lines(chunk, each),
            Format::Json(_) | Format::Har => {}
        }
    }

    /// Lines of JSON. The whole chunk is checked to be UTF-8 at once; only when it is not, line by
    /// line.
    fn json_lines(
        &mut self,
        chunk: &Chunk,
        each: &mut Each<'_>,
        read: impl for<'a> Fn(&'a str, &mut Request<'a>) -> Result<(), Refusal>,
    ) {
        let whole = std::str::from_utf8(&chunk.bytes).ok();
        for line in Lines::of(chunk) {
            let text = match whole {
                Some(whole) => whole.get(line.range.clone()),
                None => std::str::from_utf8(&chunk.bytes[line.range.clone()]).ok(),
            };
            let mut request = Request::default();
            let done = match text {
                None => Err(not_utf8()),
                Some(text) if text.trim_ascii().is_empty() => continue,
                Some(text) => read(text.strip_prefix('\u{feff}').unwrap_or(text), &mut request),
            };
            self.hand_over(chunk, line, done.map(|()| request), each);
        }
    }

    /// Lines of an access log: what is not UTF-8 becomes U+FFFD.
    fn log_lines(&mut self, chunk: &Chunk, each: &mut Each<'_>) {
        for line in Lines::of(chunk) {
            let text = String::from_utf8_lossy(&chunk.bytes[line.range.clone()]);
            if text.trim_ascii().is_empty() {
                continue;
            }
            let mut request = Request::default();
            let done = access_log::read(&text, &mut request);
            self.hand_over(chunk, line, done.map(|()| request), each);
        }
    }

    /// Gives a record its id if it has none, and passes it on.
    fn hand_over<'a>(
        &'a mut self,
        chunk: &'a Chunk,
        line: Line,
        done: Result<Request<'a>, Refusal>,
        each: &mut Each<'_>,
    ) {
        let offset = chunk.offset + line.range.start as u64;
        let raw = &chunk.bytes[line.range.clone()];
        match done {
            Ok(mut request) => {
                if !request.explicit_id {
                    self.scratch.clear();
                    // Writing to a `String` cannot fail.
                    let _ = write!(self.scratch, "{}:{offset}", chunk.name);
                    request.id = Cow::Borrowed(&self.scratch);
                }
                each(Ok(request), raw);
            }
            Err(refusal) => each(Err(refusal.at(offset, line.number, line.range)), raw),
        }
    }
}

fn not_utf8() -> Refusal {
    Refusal { code: BadCode::BadUtf8, reason: "JSON has to be UTF-8".into() }
}

/// A line of a chunk, without its line feed.
#[derive(Clone, Debug)]
struct Line {
    number: u64,
    range: Range<usize>,
}

/// The lines of a chunk, blank ones too.
struct Lines<'a> {
    bytes: &'a [u8],
    next: Line,
}

impl<'a> Lines<'a> {
    fn of(chunk: &'a Chunk) -> Self {
        Self { bytes: &chunk.bytes, next: Line { number: chunk.first_line, range: 0..0 } }
    }
}

impl Iterator for Lines<'_> {
    type Item = Line;

    #[inline]
    fn next(&mut self) -> Option<Line> {
        let start = self.next.range.start;
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let end = memchr::memchr(b'\n', rest).map_or(self.bytes.len(), |len| start + len);
        let line = Line { number: self.next.number, range: start..end };
        self.next = Line { number: line.number + 1, range: end + 1..end + 1 };
        Some(line)
    }
}
