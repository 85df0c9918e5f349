//! JSON as decoders read it when exactness matters more than speed: an object is a list of names
//! and raw values, checked for syntax, in which the last of equal names counts.
//!
//! Shared by the general path of the native form, by HAR and by detection. Reasons name the field,
//! never the value.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::Refusal;
use spoor_api::codes::RefusalCode;

/// An object's entries as they came, without those that a later one of the same name replaces.
#[derive(Debug, Default)]
pub struct Object<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

/// A string, borrowed unless it has escapes.
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Borrowing)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut entries = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    entries.push((name, map.next_value()?));
                }
                Ok(Object(keep_last(entries)))
            }
        }
        from.deserialize_map(Entries)
    }
}

/// Keeps the last of equal names, in place.
fn keep_last<'a, V>(mut entries: Vec<(Cow<'a, str>, V)>) -> Vec<(Cow<'a, str>, V)> {
    let mut seen = HashSet::with_capacity(entries.len());
    let keep: Vec<bool> = entries.iter().rev().map(|(name, _)| seen.insert(&**name)).collect();
    if seen.len() < keep.len() {
        let mut keep = keep.into_iter().rev();
        entries.retain(|_| keep.next().unwrap_or(true));
    }
    entries
}

/// A text that is one JSON object.
///
/// # Errors
/// [`RefusalCode::BadJson`].
pub fn object(text: &str) -> Result<Object<'_>, Refusal> {
    if !text.trim_ascii_start().starts_with('{') {
        let reason = "has to be one JSON object".into();
        return Err(Refusal { code: RefusalCode::BadJson, reason });
    }
    serde_json::from_str(text).map_err(|error| bad_json(&error))
}

/// What a syntax error is called.
#[must_use]
pub fn bad_json(error: &serde_json::Error) -> Refusal {
    Refusal { code: RefusalCode::BadJson, reason: format!("not JSON: {error}") }
}

/// A field of a wrong type or value.
#[must_use]
pub fn bad_field(name: &str, must: &str) -> Refusal {
    Refusal { code: RefusalCode::BadField, reason: format!("`{name}` {must}") }
}

/// Whether it is `null`, which is the same as absence.
#[must_use]
pub fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// A string.
///
/// # Errors
/// [`RefusalCode::BadField`] for another type, [`RefusalCode::BadJson`] for half a surrogate pair.
pub fn string<'a>(name: &str, raw: &'a RawValue) -> Result<Cow<'a, str>, Refusal> {
    if !raw.get().starts_with('"') {
        return Err(bad_field(name, "has to be a string"));
    }
    serde_json::from_str(raw.get()).map(|Text(text)| text).map_err(|error| bad_json(&error))
}

/// An integer of JSON: digits, with a sign if it may be negative, and no fraction or exponent.
///
/// # Errors
/// [`RefusalCode::BadField`].
pub fn integer<N: std::str::FromStr>(name: &str, raw: &RawValue, must: &str) -> Result<N, Refusal> {
    raw.get().parse().map_err(|_| bad_field(name, must))
}

/// A number.
///
/// # Errors
/// [`RefusalCode::BadField`].
pub fn number(name: &str, raw: &RawValue, must: &str) -> Result<f64, Refusal> {
    let digits = raw.get().starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let parsed = if digits { raw.get().parse().ok() } else { None };
    parsed.ok_or_else(|| bad_field(name, must))
}

/// `true` or `false`.
///
/// # Errors
/// [`RefusalCode::BadField`].
pub fn boolean(name: &str, raw: &RawValue) -> Result<bool, Refusal> {
    raw.get().parse().map_err(|_| bad_field(name, "has to be true or false"))
}

/// An object.
///
/// # Errors
/// [`RefusalCode::BadField`].
pub fn inner<'a>(name: &str, raw: &'a RawValue) -> Result<Object<'a>, Refusal> {
    if !raw.get().starts_with('{') {
        return Err(bad_field(name, "has to be an object"));
    }
    serde_json::from_str(raw.get()).map_err(|error| bad_json(&error))
}

/// An array.
///
/// # Errors
/// [`RefusalCode::BadField`].
pub fn array<'a>(name: &str, raw: &'a RawValue) -> Result<Vec<&'a RawValue>, Refusal> {
    if !raw.get().starts_with('[') {
        return Err(bad_field(name, "has to be an array"));
    }
    serde_json::from_str(raw.get()).map_err(|error| bad_json(&error))
}

/// The array at a pointer of a document.
///
/// # Errors
/// [`RefusalCode::MissingField`], [`RefusalCode::BadField`].
pub fn records<'a>(document: &'a RawValue, pointer: &str) -> Result<Vec<&'a RawValue>, Refusal> {
    let mut at = document;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        let Object(entries) = inner(pointer, at)?;
        let found = entries.iter().find(|(name, _)| *name == token).map(|(_, raw)| *raw);
        at = found.ok_or_else(|| Refusal {
            code: RefusalCode::MissingField,
            reason: format!("`{pointer}` is missing"),
        })?;
    }
    array(pointer, at)
}
