//! The `meta` column family: format, incarnation, what is committed, counters, totals,
//! idempotency and the engine's own values.
//!
//! The first byte of a key says what it is; numbers in keys are big endian with the sign flipped.
//! All of it but format, zone and incarnation changes only inside a commit's batch.

use std::path::Path;

use rocksdb::{DB, WriteBatch};
use spoor_operators::time::{Day, Epoch, EventTime};
use spoor_operators::totals::Totals;
use spoor_operators::wire::{Malformed, Reader, put_i64, put_i128, put_str, put_u64};

use super::upgrade::FORMAT_OLDEST;
use super::write::{self, Durability};
use super::{FORMAT, Family, Store, StoreError, secret};
use spoor_api::lineage::{Lineage, OpeningId};

pub(super) const FORMAT_KEY: &[u8] = b"=format";
pub(super) const ZONE_KEY: &[u8] = b"=zone";
pub(super) const INCARNATION_KEY: &[u8] = b"=incarnation";
pub(super) const FINGERPRINT_KEY: &[u8] = b"=fingerprint";
pub(super) const COMMITTED_KEY: &[u8] = b"=committed";
pub(super) const DAYS: u8 = b'd';
pub(super) const TOTALS: u8 = b't';
pub(super) const IDEMPOTENT: u8 = b'i';
pub(super) const IDEMPOTENT_ORDER: u8 = b'j';
pub(super) const BLOB: u8 = b'b';

fn meta(db: &DB) -> &rocksdb::ColumnFamily {
    db.cf_handle(Family::Meta.name()).expect("every column family was opened")
}

/// The openings of a store, this one included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Openings {
    /// How many there were.
    pub(super) count: u64,
    /// Which epochs are of this store; none where a version before this one opened it last.
    pub(super) lineage: Option<Lineage>,
}

impl Openings {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_u64(&mut out, self.count);
        if let Some(lineage) = &self.lineage {
            lineage.encode(&mut out);
        }
        out
    }

    pub(super) fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader(value);
        let count = from.u64()?;
        let is_known = !from.0.is_empty();
        let lineage = is_known.then(|| Lineage::decode(&mut from)).transpose()?;
        if from.0.is_empty() {
            Ok(Self { count, lineage })
        } else {
            Err(Malformed("bytes after the openings of a store"))
        }
    }
}

/// The openings of a store that is being opened, with this one.
fn open_again(db: &DB) -> Result<(u64, Lineage), StoreError> {
    let cf = meta(db);
    let random = secret::random().map_err(|source| StoreError::SecretKey {
        path: "/dev/urandom".into(),
        reason: source.to_string(),
    })?;
    let (bytes, _) = random.split_first_chunk().expect("a key has more than 8 bytes");
    let next = OpeningId(u64::from_be_bytes(*bytes));
    let Some(value) = db.get_pinned_cf(cf, INCARNATION_KEY)? else {
        return Ok((1, Lineage::new(next)));
    };
    let known = Openings::decode(&value)?;
    let committed = match db.get_pinned_cf(cf, COMMITTED_KEY)? {
        Some(value) => Standing::decode(&value)?.epoch,
        None => None,
    };
    let lineage = match known.lineage {
        Some(lineage) => lineage.reopened(next, committed.unwrap_or(Epoch(0))),
        None => Lineage::new(next),
    };
    Ok((known.count.saturating_add(1), lineage))
}

/// Checks format and zone, and counts this opening. Returns its number, and the store's history.
pub(super) fn begin(db: &DB, directory: &Path, zone: &str) -> Result<(u64, Lineage), StoreError> {
    let cf = meta(db);
    let format = match db.get_pinned_cf(cf, FORMAT_KEY)? {
        Some(found) => read_format(directory, &found)?,
        None => FORMAT,
    };
    let fingerprint = super::care::fingerprint(format);
    if let Some(found) = db.get_pinned_cf(cf, FINGERPRINT_KEY)?
        && !std::str::from_utf8(&found).is_ok_and(super::care::is_understood)
    {
        let found = String::from_utf8_lossy(&found).into_owned();
        return Err(StoreError::Fingerprint { path: directory.into(), found, known: fingerprint });
    }
    let used = db.get_pinned_cf(cf, COMMITTED_KEY)?.is_some();
    if let Some(found) = db.get_pinned_cf(cf, ZONE_KEY)?
        && used
        && found.as_ref() != zone.as_bytes()
    {
        let found = String::from_utf8_lossy(&found).into_owned();
        return Err(StoreError::Zone { path: directory.into(), found, asked: zone.into() });
    }
    let (count, lineage) = open_again(db)?;
    let mut batch = WriteBatch::default();
    // A store of an older format keeps it until it is upgraded.
    if format == FORMAT {
        put_format(db, &mut batch);
    }
    batch.put_cf(cf, ZONE_KEY, zone);
    let openings = Openings { count, lineage: Some(lineage.clone()) };
    batch.put_cf(cf, INCARNATION_KEY, openings.encode());
    write::write(db, batch, Durability::Now)?;
    Ok((count, lineage))
}

/// A format this program reads, as a store says it.
pub(super) fn read_format(directory: &Path, found: &[u8]) -> Result<u32, StoreError> {
    let text = String::from_utf8_lossy(found).into_owned();
    match text.parse() {
        Ok(format) if (FORMAT_OLDEST..=FORMAT).contains(&format) => Ok(format),
        _ => Err(StoreError::Format { path: directory.into(), found: text, known: FORMAT }),
    }
}

/// The format of a store; none where none is written yet.
pub(super) fn format(db: &DB) -> Result<Option<u32>, StoreError> {
    let found = db.get_pinned_cf(meta(db), FORMAT_KEY)?;
    Ok(found.and_then(|found| String::from_utf8_lossy(&found).parse().ok()))
}

/// Marks a store as one of this program.
pub(super) fn put_format(db: &DB, batch: &mut WriteBatch) {
    batch.put_cf(meta(db), FORMAT_KEY, FORMAT.to_string());
    batch.put_cf(meta(db), FINGERPRINT_KEY, super::care::fingerprint(FORMAT));
}

/// What is retained of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DayCount {
    pub(super) sessions: i64,
    pub(super) requests: i64,
}

impl DayCount {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(12);
        put_i64(&mut out, self.sessions);
        put_i64(&mut out, self.requests);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader(bytes);
        Ok(Self { sessions: from.i64()?, requests: from.i64()? })
    }
}

/// Where the store stands: one value, rewritten by each commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) epoch: Option<Epoch>,
    pub(super) watermark: Option<EventTime>,
    /// Days before it are dropped.
    pub(super) floor: Option<Day>,
    /// Sequence numbers of the dead letters kept: from, until.
    pub(super) letters: (u64, u64),
    /// Sequence numbers of the idempotent answers kept: from, until.
    pub(super) answers: (u64, u64),
}

fn put_option(out: &mut Vec<u8>, value: Option<i64>) {
    out.push(u8::from(value.is_some()));
    put_i64(out, value.unwrap_or(0));
}

fn option(from: &mut Reader<'_>) -> Result<Option<i64>, Malformed> {
    let some = from.u8()? != 0;
    let value = from.i64()?;
    Ok(some.then_some(value))
}

impl Standing {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        put_u64(&mut out, self.epoch.map_or(0, |epoch| epoch.0.saturating_add(1)));
        put_option(&mut out, self.watermark.map(|at| at.0));
        put_option(&mut out, self.floor.map(|day| i64::from(day.0)));
        for number in [self.letters.0, self.letters.1, self.answers.0, self.answers.1] {
            put_u64(&mut out, number);
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader(bytes);
        let epoch = from.u64()?.checked_sub(1).map(Epoch);
        let watermark = option(&mut from)?.map(EventTime);
        let floor = option(&mut from)?;
        let floor = floor.map(|day| i32::try_from(day).map(Day)).transpose();
        Ok(Self {
            epoch,
            watermark,
            floor: floor.map_err(|_| Malformed("day"))?,
            letters: (from.u64()?, from.u64()?),
            answers: (from.u64()?, from.u64()?),
        })
    }
}

/// A key that begins with a number.
pub(super) fn numbered(kind: u8, number: i64) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&((number as u64) ^ (1 << 63)).to_be_bytes());
    key
}

/// The number a key begins with, and what follows.
pub(super) fn parse_numbered(key: &[u8]) -> Result<(i64, &[u8]), Malformed> {
    let (number, rest) = key
        .get(1..)
        .and_then(|key| key.split_first_chunk::<8>())
        .ok_or(Malformed("length of a key"))?;
    Ok(((u64::from_be_bytes(*number) ^ (1 << 63)) as i64, rest))
}

/// Key of the totals of a minute (since the Unix epoch) and an app.
pub(super) fn totals_key(minute: i64, app: &str) -> Vec<u8> {
    let mut key = numbered(TOTALS, minute);
    key.extend_from_slice(app.as_bytes());
    key
}

pub(super) fn encode_totals(totals: Totals) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    totals.to_array().into_iter().for_each(|field| put_i128(&mut out, field));
    out
}

pub(super) fn decode_totals(bytes: &[u8]) -> Result<Totals, Malformed> {
    let mut from = Reader(bytes);
    let mut fields = [0; 12];
    for field in &mut fields {
        *field = from.i128()?;
    }
    let totals = Totals::from_array(fields);
    if totals.to_array() == fields { Ok(totals) } else { Err(Malformed("count past 64 bits")) }
}

/// Minute, app and totals of an entry.
pub(super) fn parse_totals<'a>(
    key: &'a [u8],
    value: &[u8],
) -> Result<(i64, &'a str, Totals), Malformed> {
    let (minute, app) = parse_numbered(key)?;
    let app = std::str::from_utf8(app).map_err(|_| Malformed("app of totals"))?;
    Ok((minute, app, decode_totals(value)?))
}

fn named(kind: u8, name: &[u8]) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(name);
    key
}

/// Key of a value of the engine's own.
pub(super) fn blob_key(name: &str) -> Vec<u8> {
    named(BLOB, name.as_bytes())
}

/// Remembers an answer under the caller's key, as number `sequence` of those kept.
pub(super) fn put_answer(
    batch: &mut WriteBatch,
    cf: &rocksdb::ColumnFamily,
    sequence: u64,
    (key, answer): (&[u8], &[u8]),
) {
    let mut value = Vec::with_capacity(answer.len() + 10);
    put_u64(&mut value, sequence);
    value.extend_from_slice(answer);
    batch.put_cf(cf, named(IDEMPOTENT, key), value);
    batch.put_cf(cf, numbered(IDEMPOTENT_ORDER, sequence as i64), key);
}

/// Forgets answer number `sequence`, unless its key has a newer one.
pub(super) fn forget_answer(
    batch: &mut WriteBatch,
    db: &DB,
    sequence: u64,
) -> Result<(), StoreError> {
    let cf = meta(db);
    let order = numbered(IDEMPOTENT_ORDER, sequence as i64);
    if let Some(key) = db.get_pinned_cf(cf, &order)? {
        let entry = named(IDEMPOTENT, &key);
        let current = db.get_pinned_cf(cf, &entry)?;
        if let Some(current) = current
            && Reader(&current).u64()? == sequence
        {
            batch.delete_cf(cf, entry);
        }
    }
    batch.delete_cf(cf, order);
    Ok(())
}

impl Store {
    /// What was answered under an idempotency key, if it is still remembered.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`].
    pub fn answered(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let db = &self.inner.db;
        let Some(found) = db.get_pinned_cf(meta(db), named(IDEMPOTENT, key))? else {
            return Ok(None);
        };
        let mut from = Reader(&found);
        from.u64()?;
        Ok(Some(from.0.to_vec()))
    }

    /// A value of the engine's own.
    ///
    /// # Errors
    /// [`StoreError::Rocks`].
    pub fn blob(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.inner.db.get_cf(meta(&self.inner.db), blob_key(name))?)
    }

    /// The totals of a minute and an app, as of the last commit: what this store's process adds to
    /// them, which may be negative.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`].
    pub fn totals(&self, minute: i64, app: &str) -> Result<Option<Totals>, StoreError> {
        let db = &self.inner.db;
        let found = db.get_pinned_cf(meta(db), totals_key(minute, app))?;
        Ok(found.map(|bytes| decode_totals(&bytes)).transpose()?)
    }

    /// The states of the sources.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`].
    pub fn sources(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let cf = self.inner.cf(Family::Offsets);
        let entries = self.inner.db.iterator_cf(cf, rocksdb::IteratorMode::Start);
        let state = |entry: super::commit::Entry| {
            let (name, state) = entry?;
            let name = String::from_utf8(name.into_vec());
            Ok((name.map_err(|_| Malformed("name of a source"))?, state.into_vec()))
        };
        entries.map(state).collect()
    }

    /// The newest committed rules and the epoch they are in force from.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`].
    pub fn rules(&self) -> Result<Option<(spoor_operators::rules::RuleSet, Epoch)>, StoreError> {
        let cf = self.inner.cf(Family::Rules);
        let mut entries = self.inner.db.iterator_cf(cf, rocksdb::IteratorMode::End);
        entries.next().map(|entry| decode_rules(&entry?.1)).transpose()
    }
}

pub(super) fn encode_rules(
    rules: &spoor_operators::rules::RuleSet,
    epoch: Epoch,
) -> Result<Vec<u8>, StoreError> {
    let text = serde_json::to_string(rules)
        .map_err(|error| StoreError::Damaged(format!("rules cannot be written: {error}")))?;
    let mut out = Vec::with_capacity(text.len() + 10);
    put_u64(&mut out, epoch.0);
    put_str(&mut out, &text);
    Ok(out)
}

pub(super) fn decode_rules(
    bytes: &[u8],
) -> Result<(spoor_operators::rules::RuleSet, Epoch), StoreError> {
    let mut from = Reader(bytes);
    let epoch = Epoch(from.u64()?);
    let rules = serde_json::from_str(from.str()?)
        .map_err(|error| StoreError::Damaged(format!("rules: {error}")))?;
    if from.is_empty() {
        Ok((rules, epoch))
    } else {
        Err(StoreError::Damaged("bytes after the rules".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_standing_comes_back() {
        let full = Standing {
            epoch: Some(Epoch(0)),
            watermark: Some(EventTime(-1)),
            floor: Some(Day(-7)),
            letters: (1, 2),
            answers: (3, u64::MAX),
        };
        for standing in [Standing::default(), full] {
            assert_eq!(Standing::decode(&standing.encode()), Ok(standing));
        }
    }

    proptest! {
        #[test]
        fn totals_come_back_and_order_by_minute(
            counts in prop::array::uniform12(any::<i64>()), bytes: i128, duration_ns: i128,
            minute: i64, app in ".{0,8}", other: i64,
        ) {
            let totals = Totals::from_array(counts.map(i128::from));
            let totals = Totals { response_bytes: bytes, duration_ns, ..totals };
            let key = totals_key(minute, &app);
            let read = parse_totals(&key, &encode_totals(totals)).map(|(m, a, t)| (m, a.to_owned(), t));
            prop_assert_eq!(read, Ok((minute, app.clone(), totals)));
            if minute != other {
                prop_assert_eq!(key.cmp(&totals_key(other, &app)), minute.cmp(&other));
            }
        }

        #[test]
        fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = (Standing::decode(&bytes), DayCount::decode(&bytes), decode_rules(&bytes).is_ok());
            let _ = (parse_totals(&bytes, &bytes).is_ok(), parse_numbered(&bytes).is_ok());
        }
    }
}
