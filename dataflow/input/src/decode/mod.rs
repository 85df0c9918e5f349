//! Decoders: chunks of a source in, request records out.
//!
//! Every format maps onto the one record; what breaks its rules is a [`BadRecord`], never a panic
//! and never the end of the source. A [`Decoder`] serves chunks of any source and format: a worker
//! has one.

mod access_log;
pub mod chunk;
pub mod compress;
pub mod detect;
pub mod error;
pub mod formats;
mod har;
mod json;
pub mod mapping;
mod ndjson;
pub mod refused;
pub mod settings;
#[cfg(test)]
mod tests;
mod timestamp;
mod value;

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;
use spoor_operators::request::Request;

use spoor_api::codes::RefusalCode;

pub use error::BadRecord;
use error::Refusal;
pub use formats::Formats;
pub use mapping::Mapping;

use chunk::{Chunk, Content, RECORD_BYTES_MAX};

/// Largest document: a HAR, or JSON whose mapping unwraps records, which is held in memory whole.
pub const DOCUMENT_BYTES_MAX: usize = 256 << 20;
/// Number of a chunk's first line.
const FIRST_LINE: u64 = 1;

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

impl Format {
    /// Whether an input of this format is one document and not lines.
    #[must_use]
    pub fn is_document(&self) -> bool {
        match self {
            Self::Har => true,
            Self::Json(mapping) => mapping.unwraps(),
            Self::Ndjson | Self::Combined | Self::Common => false,
        }
    }
}

/// No format has this name.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "unknown format `{0}`; there are auto, ndjson, combined, common, har, and the names of configured mappings"
)]
pub struct UnknownFormat(pub String);

/// Of the formats that need no mapping.
impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        match name {
            "ndjson" => Ok(Self::Ndjson),
            "combined" => Ok(Self::Combined),
            "common" => Ok(Self::Common),
            "har" => Ok(Self::Har),
            _ => Err(UnknownFormat(name.into())),
        }
    }
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
            each(Err(too_long().at(chunk.offset, FIRST_LINE, 0..chunk.bytes.len())), &chunk.bytes);
            return;
        }
        if chunk.content == Content::Array {
            return self.array(chunk, each);
        }
        match &*chunk.format {
            Format::Ndjson => self.json_lines(chunk, each, ndjson::read),
            Format::Combined | Format::Common => self.log_lines(chunk, each),
            Format::Json(mapping) => match mapping.records() {
                None => self.mapped_lines(chunk, mapping, each),
                Some(pointer) => self.mapped_documents(chunk, mapping, pointer, each),
            },
            Format::Har => self.archive(chunk, each),
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
                Some(text) => fits(&line).and_then(|()| read(without_mark(text), &mut request)),
            };
            let offset = chunk.offset + line.range.start as u64;
            self.hand_over(chunk, line, offset, request, done, each);
        }
    }

    /// Lines of an access log: what is not UTF-8 becomes U+FFFD.
    fn log_lines(&mut self, chunk: &Chunk, each: &mut Each<'_>) {
        for line in Lines::of(chunk) {
            let bytes = &chunk.bytes[line.range.clone()];
            // Checking first is faster than looking for what to replace.
            let text = std::str::from_utf8(bytes)
                .map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
            if text.trim_ascii().is_empty() {
                continue;
            }
            let mut request = Request::default();
            let done = fits(&line).and_then(|()| access_log::read(&text, &mut request));
            let offset = chunk.offset + line.range.start as u64;
            self.hand_over(chunk, line, offset, request, done, each);
        }
    }

    /// Lines of JSON of another shape.
    fn mapped_lines(&mut self, chunk: &Chunk, mapping: &Mapping, each: &mut Each<'_>) {
        for line in Lines::of(chunk) {
            let bytes = &chunk.bytes[line.range.clone()];
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            let text = fits(&line).and_then(|()| utf8(bytes));
            let tree = text.and_then(tree);
            self.hand_over_mapped(chunk, line, mapping, tree, each);
        }
    }

    /// JSON values one after another, each with an array of records at a pointer.
    fn mapped_documents(
        &mut self,
        chunk: &Chunk,
        mapping: &Mapping,
        pointer: &str,
        each: &mut Each<'_>,
    ) {
        let mut number = 0;
        let Ok(text) = std::str::from_utf8(&chunk.bytes) else {
            return self.refuse(chunk, Line::whole(chunk), chunk.offset, not_utf8(), each);
        };
        for document in
            serde_json::Deserializer::from_str(without_mark(text)).into_iter::<&RawValue>()
        {
            let records = document
                .map_err(|error| json::bad_json(&error))
                .and_then(|document| json::records(document, pointer));
            match records {
                // What follows broken JSON cannot be told apart.
                Err(refusal) => {
                    let line = Line { number: number + 1, range: 0..text.len() };
                    self.refuse(chunk, line, chunk.offset + number, refusal, each);
                    number += 1;
                }
                Ok(records) => {
                    for record in records {
                        let line = Line::within(text, record, number);
                        let tree = fits(&line).and_then(|()| tree(record.get()));
                        self.hand_over_mapped(chunk, line, mapping, tree, each);
                        number += 1;
                    }
                }
            }
        }
    }

    fn hand_over_mapped(
        &mut self,
        chunk: &Chunk,
        line: Line,
        mapping: &Mapping,
        tree: Result<Value, Refusal>,
        each: &mut Each<'_>,
    ) {
        let offset = if mapping.unwraps() {
            chunk.offset + (line.number - FIRST_LINE)
        } else {
            chunk.offset + line.range.start as u64
        };
        match tree {
            Err(refusal) => self.refuse(chunk, line, offset, refusal, each),
            Ok(tree) => {
                let mut request = Request::default();
                let done = mapping.read(&tree, &mut request);
                self.hand_over(chunk, line, offset, request, done, each);
            }
        }
    }

    /// One JSON array of records that otherwise come one a line.
    fn array(&mut self, chunk: &Chunk, each: &mut Each<'_>) {
        let text = utf8(&chunk.bytes).map(without_mark);
        let records = text.and_then(|text| {
            serde_json::from_str::<Vec<&RawValue>>(text).map_err(|error| json::bad_json(&error))
        });
        let records = match records {
            Ok(records) => records,
            Err(refusal) => {
                return self.refuse(chunk, Line::whole(chunk), chunk.offset, refusal, each);
            }
        };
        let text = std::str::from_utf8(&chunk.bytes).unwrap_or_default();
        for (index, record) in (0..).zip(records) {
            let line = Line::within(text, record, index);
            let record = fits(&line).map(|()| record.get());
            if let Format::Json(mapping) = &*chunk.format {
                self.hand_over_mapped(chunk, line, mapping, record.and_then(tree), each);
                continue;
            }
            let mut request = Request::default();
            let done = record.and_then(|record| ndjson::read(record, &mut request));
            let offset = chunk.offset + line.range.start as u64;
            self.hand_over(chunk, line, offset, request, done, each);
        }
    }

    /// A HAR: offsets are the entries' indices, behind where the chunk begins.
    fn archive(&mut self, chunk: &Chunk, each: &mut Each<'_>) {
        let text = utf8(&chunk.bytes).map(without_mark);
        let entries = match text.and_then(har::entries) {
            Ok(entries) => entries,
            Err(refusal) => {
                return self.refuse(chunk, Line::whole(chunk), chunk.offset, refusal, each);
            }
        };
        let text = std::str::from_utf8(&chunk.bytes).unwrap_or_default();
        for (index, entry) in (0..).zip(entries) {
            let line = Line::within(text, entry, index);
            let mut request = Request::default();
            let done = fits(&line).and_then(|()| har::read(entry.get(), &mut request));
            self.hand_over(chunk, line, chunk.offset + index, request, done, each);
        }
    }

    /// Passes on why there is no record.
    fn refuse(
        &self,
        chunk: &Chunk,
        line: Line,
        offset: u64,
        refusal: Refusal,
        each: &mut Each<'_>,
    ) {
        let raw = &chunk.bytes[line.range.clone()];
        each(Err(refusal.at(offset, line.number, line.range)), raw);
    }

    /// Gives a record its id if it has none, and passes it on: moved once, because it is large.
    fn hand_over<'a>(
        &'a mut self,
        chunk: &'a Chunk,
        line: Line,
        offset: u64,
        mut request: Request<'a>,
        done: Result<(), Refusal>,
        each: &mut Each<'_>,
    ) {
        if let Err(refusal) = done {
            return self.refuse(chunk, line, offset, refusal, each);
        }
        if !request.explicit_id {
            self.scratch.clear();
            // Writing to a `String` cannot fail.
            let _ = write!(self.scratch, "{}:{offset}", chunk.name);
            request.id = Cow::Borrowed(&self.scratch);
        }
        each(Ok(request), &chunk.bytes[line.range]);
    }
}

fn tree(text: &str) -> Result<Value, Refusal> {
    serde_json::from_str(text).map_err(|error| json::bad_json(&error))
}

fn too_long() -> Refusal {
    let reason = format!("the record has more than {RECORD_BYTES_MAX} bytes");
    Refusal { code: RefusalCode::TooLong, reason }
}

/// Whether a record is short enough to be read.
fn fits(line: &Line) -> Result<(), Refusal> {
    if line.range.len() > RECORD_BYTES_MAX { Err(too_long()) } else { Ok(()) }
}

fn utf8(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|_| not_utf8())
}

/// A text without its byte order mark.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn not_utf8() -> Refusal {
    Refusal { code: RefusalCode::BadUtf8, reason: "JSON has to be UTF-8".into() }
}

/// A line of a chunk, without its line feed.
#[derive(Clone, Debug)]
struct Line {
    number: u64,
    range: Range<usize>,
}

impl Line {
    fn whole(chunk: &Chunk) -> Self {
        Self { number: FIRST_LINE, range: 0..chunk.bytes.len() }
    }

    /// A record of a document, by its index; `record` borrows from `text`.
    fn within(text: &str, record: &RawValue, index: u64) -> Self {
        let start = (record.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        let end = (start + record.get().len()).min(text.len());
        Self { number: FIRST_LINE + index, range: start.min(end)..end }
    }
}

/// The lines of a chunk, blank ones too.
struct Lines<'a> {
    bytes: &'a [u8],
    next: Line,
}

impl<'a> Lines<'a> {
    fn of(chunk: &'a Chunk) -> Self {
        Self { bytes: &chunk.bytes, next: Line { number: FIRST_LINE, range: 0..0 } }
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
