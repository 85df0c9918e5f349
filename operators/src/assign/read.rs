//! Reading for a rule: a point's value in a record that may be redacted.
//!
//! What rules read inside a value before it was redacted is in `Request::kept`, under the point's
//! canonical text; a marker reads as the keyed hash it holds.

use std::borrow::Cow;

use super::SecretKey;
use super::marker::{MARKER, Marker, text_of};
use crate::point::{Base, Bodies, Pipe, Point, Side};
use crate::request::Request;

/// A point and whether its value is secret.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) point: Point,
    pub(super) secret: bool,
}

/// A value that worked.
#[derive(Clone, Debug)]
pub(super) struct Value<'r> {
    /// The text, or its keyed hash.
    pub(super) text: Cow<'r, str>,
    /// Length of the value that was hashed, in characters.
    pub(super) hashed: Option<u32>,
}

impl Read {
    /// The value in a request that was redacted for the rules in force.
    #[inline]
    pub(super) fn value<'r>(
        &self,
        request: &'r Request<'_>,
        key: &SecretKey,
        bodies: &mut Bodies,
    ) -> Option<Value<'r>> {
        if !request.kept.is_empty() {
            let kept = request.kept.iter().find(|(point, _)| point == self.point.as_str());
            if let Some((_, value)) = kept {
                return Some(self.seal(Cow::Borrowed(value.as_ref()), key));
            }
        }
        let base = self.point.base().read(request, bodies)?;
        if self.point.pipes().is_empty() {
            return Some(self.seal(base, key));
        }
        if is_gone(&self.point, &base) {
            return None;
        }
        Some(self.seal(self.point.pass(base, bodies)?, key))
    }

    /// Reads a marker, and hashes what is secret and not hashed yet.
    #[inline]
    fn seal<'r>(&self, text: Cow<'r, str>, key: &SecretKey) -> Value<'r> {
        if memchr::memchr(MARKER as u8, text.as_bytes()).is_some()
            && let Some((before, marker)) = Marker::at_end(&text)
            && (before.is_empty() || self.is_authorization())
        {
            let hashed = Some(marker.chars);
            let at = before.len() + MARKER.len_utf8();
            let end = at + marker.hash.len();
            let text = match text {
                Cow::Borrowed(text) => Cow::Borrowed(&text[at..end]),
                Cow::Owned(text) => Cow::Owned(text[at..end].to_owned()),
            };
            return Value { text, hashed };
        }
        if self.secret {
            let chars = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
            let hash = text_of(&key.hash(&text)).to_owned();
            return Value { text: Cow::Owned(hash), hashed: Some(chars) };
        }
        Value { text, hashed: None }
    }

    fn is_authorization(&self) -> bool {
        self.point.pipes().is_empty()
            && matches!(self.point.base(), Base::Header(Side::Request, name) if name == AUTHORIZATION)
    }
}

/// Whether what a point's pipes would read in a value went with its redaction.
pub(super) fn is_gone(point: &Point, base: &str) -> bool {
    match Marker::at_end(base) {
        Some(("", _)) => true,
        Some(_) => {
            let header =
                matches!(point.base(), Base::Header(Side::Request, name) if name == AUTHORIZATION);
            header && !reads_credentials(point)
        }
        None => false,
    }
}

/// Whether a point reads what stays of credentials that the built-in key redacts.
pub(super) fn reads_credentials(point: &Point) -> bool {
    let first = point.pipes().first();
    matches!(first, Some(Pipe::JwtPayload(_) | Pipe::JwtHeader(_) | Pipe::BasicUsername))
}

/// The header whose structure outlives redaction.
pub(super) const AUTHORIZATION: &str = "authorization";
