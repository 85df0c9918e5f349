//! The stored forms of a breakdown: all of its entries, or a [`Head`] that says where they are.

use crate::facts::Field;
use crate::time::EventTime;
use crate::wire::{Malformed, Reader, put_i64, put_u64};

/// What is known of a breakdown whose values are kept apart: how many there are of each field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Head {
    /// Names the parts: an instant within the session, so no two sessions of an identity-day have
    /// the same.
    pub anchor: EventTime,
    distinct: [u64; Field::ALL.len()],
}

impl Head {
    pub(super) fn new(anchor: EventTime, distinct: [u64; Field::ALL.len()]) -> Self {
        Self { anchor, distinct }
    }

    /// Number of distinct values of a field.
    #[must_use]
    pub fn distinct(&self, field: Field) -> u64 {
        self.distinct[super::index(field)]
    }

    /// Number of entries, of all fields.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.distinct.iter().fold(0, |sum, of_field| sum.saturating_add(*of_field))
    }

    /// Appends the stored form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_i64(out, self.anchor.0);
        self.distinct.iter().for_each(|of_field| put_u64(out, *of_field));
    }

    /// Reads the stored form, which must be the whole slice.
    ///
    /// # Errors
    /// [`Malformed`] for anything [`Head::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader(bytes);
        let anchor = EventTime(from.i64()?);
        let mut distinct = [0; Field::ALL.len()];
        for of_field in &mut distinct {
            *of_field = from.u64()?;
        }
        if from.is_empty() {
            Ok(Self { anchor, distinct })
        } else {
            Err(Malformed("bytes after a breakdown"))
        }
    }
}

/// Entries of a stored breakdown, read one by one: field, text and count.
#[derive(Clone, Copy, Debug)]
pub struct StoredBreakdown<'a> {
    left: usize,
    from: Reader<'a>,
}

impl<'a> StoredBreakdown<'a> {
    /// Entries of a stored breakdown, which must be the whole slice.
    ///
    /// # Errors
    /// [`Malformed`] when not even its length can be read.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut from = Reader(bytes);
        let left = usize::try_from(from.u64()?).map_err(|_| Malformed("length"))?;
        Ok(Self { left, from })
    }

    /// Entries left, as the stored form claims.
    #[must_use]
    pub fn len(&self) -> usize {
        self.left
    }

    /// Whether no entry is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Refuses what follows the last entry.
    pub(super) fn check_end(&self) -> Result<(), Malformed> {
        if self.from.is_empty() { Ok(()) } else { Err(Malformed("bytes after a breakdown")) }
    }

    fn entry(&mut self) -> Result<(Field, &'a str, u64), Malformed> {
        let field = Field::from_u8(self.from.u8()?).ok_or(Malformed("field of a breakdown"))?;
        let count = self.from.u64()?;
        Ok((field, self.from.str()?, count))
    }
}

impl<'a> Iterator for StoredBreakdown<'a> {
    type Item = Result<(Field, &'a str, u64), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = self.entry();
        if entry.is_err() {
            self.left = 0;
        }
        Some(entry)
    }
}
