//! What assignment found out about one request: whose it is, and what is counted of it.
//!
//! [`Assigned`] is the item that travels from `assign` over the exchange to `sessionize`. Its
//! fixed part is what ordering and routing need; the rest is one slice of a batch's byte arena,
//! holding the identity in words, the [`Facts`] and the stored request, so that a request costs no
//! allocation on the way. Everything countable is a [`Fact`]: a field, a text, and the hash of
//! both, made once, where the text was in cache.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::identity::IdentityId;
use crate::time::{Day, EventTime};
use crate::wire::{Malformed, Reader, put_i64, put_str, put_u64};

/// A countable property of a request. The numbers are part of every store's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Field {
    /// Request method.
    Method = 1,
    /// Response status in decimal; none when no response was seen.
    Status = 2,
    /// Host.
    Host = 3,
    /// Application.
    App = 4,
    /// Method and path template, such as `GET /users/{int}`.
    Endpoint = 5,
    /// Client address.
    Ip = 6,
    /// User agent.
    UserAgent = 7,
    /// Type of a detection; counted once for each detection.
    Attack = 8,
    /// Business flow the endpoint belongs to.
    Flow = 9,
    /// Value of a context parameter of type `user`.
    User = 10,
    /// Value of a context parameter of type `role`.
    Role = 11,
    /// `name=value` of a context parameter, whatever its type.
    Parameter = 12,
}

impl Field {
    /// All of them, in order of their numbers.
    pub const ALL: [Field; 12] = [
        Field::Method,
        Field::Status,
        Field::Host,
        Field::App,
        Field::Endpoint,
        Field::Ip,
        Field::UserAgent,
        Field::Attack,
        Field::Flow,
        Field::User,
        Field::Role,
        Field::Parameter,
    ];

    /// The field with this number.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The hash of a value of this field: the same in every run, on every machine.
    #[inline]
    #[must_use]
    pub fn hash(self, text: &str) -> u64 {
        xxhash_rust::xxh3::xxh3_64_with_seed(text.as_bytes(), u64::from(self as u8))
    }
}

/// One countable value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact<'a> {
    /// Of what.
    pub field: Field,
    /// [`Field::hash`] of the text.
    pub hash: u64,
    /// The value.
    pub text: &'a str,
}

impl<'a> Fact<'a> {
    /// A value with its hash.
    #[must_use]
    pub fn new(field: Field, text: &'a str) -> Self {
        Self { field, hash: field.hash(text), text }
    }
}

/// The numbers counted of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// 0: no response was seen.
    pub status: u16,
    /// Bytes of the request.
    pub request_bytes: u64,
    /// Bytes of the response.
    pub response_bytes: u64,
    /// Nanoseconds to the full response, if known.
    pub duration_ns: Option<u64>,
    /// Number of detections.
    pub detections: u32,
    /// Blocked upstream.
    pub blocked: bool,
    /// Called, and in no description of its app.
    pub shadow: bool,
    /// Called, and only in an earlier description, or marked deprecated.
    pub zombie: bool,
}

/// What a session counts of one request, read from the arena.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The numbers.
    pub numbers: Numbers,
    texts: &'a [u8],
}

/// A request with its identity, on its way to that identity's session.
///
/// Within a collection two of these are equal when they are the same request, with the same facts,
/// of the same identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Assigned {
    /// The day of `ts` in the configured zone.
    pub day: Day,
    /// Whose request; [`IdentityId::is_unassigned`] for one that is in no session.
    pub identity: IdentityId,
    /// When the request started.
    pub ts: EventTime,
    /// Keyed hash of the explicit id; 0 when the id is implicit and so cannot repeat.
    pub id_hash: u64,
    /// A step of this many milliseconds or more starts a session; `u32::MAX` switches that off.
    pub gap_ms: u32,
    /// The source it came from, so that duplicates are counted by source. The program that runs the
    /// operators gives the number its meaning; 0: no source.
    pub origin: u32,
    /// Length of what precedes the stored request in `payload`.
    pub head_len: u32,
    /// Identity in words and facts (`head_len` bytes), then the stored request.
    pub payload: Bytes,
}

/// Switches the gap off: only the day ends a session.
pub const NO_GAP: u32 = u32::MAX;

/// The identity in words, borrowed from the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdentityText<'a> {
    /// Namespace of the grouping key that decided.
    pub namespace: &'a str,
    /// The value, or its keyed hash.
    pub value: &'a str,
    /// App or host, or empty.
    pub qualifier: &'a str,
    /// See [`crate::identity::Identity::weak`].
    pub weak: bool,
    /// See [`crate::identity::Identity::secret`].
    pub secret: bool,
}

const BLOCKED: u8 = 1;
const SHADOW: u8 = 2;
const ZOMBIE: u8 = 4;
const HAS_DURATION: u8 = 8;
const WEAK: u8 = 16;
const SECRET: u8 = 32;

/// Appends the head of a payload: identity in words, numbers and facts.
pub fn encode_head(
    out: &mut Vec<u8>,
    identity: IdentityText<'_>,
    numbers: &Numbers,
    facts: &[Fact<'_>],
) {
    let mut flags = 0;
    for (bit, on) in [
        (BLOCKED, numbers.blocked),
        (SHADOW, numbers.shadow),
        (ZOMBIE, numbers.zombie),
        (HAS_DURATION, numbers.duration_ns.is_some()),
        (WEAK, identity.weak),
        (SECRET, identity.secret),
    ] {
        flags |= if on { bit } else { 0 };
    }
    out.push(flags);
    put_str(out, identity.namespace);
    put_str(out, identity.value);
    put_str(out, identity.qualifier);
    put_i64(out, i64::from(numbers.status));
    put_u64(out, numbers.request_bytes);
    put_u64(out, numbers.response_bytes);
    put_u64(out, u64::from(numbers.detections));
    if let Some(duration) = numbers.duration_ns {
        put_u64(out, duration);
    }
    for fact in facts {
        out.push(fact.field as u8);
        out.extend_from_slice(&fact.hash.to_le_bytes());
        put_str(out, fact.text);
    }
}

impl Assigned {
    /// The stored request.
    #[must_use]
    pub fn stored(&self) -> &[u8] {
        self.payload.get(self.head_len as usize..).unwrap_or_default()
    }

    /// The identity in words and what a session counts.
    ///
    /// # Errors
    /// [`Malformed`] when the head was not written by [`encode_head`].
    pub fn head(&self) -> Result<(IdentityText<'_>, Facts<'_>), Malformed> {
        let mut from = self.head_reader()?;
        let flags = from.u8()?;
        let identity = IdentityText {
            namespace: from.str()?,
            value: from.str()?,
            qualifier: from.str()?,
            weak: flags & WEAK != 0,
            secret: flags & SECRET != 0,
        };
        Ok((identity, Facts::read(flags, from)?))
    }

    /// What a session counts; cheaper than [`Assigned::head`].
    ///
    /// # Errors
    /// As [`Assigned::head`].
    #[inline]
    pub fn facts(&self) -> Result<Facts<'_>, Malformed> {
        let mut from = self.head_reader()?;
        let flags = from.u8()?;
        for _identity in 0..3 {
            from.block()?;
        }
        Facts::read(flags, from)
    }

    #[inline]
    fn head_reader(&self) -> Result<Reader<'_>, Malformed> {
        let head = self.payload.get(..self.head_len as usize);
        head.map(Reader).ok_or(Malformed("payload shorter than its head"))
    }
}

impl<'a> Facts<'a> {
    #[inline]
    fn read(flags: u8, mut from: Reader<'a>) -> Result<Self, Malformed> {
        let mut numbers = Numbers {
            status: u16::try_from(from.i64()?).map_err(|_| Malformed("status"))?,
            request_bytes: from.u64()?,
            response_bytes: from.u64()?,
            detections: u32::try_from(from.u64()?).map_err(|_| Malformed("detections"))?,
            duration_ns: None,
            blocked: flags & BLOCKED != 0,
            shadow: flags & SHADOW != 0,
            zombie: flags & ZOMBIE != 0,
        };
        if flags & HAS_DURATION != 0 {
            numbers.duration_ns = Some(from.u64()?);
        }
        Ok(Self { numbers, texts: from.0 })
    }

    /// The countable values, in the order assignment found them; attacks once a detection.
    pub fn iter(&self) -> impl Iterator<Item = Fact<'a>> + use<'a> {
        self.raw().map_while(RawFact::checked)
    }

    /// The countable values, their texts unchecked: a text that was counted before need not be
    /// checked again.
    #[inline]
    pub(crate) fn raw(&self) -> impl Iterator<Item = RawFact<'a>> + use<'a> {
        let mut from = Reader(self.texts);
        std::iter::from_fn(move || {
            let field = Field::from_u8(from.u8().ok()?)?;
            Some(RawFact { field, hash: from.fixed_u64().ok()?, text: from.block().ok()? })
        })
    }
}

/// A countable value that may not be UTF-8.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawFact<'a> {
    pub field: Field,
    pub hash: u64,
    pub text: &'a [u8],
}

impl<'a> RawFact<'a> {
    pub fn checked(self) -> Option<Fact<'a>> {
        let Self { field, hash, text } = self;
        Some(Fact { field, hash, text: std::str::from_utf8(text).ok()? })
    }
}

impl<'a> From<Fact<'a>> for RawFact<'a> {
    fn from(Fact { field, hash, text }: Fact<'a>) -> Self {
        Self { field, hash, text: text.as_bytes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_gives_back_what_was_put_in() {
        let identity = IdentityText {
            namespace: "client",
            value: "::1|x",
            qualifier: "",
            weak: true,
            secret: false,
        };
        let numbers = Numbers {
            status: 503,
            duration_ns: Some(9),
            detections: 2,
            zombie: true,
            ..Numbers::default()
        };
        let facts = [Fact::new(Field::Method, "GET"), Fact::new(Field::Attack, "sqli")];
        let mut bytes = Vec::new();
        encode_head(&mut bytes, identity, &numbers, &facts);
        let head_len = bytes.len() as u32;
        bytes.extend_from_slice(b"stored");
        let assigned = Assigned {
            day: Day(0),
            identity: IdentityId(1),
            ts: EventTime(0),
            id_hash: 0,
            gap_ms: NO_GAP,
            origin: 0,
            head_len,
            payload: bytes.into(),
        };
        let (known, found) = assigned.head().unwrap();
        assert_eq!((known, found.numbers), (identity, numbers));
        assert_eq!(found.iter().collect::<Vec<_>>(), facts);
        assert_eq!(assigned.stored(), b"stored");
        for field in Field::ALL {
            assert_eq!(Field::from_u8(field as u8), Some(field));
        }
    }
}
