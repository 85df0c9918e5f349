//! Redaction: what a secret rule reads is replaced by a marker before anything is stored.
//!
//! It runs first, on new requests and on stored ones alike, and changes nothing where it has been:
//! so everything after it sees the same record whether it came from a source or from the log. What
//! rules in force read *inside* a value that goes is put into `Request::kept` on the way, hashed
//! where the reading rule is secret. Of an `authorization` that only the built-in key makes secret,
//! the readable parts of a JWT and the user's name of Basic credentials stay.

mod text;

use std::borrow::Cow;

use super::SecretKey;
use super::compile::Context;
use super::keys::{Key, Limits};
use super::marker::{MARKER, Marker};
use super::read::{AUTHORIZATION, Read, is_gone};
use crate::point::{Base, Bodies, Pipe, Side, pipe};
use crate::request::Request;

/// Shortest secret that is also replaced where a detection quotes it, in bytes.
const QUOTED_BYTES_MIN: usize = 4;

/// Whether a rule that reads here may be secret: what routes a request, or names what it does,
/// cannot be.
pub(super) fn can_be_secret(base: &Base) -> bool {
    !matches!(
        base,
        Base::Method
            | Base::Host
            | Base::Status
            | Base::App
            | Base::RpcMethod
            | Base::McpTool
            | Base::GqlOperation
    )
}

/// What is redacted under a rule set.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// The widest first.
    places: Vec<Place>,
    /// Points of secret rules, in canonical text.
    points: Vec<String>,
    /// Reads inside the authorization header; none: the built-in key is off.
    authorization: Option<Vec<Read>>,
}

/// A base that secret rules read.
#[derive(Debug)]
struct Place {
    base: Base,
    /// Of the rules that read it: it is redacted where one of them applies.
    limits: Vec<Limits>,
    /// Rules that read inside it.
    inner: Vec<Read>,
}

impl Secrets {
    pub(super) fn new(keys: &[Key], context: &[Context], built_in: bool) -> Self {
        let everywhere = Limits::default();
        let keyed = keys.iter().map(|key| (&key.read, &key.limits));
        let rules: Vec<(&Read, &Limits)> =
            keyed.chain(context.iter().map(|rule| (&rule.read, &everywhere))).collect();
        let points: Vec<String> = rules
            .iter()
            .filter(|(read, _)| read.secret)
            .map(|(read, _)| read.point.to_string())
            .collect();
        let inner_of = |base: &Base| inner_reads(base, &rules, &points);
        let mut places: Vec<Place> = Vec::new();
        for (read, limits) in rules.iter().filter(|(read, _)| read.secret) {
            let base = read.point.base();
            // Limits are decided on the path, so they cannot decide about the path.
            let limits = if rank(base) < PATH_RANKS { &everywhere } else { *limits };
            match places.iter_mut().find(|place| place.base == *base) {
                Some(place) => place.limits.push(limits.clone()),
                None => places.push(Place {
                    base: base.clone(),
                    limits: vec![limits.clone()],
                    inner: inner_of(base),
                }),
            }
        }
        places.sort_by_key(|place| rank(&place.base));
        let header = Base::Header(Side::Request, AUTHORIZATION.into());
        let authorization = built_in.then(|| inner_of(&header));
        Self { places, points, authorization }
    }

    /// Redacts a request. `fresh`: nothing in it is a marker yet, whatever it looks like.
    pub(super) fn redact(
        &self,
        request: &mut Request<'_>,
        fresh: bool,
        key: &SecretKey,
        bodies: &mut Bodies,
    ) {
        if fresh {
            request.kept.clear();
        }
        let quoted = !request.attacks.is_empty();
        let mut sealer = Sealer { key, fresh, made: Vec::new(), quoted, originals: Vec::new() };
        for (point, value) in &mut request.kept {
            if self.points.iter().any(|secret| secret == point) {
                sealer.replace(value);
            }
        }
        for place in &self.places {
            if place.limits.iter().any(|limits| limits.allow(request)) {
                let value = place.base.read(request, bodies);
                if value.is_some_and(|value| !sealer.is_marker(&value)) {
                    sealer.keep(&place.inner, request, bodies);
                }
                if text::redact(&place.base, request, &mut sealer) {
                    bodies.reset();
                }
            }
        }
        if let Some(inner) = &self.authorization {
            authorization(request, inner, &mut sealer, bodies);
        }
        sealer.quotes(request);
    }
}

/// Ranks below this are about the path.
const PATH_RANKS: u8 = 3;

/// Wide places come before those inside them.
fn rank(base: &Base) -> u8 {
    match base {
        Base::Url => 0,
        Base::Path => 1,
        Base::Segment(_) => 2,
        Base::Header(..) => 3,
        Base::Body(_, pointer) if pointer.is_whole() => 4,
        Base::Query(_) => 5,
        _ => 6,
    }
}

/// Whether a value at `inner` lies within one at `outer`, and is another.
fn contains(outer: &Base, inner: &Base) -> bool {
    match (outer, inner) {
        (Base::Url, Base::Path | Base::Segment(_) | Base::Query(_) | Base::GqlVar(_))
        | (Base::Path, Base::Segment(_)) => true,
        (Base::Url | Base::Query(_), Base::GqlOperation) => true,
        (Base::Query(name), Base::GqlVar(_)) => name == "variables",
        (Base::Body(side, pointer), inner) if pointer.is_whole() => match inner {
            Base::Body(of, pointer) => of == side && !pointer.is_whole(),
            Base::Form(_)
            | Base::RpcMethod
            | Base::McpTool
            | Base::McpArg(_)
            | Base::GqlOperation
            | Base::GqlVar(_) => *side == Side::Request,
            _ => false,
        },
        _ => false,
    }
}

/// Every rule's read inside a base; a point is secret as soon as one rule says so.
fn inner_reads(base: &Base, rules: &[(&Read, &Limits)], secret: &[String]) -> Vec<Read> {
    let mut found: Vec<Read> = Vec::new();
    for (read, _) in rules {
        let point = &read.point;
        let inside =
            (point.base() == base && !point.pipes().is_empty()) || contains(base, point.base());
        if inside && !found.iter().any(|known| known.point == *point) {
            let secret = secret.iter().any(|text| text == point.as_str());
            found.push(Read { point: point.clone(), secret });
        }
    }
    found
}

/// Makes markers, and knows which texts are some already.
struct Sealer<'k> {
    key: &'k SecretKey,
    fresh: bool,
    /// Markers made for this request: in a fresh one, nothing else is a marker.
    made: Vec<String>,
    /// Remember what was replaced.
    quoted: bool,
    originals: Vec<(String, String)>,
}

impl Sealer<'_> {
    fn is_marker(&self, text: &str) -> bool {
        match Marker::of(text) {
            Some(_) if self.fresh => self.made.iter().any(|made| made == text),
            found => found.is_some(),
        }
    }

    /// The marker for a value; none when there is nothing to replace.
    fn seal(&mut self, value: &str) -> Option<String> {
        if value.is_empty() || self.is_marker(value) {
            return None;
        }
        let marker = self.key.marker(value);
        if self.fresh {
            self.made.push(marker.clone());
        }
        if self.quoted && value.len() >= QUOTED_BYTES_MIN {
            self.originals.push((value.to_owned(), marker.clone()));
        }
        Some(marker)
    }

    /// Replaces a text by its marker.
    fn replace(&mut self, text: &mut Cow<'_, str>) {
        if let Some(marker) = self.seal(text) {
            *text = Cow::Owned(marker);
        }
    }

    /// Keeps what rules read inside a value that is about to go.
    fn keep(&mut self, inner: &[Read], request: &mut Request<'_>, bodies: &mut Bodies) {
        for read in inner {
            let point = read.point.as_str();
            if request.kept.iter().any(|(known, _)| known == point) {
                continue;
            }
            let Some(base) = read.point.base().read(request, bodies) else { continue };
            let gone = self.is_marker(&base) || (!self.fresh && is_gone(&read.point, &base));
            if gone && !read.point.pipes().is_empty() {
                continue;
            }
            let Some(value) = read.point.pass(base, bodies) else { continue };
            let mut value: Cow<'_, str> = Cow::Owned(value.into_owned());
            // A value that only looks like a marker must not be taken for one later.
            if read.secret || (self.fresh && Marker::at_end(&value).is_some()) {
                self.replace(&mut value);
            }
            request.kept.push((Cow::Owned(point.to_owned()), value));
        }
    }

    /// Replaces secrets where detections quote them.
    fn quotes(&self, request: &mut Request<'_>) {
        for attack in &mut request.attacks {
            for (original, marker) in &self.originals {
                if attack.payload.contains(original.as_str()) {
                    attack.payload = Cow::Owned(attack.payload.replace(original, marker));
                }
            }
        }
    }
}

/// Redacts the authorization header for the built-in key: what is readable of it stays.
fn authorization(
    request: &mut Request<'_>,
    inner: &[Read],
    sealer: &mut Sealer<'_>,
    bodies: &mut Bodies,
) {
    for number in 0..request.request.headers.len() {
        let (name, value) = &request.request.headers[number];
        if name.len() != AUTHORIZATION.len() || !name.eq_ignore_ascii_case(AUTHORIZATION) {
            continue;
        }
        let known = Marker::at_end(value).map(|(before, _)| &value[before.len()..]);
        if known.is_some_and(|marker| sealer.is_marker(marker)) {
            continue;
        }
        let (kind, head) = readable(value, bodies);
        let head = head.into_owned();
        let gone: Vec<Read> =
            inner.iter().filter(|read| !kind.outlives(&read.point)).cloned().collect();
        sealer.keep(&gone, request, bodies);
        let value = &mut request.request.headers[number].1;
        if let Some(marker) = sealer.seal(value) {
            *value = Cow::Owned(head + &marker);
        }
    }
}

/// Kinds of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Jwt,
    Basic,
    Other,
}

impl Kind {
    /// Whether a point reads the same after redaction as before.
    fn outlives(self, point: &crate::point::Point) -> bool {
        match point.pipes().first() {
            Some(Pipe::JwtPayload(_) | Pipe::JwtHeader(_)) => self == Self::Jwt,
            Some(Pipe::BasicUsername) => self == Self::Basic,
            _ => false,
        }
    }
}

/// What of credentials stays before the marker.
fn readable<'v>(value: &'v str, bodies: &mut Bodies) -> (Kind, Cow<'v, str>) {
    if let Some([_, payload, signature]) = pipe::strict_jwt(value, &mut bodies.spare) {
        let kept = value.len() - signature.len() - (value.len() - value.trim_end().len());
        debug_assert!(value[..kept].ends_with('.') && value[..kept].contains(payload));
        return (Kind::Jwt, Cow::Borrowed(&value[..kept]));
    }
    if let Some(name) = pipe::basic_username(value) {
        return (Kind::Basic, Cow::Owned(format!("Basic {}", text::encode_user(&name))));
    }
    let scheme = value.split_once(' ').filter(|(scheme, rest)| {
        !rest.trim().is_empty() && scheme.bytes().all(|b| b.is_ascii_alphabetic())
    });
    let kept = scheme.map_or("", |(scheme, _)| &value[..=scheme.len()]);
    (Kind::Other, Cow::Borrowed(kept))
}

/// A marker as part of a query: its first character is written in percent code.
fn percent_coded(marker: &str) -> String {
    format!("%01{}", marker.trim_start_matches(MARKER))
}

#[cfg(test)]
mod tests;
