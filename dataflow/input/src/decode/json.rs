//! JSON as decoders read it when exactness matters more than speed: an object is a list of names
//! and raw values, checked for syntax, in which the last of equal names counts.
//!
//! Shared by the general path of the native form, by HAR and by detection. Reasons name the field,
//! never the value.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
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

/// A text that is one JSON value. nginx without `escape=json` writes bytes as `\\xHH`, which are
/// read as what they stand for.
///
/// # Errors
/// [`RefusalCode::BadJson`].
pub fn tree(text: &str) -> Result<Value, Refusal> {
    match serde_json::from_str(text) {
        Ok(tree) => Ok(tree),
        Err(error) if text.contains("\\x") => {
            serde_json::from_str(&without_byte_escapes(text)).map_err(|_| bad_json(&error))
        }
        Err(error) => Err(bad_json(&error)),
    }
}

/// A text with the bytes that `\xHH` stand for, as JSON writes them.
fn without_byte_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut bytes) = (text, Vec::new());
    let flush = |bytes: &mut Vec<u8>, out: &mut String| {
        if !bytes.is_empty() {
            let quoted = Value::String(String::from_utf8_lossy(bytes).into_owned()).to_string();
            out.push_str(&quoted[1..quoted.len() - 1]);
            bytes.clear();
        }
    };
    while let Some(char) = rest.chars().next() {
        if char != '\\' {
            flush(&mut bytes, &mut out);
            out.push(char);
            rest = &rest[char.len_utf8()..];
            continue;
        }
        let byte = rest.strip_prefix("\\x").and_then(|hex| hex.get(..2));
        match byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                flush(&mut bytes, &mut out);
                let len = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&rest[..len]);
                rest = &rest[len..];
            }
        }
    }
    flush(&mut bytes, &mut out);
    out
}

/// Where an array in a member of this name begins, found without parsing what is around it.
#[must_use]
pub fn array_start(text: &str, name: &str) -> Option<usize> {
    let key = format!("\"{name}\"");
    text.match_indices(&key).find_map(|(at, _)| {
        let behind = text[at + key.len()..].trim_ascii_start().strip_prefix(':')?;
        let behind = behind.trim_ascii_start();
        behind.starts_with('[').then_some(text.len() - behind.len())
    })
}

/// The whole elements at the beginning of what follows the `[` of an array, and where they end.
#[must_use]
pub fn elements(text: &str) -> (Vec<&RawValue>, usize) {
    let (mut found, mut at) = (Vec::new(), 0);
    loop {
        let rest = text[at..].trim_ascii_start();
        let rest = if found.is_empty() { rest } else { rest.strip_prefix(',').unwrap_or("") };
        let start = text.len() - rest.len();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        match values.next() {
            // A number may go on behind the cut.
            Some(Ok(value)) if start + values.byte_offset() < text.len() => found.push(value),
            _ => return (found, at),
        }
        at = start + values.byte_offset();
    }
}

/// A string of which half a surrogate pair becomes U+FFFD.
#[must_use]
pub fn lenient(raw: &RawValue) -> Option<Cow<'_, str>> {
    if !raw.get().starts_with('"') {
        return None;
    }
    if let Ok(Text(text)) = serde_json::from_str(raw.get()) {
        return Some(text);
    }
    let text = without_halves(raw.get());
    serde_json::from_str::<String>(&text).ok().map(Cow::Owned)
}

/// A string of JSON in which escapes of half a pair are those of U+FFFD.
fn without_halves(raw: &str) -> String {
    let unit = |at: usize| {
        let hex = raw.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(hex, 16).ok()
    };
    let (mut out, mut at) = (String::with_capacity(raw.len()), 0);
    while let Some(len) = raw[at..].find('\\') {
        out.push_str(&raw[at..at + len]);
        at += len;
        let (first, second) = (unit(at), unit(at + 6));
        let len = match (first, second) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 12,
            (Some(0xd800..0xe000), _) => {
                out.push_str("\\ufffd");
                at += 6;
                continue;
            }
            (Some(_), _) => 6,
            _ => 1 + raw[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(&raw[at..at + len]);
        at += len;
    }
    out.push_str(&raw[at..]);
    out
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

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).expect("it is JSON")
    }

    #[test]
    fn half_a_pair_becomes_a_replacement_character() {
        for (text, expected) in [
            (r#""a\ud83d b""#, "a\u{fffd} b"),
            (r#""\ude00\ud83d\ude00\ud83d""#, "\u{fffd}\u{1f600}\u{fffd}"),
            (r#""\\ud83d \n""#, "\\ud83d \n"),
        ] {
            assert_eq!(lenient(raw(text)).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(lenient(raw("1")), None);
    }

    #[test]
    fn bytes_in_the_way_of_nginx_are_read() {
        for (text, expected) in [
            (r#"{"a":"\x22' OR 1=1 \x5C"}"#, r#"{"a":"\"' OR 1=1 \\"}"#),
            (r#"{"a":"\xD0\x96 \n"}"#, "{\"a\":\"\u{416} \\n\"}"),
            (r#"{"a":"\xff"}"#, "{\"a\":\"\u{fffd}\"}"),
        ] {
            assert_eq!(tree(text).map(|tree| tree.to_string()), Ok(expected.to_owned()));
        }
        assert_eq!(tree(r#"{"a":"\x2"}"#).unwrap_err().code, RefusalCode::BadJson);
    }

    #[test]
    fn an_array_that_is_cut_off_gives_its_whole_elements() {
        let text = r#"{"x":"entries","entries" : [ {"a":[1,2]} , "b",{"c"#;
        let start = array_start(text, "entries").unwrap();
        let (found, end) = elements(&text[start + 1..]);
        let found: Vec<&str> = found.iter().map(|raw| raw.get()).collect();
        assert_eq!(found, [r#"{"a":[1,2]}"#, "\"b\""]);
        assert_eq!(&text[start + 1 + end..], r#",{"c"#);
        assert_eq!(array_start(r#"{"entries":{}}"#, "entries"), None);
    }
}
