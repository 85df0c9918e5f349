//! The records of a batch that lies somewhere as bytes, as RocksDB writes them to its log.
//!
//! A batch is a header (sequence number, count of records) and its records: a byte that says what
//! it is, the column family's number, key, and what comes with it. Only what this program writes
//! is known; anything else is damage. Numbers of column families are the database's own, so they
//! are found by writing a batch for each.

use rocksdb::{DB, WriteBatch};
use spoor_operators::wire::{Malformed, Reader};

use super::super::{Family, StoreError};
use super::open;

/// Bytes before the records: sequence number, count.
const HEADER_BYTES: usize = 12;

// Kinds of records, those of a named column family. Part of RocksDB's format.
const DELETION: u8 = 0x4;
const VALUE: u8 = 0x5;
const SINGLE_DELETION: u8 = 0x8;
const RANGE_DELETION: u8 = 0xE;

/// What is done to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// The column family's number.
    pub(super) family: u64,
    pub(super) key: &'a [u8],
    /// None: it is deleted.
    pub(super) value: Option<&'a [u8]>,
}

/// The records of a batch.
///
/// # Errors
/// [`Malformed`] when it is no batch of this program.
pub(super) fn read(batch: &[u8]) -> Result<Vec<Record<'_>>, Malformed> {
    let (header, records) =
        batch.split_at_checked(HEADER_BYTES).ok_or(Malformed("header of a batch"))?;
    let count = header.last_chunk::<4>().map_or(0, |count| u32::from_le_bytes(*count));
    let (mut from, mut read) = (Reader(records), Vec::new());
    while !from.is_empty() {
        let kind = from.u8()?;
        let (family, key) = (from.u64()?, from.block()?);
        let value = match kind {
            VALUE => Some(from.block()?),
            DELETION | SINGLE_DELETION => None,
            RANGE_DELETION => from.block().map(|_| None)?,
            _ => return Err(Malformed("kind of a record")),
        };
        read.push(Record { family, key, value });
    }
    if read.len() == count as usize { Ok(read) } else { Err(Malformed("count of records")) }
}

/// The column families of a database by the numbers its batches have for them.
///
/// # Errors
/// [`StoreError::Damaged`] when one is missing.
pub(super) fn families(db: &DB) -> Result<Vec<(u64, Family)>, StoreError> {
    let number = |family| {
        let mut batch = WriteBatch::default();
        batch.put_cf(open::cf(db, family)?, b"", b"");
        let numbered = read(batch.data())?.first().map(|record| (record.family, family));
        Ok(numbered.ok_or(Malformed("an empty batch"))?)
    };
    open::families(db).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_as_it_was_written_and_nothing_makes_the_reader_panic() {
        let directory = tempfile::tempdir().unwrap();
        let mut options = rocksdb::Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        let names = Family::ALL.map(Family::name);
        let db = DB::open_cf(&options, directory.path(), names).unwrap();
        let numbers = families(&db).unwrap();
        let number = |family| numbers.iter().find(|(_, found)| *found == family).unwrap().0;

        let (meta, rules) = (open::cf(&db, Family::Meta), open::cf(&db, Family::Rules));
        let mut batch = WriteBatch::default();
        batch.put_cf(meta.unwrap(), b"a", [7; 300]);
        batch.delete_cf(rules.unwrap(), b"b");
        batch.single_delete_cf(open::cf(&db, Family::Staged).unwrap(), b"c");
        batch.delete_range_cf(open::cf(&db, Family::Index).unwrap(), b"d", b"e");
        let of = |family, key, value| Record { family: number(family), key, value };
        let expected = [
            of(Family::Meta, &b"a"[..], Some(&[7; 300][..])),
            of(Family::Rules, b"b", None),
            of(Family::Staged, b"c", None),
            of(Family::Index, b"d", None),
        ];
        let bytes = batch.data();
        assert_eq!(read(bytes).unwrap(), expected);
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "cut to {cut}");
        }
        // Without a column family's number, which this program never writes.
        let mut other = WriteBatch::default();
        other.put(b"a", b"b");
        assert!(read(other.data()).is_err());
    }
}
