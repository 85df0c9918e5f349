//! Lines of a chunk, and one record of any format that comes one a line.

use std::ops::Range;

use serde_json::Value;
use serde_json::value::RawValue;
use spoor_operators::request::Request;

use super::chunk::Chunk;
use super::error::Refusal;
use super::site::InputSettings;
use super::{FIRST_LINE, Format, json, line, ndjson};
use spoor_api::codes::RefusalCode;

/// What a record borrows from besides its text.
#[derive(Debug, Default)]
pub(super) struct Read {
    tree: Value,
}

impl Read {
    /// Reads one record.
    ///
    /// # Errors
    /// The rule the text breaks.
    pub fn record<'a>(
        &'a mut self,
        format: &'a Format,
        text: &'a str,
        settings: &InputSettings,
    ) -> Result<Request<'a>, Refusal> {
        let mut request = Request::default();
        match format {
            Format::Ndjson => ndjson::read(text, &mut request)?,
            Format::Combined | Format::Common => {
                line::builtin::combined().read(text, settings, &mut request)?;
            }
            Format::Lines(format) => format.read(text, settings, &mut request)?,
            Format::W3c(columns) => columns.read(text, settings, &mut request)?,
            Format::Json(mapping) => {
                self.tree = json::tree(text)?;
                mapping.read(&self.tree, settings, &mut request)?;
            }
            Format::Behind(prefix, inner) => {
                let text = match prefix.find(text) {
                    Some(found) => &text[found.end()..],
                    None => text,
                };
                return self.record(inner, text, settings);
            }
            Format::Document(inner) => return self.record(inner, text, settings),
            Format::Har | Format::Auto(_) => {
                let reason = "not a line of a known format".into();
                return Err(Refusal { code: RefusalCode::BadLine, reason });
            }
        }
        Ok(request)
    }
}

/// Whether records of a format have to be UTF-8.
pub(super) fn is_json(format: &Format) -> bool {
    match format {
        Format::Ndjson | Format::Json(_) | Format::Har => true,
        Format::Behind(_, inner) | Format::Document(inner) => is_json(inner),
        _ => false,
    }
}

/// A line of a chunk, without its line feed.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub number: u64,
    pub range: Range<usize>,
}

impl Line {
    pub fn whole(chunk: &Chunk) -> Self {
        Self { number: FIRST_LINE, range: 0..chunk.bytes.len() }
    }

    /// A record of a document, by its index; `record` borrows from `text`.
    pub fn within(text: &str, record: &RawValue, index: u64) -> Self {
        let start = (record.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        let end = (start + record.get().len()).min(text.len());
        Self { number: FIRST_LINE + index, range: start.min(end)..end }
    }
}

/// The lines of a chunk, blank ones too.
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    next: Line,
}

impl<'a> Lines<'a> {
    pub fn of(chunk: &'a Chunk) -> Self {
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
