//! What the fuzz targets do with an input. Shared by the fuzzer and by the test that replays the
//! corpus, so it is included by path and uses public interfaces only.
//!
//! Beyond not panicking, a decoder must account for the input: places lie inside of it and grow,
//! and a good record comes back from its stored form.

#![allow(dead_code)] // Each target uses one of them.

use std::sync::Arc;

use bytes::Bytes;
use spoor_input::decode::chunk::Chunk;
use spoor_input::decode::line::{Dialect, LineFormat};
use spoor_input::decode::settings as config;
use spoor_input::decode::{Decoder, Format, Mapping, detect, wrap};
use spoor_operators::point::Point;
use spoor_operators::request::Request;

pub fn ndjson(input: &[u8]) {
    decode(Format::Ndjson, input);
}

pub fn access_log(input: &[u8]) {
    decode(Format::Combined, input);
}

/// Every built-in format of lines, and W3C, on the same lines.
pub fn lines(input: &[u8]) {
    for name in Format::built_in_names() {
        let format: Format = name.parse().expect("a built-in format has a name");
        if !format.is_document() {
            decode(format, input);
        }
    }
}

/// What is around a line, found and taken off.
pub fn wrapper(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for line in text.lines() {
        if let Some((wrapper, inner)) = wrap::inner(line) {
            assert!(!wrapper.name().is_empty());
            assert!(inner.len() <= line.len() * 3 + 3, "what is inside is no longer");
        }
    }
    decode(Format::Combined, input);
}

/// The first line is a format string of each server and a regular expression, the rest are lines.
pub fn format_string(input: &[u8]) {
    let at = input.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (text, lines) = input.split_at(at);
    let text = String::from_utf8_lossy(text);
    let mut compiled = vec![LineFormat::regex("fuzz", &text)];
    for dialect in [Dialect::Nginx, Dialect::Apache, Dialect::Envoy, Dialect::Haproxy] {
        compiled.push(LineFormat::pasted("fuzz", dialect, &text));
    }
    for format in compiled {
        match format {
            Ok(format) => decode(Format::Lines(Arc::new(format)), lines),
            Err(reason) => assert!(!reason.is_empty()),
        }
    }
}

pub fn har(input: &[u8]) {
    decode(Format::Har, input);
}

/// The first line is a template for the path, the rest are records, wrapped or not.
pub fn mapping(input: &[u8]) {
    let at = input.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (path, records) = input.split_at(at);
    let one = |text: &str| config::Templates::One(text.to_owned());
    let mut shape = config::Mapping::default();
    for (field, template) in [
        ("ts", "{/t}"),
        ("method", "{/m}"),
        ("path", &String::from_utf8_lossy(path)),
        ("url", "{/u}"),
        ("status", "{/e?400:200}"),
        ("ip", "{/i}"),
        ("duration_ms", "{/d}"),
    ] {
        shape.fields.insert(field.to_owned(), one(template));
    }
    shape.request_headers.insert("x".to_owned(), one("{/h~1/0}"));
    shape.request_body = Some("/b".to_owned());
    for records_at in [None, Some("/in/Records".to_owned())] {
        shape.records = records_at;
        if let Ok(mapping) = Mapping::compile("fuzz", &shape) {
            decode(Format::Json(Arc::new(mapping)), records);
        }
    }
}

pub fn point(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Err(error) = Point::parse(text) {
        assert!(!error.to_string().is_empty());
    }
}

fn decode(format: Format, input: &[u8]) {
    let _ = detect::detect(input);
    let chunk = Chunk::whole("s".into(), Arc::new(format), Bytes::copy_from_slice(input));
    let (mut line, mut stored) = (0, Vec::new());
    Decoder::new().decode(&chunk, &mut |record, raw| match record {
        Ok(mut request) => {
            request.repaired = false;
            assert!(!request.id.is_empty() && !request.method.is_empty());
            stored.clear();
            request.encode(&mut stored);
            let read = Request::decode(&stored).expect("a stored request reads back");
            assert_eq!(format!("{read:?}"), format!("{request:?}"));
        }
        Err(bad) => {
            assert!(bad.line > line, "places grow");
            line = bad.line;
            assert_eq!(&chunk.bytes[bad.raw], raw);
            assert!(!bad.reason.is_empty());
        }
    });
}
