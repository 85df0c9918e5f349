//! Bad records: what breaks a rule of the record, with a closed code and a reason in words.
//!
//! A bad record never stops a source. Its code is part of the product's interface (dead letters,
//! ingest answers); the reason names the field and what it has to be, and never repeats a value,
//! which might be secret.

use std::fmt;
use std::ops::Range;

/// Why a record was refused. Closed: new reasons map onto one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BadCode {
    /// Not JSON, or not an object.
    BadJson,
    /// Bytes that are not UTF-8 where JSON was expected.
    BadUtf8,
    /// A required field is absent.
    MissingField,
    /// A field has a wrong type or value.
    BadField,
    /// A line that is not of the access log's format.
    BadLine,
    /// A record longer than [`crate::source::RECORD_BYTES_MAX`].
    TooLong,
}

impl BadCode {
    /// Every code.
    pub const ALL: [Self; 6] = [
        Self::BadJson,
        Self::BadUtf8,
        Self::MissingField,
        Self::BadField,
        Self::BadLine,
        Self::TooLong,
    ];

    /// As dead letters and answers show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::BadUtf8 => "bad_utf8",
            Self::MissingField => "missing_field",
            Self::BadField => "bad_field",
            Self::BadLine => "bad_line",
            Self::TooLong => "too_long",
        }
    }
}

impl fmt::Display for BadCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A code with its reason, before the record's place is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Closed code.
    pub code: BadCode,
    /// In words.
    pub reason: String,
}

impl Refusal {
    /// The same, with the record's place.
    #[must_use]
    pub fn at(self, offset: u64, line: u64, raw: Range<usize>) -> BadRecord {
        BadRecord { code: self.code, reason: self.reason, offset, line, raw }
    }
}

/// A refused record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Closed code.
    pub code: BadCode,
    /// In words: the field and what it has to be.
    pub reason: String,
    /// Where the record begins in the uncompressed source; of a HAR, the entry's index.
    pub offset: u64,
    /// Its line, from 1, within the chunk; of a HAR, the entry's number from 1.
    pub line: u64,
    /// Its bytes within the chunk.
    pub raw: Range<usize>,
}
