//! Bad records: what breaks a rule of the record, with a closed code and a reason in words.
//!
//! A bad record never stops a source. Its code is part of the product's interface (dead letters,
//! ingest answers); the reason names the field and what it has to be, and never repeats a value,
//! which might be secret.

use std::ops::Range;

use spoor_api::codes::RefusalCode;

/// A code with its reason, before the record's place is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Closed code.
    pub code: RefusalCode,
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
    pub code: RefusalCode,
    /// In words: the field and what it has to be.
    pub reason: String,
    /// Where the record begins in the uncompressed source; of a HAR, the entry's index.
    pub offset: u64,
    /// Its line, from 1, within the chunk; of a HAR, the entry's number from 1.
    pub line: u64,
    /// Its bytes within the chunk.
    pub raw: Range<usize>,
}
