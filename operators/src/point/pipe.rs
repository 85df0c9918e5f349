//! Pipes: what happens to a value between its place and a rule.
//!
//! A pipe takes a text and gives a text, or did not work. Tokens are decoded and never verified:
//! who a session belongs to is read from them, not whether to trust it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_PAD_INDIFFERENT, URL_SAFE_PAD_INDIFFERENT};

use super::json::Index;
use super::read::percent_decode;
use super::{Pipe, Pointer};

/// Applies one pipe.
pub(crate) fn apply<'r>(
    pipe: &Pipe,
    value: Cow<'r, str>,
    spare: &mut Index,
) -> Option<Cow<'r, str>> {
    match pipe {
        Pipe::JwtPayload(pointer) => jwt(&value, 1, pointer, spare).map(Cow::Owned),
        Pipe::JwtHeader(pointer) => jwt(&value, 0, pointer, spare).map(Cow::Owned),
        Pipe::BasicUsername => basic_username(&value).map(Cow::Owned),
        Pipe::Json(pointer) => json(value, pointer, spare),
        Pipe::Base64 => String::from_utf8(decode_base64(value.trim())?).ok().map(Cow::Owned),
        Pipe::Url => Some(match percent_decode(&value) {
            Cow::Borrowed(_) => value,
            Cow::Owned(decoded) => Cow::Owned(decoded),
        }),
        Pipe::Lower if value.chars().any(char::is_uppercase) => {
            Some(Cow::Owned(value.to_lowercase()))
        }
        Pipe::Lower => Some(value),
        Pipe::Trim => narrow(value, |text| Some(text.trim())),
        Pipe::Prefix(count) => narrow(value, |text| {
            let end = text.char_indices().nth(*count as usize).map_or(text.len(), |(at, _)| at);
            Some(&text[..end])
        }),
        Pipe::Split(separator, part) => narrow(value, |text| match usize::try_from(*part) {
            Ok(part) => text.split(separator.as_str()).nth(part),
            Err(_) => text.rsplit(separator.as_str()).nth(part.unsigned_abs() as usize - 1),
        }),
        Pipe::Regex(regex, group) => narrow(value, |text| {
            if *group == 0 {
                return regex.find(text).map(|found| found.as_str());
            }
            regex.captures(text)?.get(*group).map(|found| found.as_str())
        }),
    }
}

/// A part of a value, borrowed from where the value is.
fn narrow<'r>(
    value: Cow<'r, str>,
    part: impl for<'t> Fn(&'t str) -> Option<&'t str>,
) -> Option<Cow<'r, str>> {
    match value {
        Cow::Borrowed(text) => part(text).map(Cow::Borrowed),
        Cow::Owned(text) => part(&text).map(|part| Cow::Owned(part.to_owned())),
    }
}

fn json<'r>(value: Cow<'r, str>, pointer: &Pointer, spare: &mut Index) -> Option<Cow<'r, str>> {
    if !spare.parse(&value) {
        return None;
    }
    match value {
        Cow::Borrowed(text) => spare.read(text, pointer),
        Cow::Owned(text) => Some(Cow::Owned(spare.read(&text, pointer)?.into_owned())),
    }
}

/// Both alphabets, padding optional.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let engine = if memchr::memchr2(b'-', b'_', text.as_bytes()).is_some() {
        &URL_SAFE_PAD_INDIFFERENT
    } else {
        &STANDARD_PAD_INDIFFERENT
    };
    engine.decode(text).ok()
}

/// What follows an authentication scheme, in any case.
pub(crate) fn after_scheme<'t>(value: &'t str, scheme: &str) -> Option<&'t str> {
    let head = value.get(..scheme.len())?;
    let rest = &value[scheme.len()..];
    let found = head.eq_ignore_ascii_case(scheme) && rest.starts_with(' ');
    found.then(|| rest.trim_start_matches(' '))
}

/// Header, payload and signature of a compact JWT, a `Bearer ` before it dropped.
pub(crate) fn jwt_parts(value: &str) -> Option<[&str; 3]> {
    let value = value.trim();
    let token = after_scheme(value, "bearer").unwrap_or(value);
    let mut parts = token.split('.');
    let found = [parts.next()?, parts.next()?, parts.next()?];
    (parts.next().is_none()).then_some(found)
}

fn jwt(value: &str, part: usize, pointer: &Pointer, spare: &mut Index) -> Option<String> {
    let text = String::from_utf8(decode_base64(jwt_parts(value)?[part])?).ok()?;
    if !spare.parse(&text) {
        return None;
    }
    spare.read(&text, pointer).map(Cow::into_owned)
}

/// Header, payload and signature of what is a JWT through and through: both readable parts are
/// JSON, so what stays readable of it is what its maker meant to be.
pub(crate) fn strict_jwt<'t>(value: &'t str, spare: &mut Index) -> Option<[&'t str; 3]> {
    let parts = jwt_parts(value)?;
    for part in &parts[..2] {
        let text = String::from_utf8(decode_base64(part)?).ok()?;
        if !text.starts_with('{') || !spare.parse(&text) {
            return None;
        }
    }
    Some(parts)
}

/// The user's name of Basic credentials. What stands for a redacted password follows U+0001.
pub(crate) fn basic_username(value: &str) -> Option<String> {
    let credentials = after_scheme(value.trim(), "basic")?;
    let credentials = credentials.split('\u{1}').next().unwrap_or_default();
    let decoded = decode_base64(credentials.trim())?;
    let end = memchr::memchr(b':', &decoded)?;
    Some(String::from_utf8_lossy(&decoded[..end]).into_owned())
}
