//! Documents: JSON arrays of records, and objects that have such an array.
//!
//! A document that was cut off gives the whole records in front of the cut.

use serde_json::value::RawValue;

use super::error::Refusal;
use super::json::{self, Object, is_null};

/// Members of an object that hold its records, in the order they are looked for.
const MEMBERS: [&str; 7] =
    ["records", "Records", "logEvents", "events", "entries", "value", "logs"];

/// What a document holds.
pub(super) struct Records<'a> {
    /// In order.
    pub records: Vec<&'a RawValue>,
    /// Where it breaks off, and why.
    pub broken: Option<(usize, Refusal)>,
}

/// The records of JSON values one after another.
pub(super) fn records(text: &str) -> Records<'_> {
    let mut found = Records { records: Vec::new(), broken: None };
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut at = 0;
    while let Some(value) = values.next() {
        match value {
            Ok(value) => unwrap(value, &mut found.records),
            Err(error) => {
                let rest = &text[at..];
                let (whole, end) = before_the_cut(rest);
                found.records.extend(whole);
                found.broken = Some((at + end, json::bad_json(&error)));
                break;
            }
        }
        at = values.byte_offset();
    }
    found
}

fn unwrap<'a>(value: &'a RawValue, into: &mut Vec<&'a RawValue>) {
    match value.get().as_bytes().first() {
        Some(b'[') => {
            into.extend(serde_json::from_str::<Vec<&RawValue>>(value.get()).unwrap_or_default());
        }
        Some(b'{') => match member(value.get()) {
            Some(records) => into.extend(records),
            None => into.push(value),
        },
        _ if is_null(value) => {}
        _ => into.push(value),
    }
}

/// The records in a member of an object.
fn member(text: &str) -> Option<Vec<&RawValue>> {
    let Object(entries) = json::object(text).ok()?;
    let found = MEMBERS.iter().find_map(|wanted| {
        let (_, raw) = entries.iter().find(|(name, _)| name == wanted)?;
        raw.get().starts_with('[').then_some(*raw)
    })?;
    serde_json::from_str(found.get()).ok()
}

/// The whole elements of an array that is cut off, of its own or in a member of an object, and
/// where they end.
fn before_the_cut(text: &str) -> (Vec<&RawValue>, usize) {
    let start = if text.trim_ascii_start().starts_with('[') {
        text.find('[')
    } else {
        MEMBERS.iter().filter_map(|name| json::array_start(text, name)).min()
    };
    match start {
        Some(start) => {
            let (records, len) = json::elements(&text[start + 1..]);
            (records, start + 1 + len)
        }
        None => (Vec::new(), 0),
    }
}

/// Whether a text begins as JSON does.
pub(super) fn is_json(text: &str) -> bool {
    let text = text.trim_ascii_start();
    match text.as_bytes().first() {
        Some(b'{') => true,
        Some(b'[') => {
            let inner = text[1..].trim_ascii_start();
            inner.is_empty() || inner.starts_with(['{', '[', '"', ']'])
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_in_what_is_around_them() {
        let check = |text: &str, expected: &[&str], whole: bool| {
            let found = records(text);
            let seen: Vec<&str> = found.records.iter().map(|raw| raw.get()).collect();
            assert_eq!((seen, found.broken.is_none()), (expected.to_vec(), whole), "{text}");
        };
        check("[{\"a\":1},\n {\"b\":2}]", &["{\"a\":1}", "{\"b\":2}"], true);
        check(r#"{"Records":[{"a":1},"x"],"c":2}"#, &["{\"a\":1}", "\"x\""], true);
        check(
            r#"{"logEvents":[{"a":1}]}{"logEvents":[{"b":2}]}"#,
            &["{\"a\":1}", "{\"b\":2}"],
            true,
        );
        check("{\"a\":\n1}\n{\"b\":2}", &["{\"a\":\n1}", "{\"b\":2}"], true);
        check("[]", &[], true);
        check("[{\"a\":1},{\"b\":[2,", &["{\"a\":1}"], false);
        check("{\"x\":{},\"records\": [{\"a\":1},{\"b\"", &["{\"a\":1}"], false);
        check("{\"a\":", &[], false);
        check("nothing", &[], false);
    }
}
