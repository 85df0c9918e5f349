//! The formats a client can name: those that are built in, and the configured mappings.
//!
//! A body that a client pushes is a whole input, so its form can be told from all of its bytes: of
//! the formats with one JSON value a line, it may also be one JSON array of these.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::chunk::{Chunk, Content};
use super::settings::FORMAT_AUTO;
use super::{Format, detect};

/// Formats by name.
#[derive(Clone, Debug, Default)]
pub struct Formats {
    mappings: BTreeMap<String, Arc<Format>>,
}

impl Formats {
    /// The built-in formats, and these mappings.
    #[must_use]
    pub fn with_mappings(mappings: BTreeMap<String, Arc<Format>>) -> Self {
        Self { mappings }
    }

    /// A body of a format as a chunk; without a name it is native.
    ///
    /// # Errors
    /// What is wrong with the name, in words.
    pub fn chunk(
        &self,
        source: Arc<str>,
        name: Option<&str>,
        body: Bytes,
    ) -> Result<Chunk, String> {
        let format = match name {
            None => Arc::new(Format::Ndjson),
            Some(FORMAT_AUTO) => Arc::new(detected(&body)?),
            Some(name) => self.named(name).ok_or_else(|| self.unknown(name))?,
        };
        let mut chunk = Chunk::whole(source, format, body);
        let by_line = match &*chunk.format {
            Format::Ndjson => true,
            Format::Json(mapping) => !mapping.unwraps(),
            Format::Combined | Format::Common | Format::Har => false,
        };
        if by_line && is_array(&chunk.bytes) {
            chunk.content = Content::Array;
        }
        Ok(chunk)
    }

    fn named(&self, name: &str) -> Option<Arc<Format>> {
        name.parse().map(Arc::new).ok().or_else(|| self.mappings.get(name).cloned())
    }

    fn unknown(&self, name: &str) -> String {
        let known: String = self.mappings.keys().map(|name| format!(", {name}")).collect();
        format!("unknown format `{name:.80}`; there are auto, ndjson, combined, common, har{known}")
    }
}

fn detected(body: &[u8]) -> Result<Format, String> {
    if first_byte(body) == Some(b'[') {
        return Ok(Format::Ndjson);
    }
    let head = &body[..body.len().min(detect::DETECT_BYTES)];
    let found = detect::detect(head).map_err(
        |_| "the format is not recognised; name it: ndjson, combined, common, har, or a mapping",
    )?;
    Ok(found.unwrap_or(Format::Ndjson))
}

fn first_byte(bytes: &[u8]) -> Option<u8> {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes).trim_ascii_start().first().copied()
}

/// Whether a body is meant as one array. One whose first line is broken and begins with a bracket
/// is lines if another of its lines is an object.
fn is_array(body: &[u8]) -> bool {
    if first_byte(body) != Some(b'[') {
        return false;
    }
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    if serde_json::from_slice::<Vec<IgnoredAny>>(body).is_ok() {
        return true;
    }
    let is_object = |line: &[u8]| {
        line.trim_ascii_start().starts_with(b"{")
            && serde_json::from_slice::<IgnoredAny>(line).is_ok()
    };
    !body.split(|byte| *byte == b'\n').any(is_object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Mapping;

    #[test]
    fn a_body_is_an_array_or_lines() {
        let mapping = |text: &str| {
            let mapping = Mapping::compile("m", &toml::from_str(text).unwrap()).unwrap();
            Arc::new(Format::Json(Arc::new(mapping)))
        };
        let lines = "[fields]\nts = \"{/t}\"\nmethod = \"GET\"\npath = \"{/p}\"\n";
        let formats = Formats::with_mappings(BTreeMap::from([
            ("lines".into(), mapping(lines)),
            ("wrapped".into(), mapping(&format!("records = \"/r\"\n{lines}"))),
        ]));
        let check = |name: Option<&'static str>, body: &'static str, expected: Result<_, &str>| {
            let found = formats.chunk("s".into(), name, Bytes::from_static(body.as_bytes()));
            let found = found.map(|chunk| (chunk.format.to_string(), chunk.content));
            match (&found, expected) {
                (Ok((format, content)), Ok((name, wanted))) => {
                    assert_eq!((format.as_str(), *content), (name, wanted), "{body}");
                }
                (Err(text), Err(says)) => assert!(text.contains(says), "{text}"),
                _ => panic!("{name:?} {body}: {found:?}"),
            }
        };
        let (array, records) = (Content::Array, Content::Records);
        check(None, "", Ok(("ndjson", records)));
        check(None, "{}", Ok(("ndjson", records)));
        check(None, " \n[{}]", Ok(("ndjson", array)));
        check(None, "\u{feff}[\n{},\n{}\n]\n", Ok(("ndjson", array)));
        check(None, "[]", Ok(("ndjson", array)));
        check(None, "[{},\n{", Ok(("ndjson", array)));
        check(None, "[oops\n{\"ts\":0}\n", Ok(("ndjson", records)));
        check(Some("ndjson"), "[{}]", Ok(("ndjson", array)));
        check(Some("lines"), "[{}]", Ok(("m", array)));
        check(Some("lines"), "{}\n{}", Ok(("m", records)));
        check(Some("wrapped"), "[{}]", Ok(("m", records)));
        check(Some("har"), "[{}]", Ok(("har", records)));
        check(Some("auto"), "[{}]", Ok(("ndjson", array)));
        check(Some("auto"), "{\"log\":{}}", Ok(("har", records)));
        check(Some("auto"), "what is this", Err("not recognised"));
        check(Some("nope"), "", Err("har, lines, wrapped"));
    }
}
