//! Grouping keys, compiled: the admin's in their order, then the built-in ones.
//!
//! A key works when it is not limited to something else, and its value is there, long enough and
//! not to be ignored. The built-in keys are the same thing hand-written: cookies are looked up in
//! one pass, and the client's weak identity is put together in a buffer.

use std::borrow::Cow;

use super::SecretKey;
use super::marker::Marker;
use super::read::{AUTHORIZATION, Read, Value};
use crate::point::Bodies;
use crate::request::Request;
use crate::rules::glob::{Pattern, any_of};
use crate::rules::{BUILT_IN_KEYS, Per, ignore_default};

/// Number of the first and one past the last built-in cookie key.
pub(super) const COOKIES: std::ops::Range<usize> = 2..12;
pub(super) const MCP: usize = 0;
pub(super) const SESSION_ID: usize = 1;
pub(super) const SECRET_HEADER: usize = 12;
pub(super) const CLIENT: usize = 13;
pub(super) const CLIENT_IP: usize = 14;
pub(super) const ARCHIVE: usize = 15;

/// Globs a rule is limited to.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    pub(super) apps: Vec<Pattern>,
    pub(super) hosts: Vec<Pattern>,
    pub(super) paths: Vec<Pattern>,
}

impl Limits {
    #[inline]
    pub(super) fn allow(&self, request: &Request<'_>) -> bool {
        self.broken(request).is_none()
    }

    #[inline]
    fn broken(&self, request: &Request<'_>) -> Option<Miss> {
        if !any_of(&self.apps, &request.app) {
            return Some(Miss::App);
        }
        if !any_of(&self.hosts, &request.host) {
            return Some(Miss::Host);
        }
        if !any_of(&self.paths, &request.path) {
            return Some(Miss::Path);
        }
        None
    }
}

/// Why a key did not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    App,
    Host,
    Path,
    Off,
    Absent,
    Short,
    Ignored,
}

impl Miss {
    /// In a few words.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::App => "not for this application",
            Self::Host => "not for this host",
            Self::Path => "not for this path",
            Self::Off => "switched off",
            Self::Absent => "no value",
            Self::Short => "the value is too short",
            Self::Ignored => "the value is one to ignore",
        }
    }
}

/// Values that did not work, in the clear and hashed.
#[derive(Clone, Debug)]
pub(super) struct Ignore {
    plain: Vec<String>,
    hashed: Vec<String>,
}

impl Ignore {
    pub(super) fn new(values: &[String], key: &SecretKey) -> Self {
        let hashed = values.iter().map(|value| key.hash_text(value)).collect();
        Self { plain: values.to_vec(), hashed }
    }

    #[inline]
    fn has(&self, value: &Value<'_>) -> bool {
        let known = if value.hashed.is_some() { &self.hashed } else { &self.plain };
        known.iter().any(|known| *known == value.text)
    }
}

/// One of the admin's keys.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) limits: Limits,
    pub(super) read: Read,
    pub(super) min_length: u32,
    pub(super) ignore: Ignore,
    pub(super) per: Per,
    pub(super) gap_ms: u32,
}

impl Key {
    /// The key's value in a request, or why it did not work.
    #[inline]
    pub(super) fn attempt<'r>(
        &self,
        request: &'r Request<'_>,
        secret: &SecretKey,
        bodies: &mut Bodies,
    ) -> Result<Value<'r>, Miss> {
        if let Some(miss) = self.limits.broken(request) {
            return Err(miss);
        }
        let value = self.read.value(request, secret, bodies).ok_or(Miss::Absent)?;
        if self.min_length > 1 && is_shorter(&value, self.min_length) {
            return Err(Miss::Short);
        }
        if self.ignore.has(&value) {
            return Err(Miss::Ignored);
        }
        Ok(value)
    }

    /// What makes the value distinct for each app or host.
    pub(super) fn qualifier<'r>(&self, request: &'r Request<'_>) -> &'r str {
        match self.per {
            Per::None => "",
            Per::App => &request.app,
            Per::Host => &request.host,
        }
    }
}

fn is_shorter(value: &Value<'_>, min: u32) -> bool {
    match value.hashed {
        Some(chars) => chars < min,
        None => value.text.chars().nth(min as usize - 1).is_none(),
    }
}

/// The built-in keys.
#[derive(Clone, Debug)]
pub(super) struct BuiltIn {
    pub(super) enabled: [bool; BUILT_IN_KEYS.len()],
    pub(super) gaps: [u32; BUILT_IN_KEYS.len()],
    ignore: Ignore,
    cookies: bool,
}

/// Number of a built-in key and its value; of the client keys, in the buffer.
pub(super) type Found<'r> = (usize, Value<'r>);

impl BuiltIn {
    pub(super) fn new(
        enabled: [bool; BUILT_IN_KEYS.len()],
        gaps: [u32; BUILT_IN_KEYS.len()],
        key: &SecretKey,
    ) -> Self {
        let cookies = enabled[COOKIES].contains(&true);
        Self { enabled, gaps, ignore: Ignore::new(&ignore_default(), key), cookies }
    }

    /// The first key that works, in one pass over headers and cookies.
    pub(super) fn decide<'r>(
        &self,
        request: &'r Request<'_>,
        key: &SecretKey,
        buffer: &'r mut String,
    ) -> Option<Found<'r>> {
        let headers = self.headers(request);
        for number in [MCP, SESSION_ID] {
            let names = if number == MCP { &headers[..1] } else { &headers[1..3] };
            for value in names.iter().flatten() {
                if let Some(value) = self.usable(number, value) {
                    return Some((number, value));
                }
            }
        }
        if self.cookies
            && let Some(found) = self.cookie(request)
        {
            return Some(found);
        }
        if let Some(text) = headers[3]
            && let Some(value) = self.secret(text, key)
        {
            return Some((SECRET_HEADER, value));
        }
        if let Some(number) =
            [CLIENT, CLIENT_IP].into_iter().find(|&number| self.client(number, request, buffer))
        {
            return Some((number, Value { text: Cow::Borrowed(buffer.as_str()), hashed: None }));
        }
        self.usable(ARCHIVE, &request.archive).map(|value| (ARCHIVE, value))
    }

    /// One key by itself, for explanations.
    pub(super) fn attempt(
        &self,
        number: usize,
        request: &Request<'_>,
        key: &SecretKey,
    ) -> Result<(String, bool), Miss> {
        if !self.enabled[number] {
            return Err(Miss::Off);
        }
        let headers = self.headers(request);
        let texts: Vec<&str> = match number {
            MCP => headers[..1].iter().flatten().copied().collect(),
            SESSION_ID => headers[1..3].iter().flatten().copied().collect(),
            SECRET_HEADER => headers[3].into_iter().collect(),
            ARCHIVE => vec![request.archive.as_ref()],
            CLIENT | CLIENT_IP => {
                let mut buffer = String::new();
                let worked = self.client(number, request, &mut buffer);
                return if worked { Ok((buffer, false)) } else { Err(Miss::Absent) };
            }
            _ => {
                let cookies = &request.request.cookies;
                let found = cookies.iter().find(|(name, _)| name == BUILT_IN_KEYS[number]);
                found.map(|(_, value)| value.as_ref()).into_iter().collect()
            }
        };
        let mut miss = Miss::Absent;
        for text in texts.into_iter().filter(|text| !text.is_empty()) {
            let value = match number {
                SECRET_HEADER => self.secret(text, key),
                _ => self.usable(number, text),
            };
            if let Some(value) = value {
                return Ok((value.text.into_owned(), value.hashed.is_some()));
            }
            miss = Miss::Ignored;
        }
        Err(miss)
    }

    /// First values of `mcp-session-id`, `x-session-id`, `session-id` and `authorization`.
    #[inline]
    fn headers<'r>(&self, request: &'r Request<'_>) -> [Option<&'r str>; 4] {
        let mut found = [None; 4];
        for (name, value) in &request.request.headers {
            let place = match name.len() {
                14 if name.eq_ignore_ascii_case("mcp-session-id") => 0,
                12 if name.eq_ignore_ascii_case("x-session-id") => 1,
                10 if name.eq_ignore_ascii_case("session-id") => 2,
                13 if name.eq_ignore_ascii_case(AUTHORIZATION) => 3,
                _ => continue,
            };
            if found[place].is_none() {
                found[place] = Some(value.as_ref());
            }
        }
        found
    }

    /// The cookie of the first built-in name that works. The first of one name is its value.
    fn cookie<'r>(&self, request: &'r Request<'_>) -> Option<Found<'r>> {
        let (mut seen, mut best) = (0_u16, None::<Found<'r>>);
        for (name, value) in &request.request.cookies {
            let Some(number) = cookie_number(name) else { continue };
            let bit = 1 << number;
            if seen & bit != 0 {
                continue;
            }
            seen |= bit;
            if best.as_ref().is_none_or(|(known, _)| number < *known)
                && let Some(value) = self.usable(number, value)
            {
                best = Some((number, value));
            }
        }
        best
    }

    /// The value of a header or cookie, if the key is on and the value is one.
    #[inline]
    fn usable<'r>(&self, number: usize, text: &'r str) -> Option<Value<'r>> {
        if !self.enabled[number] || text.is_empty() {
            return None;
        }
        let value = match Marker::of(text) {
            Some(marker) => Value { text: Cow::Borrowed(marker.hash), hashed: Some(marker.chars) },
            None => Value { text: Cow::Borrowed(text), hashed: None },
        };
        (!self.ignore.has(&value)).then_some(value)
    }

    /// The hash of the authorization header, which redaction has put there.
    fn secret<'r>(&self, text: &'r str, key: &SecretKey) -> Option<Value<'r>> {
        if !self.enabled[SECRET_HEADER] || text.is_empty() {
            return None;
        }
        let value = match Marker::at_end(text) {
            Some((_, marker)) => {
                Value { text: Cow::Borrowed(marker.hash), hashed: Some(marker.chars) }
            }
            None => Value { text: Cow::Owned(key.hash_text(text)), hashed: Some(0) },
        };
        (!self.ignore.has(&value)).then_some(value)
    }

    /// Puts the weak identity into the buffer. False: it did not work.
    fn client(&self, number: usize, request: &Request<'_>, buffer: &mut String) -> bool {
        let with_agent = number == CLIENT;
        let known = !request.ip.is_empty() && (!with_agent || !request.user_agent.is_empty());
        if !self.enabled[number] || !known || (!with_agent && !request.user_agent.is_empty()) {
            return false;
        }
        buffer.clear();
        buffer.push_str(shown(&request.ip));
        if with_agent {
            buffer.push('|');
            buffer.push_str(shown(&request.user_agent));
        }
        true
    }
}

/// A value, or the hash in its marker.
#[inline]
pub(super) fn shown(text: &str) -> &str {
    if text.as_bytes().first() == Some(&1) {
        return Marker::of(text).map_or(text, |marker| marker.hash);
    }
    text
}

#[inline]
fn cookie_number(name: &str) -> Option<usize> {
    // The shortest and the longest name, to pass by the others quickly.
    if !(3..=17).contains(&name.len()) {
        return None;
    }
    COOKIES.into_iter().find(|&number| BUILT_IN_KEYS[number] == name)
}

/// Where a built-in key looks, in words of points where there are any.
pub(super) fn built_in_point(number: usize) -> String {
    match number {
        MCP => "$request.header.mcp-session-id".into(),
        SESSION_ID => "$request.header.x-session-id, $request.header.session-id".into(),
        SECRET_HEADER => "$request.header.authorization".into(),
        CLIENT => "$client.ip, $client.user_agent".into(),
        CLIENT_IP => "$client.ip".into(),
        ARCHIVE => "the HTTP archive".into(),
        _ => format!("$request.cookie.{}", BUILT_IN_KEYS[number]),
    }
}
