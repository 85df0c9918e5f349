//! The request record: one API exchange, as every decoder makes it and the request log keeps it.
//!
//! A [`Request`] borrows from the decoder's buffer (or from a block of the log), so that decoding
//! allocates nothing for the usual line. [`Request::encode`] is the stored form:
//! [`Request::decode`] gives back an equal record. The stored form is part of the store's format;
//! its first byte is a version. A record in this form already obeys section 1 of the semantics:
//! decoders refuse what does not.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::time::EventTime;
use crate::wire::{Malformed, Reader, put_i64, put_str, put_u64};

/// First byte of a stored request.
pub const STORED_VERSION: u8 = 1;
/// Longest explicit id, in bytes.
pub const ID_BYTES_MAX: usize = 128;
/// Longest client host name, in bytes.
pub const CLIENT_BYTES_MAX: usize = 253;
/// Nanoseconds in a millisecond: durations are kept in whole nanoseconds, so that sums are exact.
pub const NANOS_PER_MS: f64 = 1e6;

/// Named values in the order they came: headers, cookies, form fields. A name may repeat.
pub type Fields<'a> = SmallVec<[(Cow<'a, str>, Cow<'a, str>); 4]>;

/// One API exchange: the request and, when known, its response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request<'a> {
    /// Unique id; when absent in the input, `<source>:<offset>`.
    pub id: Cow<'a, str>,
    /// The id came with the record: only then can it be a duplicate.
    pub explicit_id: bool,
    /// When the request started.
    pub ts: EventTime,
    /// Application, if the record names one. The engine fills it in before assignment.
    pub app: Cow<'a, str>,
    /// Upper case.
    pub method: Cow<'a, str>,
    /// Host, without a port's removal: as it came. Empty: unknown.
    pub host: Cow<'a, str>,
    /// Raw, undecoded, without the query.
    pub path: Cow<'a, str>,
    /// Raw, without `?`. Empty: none.
    pub query: Cow<'a, str>,
    /// 0: no response was seen.
    pub status: u16,
    /// Nanoseconds to the full response, if known.
    pub duration_ns: Option<u64>,
    /// Bytes of the request.
    pub request_bytes: u64,
    /// Bytes of the response.
    pub response_bytes: u64,
    /// Client address in canonical form, or a host name. Empty: unknown.
    pub ip: Cow<'a, str>,
    /// User agent; decoders fall back to the request header. Empty: unknown.
    pub user_agent: Cow<'a, str>,
    /// What the client sent.
    pub request: Message<'a>,
    /// What the server answered.
    pub response: Message<'a>,
    /// Detections made upstream.
    pub attacks: Vec<Attack<'a>>,
    /// Blocked upstream.
    pub blocked: bool,
    /// The decoder dropped a side field that breaks the record's rules. Not stored.
    pub repaired: bool,
    /// The archive and browser this came from, where nothing else tells who sent it.
    pub archive: Cow<'a, str>,
    /// What rules in force read *inside* a value before that value was redacted, as
    /// `(point, value)`: see `redact.rs`. Decoders leave it empty.
    pub kept: Fields<'a>,
}

/// One side of the exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// Header fields as they came.
    pub headers: Fields<'a>,
    /// Cookies; decoders fall back to the `cookie` and `set-cookie` headers.
    pub cookies: Fields<'a>,
    /// Form fields.
    pub form: Fields<'a>,
    /// The body.
    pub body: Body<'a>,
}

/// A body as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Body<'a> {
    /// None was recorded.
    #[default]
    Absent,
    /// A JSON value, as its text.
    Json(Cow<'a, str>),
    /// A string (which may itself hold JSON, a form, ...).
    Text(Cow<'a, str>),
}

/// A detection made upstream, such as by a web application firewall.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attack<'a> {
    /// Such as `sqli`; unknown types pass through.
    pub kind: Cow<'a, str>,
    /// Empty: none.
    pub subtype: Cow<'a, str>,
    /// Where it was found. Empty: unknown.
    pub point: Cow<'a, str>,
    /// What was found. Empty: unknown.
    pub payload: Cow<'a, str>,
    /// This detection led to a block.
    pub blocked: bool,
}

const EXPLICIT_ID: u8 = 1;
const BLOCKED: u8 = 2;
const HAS_DURATION: u8 = 4;
const HAS_REQUEST: u8 = 8;
const HAS_RESPONSE: u8 = 16;
const HAS_ATTACKS: u8 = 32;
const HAS_KEPT: u8 = 64;
const HAS_ARCHIVE: u8 = 128;

impl<'a> Request<'a> {
    /// Appends the stored form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (request, response) = (!self.request.is_empty(), !self.response.is_empty());
        let mut flags = 0;
        for (bit, on) in [
            (EXPLICIT_ID, self.explicit_id),
            (BLOCKED, self.blocked),
            (HAS_DURATION, self.duration_ns.is_some()),
            (HAS_REQUEST, request),
            (HAS_RESPONSE, response),
            (HAS_ATTACKS, !self.attacks.is_empty()),
            (HAS_KEPT, !self.kept.is_empty()),
            (HAS_ARCHIVE, !self.archive.is_empty()),
        ] {
            flags |= if on { bit } else { 0 };
        }
        out.push(STORED_VERSION);
        out.push(flags);
        put_i64(out, self.ts.0);
        put_u64(out, u64::from(self.status));
        put_u64(out, self.request_bytes);
        put_u64(out, self.response_bytes);
        if let Some(duration) = self.duration_ns {
            put_u64(out, duration);
        }
        for text in [
            &self.id,
            &self.app,
            &self.method,
            &self.host,
            &self.path,
            &self.query,
            &self.ip,
            &self.user_agent,
        ] {
            put_str(out, text);
        }
        if request {
            self.request.encode(out);
        }
        if response {
            self.response.encode(out);
        }
        if !self.attacks.is_empty() {
            put_u64(out, self.attacks.len() as u64);
            self.attacks.iter().for_each(|attack| attack.encode(out));
        }
        if !self.kept.is_empty() {
            encode_fields(&self.kept, out);
        }
        if !self.archive.is_empty() {
            put_str(out, &self.archive);
        }
    }

    /// Reads the stored form, which must be the whole slice.
    ///
    /// # Errors
    /// [`Malformed`] for an unknown version, or bytes [`Request::encode`] did not write.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut from = Reader(bytes);
        if from.u8()? != STORED_VERSION {
            return Err(Malformed("unknown version of a stored request"));
        }
        let flags = from.u8()?;
        let mut request = Request {
            explicit_id: flags & EXPLICIT_ID != 0,
            blocked: flags & BLOCKED != 0,
            ts: EventTime(from.i64()?),
            status: u16::try_from(from.u64()?).map_err(|_| Malformed("status"))?,
            request_bytes: from.u64()?,
            response_bytes: from.u64()?,
            ..Request::default()
        };
        if flags & HAS_DURATION != 0 {
            request.duration_ns = Some(from.u64()?);
        }
        for text in [
            &mut request.id,
            &mut request.app,
            &mut request.method,
            &mut request.host,
            &mut request.path,
            &mut request.query,
            &mut request.ip,
            &mut request.user_agent,
        ] {
            *text = Cow::Borrowed(from.str()?);
        }
        if flags & HAS_REQUEST != 0 {
            request.request = Message::decode(&mut from)?;
        }
        if flags & HAS_RESPONSE != 0 {
            request.response = Message::decode(&mut from)?;
        }
        if flags & HAS_ATTACKS != 0 {
            for _ in 0..from.u64()? {
                request.attacks.push(Attack::decode(&mut from)?);
            }
        }
        if flags & HAS_KEPT != 0 {
            request.kept = decode_fields(&mut from)?;
        }
        if flags & HAS_ARCHIVE != 0 {
            request.archive = Cow::Borrowed(from.str()?);
        }
        if from.is_empty() { Ok(request) } else { Err(Malformed("bytes after a stored request")) }
    }
}

impl<'a> Message<'a> {
    /// Whether nothing was recorded of this side.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty()
            && self.cookies.is_empty()
            && self.form.is_empty()
            && self.body == Body::Absent
    }

    /// The first value of a header; names do not tell case apart.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_ref())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for fields in [&self.headers, &self.cookies, &self.form] {
            encode_fields(fields, out);
        }
        match &self.body {
            Body::Absent => out.push(0),
            Body::Json(text) => {
                out.push(1);
                put_str(out, text);
            }
            Body::Text(text) => {
                out.push(2);
                put_str(out, text);
            }
        }
    }

    fn decode(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut message = Message::default();
        for fields in [&mut message.headers, &mut message.cookies, &mut message.form] {
            *fields = decode_fields(from)?;
        }
        message.body = match from.u8()? {
            0 => Body::Absent,
            1 => Body::Json(Cow::Borrowed(from.str()?)),
            2 => Body::Text(Cow::Borrowed(from.str()?)),
            _ => return Err(Malformed("kind of body")),
        };
        Ok(message)
    }
}

fn encode_fields(fields: &Fields<'_>, out: &mut Vec<u8>) {
    put_u64(out, fields.len() as u64);
    for (name, value) in fields {
        put_str(out, name);
        put_str(out, value);
    }
}

fn decode_fields<'a>(from: &mut Reader<'a>) -> Result<Fields<'a>, Malformed> {
    let mut fields = Fields::new();
    for _ in 0..from.u64()? {
        fields.push((Cow::Borrowed(from.str()?), Cow::Borrowed(from.str()?)));
    }
    Ok(fields)
}

impl<'a> Attack<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        for text in [&self.kind, &self.subtype, &self.point, &self.payload] {
            put_str(out, text);
        }
        out.push(u8::from(self.blocked));
    }

    fn decode(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut attack = Attack::default();
        for text in [&mut attack.kind, &mut attack.subtype, &mut attack.point, &mut attack.payload]
        {
            *text = Cow::Borrowed(from.str()?);
        }
        attack.blocked = from.u8()? != 0;
        Ok(attack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Request<'static> {
        let pair = |name: &'static str, value: &'static str| (name.into(), value.into());
        Request {
            id: "r-1".into(),
            explicit_id: true,
            ts: EventTime(-7),
            app: "shop".into(),
            method: "GET".into(),
            host: "shop.example".into(),
            path: "/a%20b".into(),
            query: "x=1".into(),
            status: 404,
            duration_ns: Some(1_500_000),
            request_bytes: 1,
            response_bytes: u64::MAX,
            ip: "::1".into(),
            user_agent: "ä".into(),
            request: Message {
                headers: [pair("Cookie", "a=b"), pair("x", "")].into_iter().collect(),
                cookies: [pair("a", "b")].into_iter().collect(),
                form: [pair("f", "g")].into_iter().collect(),
                body: Body::Json("{}".into()),
            },
            response: Message { body: Body::Text("hi".into()), ..Message::default() },
            attacks: vec![Attack { kind: "sqli".into(), blocked: true, ..Attack::default() }],
            blocked: true,
            repaired: false,
            archive: "a.har|Browser".into(),
            kept: [pair("$request.cookie.a | json#/u", "u1")].into_iter().collect(),
        }
    }

    fn check(request: &Request<'_>) {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        let read = Request::decode(&bytes).unwrap();
        assert_eq!(format!("{read:?}"), format!("{request:?}"));
    }

    #[test]
    fn the_stored_form_gives_back_an_equal_record() {
        check(&full());
        check(&Request::default());
    }

    #[test]
    fn any_truncation_is_an_error() {
        let mut bytes = Vec::new();
        full().encode(&mut bytes);
        for len in 0..bytes.len() {
            assert!(Request::decode(&bytes[..len]).is_err(), "{len}");
        }
        bytes.push(0);
        assert!(Request::decode(&bytes).is_err());
    }
}
