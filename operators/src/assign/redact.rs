//! Redaction: what a secret rule reads is replaced by a marker before anything is stored.
//!
//! It runs first, on new requests and on stored ones alike, and changes nothing where it has been:
//! so everything after it sees the same record whether it came from a source or from the log. What
//! rules in force read *inside* a value that goes is put into `Request::kept` on the way, hashed
//! where the reading rule is secret. Of an `authorization` that no rule marks secret, the readable
//! parts of a JWT and the user's name of Basic credentials stay. Then the same values are masked
//! wherever else they stand in the record (`spread.rs`).

mod spread;
mod text;

use std::borrow::Cow;

use super::SecretKey;
use super::compile::Context;
use super::keys::{Key, Limits};
use super::marker::{MARKER, Marker};
use super::read::{AUTHORIZATION, Read, is_gone};
use crate::point::{Base, Bodies, Pipe, Side, pipe};
use crate::request::Request;
use spread::{Finder, UrlSecrets};

/// What is redacted under a rule set.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// The widest first.
    places: Vec<Place>,
    /// Points of secret rules, in canonical text.
    points: Vec<String>,
    /// Reads inside the authorization header.
    authorization: Vec<Read>,
    /// What is secret of any URL.
    urls: UrlSecrets,
    /// What all rules read.
    reads: Vec<Read>,
}

/// Places that are usually shown of a record nobody could read, and whether a rule makes them
/// secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecretPlaces {
    /// `$client.ip`.
    pub ip: bool,
    /// A place in the path, or a header that access logs have.
    pub text: bool,
}

/// Whether a record comes from a source, from the log, or was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nothing in it is a marker yet, whatever it looks like.
    Fresh,
    /// Markers in it are markers.
    Stored,
    /// As fresh, and what limits a rule may be what is missing: rules apply everywhere.
    Refused,
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
    pub(super) fn new(keys: &[Key], context: &[Context]) -> Self {
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
        let mut add = |base: &Base, limits: &Limits| match places
            .iter_mut()
            .find(|place| place.base == *base)
        {
            Some(place) => place.limits.push(limits.clone()),
            None => places.push(Place {
                base: base.clone(),
                limits: vec![limits.clone()],
                inner: inner_of(base),
            }),
        };
        let mut urls = UrlSecrets::default();
        for (read, limits) in rules.iter().filter(|(read, _)| read.secret) {
            let base = read.point.base();
            // Limits are decided on the path, so they cannot decide about the path.
            add(base, if rank(base) < PATH_RANKS { &everywhere } else { limits });
            match base {
                // What a response sets is what the next request sends.
                Base::Cookie(Side::Request, name) => {
                    add(&Base::Cookie(Side::Response, name.clone()), limits);
                }
                Base::Cookie(Side::Response, name) => {
                    add(&Base::Cookie(Side::Request, name.clone()), limits);
                }
                Base::Query(name) => urls.names.push(name.clone()),
                Base::Segment(number) => urls.segments.push(*number),
                Base::Url | Base::Path => urls.whole = true,
                _ => {}
            }
        }
        places.sort_by_key(|place| rank(&place.base));
        let authorization = inner_of(&Base::Header(Side::Request, AUTHORIZATION.into()));
        let mut reads: Vec<Read> = Vec::new();
        for (read, _) in &rules {
            if !reads.iter().any(|known| known.point == read.point) {
                let secret = points.iter().any(|text| text == read.point.as_str());
                reads.push(Read { point: read.point.clone(), secret });
            }
        }
        Self { places, points, authorization, urls, reads }
    }

    /// Redacts a request.
    pub(super) fn redact(
        &self,
        request: &mut Request<'_>,
        origin: Origin,
        key: &SecretKey,
        bodies: &mut Bodies,
    ) {
        let fresh = origin != Origin::Stored;
        if fresh {
            request.kept.clear();
        }
        let mut sealer = Sealer { key, fresh, made: Vec::new(), originals: Vec::new() };
        for (point, value) in &mut request.kept {
            if self.points.iter().any(|secret| secret == point) {
                sealer.replace(value);
            }
        }
        // A path that changes may be one that more rules apply to; a rule adds at most one round.
        for _ in 0..=self.places.len() {
            self.named_places(request, origin, &mut sealer, bodies);
            authorization(request, &self.authorization, &mut sealer, bodies);
            if !self.spread(request, &mut sealer, bodies) {
                break;
            }
        }
    }

    /// See [`SecretPlaces`].
    pub(super) fn refused_places(&self) -> SecretPlaces {
        let in_a_log = |name: &str| matches!(name, "referer" | "user-agent" | "x-remote-user");
        let is = |wanted: &dyn Fn(&Base) -> bool| self.places.iter().any(|at| wanted(&at.base));
        SecretPlaces {
            ip: is(&|base| *base == Base::ClientIp),
            text: is(&|base| match base {
                Base::Header(Side::Request, name) => in_a_log(name),
                Base::ClientUserAgent => true,
                _ => rank(base) < PATH_RANKS,
            }),
        }
    }

    /// Redacts where rules read.
    fn named_places(
        &self,
        request: &mut Request<'_>,
        origin: Origin,
        sealer: &mut Sealer<'_>,
        bodies: &mut Bodies,
    ) {
        for place in &self.places {
            let applies = origin == Origin::Refused
                || place.limits.iter().any(|limits| limits.allow(request));
            if applies {
                let value = place.base.read(request, bodies);
                if value.is_some_and(|value| !sealer.is_marker(&value)) {
                    sealer.keep(&place.inner, request, bodies);
                }
                if text::redact(&place.base, request, sealer) {
                    bodies.reset();
                }
            }
        }
    }

    /// Masks the same values wherever else they stand. True: in the path.
    fn spread(
        &self,
        request: &mut Request<'_>,
        sealer: &mut Sealer<'_>,
        bodies: &mut Bodies,
    ) -> bool {
        let Some(finder) = Finder::new(sealer, &self.urls, request) else { return false };
        if !finder.finds(request, sealer) {
            return false;
        }
        let before = self.values(request, sealer, bodies);
        let path_changed = finder.mask(request, sealer);
        bodies.reset();
        let after = self.values(request, sealer, bodies);
        // What rules in force read before is what they read now, masked.
        for ((read, before), after) in self.reads.iter().zip(before).zip(after) {
            let Some(before) = before.filter(|before| Some(before) != after.as_ref()) else {
                continue;
            };
            let mut value = match finder.mask_value(&before, sealer) {
                Some(masked) => Cow::Owned(masked),
                None => Cow::Owned(before),
            };
            let forged = sealer.fresh && sealer.ends_in_forged(&value);
            if read.secret || forged {
                sealer.replace(&mut value);
            }
            if Some(&*value) != after.as_deref() {
                request.kept.push((Cow::Owned(read.point.as_str().to_owned()), value));
            }
        }
        path_changed
    }

    /// What rules read in the record itself; none for what is kept beside it.
    fn values(
        &self,
        request: &Request<'_>,
        sealer: &Sealer<'_>,
        bodies: &mut Bodies,
    ) -> Vec<Option<String>> {
        let value = |read: &Read| {
            let point = &read.point;
            if request.kept.iter().any(|(known, _)| known == point.as_str()) {
                return None;
            }
            let base = point.base().read(request, bodies)?;
            let gone = sealer.is_marker(&base) || (!sealer.fresh && is_gone(point, &base));
            if gone && !point.pipes().is_empty() {
                return None;
            }
            Some(point.pass(base, bodies)?.into_owned())
        };
        self.reads.iter().map(value).collect()
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
    /// What was replaced.
    originals: Vec<String>,
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
        self.originals.push(value.to_owned());
        Some(self.mark(value))
    }

    /// The marker for a value that is secret somewhere else.
    fn mark(&mut self, value: &str) -> String {
        let marker = self.key.marker(value);
        if self.fresh {
            self.made.push(marker.clone());
        }
        marker
    }

    /// Whether a text ends in what only looks like a marker.
    fn ends_in_forged(&self, text: &str) -> bool {
        Marker::at_end(text).is_some_and(|(before, _)| !self.is_marker(&text[before.len()..]))
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
}

/// Redacts the authorization header where no rule did: what is readable of it stays.
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
            sealer.originals.extend(credentials(value, kind));
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

/// What is secret of credentials by itself: what follows the scheme, and a password.
fn credentials(value: &str, kind: Kind) -> Vec<String> {
    let value = value.trim();
    let rest = value.split_once(' ').map_or(value, |(_, rest)| rest.trim());
    let mut found = vec![rest.to_owned()];
    if kind == Kind::Basic
        && let Some(decoded) = pipe::decode_base64(rest)
        && let Some((_, password)) = String::from_utf8_lossy(&decoded).split_once(':')
    {
        found.push(password.to_owned());
    }
    found
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
