//! What is kept of a refused record: enough to see what was wrong, and no secret.
//!
//! A record that could be read is redacted by the rules in force as a good one is, whatever the
//! rules are limited to, and written in the native form; fields that could not be read follow,
//! masked. Of what could not be read at all only what surely is no secret stays: names, times,
//! addresses, methods, short numbers and plain words. Header values, query values, values of JSON
//! and whatever looks like a token become `***`. At most [`RAW_BYTES_MAX`] bytes are kept.

use std::net::IpAddr;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;
use spoor_operators::assign::{CompiledRules, Scratch, SecretPlaces};
use spoor_operators::request::{Body, Fields, Message, Request};

use super::{Format, json, ndjson};
use crate::decode::chunk::RAW_BYTES_MAX;

/// What stands for what was masked.
const MASK: &str = "***";
/// Longest plain word that is kept.
const WORD_CHARS_MAX: usize = 12;
/// Longest number that is kept where nothing says what it is.
const DIGITS_MAX: usize = 4;
/// Longest name of a field that is kept.
const NAME_CHARS_MAX: usize = 32;
/// Bytes of a broken record that are looked at: masks make it shorter.
const LOOKED_AT_BYTES_MAX: usize = 2 * RAW_BYTES_MAX;

/// Of a record that is good but comes at a wrong time.
pub fn good(request: &mut Request<'_>, rules: &CompiledRules, scratch: &mut Scratch) -> Vec<u8> {
    rules.redact_refused(request, scratch);
    capped(Value::Object(native(request)).to_string())
}

/// Of a record that is bad.
pub fn bad(format: &Format, raw: &[u8], rules: &CompiledRules, scratch: &mut Scratch) -> Vec<u8> {
    let places = rules.secret_places();
    if matches!(format, Format::Ndjson)
        && let Ok(text) = std::str::from_utf8(raw)
        && let Ok(json::Object(entries)) = json::object(text.trim_start_matches('\u{feff}'))
    {
        return parsed(&entries, places, rules, scratch);
    }
    let head = &raw[..raw.len().min(LOOKED_AT_BYTES_MAX)];
    let text = String::from_utf8_lossy(head);
    capped(if is_json(&text) { masked_json(&text, places) } else { masked_text(&text, places) })
}

fn capped(text: String) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    bytes.truncate(RAW_BYTES_MAX);
    bytes
}

/// An object of the native form, of which some fields break a rule.
fn parsed(
    entries: &[(std::borrow::Cow<'_, str>, &serde_json::value::RawValue)],
    places: SecretPlaces,
    rules: &CompiledRules,
    scratch: &mut Scratch,
) -> Vec<u8> {
    let mut request = Request::default();
    let unread = ndjson::read_what_can_be(entries, &mut request);
    rules.redact_refused(&mut request, scratch);
    let mut shown = native(&request);
    for (name, raw) in unread {
        let name = if is_name(name) { name.to_owned() } else { MASK.to_owned() };
        let value = match serde_json::from_str(raw) {
            Ok(value) => masked_value(&name, value, places),
            Err(_) => Value::String(MASK.into()),
        };
        shown.insert(name, value);
    }
    capped(Value::Object(shown).to_string())
}

/// A record in the native form; what it does not have is left out.
fn native(request: &Request<'_>) -> serde_json::Map<String, Value> {
    let mut shown = serde_json::Map::new();
    let mut put = |name: &str, value: Value| {
        let absent = match &value {
            Value::String(text) => text.is_empty(),
            Value::Number(number) => number.as_u64() == Some(0),
            Value::Object(members) => members.is_empty(),
            Value::Array(values) => values.is_empty(),
            Value::Null => true,
            Value::Bool(set) => !set,
        };
        if !absent {
            shown.insert(name.into(), value);
        }
    };
    if request.explicit_id {
        put("id", text(&request.id));
    }
    put("ts", request.ts.0.into());
    for (name, value) in [
        ("app", &request.app),
        ("method", &request.method),
        ("host", &request.host),
        ("path", &request.path),
        ("query", &request.query),
        ("ip", &request.ip),
        ("user_agent", &request.user_agent),
    ] {
        put(name, text(value));
    }
    put("status", request.status.into());
    put("duration_ms", request.duration_ns.map_or(Value::Null, |ns| (ns as f64 / 1e6).into()));
    put("request_bytes", request.request_bytes.into());
    put("response_bytes", request.response_bytes.into());
    put("request", message(&request.request));
    put("response", message(&request.response));
    let attacks = request.attacks.iter().map(|attack| {
        serde_json::json!({
            "type": attack.kind, "subtype": attack.subtype, "point": attack.point,
            "payload": attack.payload, "blocked": attack.blocked,
        })
    });
    put("attacks", attacks.collect());
    put("blocked", request.blocked.into());
    shown
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

fn message(side: &Message<'_>) -> Value {
    let mut shown = serde_json::Map::new();
    for (name, fields) in
        [("headers", &side.headers), ("cookies", &side.cookies), ("form", &side.form)]
    {
        if !fields.is_empty() {
            shown.insert(name.into(), members(fields));
        }
    }
    match &side.body {
        Body::Absent => {}
        Body::Text(body) => {
            shown.insert("body".into(), text(body));
        }
        Body::Json(body) => {
            let value = serde_json::from_str(body).unwrap_or_else(|_| text(MASK));
            shown.insert("body".into(), value);
        }
    }
    Value::Object(shown)
}

fn members(fields: &Fields<'_>) -> Value {
    let mut shown = serde_json::Map::new();
    for (name, value) in fields {
        match shown.get_mut(name.as_ref()) {
            None => {
                shown.insert(name.to_string(), text(value));
            }
            Some(Value::Array(values)) => values.push(text(value)),
            Some(first) => *first = Value::Array(vec![first.take(), text(value)]),
        }
    }
    Value::Object(shown)
}

/// A value of a field that could not be read.
fn masked_value(name: &str, value: Value, places: SecretPlaces) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value,
        Value::Number(number) => match is_harmless(name, &number.to_string(), places) {
            true => Value::Number(number),
            false => text(MASK),
        },
        Value::String(it) if is_harmless(name, &it, places) => Value::String(it),
        Value::String(it) if is_url_name(name) && !places.text => text(&masked_text(&it, places)),
        Value::String(_) => text(MASK),
        Value::Array(values) => {
            values.into_iter().map(|value| masked_value(name, value, places)).collect()
        }
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| {
                    let name = if is_name(&name) { name } else { MASK.to_owned() };
                    let value = masked_value(&name, value, places);
                    (name, value)
                })
                .collect(),
        ),
    }
}

fn is_json(text: &str) -> bool {
    let start = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    start.starts_with(['{', '[']) && !start.starts_with("[-") || text.contains("\":")
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.' | b'$');
    !text.is_empty() && text.len() <= NAME_CHARS_MAX && text.bytes().all(plain)
}

fn is_url_name(name: &str) -> bool {
    matches!(name, "path" | "url" | "host" | "uri" | "request_uri")
}

/// Whether a value is what a field of its name is usually, and so no secret.
fn is_harmless(name: &str, value: &str, places: SecretPlaces) -> bool {
    let is = |pattern: &Regex| pattern.find(value).is_some_and(|it| it.len() == value.len());
    let digits = |max: usize| {
        let number = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
        value.len() <= max && value.bytes().all(number)
    };
    match name {
        "ts" | "time" | "timestamp" | "startedDateTime" => digits(16) || is(&PATTERNS.time),
        "method" => value.len() <= 10 && value.bytes().all(|byte| byte.is_ascii_alphabetic()),
        "status" | "duration_ms" | "request_bytes" | "response_bytes" | "bytes" => digits(12),
        "app" | "type" | "subtype" => is_plain_word(value),
        "ip" => !places.ip && value.parse::<IpAddr>().is_ok(),
        _ => digits(DIGITS_MAX),
    }
}

/// Broken JSON, or JSON of another shape: names stay, and values that are known to be harmless.
fn masked_json(text: &str, places: SecretPlaces) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut name, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let (inner, closed, after) = quoted(&rest[1..]);
            let is_key = closed && after.trim_start().starts_with(':') && is_name(inner);
            out.push('"');
            if is_key {
                name = inner.to_owned();
                out.push_str(inner);
            } else if closed && is_harmless(&name, inner, places) {
                out.push_str(inner);
            } else if closed && is_url_name(&name) && !places.text && !inner.contains('\\') {
                out.push_str(&masked_text(inner, places));
            } else {
                out.push_str(MASK);
            }
            if closed {
                out.push('"');
            }
            rest = after;
        } else if first.is_whitespace() || "{}[],:".contains(first) {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let between = |c: char| c.is_whitespace() || "{}[],:\"".contains(c);
            let len = rest.find(between).unwrap_or(rest.len());
            let word = &rest[..len];
            // A number that goes on behind the cut may be any.
            let whole = len < rest.len();
            let known = matches!(word, "true" | "false" | "null");
            let kept = known || (whole && is_harmless(&name, word, places));
            out.push_str(if kept { word } else { MASK });
            rest = &rest[len..];
        }
    }
    out
}

/// What is inside quotes, whether they are closed, and what follows.
fn quoted(text: &str) -> (&str, bool, &str) {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return (&text[..at], true, &text[at + 1..]),
            _ => {}
        }
    }
    (text, false, "")
}

struct Patterns {
    time: Regex,
    address: Regex,
    version: Regex,
    scheme: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let new = |pattern| Regex::new(pattern).expect("the pattern is a regular expression");
    Patterns {
        time: new(concat!(
            r"^(?:\d{2}/[A-Za-z]{3}/\d{4}:\d{2}:\d{2}:\d{2}(?: [+-]\d{4})?",
            r"|\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})?)?)",
        )),
        address: new(r"^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+)"),
        version: new(r"^HTTP/\d(?:\.\d)?"),
        scheme: new(r"(?i)^(?:bearer|basic|digest|token|negotiate|apikey|hmac)\s+"),
    }
});

/// A line of text, such as one of an access log.
fn masked_text(text: &str, places: SecretPlaces) -> String {
    let user_at = places.text.then_some(0).or_else(|| text.find(" [")).unwrap_or(0);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if !is_of_word(first) {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let len = kept_whole(rest, places);
        if len > 0 {
            out.push_str(&rest[..len]);
            rest = &rest[len..];
            continue;
        }
        if let Some(scheme) = PATTERNS.scheme.find(rest) {
            out.push_str(scheme.as_str());
            rest = masked_until(&rest[scheme.end()..], |c| c.is_whitespace() || c == '"', &mut out);
            continue;
        }
        let len = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(len);
        // The user of an access log stands before the time.
        let is_user = user_at > 0 && text.len() - rest.len() < user_at && out.contains(' ');
        let kept = match word {
            "-" => true,
            word if places.ip && word.parse::<IpAddr>().is_ok() => false,
            word if is_method(word) => true,
            word if after.trim_start_matches('"').starts_with([':', '=']) => is_name(word),
            word => is_plain_word(word) && !is_user && !places.text,
        };
        out.push_str(if kept { word } else { MASK });
        rest = masked_argument(after, &mut out);
    }
    out
}

/// What follows a name: the value behind `=` or `:`, masked.
fn masked_argument<'t>(after: &'t str, out: &mut String) -> &'t str {
    let unquoted = after.strip_prefix('"').unwrap_or(after);
    let quote = after.len() - unquoted.len();
    let Some(sign) = unquoted.chars().next().filter(|sign| matches!(sign, '=' | ':')) else {
        return after;
    };
    let value = &unquoted[1..];
    if sign == ':' && value.starts_with("//") {
        return after;
    }
    let inner = value.trim_start_matches([' ', '"']);
    let begin = value.len() - inner.len();
    out.push_str(&after[..quote + 1 + begin]);
    if inner.is_empty() {
        return inner;
    }
    let spaced = value[..begin].contains([' ', '"']);
    masked_until(
        inner,
        |c| match c {
            '"' => true,
            '&' | ';' | '#' | ',' | '<' | '>' if sign == '=' && !spaced => true,
            _ => c.is_whitespace() && !spaced,
        },
        out,
    )
}

fn masked_until<'t>(text: &'t str, ends: impl Fn(char) -> bool, out: &mut String) -> &'t str {
    let len = text.find(ends).unwrap_or(text.len());
    if len > 0 {
        out.push_str(MASK);
    }
    &text[len..]
}

/// Length of a time, an address or a version at the start of a text.
fn kept_whole(text: &str, places: SecretPlaces) -> usize {
    let ends = |at: usize| text[at..].chars().next().is_none_or(|next| !is_of_word(next));
    for pattern in [&PATTERNS.time, &PATTERNS.version] {
        if let Some(found) = pattern.find(text).filter(|found| ends(found.end())) {
            return found.end();
        }
    }
    let address = PATTERNS.address.find(text).filter(|found| ends(found.end()) && !places.ip);
    address.filter(|found| found.as_str().parse::<IpAddr>().is_ok()).map_or(0, |found| found.end())
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || "_-.~%+@*!$\u{fffd}".contains(c)
}

fn is_method(word: &str) -> bool {
    matches!(word, "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH" | "OPTIONS" | "CONNECT")
}

/// A word of a language, a short number, or several with dots between.
fn is_plain_word(word: &str) -> bool {
    word.split('.').all(|part| {
        let letters = part.bytes().all(|byte| byte.is_ascii_alphabetic());
        let tail = part.bytes().skip(1);
        let cased = tail.clone().all(|byte| byte.is_ascii_lowercase())
            || tail.clone().all(|byte| byte.is_ascii_uppercase());
        let number = part.bytes().all(|byte| byte.is_ascii_digit());
        (letters && cased && part.len() <= WORD_CHARS_MAX) || (number && part.len() <= DIGITS_MAX)
    })
}

#[cfg(test)]
mod tests;
