//! Sessions and their statistics, and the row a session is stored as.
//!
//! A [`Session`] is a maximal run of one identity's requests inside one day with every step shorter
//! than the gap, and a [`Summary`] of them (section 6 of the semantics). It is a function of the
//! set of those requests: nothing in it depends on the order they came in, and equal sessions have
//! equal rows. A [`SessionView`] reads a row where it lies: times and sums at once, histogram and
//! breakdown only when asked for. The row of a session with a large breakdown has only the [`Head`]
//! of it, which says where its parts are kept.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::breakdown::{Breakdown, Head, StoredBreakdown};
use crate::facts::Field;
use crate::histogram::Histogram;
use crate::identity::{Identity, IdentityId, SessionId};
use crate::summary::{Counters, Summary};
use crate::time::{Day, EventTime};
use crate::wire::{Malformed, Reader, put_i64, put_str, put_u64};

/// First byte of a session's row with all there is to it.
pub const ROW_VERSION: u8 = 1;
/// First byte of a session's row with the head of its breakdown.
pub const HEAD_ROW_VERSION: u8 = 2;

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

    /// Number of requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.summary.requests
    }

    /// Requests answered with a status of 400 or more.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.summary.errors
    }

    /// Attacks detected in its requests, upstream.
    #[must_use]
    pub fn detections(&self) -> u64 {
        self.summary.detections
    }

    /// Whose session it is: the value of the grouping key that decided, or its keyed hash.
    #[must_use]
    pub fn who(&self) -> &str {
        &self.identity.value
    }

    /// Values of a field and in how many requests they were (of attacks: how many there were), in
    /// no order that means anything.
    pub fn values(&self, field: Field) -> impl Iterator<Item = (&str, u64)> {
        self.summary.entries(field)
    }

    /// In how many requests a field had this value.
    #[must_use]
    pub fn count(&self, field: Field, value: &str) -> u64 {
        self.summary.count(field, value)
    }

    /// Number of distinct values of a field.
    #[must_use]
    pub fn distinct(&self, field: Field) -> usize {
        self.summary.distinct(field)
    }

    /// The time to the response in milliseconds at quantile `q` in 0..=1, within 1 %, of the
    /// requests that have one; none when there is no such request.
    #[must_use]
    pub fn quantile_ms(&self, q: f64) -> Option<f64> {
        self.summary.quantile_ms(q)
    }

    /// Whether an instant lies in it, ends included.
    #[must_use]
    pub fn contains(&self, ts: EventTime) -> bool {
        self.start <= ts && ts <= self.end
    }

    /// Appends the row: with all values, unless only the head of the breakdown is here.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_as(if self.summary.breakdown.is_head() { self.head() } else { None }, out);
    }

    /// Appends the row as it is stored: where the breakdown is large, with its head, the parts
    /// being rows of their own ([`Breakdown::changed_parts`]).
    pub fn encode_stored(&self, out: &mut Vec<u8>) {
        self.encode_as(self.head(), out);
    }

    /// The head of the breakdown, if that is large and its parts are stored, or are about to be.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        self.summary.breakdown.head()
    }

    /// The same session without the values of a large breakdown.
    #[must_use]
    pub fn without_values(self: &Arc<Self>) -> Arc<Self> {
        match self.head() {
            Some(head) if !self.summary.breakdown.is_head() => {
                let Self { day, start, end, gap_ms, .. } = **self;
                let Summary { counters, histogram, .. } = &self.summary;
                let (counters, histogram) = (*counters, histogram.clone());
                let summary = Summary { counters, histogram, breakdown: head.into() };
                let identity = Arc::clone(&self.identity);
                Arc::new(Self { identity, day, start, end, gap_ms, summary })
            }
            _ => Arc::clone(self),
        }
    }

    fn encode_as(&self, head: Option<Head>, out: &mut Vec<u8>) {
        let identity = &*self.identity;
        out.push(if head.is_some() { HEAD_ROW_VERSION } else { ROW_VERSION });
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
        match head {
            Some(head) => head.encode(out),
            None => self.summary.breakdown.encode(out),
        }
    }

    /// Reads a row, which must be the whole slice. Where that has only the head of the breakdown,
    /// so has the session.
    ///
    /// # Errors
    /// [`Malformed`] for an unknown version, or bytes [`Session::encode`] did not write.
    pub fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let view = SessionView::new(row)?;
        let mut rest = Reader(view.rest);
        let histogram = Histogram::decode(&mut rest)?;
        let breakdown = match view.has_head {
            true => Head::decode(rest.0)?.into(),
            false => Breakdown::decode(rest.0)?,
        };
        Ok(Self {
            identity: Arc::new(view.identity()),
            day: view.day,
            start: view.start,
            end: view.end,
            gap_ms: view.gap_ms,
            summary: Summary { counters: view.counters, histogram, breakdown },
        })
    }

    /// Approximate bytes in memory. Costs the same however large it is.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.summary.heap_bytes()
    }

    /// Approximate bytes in memory that are not shared with another state of the same session: what
    /// is given back when this one is forgotten and the other kept. Costs what differs.
    #[must_use]
    pub fn bytes_beside(&self, other: &Self) -> usize {
        size_of::<Self>() + self.summary.bytes_beside(&other.summary)
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
    has_head: bool,
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
        let has_head = match from.u8()? {
            ROW_VERSION => false,
            HEAD_ROW_VERSION => true,
            _ => return Err(Malformed("unknown version of a session")),
        };
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
            has_head,
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
    /// [`Malformed`], here or when an entry is reached; always where there is a
    /// [head](SessionView::head) instead.
    pub fn entries(&self) -> Result<StoredBreakdown<'a>, Malformed> {
        if self.has_head {
            return Err(Malformed("the values of this row are in parts"));
        }
        StoredBreakdown::new(self.stored_breakdown()?)
    }

    /// The head of the breakdown, where its values are in rows of their own.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn head(&self) -> Result<Option<Head>, Malformed> {
        self.has_head.then(|| Head::decode(self.stored_breakdown()?)).transpose()
    }

    fn stored_breakdown(&self) -> Result<&'a [u8], Malformed> {
        let mut rest = Reader(self.rest);
        Histogram::skip(&mut rest)?;
        Ok(rest.0)
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
