//! Decoders: chunks of a source in, request records out.
//!
//! Every format maps onto the one record; what breaks its rules is a [`BadRecord`], never a panic
//! and never the end of the source. A [`Decoder`] serves chunks of any source and format: a worker
//! has one.

pub mod chunk;
pub mod compress;
pub mod detect;
mod document;
pub mod error;
pub mod formats;
mod har;
mod json;
pub mod known;
pub mod line;
mod lines;
pub mod mapping;
mod ndjson;
mod record;
pub mod refused;
pub mod settings;
pub mod site;
#[cfg(test)]
mod tests;
mod timestamp;
mod value;
pub mod w3c;
pub mod wrap;

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;
use spoor_operators::request::Request;
use spoor_operators::time::EventTime;

use spoor_api::codes::RefusalCode;

pub use error::BadRecord;
use error::Refusal;
pub use formats::Formats;
use line::LineFormat;
use lines::{Line, Lines};
pub use mapping::Mapping;
use site::InputSettings;
use w3c::Columns;

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
    /// Another format of lines: built in, pasted, or a regular expression.
    Lines(Arc<LineFormat>),
    /// W3C extended, with the columns in force; without any, lines are bad until some are named.
    W3c(Arc<Columns>),
    /// Records of another format behind what this regular expression matches.
    Behind(regex::Regex, Arc<Format>),
    /// JSON of another shape, one value a line, through a field mapping.
    Json(Arc<Mapping>),
    /// An HTTP archive.
    Har,
    /// JSON arrays, or objects with an array, of records that otherwise come one a line.
    Document(Arc<Format>),
    /// Found by content, among these.
    Auto(Arc<Formats>),
}

impl Format {
    /// Whether an input of this format is one document and not lines.
    #[must_use]
    pub fn is_document(&self) -> bool {
        match self {
            Self::Har | Self::Document(_) => true,
            Self::Json(mapping) => mapping.unwraps(),
            _ => false,
        }
    }

    /// Whether parts of an input can be read each for itself.
    #[must_use]
    pub fn is_divisible(&self) -> bool {
        !self.is_document() && !matches!(self, Self::W3c(_))
    }

    /// Whether it has to be found by content yet.
    #[must_use]
    pub fn is_auto(&self) -> bool {
        matches!(self, Self::Auto(_))
    }

    /// The format of what follows some lines, if these change it.
    #[must_use]
    pub fn behind(&self, lines: &[u8]) -> Option<Self> {
        match self {
            Self::W3c(_) => Columns::last_of(lines).map(|columns| Self::W3c(Arc::new(columns))),
            _ => None,
        }
    }

    /// The formats that are built in, by name.
    #[must_use]
    pub fn built_in_names() -> Vec<String> {
        let lines = line::builtin::all().iter().map(|format| format.name().to_owned());
        let known = known::all().iter().map(|known| known.format.to_string());
        let mut names: Vec<String> = lines.chain(known).collect();
        names.extend(["common", "har", "ndjson", "w3c"].map(str::to_owned));
        names.sort();
        names
    }
}

/// No format has this name.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown format `{0}`; there are auto, {names}", names = Format::built_in_names().join(", "))]
pub struct UnknownFormat(pub String);

/// Of the formats that are built in.
impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        match name {
            "ndjson" => Ok(Self::Ndjson),
            "combined" => Ok(Self::Combined),
            "common" => Ok(Self::Common),
            "har" => Ok(Self::Har),
            "w3c" | "iis" | "cloudfront" => Ok(Self::W3c(Arc::default())),
            _ => line::builtin::shared(name)
                .map(Self::Lines)
                .or_else(|| known::named(name).map(|format| (*format).clone()))
                .ok_or_else(|| UnknownFormat(name.into())),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ndjson => "ndjson",
            Self::Combined => "combined",
            Self::Common => "common",
            Self::Lines(format) => format.name(),
            Self::W3c(_) => "w3c",
            Self::Json(mapping) => &mapping.name,
            Self::Har => "har",
            Self::Behind(_, inner) | Self::Document(inner) => return inner.fmt(f),
            Self::Auto(_) => "auto",
        })
    }
}

/// Decodes chunks. Keeps scratch space between calls.
#[derive(Debug, Default)]
pub struct Decoder {
    scratch: String,
    settings: Arc<InputSettings>,
}

/// Takes each record, or why it was refused, with the record's bytes.
pub type Each<'e> = dyn FnMut(Result<Request<'_>, BadRecord>, &[u8]) + 'e;

impl Decoder {
    /// A decoder for chunks of any source and format.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`Decoder::new`], with what the configuration says of every input.
    #[must_use]
    pub fn with(settings: Arc<InputSettings>) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Calls `each` for every record of the chunk, in order. Blank lines are nothing.
    pub fn decode(&mut self, chunk: &Chunk, each: &mut Each<'_>) {
        if chunk.content == Content::TooLong {
            each(Err(too_long().at(chunk.offset, FIRST_LINE, 0..chunk.bytes.len())), &chunk.bytes);
            return;
        }
        if chunk.content == Content::Array {
            return self.documents(chunk, &chunk.format, each);
        }
        match &*chunk.format {
            Format::Ndjson => self.json_lines(chunk, each),
            Format::Combined | Format::Common => {
                self.log_lines(chunk, line::builtin::combined(), each);
            }
            Format::Lines(format) => self.log_lines(chunk, format, each),
            Format::W3c(columns) => self.w3c_lines(chunk, columns, each),
            Format::Json(mapping) => match mapping.records() {
                None => self.other_lines(chunk, each),
                Some(pointer) => self.mapped_documents(chunk, mapping, pointer, each),
            },
            Format::Behind(..) | Format::Auto(_) => self.other_lines(chunk, each),
            Format::Document(inner) => self.documents(chunk, inner, each),
            Format::Har => self.archive(chunk, each),
        }
    }

    /// Lines of the native form. The whole chunk is checked to be UTF-8 at once; only when it is
    /// not, line by line.
    fn json_lines(&mut self, chunk: &Chunk, each: &mut Each<'_>) {
        let whole = std::str::from_utf8(&chunk.bytes).ok();
        for line in Lines::of(chunk) {
            let text = match whole {
                Some(whole) => whole.get(line.range.clone()),
                None => std::str::from_utf8(&chunk.bytes[line.range.clone()]).ok(),
            };
            let mut request = Request::default();
            let done = match text.map(without_padding) {
                None => Err(not_utf8()),
                Some(text) if text.trim_ascii().is_empty() => continue,
                Some(text) => fits(&line).and_then(|()| ndjson::read(text, &mut request)),
            };
            match done {
                Ok(()) => {
                    warn_of_seconds(&request);
                    self.hand_over(chunk, line, request, each);
                }
                Err(refusal) => self.second_try(chunk, line, text, &chunk.format, refusal, each),
            }
        }
    }

    /// Lines of an access log: what is not UTF-8 becomes U+FFFD.
    fn log_lines(&mut self, chunk: &Chunk, format: &LineFormat, each: &mut Each<'_>) {
        for line in Lines::of(chunk) {
            let bytes = &chunk.bytes[line.range.clone()];
            let whole = lossy(bytes);
            let text = without_padding(&whole);
            if text.trim_ascii().is_empty() {
                continue;
            }
            let mut request = Request::default();
            let done = fits(&line).and_then(|()| format.read(text, &self.settings, &mut request));
            match done {
                Ok(()) => self.hand_over(chunk, line, request, each),
                Err(refusal) => {
                    self.second_try(chunk, line, Some(text), &chunk.format, refusal, each);
                }
            }
        }
    }

    /// Lines of a W3C extended log.
    fn w3c_lines(&mut self, chunk: &Chunk, columns: &Arc<Columns>, each: &mut Each<'_>) {
        let mut columns = columns.clone();
        for line in Lines::of(chunk) {
            let whole = lossy(&chunk.bytes[line.range.clone()]);
            let text = without_padding(&whole).trim_ascii_end();
            if text.starts_with('#') {
                if let Some(named) = Columns::of_line(text) {
                    columns = Arc::new(named);
                }
                continue;
            }
            if text.is_empty() {
                continue;
            }
            let mut request = Request::default();
            let done = fits(&line).and_then(|()| columns.read(text, &self.settings, &mut request));
            match done {
                Ok(()) => self.hand_over(chunk, line, request, each),
                Err(refusal) => {
                    let format = Format::W3c(columns.clone());
                    self.second_try(chunk, line, Some(text), &format, refusal, each);
                }
            }
        }
    }

    /// Lines of any other format.
    fn other_lines(&mut self, chunk: &Chunk, each: &mut Each<'_>) {
        for line in Lines::of(chunk) {
            let bytes = &chunk.bytes[line.range.clone()];
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            self.record(chunk, line, bytes, &chunk.format, each);
        }
    }

    /// One record of a format that comes one a line.
    fn record(
        &mut self,
        chunk: &Chunk,
        line: Line,
        bytes: &[u8],
        format: &Format,
        each: &mut Each<'_>,
    ) {
        let whole = lossy(bytes);
        let strict = lines::is_json(format) && matches!(whole, Cow::Owned(_));
        let text = without_padding(&whole);
        let settings = self.settings.clone();
        let mut refusal = None;
        let mut read = lines::Read::default();
        match fits(&line).and_then(|()| if strict { Err(not_utf8()) } else { Ok(()) }) {
            Err(why) => refusal = Some(why),
            Ok(()) => match read.record(format, text, &settings) {
                Ok(request) => return self.hand_over(chunk, line, request, each),
                Err(why) => refusal = refusal.or(Some(why)),
            },
        }
        let Some(refusal) = refusal else { return };
        self.second_try(chunk, line, Some(text), format, refusal, each);
    }

    /// A line that is of no use as it is may be wrapped.
    #[cold]
    fn second_try(
        &mut self,
        chunk: &Chunk,
        line: Line,
        text: Option<&str>,
        format: &Format,
        refusal: Refusal,
        each: &mut Each<'_>,
    ) {
        let settings = self.settings.clone();
        let retry = text.filter(|_| refusal.code != RefusalCode::TooLong);
        let mut inner =
            retry.and_then(|text| wrap::inner(text).map(|(_, inner)| inner.into_owned()));
        for _ in 0..wrap::WRAPS_MAX {
            let Some(text) = inner else { break };
            let mut read = lines::Read::default();
            if let Ok(request) = read.record(format, &text, &settings) {
                return self.hand_over(chunk, line, request, each);
            }
            inner = wrap::inner(&text).map(|(_, inner)| inner.into_owned());
        }
        let offset = chunk.offset + line.range.start as u64;
        self.refuse(chunk, line, offset, refusal, each);
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
        let offset = chunk.offset + (line.number - FIRST_LINE);
        match tree {
            Err(refusal) => self.refuse(chunk, line, offset, refusal, each),
            Ok(tree) => {
                let mut request = Request::default();
                match mapping.read(&tree, &self.settings.clone(), &mut request) {
                    Ok(()) => self.hand_over_at(chunk, line, offset, request, each),
                    Err(refusal) => self.refuse(chunk, line, offset, refusal, each),
                }
            }
        }
    }

    /// JSON values one after another: arrays, or objects with an array, of records.
    fn documents(&mut self, chunk: &Chunk, inner: &Format, each: &mut Each<'_>) {
        let Ok(text) = utf8(&chunk.bytes).map(without_mark) else {
            return self.refuse(chunk, Line::whole(chunk), chunk.offset, not_utf8(), each);
        };
        let skipped = chunk.bytes.len() - text.len();
        let document::Records { records, broken } = document::records(text);
        let mut number = 0;
        for record in records {
            let mut line = Line::within(text, record, number);
            number += 1;
            line.range = line.range.start + skipped..line.range.end + skipped;
            self.record(chunk, line, record.get().as_bytes(), inner, each);
        }
        if let Some((at, refusal)) = broken {
            let range = at + skipped..chunk.bytes.len();
            let offset = chunk.offset + range.start as u64;
            let line = Line { number: FIRST_LINE + number, range };
            self.refuse(chunk, line, offset, refusal, each);
        }
    }

    /// A HAR: offsets are the entries' indices, behind where the chunk begins.
    fn archive(&mut self, chunk: &Chunk, each: &mut Each<'_>) {
        let text = utf8(&chunk.bytes).map(without_mark);
        let archive = match text.and_then(har::archive) {
            Ok(archive) => archive,
            Err(refusal) => {
                return self.refuse(chunk, Line::whole(chunk), chunk.offset, refusal, each);
            }
        };
        let text = text_of(&chunk.bytes);
        let mut number = 0;
        for (index, entry) in (0..).zip(archive.entries) {
            let line = Line::within(text, entry, index);
            let mut request = Request::default();
            let done = fits(&line).and_then(|()| har::read(entry.get(), &mut request));
            match done {
                Ok(()) => {
                    har::name_archive(&mut request, &chunk.name, &archive.browser);
                    self.hand_over_at(chunk, line, chunk.offset + index, request, each);
                }
                Err(refusal) => self.refuse(chunk, line, chunk.offset + index, refusal, each),
            }
            number = index + 1;
        }
        if let Some(refusal) = archive.broken {
            let line = Line { number: FIRST_LINE + number, range: 0..chunk.bytes.len() };
            self.refuse(chunk, line, chunk.offset + number, refusal, each);
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

    fn hand_over<'a>(
        &'a mut self,
        chunk: &'a Chunk,
        line: Line,
        request: Request<'a>,
        each: &mut Each<'_>,
    ) {
        let offset = chunk.offset + line.range.start as u64;
        self.hand_over_at(chunk, line, offset, request, each);
    }

    /// Gives a record its id if it has none, and passes it on: moved once, because it is large.
    #[inline]
    fn hand_over_at<'a>(
        &'a mut self,
        chunk: &'a Chunk,
        line: Line,
        offset: u64,
        mut request: Request<'a>,
        each: &mut Each<'_>,
    ) {
        if self.settings.names_client() {
            self.settings.name_client(&mut request);
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

/// Integers below this are milliseconds of 1973 and before, or seconds of now.
const SECONDS_BELOW_MS: i64 = 100_000_000_000;

/// A native integer counts milliseconds; one that looks like seconds is said, once.
#[inline]
fn warn_of_seconds(request: &Request<'_>) {
    static SAID: std::sync::Once = std::sync::Once::new();
    let EventTime(ms) = request.ts;
    if ms > 0 && ms < SECONDS_BELOW_MS {
        SAID.call_once(|| {
            tracing::warn!("a `ts` is before 1973: `ts` counts milliseconds; is it in seconds?");
        });
    }
}

/// Text of a log; what is not UTF-8 becomes U+FFFD.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    // Checking first is faster than looking for what to replace.
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

fn text_of(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// A line without a byte order mark and without the zeros that padding put before it.
#[inline]
fn without_padding(text: &str) -> &str {
    match text.as_bytes().first() {
        Some(0) => without_mark(text.trim_start_matches('\0')),
        Some(0xef) => without_mark(text),
        _ => text,
    }
}

fn tree(text: &str) -> Result<Value, Refusal> {
    json::tree(text)
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
