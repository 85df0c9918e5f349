//! Sessions and their statistics, and the row a session is stored as.
//!
//! A [`Session`] is a maximal run of one identity's requests inside one day with every step shorter
//! than the gap, and a [`Summary`] of them (SEMANTICS 6). It is a function of the set of those
//! requests: nothing in it depends on the order they came in, and equal sessions have equal rows.
//! A [`SessionView`] reads a row where it lies: times and sums at once, histogram and breakdown
//! only when asked for.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::breakdown::{Breakdown, StoredBreakdown};
use crate::histogram::Histogram;
use crate::identity::{Identity, IdentityId, SessionId};
use crate::summary::{Counters, Summary};
use crate::time::{Day, EventTime};
use crate::wire::{Malformed, Reader, put_i64, put_str, put_u64};

/// First byte of a session's row.
pub const ROW_VERSION: u8 = 1;

const WEAK: u8 = 1;
const SECRET: u8 = 2;

/// One session, as it stands at some epoch. Cheap to share, never changed in place once shared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session {
    /// Whose.
    pub identity: Arc<Identity>,
    /// The day it lies in.
    pub day: Day,
    /// First request's time.
    pub start: EventTime,
    /// Last request's time.
    pub end: EventTime,
    /// The gap in force for it, in milliseconds; [`crate::facts::NO_GAP`]: none.
    pub gap_ms: u32,
    /// Its statistics.
    pub summary: Summary,
}

impl Session {
    /// `<identity id>.<start>`.
    #[must_use]
    pub fn id(&self) -> SessionId {
        SessionId { identity: self.identity.id, start: self.start }
    }

    /// `end - start` in milliseconds.
    #[must_use]
    pub fn duration_ms(&self) -> i64 {
        self.end.0 - self.start.0
    }

    /// Whether an instant lies in it, ends included.
    #[must_use]
    pub fn contains(&self, ts: EventTime) -> bool {
        self.start <= ts && ts <= self.end
    }

    /// Appends the row. Its first byte is [`ROW_VERSION`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        let identity = &*self.identity;
        out.push(ROW_VERSION);
        let weak = if identity.weak { WEAK } else { 0 };
        let secret = if identity.secret { SECRET } else { 0 };
        out.push(weak | secret);
        out.extend_from_slice(&identity.id.0.to_be_bytes());
        put_i64(out, i64::from(self.day.0));
        put_i64(out, self.start.0);
        put_i64(out, self.end.0.wrapping_sub(self.start.0));
        put_u64(out, u64::from(self.gap_ms));
        self.summary.counters.encode(out);
        for text in [&identity.namespace, &identity.value, &identity.qualifier] {
            put_str(out, text);
        }
        self.summary.histogram.encode(out);
        self.summary.breakdown.encode(out);
    }

    /// Reads a row, which must be the whole slice.
    ///
    /// # Errors
    /// [`Malformed`] for an unknown version, or bytes [`Session::encode`] did not write.
    pub fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let view = SessionView::new(row)?;
        let mut rest = Reader(view.rest);
        let histogram = Histogram::decode(&mut rest)?;
        let breakdown = Breakdown::decode(rest.0)?;
        Ok(Self {
            identity: Arc::new(view.identity()),
            day: view.day,
            start: view.start,
            end: view.end,
            gap_ms: view.gap_ms,
            summary: Summary { counters: view.counters, histogram, breakdown },
        })
    }

    /// Approximate bytes in memory.
    #[must_use]
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.summary.heap_bytes()
    }
}

/// A session's row, read in place.
#[derive(Clone, Copy, Debug)]
pub struct SessionView<'a> {
    /// Whose.
    pub identity: IdentityId,
    /// See [`Identity::namespace`].
    pub namespace: &'a str,
    /// See [`Identity::value`].
    pub value: &'a str,
    /// See [`Identity::qualifier`].
    pub qualifier: &'a str,
    /// See [`Identity::weak`].
    pub weak: bool,
    /// See [`Identity::secret`].
    pub secret: bool,
    /// See [`Session::day`].
    pub day: Day,
    /// See [`Session::start`].
    pub start: EventTime,
    /// See [`Session::end`].
    pub end: EventTime,
    /// See [`Session::gap_ms`].
    pub gap_ms: u32,
    /// The sums.
    pub counters: Counters,
    /// Histogram and breakdown.
    rest: &'a [u8],
}

impl<'a> SessionView<'a> {
    /// Reads everything but histogram and breakdown.
    ///
    /// # Errors
    /// [`Malformed`] as [`Session::decode`], as far as it was read.
    pub fn new(row: &'a [u8]) -> Result<Self, Malformed> {
        let mut from = Reader(row);
        if from.u8()? != ROW_VERSION {
            return Err(Malformed("unknown version of a session"));
        }
        let flags = from.u8()?;
        let mut id = [0; 16];
        id.copy_from_slice(from.bytes(16)?);
        let day = i32::try_from(from.i64()?).map_err(|_| Malformed("day"))?;
        let start = from.i64()?;
        let end = start.wrapping_add(from.i64()?);
        Ok(Self {
            identity: IdentityId(u128::from_be_bytes(id)),
            weak: flags & WEAK != 0,
            secret: flags & SECRET != 0,
            day: Day(day),
            start: EventTime(start),
            end: EventTime(end),
            gap_ms: u32::try_from(from.u64()?).map_err(|_| Malformed("gap"))?,
            counters: Counters::decode(&mut from)?,
            namespace: from.str()?,
            value: from.str()?,
            qualifier: from.str()?,
            rest: from.0,
        })
    }

    /// `<identity id>.<start>`.
    #[must_use]
    pub fn id(&self) -> SessionId {
        SessionId { identity: self.identity, start: self.start }
    }

    /// The identity in words, owned.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity {
            id: self.identity,
            namespace: self.namespace.into(),
            value: self.value.into(),
            qualifier: self.qualifier.into(),
            weak: self.weak,
            secret: self.secret,
        }
    }

    /// The histogram of durations.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn histogram(&self) -> Result<Histogram, Malformed> {
        Histogram::decode(&mut Reader(self.rest))
    }

    /// Field, text and count of every value, by field; [`crate::facts::Field::hash`] makes the hash.
    ///
    /// # Errors
    /// [`Malformed`], here or when an entry is reached.
    pub fn entries(&self) -> Result<StoredBreakdown<'a>, Malformed> {
        let mut rest = Reader(self.rest);
        Histogram::skip(&mut rest)?;
        StoredBreakdown::new(rest.0)
    }
}

impl Serialize for Session {
    /// As its row.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = Vec::new();
        self.encode(&mut row);
        serializer.serialize_bytes(&row)
    }
}

impl<'de> Deserialize<'de> for Session {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let row = bytes::Bytes::deserialize(deserializer)?;
        Session::decode(&row).map_err(de::Error::custom)
    }
}
